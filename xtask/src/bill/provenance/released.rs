//! How an archive came to be, or packages: from which sources, and packages from which builds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Definition, directory, of_part, statement};
use crate::bill::{Bill, Kind, origin};
use crate::definition::Name;
use crate::digest::Digest;
use crate::error::Result;
use crate::origin::uncommitted_in;
use crate::release::is_released;
use crate::state::Built;
use crate::world::World;

/// What was made of what, as its maker knows it.
#[derive(Debug)]
pub struct Release<'a> {
    /// What the command was told, beside the manifest.
    pub asked: Vec<(&'a str, Value)>,
    /// From `repository`, before anything was made.
    pub repository: Option<Value>,
    /// Of all components that are in it, and of no other.
    pub bill: &'a Bill,
}

/// The statement about an archive.
pub fn archive(world: &World, file: &str, digest: Digest, of: Release<'_>) -> Value {
    let components = of.bill.parts.iter().filter(|part| part.kind == Kind::Component).map(|part| &part.name);
    let settled = json!({ "components": components.collect::<Vec<_>>() });
    released(world, "urn:sultana:tarball:v1", (file, digest), settled, Vec::new(), of)
}

/// The statement about a package of these components' last builds, whose own statements say more.
pub fn package(world: &World, file: &str, digest: Digest, builds: &BTreeMap<&Name, &Built>, of: Release<'_>) -> Value {
    let build = |(name, built): (&&Name, &&Built)| {
        let mut build = directory(&format!("component {name}"), built.output);
        build["annotations"] = json!({ "action": format!("sha256:{}", built.action.hash) });
        build
    };
    released(world, "urn:sultana:package:v1", (file, digest), json!({}), builds.iter().map(build).collect(), of)
}

fn released(
    world: &World,
    build_type: &'static str,
    (file, digest): (&str, Digest),
    settled: Value,
    builds: Vec<Value>,
    of: Release<'_>,
) -> Value {
    let manifest = ("manifest", json!(world.definitions.manifest_name));
    statement(Definition {
        subject: vec![json!({ "name": file, "digest": { "sha256": digest.hash } })],
        build_type,
        asked: std::iter::once(manifest).chain(of.asked).map(|(name, value)| (name.to_owned(), value)).collect(),
        settled,
        dependencies: of.repository.into_iter().chain(builds).chain(sources(of.bill)).collect(),
        metadata: json!({}),
        byproducts: Vec::new(),
    })
}

/// This repository, with what of it decides what is made: definitions, the lock, and the program that runs. It is not asked of an unpacked
/// archive, which has none, whatever it lies in. Work that is not committed has no digest, and is told.
pub fn repository(world: &World) -> Result<Option<Value>> {
    let layout = &world.layout;
    let Some((commit, _)) = origin::commit_of(&layout.root).filter(|_| world.unpacked.is_none()) else {
        return Ok(None);
    };
    let mut repository = json!({ "name": "repository", "digest": { "gitCommit": commit } });
    let changes = uncommitted_in(&layout.root)?.unwrap_or_default();
    if changes.iter().any(|change| is_released(&change.path)) {
        repository["annotations"] = json!({ "modified": "work that is not committed" });
    }
    Ok(Some(repository))
}

/// What a bill says that its components are made of.
fn sources(bill: &Bill) -> impl Iterator<Item = Value> + '_ {
    let is_input = |kind| matches!(kind, Kind::Source | Kind::Archive | Kind::Patch | Kind::Crate);
    bill.parts.iter().filter(move |part| is_input(part.kind)).map(of_part)
}
