//! Files of archives and Debian source packages in the store, named by their SHA-256. A file gets there only after it was hashed
//! on the way; one that no longer matches its name is a miss, and said.

use std::fs::{self, File as Handle};
use std::io;
use std::path::{Path, PathBuf};

use super::Fetching;
use super::attempts::Failure;
use super::scratch::Scratch;
use crate::definition::{File, Name, Pin};
use crate::digest::{self, Digest};
use crate::error::{Context, Error, Result};
use crate::layout::Layout;

/// Where a file of that content stands.
fn stored(layout: &Layout, digest: Digest) -> PathBuf {
    layout.files().join(digest.hash.to_string())
}

/// Where a person may put a file by name before it is fetched.
fn by_name(layout: &Layout, path: &str) -> PathBuf {
    layout.files().join("by-name").join(file_name(path))
}

/// The last part of a path or address.
pub(super) fn file_name(path: &str) -> &str {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}

/// What the lock says of a file's content.
pub(super) fn digest_of(file: &File) -> Digest {
    Digest { hash: file.sha256, size: file.size }
}

/// The file, if the store has it or somebody put it there by name. Reads all of it, so a damaged one is found out.
pub(super) fn held(ctx: &Fetching<'_>, file: &File) -> Result<Option<PathBuf>> {
    let wanted = digest_of(file);
    let path = stored(ctx.layout, wanted);
    if let Some(found) = content_of(&path)? {
        if found == wanted {
            return Ok(Some(path));
        }
        (ctx.say)(&format!("`{}`: damaged in the store (it is {found}), fetching it again", file_name(&file.path)));
        fs::remove_file(&path).context(|| format!("cannot remove damaged `{}`", path.display()))?;
    }
    let placed = by_name(ctx.layout, &file.path);
    match content_of(&placed)? {
        Some(found) if found == wanted => keep(ctx, &placed, Some(wanted)).map(|(_, path)| Some(path)).map_err(fatal),
        Some(found) => {
            (ctx.say)(&format!(
                "`{}` is not the locked file: it is {found}, locked is {wanted}; not used",
                placed.display()
            ));
            Ok(None)
        }
        None => Ok(None),
    }
}

/// The file that somebody put there by name, whatever its content.
pub(super) fn placed(ctx: &Fetching<'_>, name: &str) -> Result<Option<PathBuf>> {
    let path = by_name(ctx.layout, name);
    Ok(path.is_file().then_some(path))
}

fn content_of(path: &Path) -> Result<Option<Digest>> {
    let cannot = || format!("cannot read `{}`", path.display());
    match Handle::open(path) {
        Ok(mut file) => Digest::of_reader(&mut file).context(cannot).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(cannot),
    }
}

/// Copies a file into the store, hashing on the way. If it is not what was wanted nothing is kept and both digests are in the error.
pub(super) fn keep(ctx: &Fetching<'_>, from: &Path, wanted: Option<Digest>) -> Result<(Digest, PathBuf), Failure> {
    let layout = ctx.layout;
    let cannot = || format!("cannot copy `{}` into the store", from.display());
    fs::create_dir_all(layout.files()).context(cannot)?;
    let scratch = Scratch::new(&layout.store.join("tmp"), "file")?;
    let copy = scratch.path().join("copy");
    let mut source = Handle::open(from).context(cannot)?;
    let mut target = Handle::create(&copy).context(cannot)?;
    let digest = digest::copy_hashing(&mut source, &mut target).context(cannot)?;
    target.sync_all().context(cannot)?;
    if let Some(wanted) = wanted
        && wanted != digest
    {
        return Err(Failure::Permanent(mismatch(wanted, digest)));
    }
    let path = stored(layout, digest);
    fs::rename(&copy, &path).context(cannot)?;
    Ok((digest, path))
}

fn mismatch(wanted: Digest, found: Digest) -> String {
    format!(
        "wrong content: sha256 is {} ({} bytes), wanted is {} ({} bytes); nothing of it is kept",
        found.hash, found.size, wanted.hash, wanted.size
    )
}

/// A failure where no other address is left to try.
pub(super) fn fatal(failure: Failure) -> Error {
    match failure {
        Failure::Fatal(error) => error,
        Failure::Transient(reason) | Failure::Permanent(reason) => Error::machine(reason),
    }
}

/// `fetch NAME --from FILE`: takes a file of a locked source from where the user has it. Nothing else than what the lock names is
/// taken.
pub fn place_file(ctx: &Fetching<'_>, source: &Name, pin: Option<&Pin>, from: &Path) -> Result<File> {
    let cannot = || format!("cannot take `{}` for source `{source}`", from.display());
    let files = pin.map(|pin| pin.files.as_slice()).unwrap_or_default();
    if files.is_empty() {
        return Err(Error::input(cannot())
            .because(format!("the lock of `{}` names no files of it", ctx.manifest))
            .help(format!("cargo xtask update {source}")));
    }
    let Some(found) = content_of(from)? else {
        return Err(Error::input(cannot()).because("there is no such file"));
    };
    let Some(file) = files.iter().find(|file| digest_of(file) == found) else {
        let names: Vec<String> = files
            .iter()
            .map(|file| format!("{} {} ({} bytes)", file.sha256, file_name(&file.path), file.size))
            .collect();
        return Err(Error::input(cannot()).because(format!(
            "its sha256 is {} ({} bytes); the lock of `{}` wants {}",
            found.hash,
            found.size,
            ctx.manifest,
            names.join(" or ")
        )));
    };
    keep(ctx, from, Some(found)).map_err(fatal)?;
    Ok(file.clone())
}
