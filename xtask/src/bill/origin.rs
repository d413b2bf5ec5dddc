//! What a source says of itself in a bill: version, where from, files. Reads the manifest, the lock and this repository's commit.

use std::path::Path;

use super::{Kind, Link, Part, Relation, purl};
use crate::definition::{DebianPatches, LAST_EPOCH, Name, Origin};
use crate::digest::Hash;
use crate::error::Result;
use crate::origin;
use crate::world::World;

/// The parts of a source: itself first, then the files that it is unpacked from.
pub(super) fn parts(world: &World, name: &Name, links: &mut Vec<Link>) -> Result<Vec<Part>> {
    let origin = world.origin(name)?;
    let tree = world.needed_source(name)?;
    let mut source = Part {
        notes: [
            ("origin".to_owned(), origin.kind().to_owned()),
            ("tree".to_owned(), tree.tree.root().hash.to_string()),
        ]
        .into(),
        ..Part::new(Kind::Source, name.as_str(), name.as_str())
    };
    let mut archives = Vec::new();
    match (origin, world.pin(name)) {
        (Origin::Path(local), _) => local_source(world, name, &local.dir, tree.tree.root().hash, &mut source)?,
        (Origin::Git(git), Some(pin)) => {
            let commit = pin.commit.as_ref().map(ToString::to_string).unwrap_or_default();
            source.version = git.tag.clone().unwrap_or_else(|| commit.clone());
            source.notes.insert("commit".to_owned(), commit.clone());
            if let Some(url) = git.urls.first().filter(|url| url.contains("://")) {
                source.download = Some(format!("git+{url}@{commit}"));
                source.purl = Some(purl::git(name.as_str(), url, &commit));
            }
            for submodule in &pin.submodules {
                archives.push(submodule_part(name, submodule));
            }
        }
        (Origin::Apt(apt), Some(pin)) => {
            source.version = pin.version.clone().unwrap_or_default();
            let purl = purl::debian_source(&apt.package, &source.version);
            archives.extend(pin.files.iter().map(|file| archive(name, file, Some(purl.clone()), None)));
            source.purl = Some(purl);
            match &apt.debian_patches {
                DebianPatches::All(_) => drop(source.notes.insert("debian-patches".to_owned(), "all".to_owned())),
                DebianPatches::Named(names) if names.is_empty() => {}
                DebianPatches::Named(names) => drop(source.notes.insert("debian-patches".to_owned(), names.join(" "))),
            }
        }
        (Origin::Archive(from), Some(pin)) => {
            for file in &pin.files {
                let url = from.urls.first();
                let purl = url.map(|url| purl::file(name.as_str(), url, &file.sha256.to_string()));
                source.version = file.path.clone();
                source.purl.clone_from(&purl);
                archives.push(archive(name, file, purl, url.cloned()));
            }
        }
        (_, None) => {}
    }
    if !tree.is_pins && !matches!(origin, Origin::Path(_)) {
        // What is not what the lock says must not go by its name alone.
        source.version.push_str("+local");
        source.notes.insert("modified".to_owned(), "differs from its pin".to_owned());
    }
    links.extend(archives.iter().map(|archive| Link {
        from: source.id.clone(),
        relation: Relation::MadeFrom,
        to: archive.id.clone(),
    }));
    archives.insert(0, source);
    Ok(archives)
}

/// The version of a source, as its part of a bill says it.
pub(super) fn version(world: &World, name: &Name) -> Result<String> {
    Ok(parts(world, name, &mut Vec::new())?.swap_remove(0).version)
}

/// A directory of this repository has its commit, one of the user a digest.
fn local_source(world: &World, name: &Name, dir: &str, tree: Hash, source: &mut Part) -> Result<()> {
    let place = world.layout.root.join(dir);
    let is_ours = Path::new(dir).is_relative() && !dir.starts_with("..");
    let commit = commit_of(&world.layout.root).filter(|_| is_ours).map(|(commit, _)| commit);
    let changed = origin::uncommitted_in(&place)?.is_none_or(|changes| !changes.is_empty());
    source.version = match commit {
        Some(commit) if !changed => {
            source.notes.insert("commit".to_owned(), commit.clone());
            commit
        }
        _ => format!("tree-{}", &tree.to_string()[..16]),
    };
    source.purl = Some(purl::generic(name.as_str(), &source.version));
    Ok(())
}

/// The commit that a repository stands at, and its time.
pub(super) fn commit_of(root: &Path) -> Option<(String, u64)> {
    let repository = git2::Repository::discover(root).ok()?;
    let commit = repository.head().ok()?.peel_to_commit().ok()?;
    Some((commit.id().to_string(), u64::try_from(commit.time().seconds()).ok()?.min(LAST_EPOCH)))
}

fn archive(source: &Name, file: &crate::definition::File, purl: Option<String>, url: Option<String>) -> Part {
    let base = file.path.rsplit('/').next().unwrap_or(&file.path);
    Part {
        download: url,
        purl,
        sha256: Some(file.sha256),
        notes: [("path".to_owned(), file.path.clone()), ("size".to_owned(), file.size.to_string())].into(),
        ..Part::new(Kind::Archive, &format!("{source}-{base}"), base)
    }
}

fn submodule_part(source: &Name, submodule: &crate::definition::Submodule) -> Part {
    let (url, commit) = (&submodule.url, &submodule.commit);
    let is_address = url.contains("://");
    Part {
        version: commit.to_string(),
        download: is_address.then(|| format!("git+{url}@{commit}")),
        purl: is_address.then(|| purl::git(&submodule.path, url, commit.as_str())),
        notes: [("origin".to_owned(), "submodule".to_owned()), ("commit".to_owned(), commit.to_string())].into(),
        ..Part::new(Kind::Source, &format!("{source}-{}", submodule.path), format!("{source}/{}", submodule.path))
    }
}
