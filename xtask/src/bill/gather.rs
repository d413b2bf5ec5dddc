//! Everything that a bill says, read from a `World`: definitions, pins, sources on disk, crates, and the outputs of the last builds if
//! their files are wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::origin::commit_of;
use super::{Bill, File, Kind, Link, Part, Relation, crates, id, licence, origin, sha1};
use crate::definition::{Component, Name};
use crate::error::{Context, Error, Result};
use crate::plan::Provider;
use crate::process::Cancel;
use crate::state::State;
use crate::store::Found;
use crate::tree::Node;
use crate::world::World;

/// When a bill says that it was made. Never the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The newest of the pins and of this repository's commit.
    Newest,
    /// Seconds since 1970.
    At(u64),
}

/// The bill of what the world's plan builds. With `files` also what each component installed; it must be built then.
pub fn gather(world: &World, name: &str, stamp: Stamp, files: bool, cancel: &Cancel) -> Result<Bill> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    let mut links: Vec<Link> = Vec::new();
    for source in world.sources() {
        parts.extend(origin::parts(world, &source, &mut links)?.into_iter().map(|part| (part.id.clone(), part)));
    }
    for component in &world.plan.order {
        let definition = world.component(component);
        let mut part = part(component, definition, Kind::Component);
        if let Some(source) = parts.get(&id(Kind::Source, definition.source.as_str())) {
            part.version.clone_from(&source.version);
            part.purl.clone_from(&source.purl);
        }
        patches(world, definition, &part.id, &mut parts, &mut links)?;
        let mut link = |relation, to| links.push(Link { from: part.id.clone(), relation, to });
        for source in world.sources_of(component) {
            link(Relation::MadeFrom, id(Kind::Source, source.as_str()));
        }
        for (others, relation) in [(&definition.needs, Relation::Needs), (&definition.runtime_needs, Relation::MayUse)]
        {
            for other in others.iter().filter(|other| !definition.needs.contains(other) || relation == Relation::Needs)
            {
                match world.plan.providers.get(other) {
                    Some(Provider::Internal) if world.plan.order.contains(other) => {
                        link(relation, id(Kind::Component, other.as_str()));
                    }
                    Some(Provider::Internal) => link(relation, system(world, other, None, &mut parts)),
                    Some(Provider::System(path)) => link(relation, system(world, other, Some(path), &mut parts)),
                    _ => {}
                }
            }
        }
        if let Some(resolved) = crates::resolve(world, component, cancel)? {
            let crates = resolved.parts(&part.id, &mut links);
            parts.extend(crates.into_iter().map(|part| (part.id.clone(), part)));
        }
        parts.insert(part.id.clone(), part);
    }
    links.sort();
    links.dedup();
    let first = world
        .definitions
        .manifest
        .components
        .iter()
        .chain(&world.plan.order)
        .find(|name| world.plan.order.contains(name));
    let version =
        first.and_then(|first| parts.get(&id(Kind::Component, first.as_str()))).map(|part| part.version.clone());
    let epoch = match stamp {
        Stamp::At(epoch) => epoch,
        Stamp::Newest => {
            let pins = world.sources().into_iter().filter_map(|source| Some(world.pin(&source)?.epoch));
            pins.chain(commit_of(&world.layout.root).map(|(_, time)| time)).max().unwrap_or_default()
        }
    };
    Ok(Bill {
        name: name.to_owned(),
        version: version.unwrap_or_default(),
        epoch,
        parts: parts.into_values().collect(),
        links,
        files: if files { installed(world, cancel)? } else { Vec::new() },
    })
}

fn part(name: &Name, definition: &Component, kind: Kind) -> Part {
    Part {
        summary: Some(definition.summary.clone()),
        licence: licence::checked(&definition.licence),
        homepage: Some(definition.homepage.clone()),
        ..Part::new(kind, name.as_str(), name.as_str())
    }
}

/// A component that is not of this bill, but named by one that is; its id.
fn system(world: &World, name: &Name, path: Option<&String>, parts: &mut BTreeMap<String, Part>) -> String {
    let mut part = part(name, world.component(name), Kind::System);
    part.notes.extend(path.map(|path| ("path".to_owned(), path.clone())));
    let id = part.id.clone();
    parts.insert(id.clone(), part);
    id
}

fn patches(
    world: &World,
    definition: &Component,
    component: &str,
    parts: &mut BTreeMap<String, Part>,
    links: &mut Vec<Link>,
) -> Result<()> {
    for path in &definition.patches {
        let file = world.layout.root.join(path);
        let bytes = std::fs::read(&file).context(|| format!("cannot read patch `{}`", file.display()))?;
        let base = path.rsplit('/').next().unwrap_or(path);
        let part = Part {
            sha256: Some(crate::digest::Digest::of(&bytes).hash),
            notes: [("path".to_owned(), path.clone())].into(),
            ..Part::new(Kind::Patch, path.trim_start_matches("components/"), base)
        };
        links.push(Link { from: component.to_owned(), relation: Relation::PatchedBy, to: part.id.clone() });
        parts.insert(part.id.clone(), part);
    }
    Ok(())
}

/// The files of the last build of each component. A directory has no digest, and a link no content.
fn installed(world: &World, cancel: &Cancel) -> Result<Vec<File>> {
    let state = State::read(&world.layout);
    let mut files = Vec::new();
    let mut open = BTreeSet::new();
    for name in &world.plan.order {
        let tree = state.built.get(name).map(|built| world.store.tree(built.output)).transpose()?;
        let Some(Found::Here(tree)) = tree else {
            open.insert(name.as_str());
            continue;
        };
        for (path, node) in &tree.0 {
            cancel.check()?;
            let Node::File { digest, .. } = node else { continue };
            let Found::Here(bytes) = world.store.read(*digest)? else {
                open.insert(name.as_str());
                break;
            };
            let sha1 = sha1(&bytes);
            files.push(File { path: path.clone(), component: name.clone(), sha1, sha256: digest.hash });
        }
    }
    if !open.is_empty() {
        let open = open.into_iter().collect::<Vec<_>>().join(" ");
        return Err(Error::input(format!("cannot list the files of what is not built: {open}"))
            .help(format!("cargo xtask build {open}")));
    }
    files.sort_by(|a, b| (&a.path, &a.component).cmp(&(&b.path, &b.component)));
    Ok(files)
}
