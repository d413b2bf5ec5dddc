//! The crates of a cargo component, as cargo itself resolves them for this machine: those that are linked into the installed binaries,
//! and those that run while they are built. Crates of the component's own workspace count as the component.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId};
use serde::Deserialize;

use super::{Kind, Link, Part, Relation, id, licence, purl};
use crate::cargo_driver::crates_dir;
use crate::definition::{Driver, Name};
use crate::digest::Hash;
use crate::error::{Context, Error, Result};
use crate::process::{Cancel, Program};
use crate::world::World;

/// One crate that a component uses.
#[derive(Clone, Debug)]
pub struct Used {
    /// As its own file says it.
    pub package: Package,
    /// Of its archive, from Cargo.lock.
    pub sha256: Option<Hash>,
    /// It only runs while something is built.
    pub only_builds: bool,
}

/// What cargo resolved.
#[derive(Debug)]
pub struct Resolved {
    /// By id; without those of the workspace.
    pub used: BTreeMap<PackageId, Used>,
    /// Ids of each crate's needs, and of the workspace's under `None`; true where they only build.
    edges: BTreeSet<(Option<PackageId>, PackageId, bool)>,
}

#[derive(Deserialize)]
struct CargoLock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<Hash>,
}

/// The crates of a component; nothing where it is not built by cargo.
pub fn resolve(world: &World, component: &Name, cancel: &Cancel) -> Result<Option<Resolved>> {
    let definition = world.component(component);
    let Driver::Cargo(driver) = &definition.build else { return Ok(None) };
    let source = world.needed_source(&definition.source)?;
    let vendored = crates_dir(&world.layout, &source.tree)?;
    if !vendored.is_dir() {
        return Err(Error::machine(format!("the crates of `{component}` are not here"))
            .help(format!("cargo xtask fetch {}", definition.source)));
    }
    let cannot = || format!("cannot read the crates of `{component}`");
    let target = format!("{}-unknown-linux-gnu", world.machine.arch());
    let directory = format!("source.vendored.directory='{}'", vendored.display());
    let argv =
        ["cargo", "metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", target.as_str()];
    let config = ["--config", "source.crates-io.replace-with='vendored'", "--config", directory.as_str()];
    let text = Program::new(argv.into_iter().chain(config)).dir(&source.dir).run(cancel)?.success(cannot)?;
    let text = String::from_utf8(text).context(cannot)?;
    let metadata = MetadataCommand::parse(text.trim()).context(cannot)?;
    let lock = std::fs::read_to_string(source.dir.join("Cargo.lock")).context(cannot)?;
    let lock: CargoLock = toml::from_str(&lock).context(cannot)?;
    let sums = lock.package.into_iter().map(|locked| ((locked.name, locked.version), locked.checksum)).collect();
    Ok(Some(walk(metadata, &|bin| driver.bins.contains_key(bin), &sums)))
}

/// Follows what is needed from the packages that have a wanted binary.
fn walk(
    metadata: Metadata,
    is_wanted: &dyn Fn(&str) -> bool,
    sums: &BTreeMap<(String, String), Option<Hash>>,
) -> Resolved {
    let packages: BTreeMap<&PackageId, &Package> = metadata.packages.iter().map(|one| (&one.id, one)).collect();
    let nodes: BTreeMap<&PackageId, &Node> =
        metadata.resolve.iter().flat_map(|resolve| &resolve.nodes).map(|node| (&node.id, node)).collect();
    let has_wanted =
        |package: &&Package| package.targets.iter().any(|target| target.is_bin() && is_wanted(&target.name));
    // Each is looked at for what is linked and, if only that leads there, for what builds; the former goes first.
    let mut open: Vec<(&PackageId, bool)> =
        metadata.packages.iter().filter(has_wanted).map(|package| (&package.id, false)).collect();
    let (mut seen, mut edges) = (BTreeSet::new(), BTreeSet::new());
    while let Some((at, builds)) = open.pop() {
        if !seen.insert((at, builds)) {
            continue;
        }
        let Some(node) = nodes.get(at) else { continue };
        for need in &node.deps {
            let kinds: Vec<DependencyKind> = need.dep_kinds.iter().map(|kind| kind.kind).collect();
            let macros = packages
                .get(&need.pkg)
                .is_some_and(|package| package.targets.iter().any(|target| target.is_proc_macro()));
            let normal = kinds.contains(&DependencyKind::Normal);
            if !normal && !kinds.contains(&DependencyKind::Build) {
                continue;
            }
            let only_builds = builds || !normal || macros;
            let is_ours = |id: &PackageId| packages.get(id).is_some_and(|package| package.source.is_none());
            if !is_ours(&need.pkg) {
                edges.insert((Some(at.clone()).filter(|id| !is_ours(id)), need.pkg.clone(), !normal || macros));
            }
            open.push((&need.pkg, only_builds));
        }
    }
    let used = packages.iter().filter(|(id, package)| {
        package.source.is_some() && (seen.contains(&(**id, false)) || seen.contains(&(**id, true)))
    });
    let used = used.map(|(id, package)| {
        let sha256 = sums.get(&(package.name.to_string(), package.version.to_string())).copied().flatten();
        ((*id).clone(), Used { package: (*package).clone(), sha256, only_builds: !seen.contains(&(*id, false)) })
    });
    Resolved { used: used.collect(), edges }
}

