//! How the files of a component came to be, from the stored action of its last build.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Definition, directory, of_part, statement};
use crate::bill::made::{Made, is_of_now, rebuild};
use crate::bill::{crates, origin, purl};
use crate::definition::Name;
use crate::error::{Error, Result};
use crate::process::Cancel;
use crate::state::State;
use crate::tree::Node;
use crate::world::World;

/// An action of the Remote Execution API, as ARCHITECTURE.md tells it; no address of anybody's.
const BUILD_TYPE: &str = "urn:sultana:action:v1";

/// The statement about everything that the last build of `name` installed.
pub fn component(world: &World, state: &State, name: &Name, made: &Made, cancel: &Cancel) -> Result<Value> {
    let Made { built, preimage, output } = made;
    if !preimage.environment.is_exact() {
        let how = if preimage.environment.sealed { "on what an earlier build left" } else { "without the sandbox" };
        return Err(Error::input(format!(
            "cannot vouch for `{name}`: it was built {how}, so not all that it used is known"
        ))
        .help(format!("cargo xtask build {name} --clean")));
    }
    if !is_of_now(world, state, name, made)? {
        return Err(Error::input(format!(
            "cannot vouch for `{name}`: what it is built from has changed since it was built"
        ))
        .help(format!("{}   # why {name} shows what changed", rebuild(world, name))));
    }
    let subject: Vec<Value> = output
        .0
        .iter()
        .filter_map(|(path, node)| match node {
            Node::File { digest, .. } => Some(json!({ "name": path, "digest": { "sha256": digest.hash } })),
            _ => None,
        })
        .collect();
    if subject.is_empty() {
        return Err(Error::input(format!("cannot vouch for `{name}`: it installs no file"))
            .help("name the others: cargo xtask provenance NAME…"));
    }
    let steps = crate::why::steps_in_order(&preimage.steps);
    let steps: Vec<Value> = steps.iter().map(|(name, ran)| json!({ "name": name, "ran": ran })).collect();
    Ok(statement(Definition {
        subject,
        build_type: BUILD_TYPE,
        asked: json!({ "manifest": world.definitions.manifest_name, "component": name }),
        settled: json!({ "steps": steps, "environment": preimage.variables, "sandbox": true }),
        dependencies: materials(world, name, made, cancel)?,
        metadata: json!({ "invocationId": format!("sha256:{}", built.action.hash) }),
        byproducts: vec![directory("output", built.output)],
    }))
}

/// Everything that went in, each with its digest as far as it has one.
fn materials(world: &World, name: &Name, made: &Made, cancel: &Cancel) -> Result<Vec<Value>> {
    let preimage = &made.preimage;
    let mut all = Vec::new();
    for source in world.sources_of(name) {
        for part in origin::parts(world, &source, &mut Vec::new())? {
            all.push(of_part(&part));
        }
    }
    all.push(directory("src", preimage.part("src").root()));
    for extra in world.component(name).extra.keys() {
        all.push(directory(&format!("extra/{extra}"), preimage.part(&format!("extra/{extra}")).root()));
    }
    let deps = preimage.part("deps");
    if !deps.0.is_empty() {
        all.push(directory("deps", deps.root()));
    }
    for (path, node) in &preimage.part("patches").0 {
        if let Node::File { digest, .. } = node {
            all.push(json!({ "name": format!("patches/{path}"), "digest": { "sha256": digest.hash } }));
        }
    }
    if let Some(resolved) = crates::resolve(world, name, cancel)? {
        all.extend(resolved.parts("", &mut Vec::new()).iter().map(of_part));
    }
    all.extend(tools(&preimage.environment.tools));
    let family = world.machine.family().map_or("generic", |family| family.package_type());
    let vendor = world.machine.platform().distro.first().cloned().unwrap_or_else(|| "unknown".to_owned());
    all.extend(preimage.environment.packages.iter().map(
        |(package, version)| json!({ "name": package, "uri": purl::installed(family, &vendor, package, version) }),
    ));
    Ok(all)
}

/// A fingerprint of a program is its path and digest; that of a toolchain says more.
fn tools(tools: &BTreeMap<String, String>) -> impl Iterator<Item = Value> + '_ {
    tools.iter().map(|(name, what)| match what.rsplit_once(' ') {
        Some((path, hash)) if hash.len() == 64 && path.starts_with('/') => {
            json!({ "name": name, "uri": format!("file://{path}"), "digest": { "sha256": hash } })
        }
        _ => json!({ "name": name, "annotations": { "is": what } }),
    })
}
