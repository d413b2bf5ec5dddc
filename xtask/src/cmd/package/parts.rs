//! What `dist/` gives to packages: the files of each component with the version that they get, or why they cannot be packed.

use std::collections::{BTreeMap, BTreeSet};

use super::Args;
use crate::bill::made::made;
use crate::cmd::Session;
use crate::definition::{Component, Definitions, Name, Packaged};
use crate::error::{Error, Result};
use crate::machine::Family;
use crate::merge::Merged;
use crate::package::Format;
use crate::package::plan::Part;
use crate::package::version::{self, Version};
use crate::plan::Provider;
use crate::state::State;
use crate::tree::Tree;
use crate::world::World;

/// The components that are in `dist/`, each of which is one of this manifest.
pub(super) fn of_this_manifest(session: &Session, definitions: &Definitions, merged: &Merged) -> Result<Vec<Name>> {
    let state = State::read(&session.layout);
    let names: BTreeSet<&Name> = merged.owners.values().collect();
    for name in &names {
        let of = state.built.get(*name).and_then(|built| built.manifest.as_ref());
        if of != Some(&session.manifest) || !definitions.components.contains_key(*name) {
            let of = of.map_or_else(|| "another manifest".to_owned(), |of| format!("manifest `{of}`"));
            return Err(Error::input(format!(
                "cannot make packages of `{}`: `{name}` in dist/ is of {of}",
                session.manifest
            ))
            .help(format!("cargo xtask build -m {}", session.manifest)));
        }
    }
    Ok(names.into_iter().cloned().collect())
}

/// What each component brought to `dist/`, with the version that its packages get.
pub(super) fn parts<'a>(
    session: &Session,
    world: &'a World,
    merged: &Merged,
    args: &Args,
) -> Result<BTreeMap<Name, Part<'a>>> {
    let mut trees: BTreeMap<&Name, Tree> = BTreeMap::new();
    for (path, owner) in &merged.owners {
        trees.entry(owner).or_default().0.insert(path.clone(), merged.tree.0[path].clone());
    }
    let state = State::read(&session.layout);
    let family = args.format.family(world.machine.family());
    let mut parts = BTreeMap::new();
    for (name, tree) in trees {
        let definition = world.component(name);
        let inexact = inexact(world, &state, name)?;
        if let Some(how) = inexact.filter(|_| !args.allow_local) {
            return Err(Error::input(format!("cannot make packages of `{name}`: it was built {how}")).help(format!(
                "cargo xtask build {name} --clean   # in the sandbox; or --allow-local, for packages that stay with you"
            )));
        }
        let source = world.needed_source(&definition.source)?;
        let changed = !source.at_pin || world.overrides.0.contains_key(&definition.source);
        let source_is = format!("`{}` is not what the lock names", definition.source);
        let why = inexact.map(|how| format!("`{name}` was built {how}")).or(changed.then_some(source_is));
        if let Some(why) = &why {
            eprintln!("note: {why}, so versions of `{name}` end with ~local");
        }
        let said = version::of_source(world.origin(&definition.source)?, world.pin(&definition.source), &source.dir);
        let part = Part {
            version: Version::new(&said, args.epoch, args.revision, why.is_some()),
            epoch: source.epoch,
            needed: family.names(&definition.runtime_packages).to_vec(),
            named: named(world, args.format.format(), family, definition),
            definition,
            tree,
        };
        parts.insert(name.clone(), part);
    }
    Ok(parts)
}

/// How a component was built where that is not all that its digest says.
fn inexact(world: &World, state: &State, name: &Name) -> Result<Option<&'static str>> {
    let environment = made(world, state, name)?.preimage.environment;
    Ok(match (environment.sealed, environment.incremental) {
        (false, _) => Some("without the sandbox"),
        (true, true) => Some("on what an earlier build left"),
        (true, false) => None,
    })
}

/// Packages of the components that one names by their path: ours, or what brings the system's copy.
fn named(world: &World, format: Format, family: Family, component: &Component) -> Vec<String> {
    let mut named = Vec::new();
    for other in &component.runtime_needs {
        let Some(definition) = world.definitions.components.get(other) else { continue };
        match world.plan.providers.get(other) {
            Some(Provider::System(_)) => named.extend(family.names(&definition.system_packages).iter().cloned()),
            Some(Provider::Internal) => {
                let plain = definition.package.iter().filter(|package| !package.deb.contains('{'));
                let name = |package: &Packaged| match (format, &package.rpm) {
                    (Format::Rpm, Some(rpm)) => rpm.clone(),
                    _ => package.deb.clone(),
                };
                named.extend(plain.map(name));
            }
            _ => {}
        }
    }
    named
}