impl Used {
    /// As a part of a bill.
    fn part(&self) -> Part {
        let package = &self.package;
        let (name, version) = (package.name.to_string(), package.version.to_string());
        let source = package.source.as_ref().map(|source| source.repr.clone()).unwrap_or_default();
        let git = source.strip_prefix("git+").and_then(|rest| rest.rsplit_once('#'));
        let git = git.map(|(url, commit)| (url.split('?').next().unwrap_or(url).to_owned(), commit.to_owned()));
        let mut notes = BTreeMap::new();
        if self.only_builds {
            notes.insert("use".to_owned(), "only while it is built".to_owned());
        }
        Part {
            id: id(Kind::Crate, &format!("{name}-{version}")),
            kind: Kind::Crate,
            purl: Some(match &git {
                Some((url, commit)) => purl::git(&name, url, commit),
                None => purl::cargo(&name, &version),
            }),
            download: git.map(|(url, commit)| format!("git+{url}@{commit}")),
            name,
            version,
            summary: package.description.as_ref().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
            licence: package.license.as_deref().and_then(licence::checked),
            homepage: package.homepage.clone().or_else(|| package.repository.clone()),
            sha256: self.sha256,
            notes,
        }
    }
}

impl Resolved {
    /// The crates as parts, linked to one another and to the component with that id.
    pub(super) fn parts(&self, component: &str, links: &mut Vec<Link>) -> Vec<Part> {
        let parts: BTreeMap<&PackageId, Part> = self.used.iter().map(|(id, used)| (id, used.part())).collect();
        for (from, to, only_builds) in &self.edges {
            let from = match from {
                Some(from) => parts.get(from).map(|part| part.id.clone()),
                None => Some(component.to_owned()),
            };
            let (Some(from), Some(to)) = (from, parts.get(to)) else { continue };
            let relation = if *only_builds { Relation::NeedsToBuild } else { Relation::Needs };
            links.push(Link { from, relation, to: to.id.clone() });
        }
        parts.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our own workspace, whose crates are here since we were compiled.
    #[test]
    fn what_is_linked_what_builds_and_what_only_tests_use_are_told_apart() {
        let argv = ["cargo", "metadata", "--format-version=1", "--locked", "--offline"];
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let program = Program::new(argv.into_iter().chain(["--filter-platform", target.as_str()]));
        let text = program.dir(env!("CARGO_MANIFEST_DIR")).run(&Cancel::default()).unwrap();
        let text = text.success(|| "cargo metadata".to_owned()).unwrap();
        let metadata = MetadataCommand::parse(std::str::from_utf8(&text).unwrap().trim()).unwrap();
        let resolved = walk(metadata, &|bin| bin == "xtask", &BTreeMap::new());
        let mut links = Vec::new();
        let parts = resolved.parts("component-x", &mut links);
        let find = |name: &str| parts.iter().find(|part| part.name == name);
        assert!(find("serde").unwrap().notes.is_empty() && find("sha2").unwrap().licence.is_some());
        assert!(find("syn").unwrap().notes.contains_key("use"), "only macros need it");
        assert!(find("assert_cmd").is_none() && find("xtask-content").is_none());
        let sha2 = find("sha2").unwrap().id.clone();
        assert!(links.contains(&Link { from: "component-x".to_owned(), relation: Relation::Needs, to: sha2 }));
    }
}
