//! A bill as CycloneDX 1.6 JSON: <https://cyclonedx.org/docs/1.6/json/>. Field names are the standard's. Sources, their files and patches
//! are the pedigree of a component; crates and components are components of their own.

use serde_json::{Map, Value, json};

use super::{Bill, File, Kind, Part, Relation};
use crate::digest::Digest;
use crate::error::{Context, Result};

/// The part that stands for all of it.
const ROOT: &str = "result";

/// The document, ending in a newline.
pub fn cyclonedx(bill: &Bill) -> Result<Vec<u8>> {
    let encoding = || "cannot encode a CycloneDX document".to_owned();
    let mut document = document(bill);
    let digest = Digest::of(&serde_json::to_vec(&document).context(encoding)?);
    document["serialNumber"] = uuid(digest).into();
    let mut bytes = serde_json::to_vec_pretty(&document).context(encoding)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A UUID of version 8 (RFC 9562), which is whatever one makes of it: here the content.
fn uuid(digest: Digest) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.hash.0[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn document(bill: &Bill) -> Value {
    let shown = |part: &&Part| matches!(part.kind, Kind::Component | Kind::Crate | Kind::System);
    let components: Vec<Value> = bill.parts.iter().filter(shown).map(|part| component(bill, part)).collect();
    let mut root = json!({ "type": "application", "bom-ref": ROOT, "name": bill.name });
    if !bill.version.is_empty() {
        root["version"] = bill.version.clone().into();
    }
    let tool = json!({ "type": "application", "name": "sultana-xtask", "version": env!("CARGO_PKG_VERSION") });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "timestamp": bill.time(), "tools": { "components": [tool] }, "component": root },
        "components": components,
        "dependencies": dependencies(bill),
    })
}

fn component(bill: &Bill, part: &Part) -> Value {
    let mut component = plain(bill, part);
    component.insert("bom-ref".to_owned(), part.id.clone().into());
    let only_builds = part.kind == Kind::Crate && part.notes.contains_key("use");
    if part.kind == Kind::System {
        component.insert("scope".to_owned(), "optional".into());
    } else if only_builds {
        component.insert("scope".to_owned(), "excluded".into());
    }
    let of = |relation| bill.related(&part.id, std::slice::from_ref(relation)).filter_map(|id| bill.part(id));
    let ancestors: Vec<Value> = of(&Relation::MadeFrom).map(|source| plain(bill, source).into()).collect();
    let patches: Vec<Value> = of(&Relation::PatchedBy).map(patch).collect();
    let mut pedigree = Map::new();
    for (key, values) in [("ancestors", ancestors), ("patches", patches)] {
        if !values.is_empty() {
            pedigree.insert(key.to_owned(), values.into());
        }
    }
    if !pedigree.is_empty() {
        component.insert("pedigree".to_owned(), pedigree.into());
    }
    let is_of_it = |file: &&File| part.kind == Kind::Component && file.component.as_str() == part.name;
    let files: Vec<Value> = bill.files.iter().filter(is_of_it).map(file).collect();
    if !files.is_empty() {
        component.insert("components".to_owned(), files.into());
    }
    component.into()
}

fn patch(part: &Part) -> Value {
    json!({ "type": "unofficial", "diff": { "url": part.notes.get("path") } })
}

/// What a part says of itself.
fn plain(bill: &Bill, part: &Part) -> Map<String, Value> {
    let mut component = Map::new();
    let mut set = |key: &str, value: Value| drop(component.insert(key.to_owned(), value));
    set("type", if part.kind == Kind::Crate { "library" } else { "application" }.into());
    set("name", part.name.clone().into());
    if !part.version.is_empty() {
        set("version", part.version.clone().into());
    }
    if let Some(summary) = &part.summary {
        set("description", summary.clone().into());
    }
    if let Some(licence) = &part.licence {
        set("licenses", json!([{ "expression": licence }]));
    }
    if let Some(purl) = &part.purl {
        set("purl", purl.clone().into());
    }
    if let Some(sha256) = part.sha256 {
        set("hashes", hashes(&sha256.to_string()));
    }
    let references = references(bill, part);
    if !references.is_empty() {
        set("externalReferences", references.into());
    }
    let notes = part.notes.iter().map(|(key, value)| json!({ "name": format!("sultana:{key}"), "value": value }));
    let notes: Vec<Value> = notes.collect();
    if !notes.is_empty() {
        set("properties", notes.into());
    }
    component
}

/// Addresses: its page, where it is got, and the files that a source is unpacked from.
fn references(bill: &Bill, part: &Part) -> Vec<Value> {
    let mut references = Vec::new();
    if let Some(homepage) = part.homepage.as_ref().filter(|homepage| homepage.contains("://")) {
        references.push(json!({ "type": "website", "url": homepage }));
    }
    if let Some(download) = &part.download {
        let is_repository = download.strip_prefix("git+").and_then(|url| url.rsplit_once('@'));
        references.push(match is_repository {
            Some((url, commit)) => json!({ "type": "vcs", "url": url, "comment": format!("commit {commit}") }),
            None => json!({ "type": "distribution", "url": download }),
        });
    }
    if part.kind == Kind::Source {
        for other in bill.related(&part.id, &[Relation::MadeFrom]).filter_map(|id| bill.part(id)) {
            let url = other.download.as_ref().or(other.notes.get("path"));
            let (Some(url), Some(sha256)) = (url, other.sha256) else { continue };
            let hashes = hashes(&sha256.to_string());
            references.push(json!({ "type": "source-distribution", "url": url, "hashes": hashes }));
        }
    }
    references
}

fn hashes(sha256: &str) -> Value {
    json!([{ "alg": "SHA-256", "content": sha256 }])
}

fn file(file: &File) -> Value {
    let sha1 = json!({ "alg": "SHA-1", "content": file.sha1 });
    let sha256 = json!({ "alg": "SHA-256", "content": file.sha256 });
    json!({ "type": "file", "name": format!("/{}", file.path), "hashes": [sha1, sha256] })
}

fn dependencies(bill: &Bill) -> Vec<Value> {
    let components = || bill.parts.iter().filter(|part| part.kind == Kind::Component);
    let mut all = vec![json!({ "ref": ROOT, "dependsOn": components().map(|part| &part.id).collect::<Vec<_>>() })];
    let needs = [Relation::Needs, Relation::NeedsToBuild, Relation::MayUse];
    for part in bill.parts.iter().filter(|part| matches!(part.kind, Kind::Component | Kind::Crate | Kind::System)) {
        let mut on: Vec<&str> = bill.related(&part.id, &needs).collect();
        on.sort_unstable();
        on.dedup();
        all.push(json!({ "ref": part.id, "dependsOn": on }));
    }
    all
}
