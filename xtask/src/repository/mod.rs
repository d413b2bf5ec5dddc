//! Repositories that apt and dnf install from: a directory of packages, and what is said of them. `deb.rs` and `rpm/` know their forms; here is
//! what both have: packages come in whole, and none where one is refused, indices have names of their content, and the one file that names them comes last.
//! So whoever reads while we write, or after we were killed, sees what was there before or what is there now, but for a
//! signature that stands beside its index, which may be of the other.
//!
//! Invariant: in a fresh directory the same packages give the same bytes, whenever and wherever, but for signatures. What changes in a directory
//! also says so: apt takes only what is dated later than what it has.

pub mod deb;
mod members;
pub mod rpm;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::placing;
use crate::process::Cancel;
use crate::signing::Signing;

/// A package's file.
#[derive(Clone, Debug)]
struct Found {
    path: PathBuf,
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
        look(&Found { path: path.clone(), location, bytes })?;
    }
    Ok(paths.len())
}

/// Writes a file that has the name of its content; none is ever written over.
fn write_named(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(dir).context(|| format!("cannot make `{}`", dir.display()))?;
    let path = dir.join(name);
    if path.is_file() { Ok(()) } else { crate::atomic::write(&path, bytes) }
}

/// Removes the files of `dir` that nothing names any more, among those whose names are of our form: others are somebody's.
fn sweep(dir: &Path, named: &BTreeSet<String>, is_ours: fn(&str) -> bool) -> Result<()> {
    let sweeping = || format!("cannot sweep `{}`", dir.display());
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let entry = entry.context(sweeping)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && is_ours(&name) && !named.contains(&name) {
            fs::remove_file(entry.path()).context(sweeping)?;
        }
    }
    Ok(())
}

/// It is a digest as files are called by it.
fn is_sum(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A signature beside an index.
#[derive(Debug)]
pub struct Signature<'a> {
    /// Where it is, or would be.
    pub path: PathBuf,
    /// Makes it.
    pub signing: Option<&'a Signing>,
    /// The variable that names its command.
    pub variable: &'static str,
}

impl Signature<'_> {
    /// Refuses to take one away that nobody asked to be taken away: who trusts only what is signed would take nothing from here any more.
    /// `again` is the command.
    pub fn refuse_loss(&self, again: &str) -> Result<()> {
        if self.signing.is_some() || !self.path.exists() {
            return Ok(());
        }
        let (path, variable) = (self.path.display(), self.variable);
        Err(Error::input(format!("cannot write the index that `{path}` signs: no command signs the next one"))
            .help(format!(
                "{variable}=… {variable}_VERIFY=… {again}   # what stands there is in: cargo xtask repo --help"
            ))
            .help(format!("{again} --unsigned   # takes it away")))
    }
}

/// Writes an index with its signatures. They are made first, since that may fail; `behind` writes what it names, and it comes last itself.
fn publish(
    index: &Path,
    bytes: &[u8],
    signatures: &[Signature<'_>],
    cancel: &Cancel,
    behind: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let aside = tempfile::tempdir().context(|| "cannot make a directory".to_owned())?;
    let unsigned = aside.path().join(index.file_name().unwrap_or_default());
    crate::atomic::write(&unsigned, bytes)?;
    let what = format!("`{}`", index.display());
    let sign = |one: &Signature<'_>| one.signing.map(|it| it.signature(&unsigned, &what, cancel)).transpose();
    let made = signatures.iter().map(sign).collect::<Result<Vec<_>>>()?;
    for signature in signatures.iter().filter(|one| one.signing.is_none()) {
        placing::remove_file(&signature.path)?;
    }
    behind()?;
    crate::atomic::write(index, bytes)?;
    for (signature, made) in signatures.iter().zip(made) {
        made.map_or(Ok(()), |made| crate::atomic::write(&signature.path, &made))?;
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).hash.to_string()
}
