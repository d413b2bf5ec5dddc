//! What `dist/` gives to packages: the files of each component with the version that they get, or why they cannot be packed.

use std::collections::{BTreeMap, BTreeSet};

use super::Args;
use crate::bill::made::{Made, is_of_now, made, rebuild};
use crate::cmd::Session;
use crate::definition::{Component, Definitions, Name, Origin, Packaged};
use crate::error::{Error, Result};
use crate::machine::Family;
use crate::merge::Merged;
use crate::origin;
use crate::package::Format;
use crate::package::plan::Part;
use crate::package::version::{self, Version};
use crate::plan::Provider;
use crate::state::State;
use crate::tree::Tree;
use crate::world::{SourceTree, World};

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
    let builds = Builds::read(session, world, trees.keys().copied())?;
    let family = args.format.family(world.machine.family());
    let (mut parts, mut notes) = (BTreeMap::new(), Vec::new());
    for (name, tree) in trees {
        let definition = world.component(name);
        let inexact = inexact(&builds.made[name]);
        if let Some(how) = inexact.filter(|_| !args.allow_local) {
            return Err(Error::input(format!("cannot make packages of `{name}`: it was built {how}")).help(format!(
                "cargo xtask build {name} --clean   # in the sandbox; or --allow-local, for packages that stay with you"
            )));
        }
        builds.check(world, name, &tree)?;
        let source = world.needed_source(&definition.source)?;
        let changed = is_changed(world, &definition.source, &source)?;
        let source_is = format!("`{}` is not what the lock or a commit names", definition.source);
        let why = inexact.map(|how| format!("`{name}` was built {how}")).or(changed.then_some(source_is));
        notes.extend(why.as_ref().map(|why| format!("{why}, so versions of `{name}` end with ~local")));
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
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(parts)
}

/// The last builds of what is in `dist/`.
struct Builds {
    state: State,
    made: BTreeMap<Name, Made>,
}

impl Builds {
    fn read<'a>(session: &Session, world: &World, names: impl Iterator<Item = &'a Name>) -> Result<Self> {
        let state = State::read(&session.layout);
        let made =
            names.map(|name| Ok((name.clone(), made(world, &state, name)?))).collect::<Result<BTreeMap<_, _>>>()?;
        Ok(Builds { state, made })
    }

    /// Refuses files that are not those of the last build, and one that was made of something else than what is here now: the version, the
    /// changelog and the bill of a package are of now.
    fn check(&self, world: &World, name: &Name, files: &Tree) -> Result<()> {
        let made = &self.made[name];
        let is_last = files.0.iter().all(|(path, node)| made.output.0.get(path) == Some(node));
        if is_last && is_of_now(world, &self.state, name, made)? {
            return Ok(());
        }
        let why = match is_last {
            true => "what it is built from has changed since it was built",
            false => "what is in dist/ is not what was built last",
        };
        let (build, how) = (rebuild(world, name), if made.preimage.environment.sealed { "" } else { " --no-sandbox" });
        Err(Error::input(format!("cannot make packages of `{name}`: {why}")).help(format!(
            "{build}{how}   # with the settings of this run, if any were said; why {name} shows what changed"
        )))
    }
}

/// A source is not what its name and its pin, or this repository's commit, say.
fn is_changed(world: &World, source: &Name, tree: &SourceTree) -> Result<bool> {
    let is_ours = matches!(world.origin(source)?, Origin::Path(_)) && !world.is_unpacked(source);
    let is_uncommitted = || -> Result<bool> {
        Ok(is_ours && origin::uncommitted_in(&tree.dir)?.is_none_or(|changes| !changes.is_empty()))
    };
    // An archive says what its files were.
    let is_edited = world.is_unpacked(source) && !tree.is_pins;
    Ok(!tree.at_pin || is_edited || world.overrides.0.contains_key(source) || is_uncommitted()?)
}

/// How a component was built where that is not all that its digest says.
fn inexact(made: &Made) -> Option<&'static str> {
    let environment = &made.preimage.environment;
    match (environment.sealed, environment.incremental) {
        (false, _) => Some("without the sandbox"),
        (true, true) => Some("on what an earlier build left"),
        (true, false) => None,
    }
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
