//! How what is handed out came to be: in-toto statements (v1) with the predicate of SLSA provenance (v1). `component.rs` states the files of a
//! build, `released.rs` an archive or packages. Field names are the standards': <https://slsa.dev/spec/v1.0/provenance>.

mod component;
mod released;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Kind, Part};
use crate::digest::Digest;

pub use component::component;
pub use released::{Release, archive, package, repository};

/// What `application/vnd.in-toto+json` carries.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// A tree, by the digest of its root.
const DIRECTORY: &str = "application/vnd.google.bazel.remote.execution.v2.Directory";
const BUILDER: &str = "urn:sultana:xtask";

/// All that differs from statement to statement.
struct Definition {
    /// The files it is about.
    subject: Vec<Value>,
    build_type: &'static str,
    /// What whoever called us said.
    asked: Value,
    /// What definitions said.
    settled: Value,
    /// All that went in.
    dependencies: Vec<Value>,
    metadata: Value,
    byproducts: Vec<Value>,
}

fn statement(of: Definition) -> Value {
    json!({
        "_type": STATEMENT,
        "subject": of.subject,
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": of.build_type,
                "externalParameters": of.asked,
                "internalParameters": of.settled,
                "resolvedDependencies": of.dependencies,
            },
            "runDetails": {
                "builder": { "id": BUILDER, "version": { "sultana-xtask": env!("CARGO_PKG_VERSION") } },
                "metadata": of.metadata,
                "byproducts": of.byproducts,
            },
        },
    })
}

fn directory(name: &str, digest: Digest) -> Value {
    json!({ "name": name, "digest": { "sha256": digest.hash }, "mediaType": DIRECTORY })
}

fn of_part(part: &Part) -> Value {
    let mut material = json!({ "name": format!("{} {}", part.kind.word(), part.name) });
    // What was edited is not at that address, nor in that commit.
    let modified = part.notes.get("modified");
    if let Some(modified) = modified {
        material["annotations"] = json!({ "modified": modified });
    } else if let Some(uri) = part.download.as_ref().or(part.purl.as_ref()) {
        material["uri"] = uri.clone().into();
    }
    let mut digest = BTreeMap::new();
    digest.extend(part.sha256.map(|hash| ("sha256", hash.to_string())));
    digest.extend(
        part.notes
            .get("commit")
            .filter(|_| part.kind == Kind::Source && modified.is_none())
            .map(|commit| ("gitCommit", commit.clone())),
    );
    if let (true, Some(tree)) = (digest.is_empty(), part.notes.get("tree")) {
        digest.insert("sha256", tree.clone());
        material["mediaType"] = DIRECTORY.into();
    }
    if !digest.is_empty() {
        material["digest"] = json!(digest);
    }
    material
}
