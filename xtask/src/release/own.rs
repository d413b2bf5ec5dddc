//! What is ours in an archive: `sultana/` with the manifest, the lock, the definitions, xtask itself with its crates, what stands where,
//! what it is made of, the checksums of all files, and how to build.

use std::collections::BTreeMap;

use super::contents::{Contents, Owner, below};
use super::gather::Placed;
use super::unpacked::{Entry, INDEX, Unpacked};
use super::{bills, building, crates};
use crate::definition::Name;
use crate::error::{Context, Result};
use crate::layout::Layout;
use crate::origin::read_working_tree;
use crate::overrides::not_source;
use crate::process::Cancel;
use crate::tree::{Node, Tree};
use crate::world::World;

/// Where it all is.
pub(super) const DIR: &str = "sultana";
/// The checksums, as `sha256sum -c` takes them at the top of the archive.
const SUMS: &str = "sultana/SHA256SUMS";
/// What of this repository a release has.
const WANTED: [&str; 7] = [".cargo/", "Cargo.toml", "Cargo.lock", "README.md", "components/", "manifests/", "xtask/"];

/// A file of this repository that a release has.
pub fn is_released(path: &str) -> bool {
    path.starts_with("LICENSE")
        || WANTED.iter().any(|wanted| path == *wanted || (wanted.ends_with('/') && path.starts_with(wanted)))
}

/// Adds it, last of all: checksums are of everything else.
pub(super) fn add(
    world: &World,
    placed: &BTreeMap<Name, Placed>,
    contents: &mut Contents,
    offline: bool,
    cancel: &Cancel,
    say: &dyn Fn(&str),
) -> Result<()> {
    let layout = &world.layout;
    let tree = released(layout)?;
    contents.add_tree(DIR, &tree, &layout.root, &Owner::Ours)?;
    if tree.0.contains_key("Cargo.lock") {
        say("vendoring the crates of xtask itself");
        let vendored = crate::cargo_driver::vendored(layout, &layout.root, &tree, offline, cancel)?;
        crates::add(&layout.root, &vendored, DIR, contents, cancel)?;
    }
    say("collecting bills of materials and licences");
    bills::add(world, contents, cancel)?;
    let index = index(world, placed, contents)?;
    contents.add_bytes(&format!("{DIR}/{INDEX}"), index.as_bytes(), Owner::Ours)?;
    let building = building::text(world, placed, contents)?;
    contents.add_bytes(&format!("{DIR}/BUILDING"), building.as_bytes(), Owner::Ours)?;
    let sums = sums(contents);
    contents.add_bytes(SUMS, sums.as_bytes(), Owner::Ours)
}

/// The files of this repository, as git knows them.
fn released(layout: &Layout) -> Result<Tree> {
    let index = layout.state().join("release/.own");
    let skip = [not_source(&layout.root), vec!["dist", "target", "blktap"]].concat();
    let mut tree = read_working_tree(&layout.root, &index, &skip)?.into_tree();
    tree.0.retain(|path, _| is_released(path));
    Ok(tree)
}

fn index(world: &World, placed: &BTreeMap<Name, Placed>, contents: &Contents) -> Result<String> {
    let sources = placed.iter().map(|(source, it)| {
        let (at, tree) = (it.at.clone(), it.tree.root().hash);
        (source.clone(), Entry { without: without(source, &at, contents), at, tree })
    });
    let manifest = world.definitions.manifest_name.clone();
    let index = Unpacked::new(manifest, world.plan.order.clone(), sources.collect());
    toml::to_string(&index).context(|| "cannot say what stands where".to_owned())
}

/// Paths below a source's place that it has nothing of, each the shortest that is so.
fn without(source: &Name, at: &str, contents: &Contents) -> Vec<String> {
    let is_its = |owner: &Owner| matches!(owner, Owner::Source(name) if name == source);
    let prefix = below(at, "");
    let inside = |path: &str| path.strip_prefix(&prefix).map(str::to_owned);
    let mut its = std::collections::BTreeSet::new();
    for (path, _) in contents.members.iter().filter(|(_, member)| is_its(&member.owner)) {
        let Some(path) = inside(path) else { continue };
        let above = std::path::Path::new(&path).ancestors().filter_map(|it| it.to_str()).map(str::to_owned);
        its.extend(above);
    }
    let mut without = std::collections::BTreeSet::new();
    for (path, _) in contents.members.iter().filter(|(_, member)| !is_its(&member.owner)) {
        let Some(path) = inside(path) else { continue };
        let mut shortest = path.as_str();
        while let Some((parent, _)) = shortest.rsplit_once('/').filter(|(parent, _)| !its.contains(*parent)) {
            shortest = parent;
        }
        without.insert(shortest.to_owned());
    }
    if at == "." {
        without.insert(DIR.to_owned());
    }
    without.into_iter().collect()
}

fn sums(contents: &Contents) -> String {
    let line = |(path, node): (&String, &Node)| match node {
        Node::File { digest, .. } => format!("{}  {path}\n", digest.hash),
        Node::Symlink { .. } | Node::Directory { .. } => String::new(),
    };
    contents.members.iter().map(|(path, member)| line((path, &member.node))).collect()
}
