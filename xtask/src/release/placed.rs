//! What Xen's own build would download or copy for a component, at the place where it looks for it: the archive file of a library of stub
//! domains, a source as the one archive that a makefile unpacks, a makefile of Xen's in the tree of another.

use std::collections::BTreeMap;

use super::contents::{Bytes, Contents, Member, Owner, below};
use super::format::Format;
use super::gather::Placed;
use super::write::write;
use crate::definition::{Name, Tarball};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::origin::{self, Fetching};
use crate::process::Cancel;
use crate::tree::Node;
use crate::world::World;

/// Adds what `tarball` of a component says of it. All sources are there.
pub(super) fn add(
    world: &World,
    name: &Name,
    tarball: &Tarball,
    placed: &BTreeMap<Name, Placed>,
    contents: &mut Contents,
    offline: bool,
    cancel: &Cancel,
) -> Result<()> {
    let source = &world.component(name).source;
    if let Some(directory) = &tarball.file {
        add_file(world, source, directory, contents, offline, cancel)?;
    }
    if let Some(path) = &tarball.packed {
        add_packed(name, &placed[source], path, contents, cancel)?;
    }
    for (to, from) in &tarball.copy {
        let member = contents.members.get(from).cloned().ok_or_else(|| {
            Error::input(format!("cannot put `{from}` beside source `{source}`: the archive has no such file"))
                .help(format!("look at `[tarball] copy` of components/{name}.toml"))
        })?;
        contents.add(below(&tarball.at, to), Member { owner: Owner::Made(name.clone()), ..member })?;
    }
    Ok(())
}

/// The file that the source was unpacked from. A source that is no archive has none: then a build would take another version anyway.
fn add_file(
    world: &World,
    source: &Name,
    directory: &str,
    contents: &mut Contents,
    offline: bool,
    cancel: &Cancel,
) -> Result<()> {
    let ctx = Fetching {
        layout: &world.layout,
        manifest: &world.definitions.manifest_name,
        offline,
        discard: false,
        cancel,
        say: &|_| {},
    };
    if let Some((file, path)) = origin::archive_file(&ctx, source, world.origin(source)?, world.pin(source))? {
        let digest = Digest { hash: file.sha256, size: file.size };
        let node = Node::File { digest, mode: 0o644 };
        let member = Member { node, owner: Owner::Source(source.clone()), bytes: Bytes::File(path) };
        contents.add(below(directory, &file.path), member)?;
    }
    Ok(())
}

/// The source, as the archive has it, in one directory that is called as `path` is.
fn add_packed(name: &Name, placed: &Placed, path: &str, contents: &mut Contents, cancel: &Cancel) -> Result<()> {
    let stem = path.rsplit('/').next().and_then(|file| file.strip_suffix(".tar.gz")).unwrap_or(path);
    let mut inner = Contents::new(stem.to_owned(), contents.epoch);
    for path in placed.tree.0.keys() {
        let member = contents.members.get(&below(&placed.at, path)).cloned();
        inner.members.extend(member.map(|member| (path.clone(), member)));
    }
    let mut packed = Vec::new();
    write(&inner, Format::Gz, 1, &mut packed, cancel, &|_| {})?;
    contents.add_bytes(path, &packed, Owner::Made(name.clone()))
}
