//! A bill as SPDX 2.3 JSON: <https://spdx.github.io/spdx-spec/v2.3/>. Field names are the standard's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Bill, File, Kind, Part, Relation, licence, sha1};
use crate::digest::Digest;
use crate::error::{Context, Result};

/// What SPDX writes where nobody says anything.
const UNKNOWN: &str = "NOASSERTION";
/// The part that stands for all of it.
const ROOT: &str = "SPDXRef-result";

/// The document, ending in a newline.
pub fn spdx(bill: &Bill) -> Result<Vec<u8>> {
    let encoding = || "cannot encode an SPDX document".to_owned();
    let mut document = document(bill);
    // Unique and the same for the same content: nothing of it is drawn.
    let digest = Digest::of(&serde_json::to_vec(&document).context(encoding)?);
    document["documentNamespace"] = format!("https://spdx.org/spdxdocs/sultana-{}-{}", bill.name, digest.hash).into();
    let mut bytes = serde_json::to_vec_pretty(&document).context(encoding)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn reference(id: &str) -> String {
    format!("SPDXRef-{id}")
}

fn file_reference(index: usize) -> String {
    format!("SPDXRef-file-{}", index + 1)
}

fn document(bill: &Bill) -> Value {
    let mut by_component: BTreeMap<String, Vec<&File>> = BTreeMap::new();
    for file in &bill.files {
        by_component.entry(super::id(Kind::Component, file.component.as_str())).or_default().push(file);
    }
    let mut packages = vec![root(bill)];
    packages.extend(bill.parts.iter().map(|part| package(bill, part, by_component.get(&part.id))));
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("sultana-{}", bill.name),
        "creationInfo": {
            "created": bill.time(),
            "creators": [format!("Tool: sultana-xtask-{}", env!("CARGO_PKG_VERSION"))],
            "licenseListVersion": list_version(),
        },
        "packages": packages,
        "relationships": relationships(bill),
    });
    if !bill.files.is_empty() {
        document["files"] = bill.files.iter().enumerate().map(|(index, one)| file(index, one)).collect();
    }
    let unlisted: BTreeSet<String> =
        bill.parts.iter().filter_map(|part| part.licence.as_deref()).flat_map(licence::unlisted).collect();
    if !unlisted.is_empty() {
        let info = |id: &String| json!({ "licenseId": id, "extractedText": "its text is among the licence files of what names it" });
        document["hasExtractedLicensingInfos"] = unlisted.iter().map(info).collect();
    }
    document
}

/// `3.27.0` as SPDX wants it here: `3.27`.
fn list_version() -> String {
    licence::list_version().trim_start_matches('v').splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

fn root(bill: &Bill) -> Value {
    let mut package = json!({
        "SPDXID": ROOT, "name": bill.name, "downloadLocation": UNKNOWN, "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN, "licenseDeclared": UNKNOWN, "copyrightText": UNKNOWN, "primaryPackagePurpose": "INSTALL",
    });
    if !bill.version.is_empty() {
        package["versionInfo"] = bill.version.clone().into();
    }
    package
}

fn package(bill: &Bill, part: &Part, files: Option<&Vec<&File>>) -> Value {
    let mut package = Map::new();
    let mut set = |key: &str, value: Value| drop(package.insert(key.to_owned(), value));
    set("SPDXID", reference(&part.id).into());
    set("name", part.name.clone().into());
    set("downloadLocation", part.download.as_deref().unwrap_or(UNKNOWN).into());
    set("filesAnalyzed", files.is_some().into());
    set("licenseConcluded", UNKNOWN.into());
    set("licenseDeclared", part.licence.as_deref().unwrap_or(UNKNOWN).into());
    set("copyrightText", UNKNOWN.into());
    set("primaryPackagePurpose", purpose(part.kind).into());
    if !part.version.is_empty() {
        set("versionInfo", part.version.clone().into());
    }
    if let Some(summary) = &part.summary {
        set("summary", summary.clone().into());
    }
    if let Some(homepage) = part.homepage.as_ref().filter(|homepage| homepage.contains("://")) {
        set("homepage", homepage.clone().into());
    }
    if let Some(sha256) = part.sha256 {
        set("checksums", json!([{ "algorithm": "SHA256", "checksumValue": sha256 }]));
    }
    if part.kind == Kind::Archive {
        set("packageFileName", part.name.clone().into());
    }
    if let Some(purl) = &part.purl {
        let locator =
            json!({ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl });
        set("externalRefs", json!([locator]));
    }
    let notes: Vec<String> = part.notes.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    if !notes.is_empty() {
        set("comment", notes.join("\n").into());
    }
    if part.kind == Kind::Component {
        let sources = bill.related(&part.id, &[Relation::MadeFrom]).filter_map(|id| bill.part(id));
        let sources: Vec<String> = sources.map(|source| format!("{} {}", source.name, source.version)).collect();
        set("sourceInfo", format!("built from {}", sources.join(", ")).into());
    }
    if let Some(files) = files {
        set("packageVerificationCode", json!({ "packageVerificationCodeValue": verification_code(files) }));
    }
    Value::Object(package)
}

/// Section 7.9: SHA-1 over the sorted SHA-1s of all files.
fn verification_code(files: &[&File]) -> String {
    let mut sums: Vec<&str> = files.iter().map(|file| file.sha1.as_str()).collect();
    sums.sort_unstable();
    sha1(sums.concat())
}

fn purpose(kind: Kind) -> &'static str {
    match kind {
        Kind::Component | Kind::System => "APPLICATION",
        Kind::Source => "SOURCE",
        Kind::Archive => "ARCHIVE",
        Kind::Patch => "FILE",
        Kind::Crate => "LIBRARY",
    }
}

fn file(index: usize, file: &File) -> Value {
    json!({
        "SPDXID": file_reference(index),
        "fileName": format!("./{}", file.path),
        "checksums": [
            { "algorithm": "SHA1", "checksumValue": file.sha1 },
            { "algorithm": "SHA256", "checksumValue": file.sha256 },
        ],
        "licenseConcluded": UNKNOWN,
        "copyrightText": UNKNOWN,
    })
}

fn relationships(bill: &Bill) -> Vec<Value> {
    let relationship = |from: &str, kind: &str, to: &str| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to });
    let mut all = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)];
    for part in bill.parts.iter().filter(|part| part.kind == Kind::Component) {
        all.push(relationship(ROOT, "CONTAINS", &reference(&part.id)));
    }
    for link in &bill.links {
        let (from, to) = (reference(&link.from), reference(&link.to));
        all.push(match link.relation {
            Relation::MadeFrom => relationship(&from, "GENERATED_FROM", &to),
            Relation::Needs => relationship(&from, "DEPENDS_ON", &to),
            Relation::NeedsToBuild => relationship(&to, "BUILD_DEPENDENCY_OF", &from),
            Relation::MayUse => relationship(&to, "OPTIONAL_DEPENDENCY_OF", &from),
            Relation::PatchedBy => relationship(&to, "PATCH_FOR", &from),
        });
    }
    for (index, file) in bill.files.iter().enumerate() {
        let component = reference(&super::id(Kind::Component, file.component.as_str()));
        all.push(relationship(&component, "CONTAINS", &file_reference(index)));
    }
    all
}
