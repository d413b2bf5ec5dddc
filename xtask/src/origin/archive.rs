//! The `archive` origin: one tar archive, from the first of its addresses that gives the locked content.

use std::path::PathBuf;

use super::scratch::Scratch;
use super::unpack::{Strip, unpack};
use super::{Fetching, Order, Prepared, Wanted, attempts, download, files};
use crate::definition::{Archive, File, Name, Pin};
use crate::digest::Digest;
use crate::error::{Error, Result};

/// Makes the tree of an archive.
pub(super) fn prepare(ctx: &Fetching<'_>, archive: &Archive, order: &Order<'_>) -> Result<Prepared> {
    let source = order.source;
    let first = archive.urls.first().map(String::as_str).unwrap_or_default();
    let name = files::file_name(first).to_owned();
    let (digest, path) = match order.wanted {
        Wanted::Pinned(Pin { files, .. }) => {
            let [file] = files.as_slice() else {
                return Err(Error::input(format!(
                    "cannot fetch source `{source}`: the lock of `{}` names {} files of it, an archive is one",
                    ctx.manifest,
                    files.len()
                ))
                .help(format!("cargo xtask update {source}")));
            };
            locked(ctx, source, archive, file)?
        }
        Wanted::Newest(_) => match files::placed(ctx, &name)? {
            Some(placed) => {
                (ctx.say)(&format!("source `{source}`: taking `{}`", placed.display()));
                files::keep(ctx, &placed, None).map_err(files::fatal)?
            }
            None => fetch(ctx, source, archive, &name, None)?,
        },
    };
    if let Some(wanted) = archive.sha256.filter(|wanted| *wanted != digest.hash) {
        return Err(Error::input(format!("cannot take `{name}` for source `{source}`"))
            .because(format!("its sha256 is {}, manifest `{}` wants {wanted}", digest.hash, ctx.manifest)));
    }
    let epoch = unpack(&path, Strip::Parts(archive.strip), order.into)?;
    let tree = order.scan()?;
    let file = File { path: name, size: digest.size, sha256: digest.hash };
    if let Wanted::Newest(Some(Pin { files, .. })) = order.wanted
        && let [old] = files.as_slice()
        && old.path == file.path
        && old.sha256 != file.sha256
    {
        (ctx.say)(&format!(
            "source `{source}`: upstream changed `{}` without a new name: sha256 was {}, is {}",
            file.path, old.sha256, file.sha256
        ));
    }
    let pin = Pin {
        commit: None,
        signed_tag: None,
        version: None,
        tree: tree.root().hash,
        epoch,
        files: vec![file],
        submodules: Vec::new(),
    };
    Ok(Prepared { pin, tree })
}

/// A locked file, from the store or from one of its addresses.
pub(super) fn locked(ctx: &Fetching<'_>, source: &Name, archive: &Archive, file: &File) -> Result<(Digest, PathBuf)> {
    match files::held(ctx, file)? {
        Some(path) => Ok((files::digest_of(file), path)),
        None => fetch(ctx, source, archive, &file.path, Some(files::digest_of(file))),
    }
}

fn fetch(
    ctx: &Fetching<'_>,
    source: &Name,
    archive: &Archive,
    name: &str,
    wanted: Option<Digest>,
) -> Result<(Digest, PathBuf)> {
    let help =
        |error: Error| error.help(format!("to give it a file that you have: cargo xtask fetch {source} --from FILE"));
    let is_local = |url: &&String| !url.contains("://") || url.starts_with("file:");
    let urls: Vec<String> =
        if ctx.offline { archive.urls.iter().filter(is_local).cloned().collect() } else { archive.urls.clone() };
    if urls.is_empty() {
        let digest = wanted.map(|digest| format!(" (sha256 {})", digest.hash)).unwrap_or_default();
        return Err(help(Error::machine(format!(
            "cannot fetch source `{source}` with --offline: `{name}`{digest} is not in the store"
        ))));
    }
    let what = format!("`{name}` of source `{source}`");
    let scratch = Scratch::new(&ctx.layout.store.join("tmp"), "download")?;
    attempts::along(ctx, &what, &urls, |url| download::download(ctx, url, wanted, scratch.path())).map_err(help)
}
