//! How an archive came to be, or packages: from which sources, and packages from which builds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Definition, directory, of_part, statement};
use crate::bill::{Bill, Kind, origin};
use crate::definition::Name;
use crate::digest::Digest;
use crate::error::Result;
use crate::origin::uncommitted_in;
use crate::state::Built;
use crate::world::World;

/// The statement about an archive of `bill`'s components. `asked` is what the command was told beside the manifest.
pub fn archive(world: &World, file: &str, digest: Digest, bill: &Bill, asked: &[(&str, Value)]) -> Result<Value> {
    let components = bill.parts.iter().filter(|part| part.kind == Kind::Component).map(|part| &part.name);
    Ok(statement(Definition {
        subject: vec![subject(file, digest)],
        build_type: "urn:sultana:tarball:v1",
        asked: parameters(world, asked),
        settled: json!({ "components": components.collect::<Vec<_>>() }),
        dependencies: repository(world)?.into_iter().chain(sources(bill)).collect(),
        metadata: json!({}),
        byproducts: Vec::new(),
    }))
}

/// The statement about packages of these components' last builds, whose own statements say more. `bill` is of these components alone.
pub fn packages(
    world: &World,
    files: &BTreeMap<&str, Digest>,
    builds: &BTreeMap<&Name, &Built>,
    bill: &Bill,
    asked: &[(&str, Value)],
) -> Result<Value> {
    let build = |(name, built): (&&Name, &&Built)| {
        let mut build = directory(&format!("component {name}"), built.output);
        build["annotations"] = json!({ "action": format!("sha256:{}", built.action.hash) });
        build
    };
    Ok(statement(Definition {
        subject: files.iter().map(|(file, digest)| subject(file, *digest)).collect(),
        build_type: "urn:sultana:package:v1",
        asked: parameters(world, asked),
        settled: json!({}),
        dependencies: repository(world)?.into_iter().chain(builds.iter().map(build)).chain(sources(bill)).collect(),
        metadata: json!({}),
        byproducts: Vec::new(),
    }))
}

fn subject(file: &str, digest: Digest) -> Value {
    json!({ "name": file, "digest": { "sha256": digest.hash } })
}

fn parameters(world: &World, asked: &[(&str, Value)]) -> Value {
    let manifest = ("manifest", json!(world.definitions.manifest_name));
    std::iter::once(&manifest).chain(asked).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// This repository: definitions, the lock, and the program that ran. Work that is not committed has no digest, and is told.
fn repository(world: &World) -> Result<Option<Value>> {
    let Some((commit, _)) = origin::commit_of(&world.layout.root) else { return Ok(None) };
    let mut repository = json!({ "name": "repository", "digest": { "gitCommit": commit } });
    if uncommitted_in(&world.layout.root)?.is_none_or(|changes| !changes.is_empty()) {
        repository["annotations"] = json!({ "modified": true });
    }
    Ok(Some(repository))
}

/// What a bill says that its components are made of.
fn sources(bill: &Bill) -> impl Iterator<Item = Value> + '_ {
    let is_input = |kind| matches!(kind, Kind::Source | Kind::Archive | Kind::Patch | Kind::Crate);
    bill.parts.iter().filter(move |part| is_input(part.kind)).map(of_part)
}
