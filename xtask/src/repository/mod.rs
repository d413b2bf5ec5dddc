//! Repositories that apt and dnf install from: a directory of packages, and what is said of them. `deb.rs` and `rpm/` know their forms; here is
//! what both have: packages come in whole, and none where one is refused, indices have names of their content, and the one file that names them comes last.
//! So whoever reads while we write, or after we were killed, sees what was there before or what is there now, but for a
//! signature that stands beside its index, which may be of the other.
//!
//! Invariant: in a fresh directory the same packages give the same bytes, whenever and wherever, but for signatures. What changes in a directory
//! also says so: apt takes only what is dated later than what it has.

pub mod deb;
pub mod rpm;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::process::Cancel;

/// A package's file.
#[derive(Clone, Debug)]
struct Found {
    /// Below the repository, without the first `/`.
    location: String,
    bytes: Vec<u8>,
}

/// Files of a directory whose names end so, sorted; those below it too.
pub fn packages(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        let reading = || format!("cannot read `{}`", dir.display());
        for entry in fs::read_dir(&dir).context(reading)? {
            let path = entry.context(reading)?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The file of a package below the directory of its kind, by what it says of itself, whatever it is called where it comes from. Names of
/// files have no epoch, so another one has a directory of its own.
fn place(dir: &str, epoch: &str, file: &str) -> String {
    match epoch {
        "" | "0" => format!("{dir}/{file}"),
        epoch => format!("{dir}/epoch-{epoch}/{file}"),
    }
}

/// What a package's place below the repository is, by its path and content; an error if it is none.
pub type Locate<'a> = dyn Fn(&Path, &[u8]) -> Result<String> + 'a;

/// Puts packages at their places; gives those that were not there yet. All are looked at before the first is placed: of what is refused
/// nothing is there.
pub fn add(repository: &Path, files: Vec<PathBuf>, locate: &Locate<'_>, cancel: &Cancel) -> Result<Vec<PathBuf>> {
    let read = |file: &Path| fs::read(file).context(|| format!("cannot read `{}`", file.display()));
    let mut new: BTreeMap<String, (PathBuf, String)> = BTreeMap::new();
    for file in files {
        cancel.check()?;
        let bytes = read(&file)?;
        let location = locate(&file, &bytes)?;
        let sum = sha256(&bytes);
        let known = match new.get(&location) {
            Some((_, sum)) => Some(sum.clone()),
            None => crate::atomic::read(&repository.join(&location))?.map(|known| sha256(&known)),
        };
        match known {
            Some(known) if known == sum => {}
            Some(_) => return Err(refused(repository, &location)),
            None => drop(new.insert(location, (file, sum))),
        }
    }
    let mut added = Vec::new();
    for (location, (file, sum)) in new {
        cancel.check()?;
        let bytes = read(&file)?;
        if sha256(&bytes) != sum {
            return Err(Error::input(format!("cannot add `{location}` to `{}`", repository.display()))
                .because(format!("`{}` changed meanwhile", file.display())));
        }
        let path = repository.join(&location);
        let dir = path.parent().unwrap_or(repository);
        fs::create_dir_all(dir).context(|| format!("cannot make `{}`", dir.display()))?;
        crate::atomic::write(&path, &bytes)?;
        added.push(file);
    }
    Ok(added)
}

/// What somebody has installed is not to become something else under the same version.
fn refused(repository: &Path, location: &str) -> Error {
    Error::input(format!("cannot add `{location}` to `{}`", repository.display()))
        .because("one of the same version, with another content, is there")
        .help("make a next version (cargo xtask package … --revision 2), or remove the one that is there")
}

/// Looks at each package of a repository, one after the other: they may be more than memory holds.
fn each(repository: &Path, below: &str, ending: &str, look: &mut dyn FnMut(&Found) -> Result<()>) -> Result<usize> {
    let dir = repository.join(below);
    let paths = if dir.is_dir() { packages(&dir, ending)? } else { Vec::new() };
    for path in &paths {
        let bytes = fs::read(path).context(|| format!("cannot read `{}`", path.display()))?;
        let location = path.strip_prefix(repository).unwrap_or(path).to_string_lossy().into_owned();
        look(&Found { location, bytes })?;
    }
    Ok(paths.len())
}

/// Writes a file that has the name of its content; none is ever written over.
fn write_named(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(dir).context(|| format!("cannot make `{}`", dir.display()))?;
    let path = dir.join(name);
    if path.is_file() { Ok(()) } else { crate::atomic::write(&path, bytes) }
}

/// Removes the files of `dir` that nothing names.
fn sweep(dir: &Path, named: &BTreeSet<String>) -> Result<()> {
    let sweeping = || format!("cannot sweep `{}`", dir.display());
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let entry = entry.context(sweeping)?;
        if entry.path().is_file() && !named.contains(&*entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path()).context(sweeping)?;
        }
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).hash.to_string()
}
