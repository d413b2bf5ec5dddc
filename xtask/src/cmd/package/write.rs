//! Packages in one of the formats: what each is called and says of others, and their files, as many at once as there are cores.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cmd::{Session, vouching};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::package::facts::Facts;
use crate::package::{Common, Format, Package, archive, deb, dpkg, rpm};
use crate::tree::Node;

/// A package in its format.
#[derive(Debug)]
pub(super) struct Made<'a> {
    pub(super) package: &'a Package,
    /// The name of its file.
    pub(super) file: String,
    /// What a package manager is told of it, as text.
    pub(super) tells: String,
    relations: Relations,
}

/// What it says of packages that are not of this set.
#[derive(Debug)]
enum Relations {
    Deb(BTreeSet<String>),
    #[cfg_attr(not(feature = "extras"), allow(dead_code, reason = "only the other binary writes them"))]
    Rpm(rpm::Relations),
    None,
}

/// The packages in their format.
pub(super) fn made<'a>(
    packages: &'a [Package],
    format: Format,
    common: &Common<'_>,
    facts: &Facts,
) -> Result<Vec<Made<'a>>> {
    let system =
        (format == Format::Deb).then(|| dpkg::System::read(Path::new("/var/lib/dpkg"), common.arch)).transpose()?;
    let one = |package: &'a Package| -> Result<Made<'a>> {
        let (file, tells, relations) = match (&system, format) {
            (Some(system), _) => {
                let depends = system.dependencies(&package.name, &package.foreign)?;
                let control = deb::control(package, common, &depends);
                (deb::file_name(package, common.arch), control, Relations::Deb(depends))
            }
            (None, Format::Rpm) => {
                let relations = rpm::relations(package, facts);
                let preamble = rpm::preamble(package, common.arch, &relations);
                (rpm::file_name(package, common.arch), preamble, Relations::Rpm(relations))
            }
            (None, _) => {
                let tells = format!("Name: {}\nVersion: {}\n", package.name, package.version.without_epoch());
                (archive::file_name(package, common.arch), tells, Relations::None)
            }
        };
        Ok(Made { package, file, tells, relations })
    };
    packages.iter().map(one).collect()
}

/// Writes them into `out` and gives their digests by their files' names; `dist` is where what is in them stands.
pub(super) fn write(
    session: &Session,
    out: &Path,
    made: &[Made<'_>],
    common: &Common<'_>,
    dist: &Path,
) -> Result<BTreeMap<String, Digest>> {
    // The largest first: whoever gets it last is waited for.
    let mut order: Vec<&Made<'_>> = made.iter().collect();
    order.sort_by_key(|made| std::cmp::Reverse(made.package.bytes()));
    let next = AtomicUsize::new(0);
    let worker = || -> Result<BTreeMap<String, Digest>> {
        let mut written = BTreeMap::new();
        while let Some(made) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let read = |path: &str| {
                session.cancel.check()?;
                content(made.package, dist, path)
            };
            let bytes = bytes(made, common, &read)?;
            vouching::remove_earlier(&out.join(&made.file))?;
            archive::write(out, &made.file, &bytes)?;
            written.insert(made.file.clone(), Digest::of(&bytes));
        }
        Ok(written)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().fold(worker(), |result, worker| {
            let theirs = worker.join().unwrap_or_else(|_| Err(Error::machine("a thread that packed died")));
            result.and_then(|mut written| {
                written.extend(theirs?);
                Ok(written)
            })
        })
    })
}

/// What a run wrote into the directory that is ours, as sha256sum writes it.
const LIST: &str = "SHA256SUMS";

/// Makes `out` what this run wrote: packages of an earlier one go. What somebody else put there, or changed since, stays and is named.
pub(super) fn replace_earlier(out: &Path, written: &BTreeMap<String, Digest>) -> Result<()> {
    let list = crate::atomic::read(&out.join(LIST))?.unwrap_or_default();
    for line in String::from_utf8_lossy(&list).lines() {
        let Some((known, name)) = line.split_once("  ").filter(|(_, name)| !name.contains('/')) else { continue };
        let path = out.join(name);
        if written.contains_key(name) {
            continue;
        }
        match crate::atomic::read(&path)? {
            Some(bytes) if Digest::of(&bytes).hash.to_string() == known => {
                std::fs::remove_file(&path).context(|| format!("cannot remove `{}`", path.display()))?;
            }
            Some(_) => eprintln!("note: `{}` is of an earlier run and was changed since, so it stays", path.display()),
            None => {}
        }
    }
    let list: String = written.iter().map(|(name, digest)| format!("{}  {name}\n", digest.hash)).collect();
    crate::atomic::write(&out.join(LIST), list.as_bytes())
}

fn bytes(made: &Made<'_>, common: &Common<'_>, read: &dyn Fn(&str) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    match &made.relations {
        Relations::Deb(depends) => deb::bytes(made.package, common, depends, read),
        #[cfg(feature = "extras")]
        Relations::Rpm(relations) => rpm::bytes(made.package, common, relations, read),
        #[cfg(not(feature = "extras"))]
        Relations::Rpm(_) => Err(Error::machine("this binary makes no rpms")),
        Relations::None => archive::bytes(made.package, read),
    }
}

/// The content of a file, checked.
pub(super) fn content(package: &Package, dist: &Path, path: &str) -> Result<Vec<u8>> {
    if let Some(bytes) = package.made.get(path) {
        return Ok(bytes.clone());
    }
    let file = dist.join(package.origin(path));
    let reading = || format!("cannot read `{}`", file.display());
    let bytes = std::fs::read(&file).context(reading)?;
    match package.files.get(path) {
        Some(Node::File { digest, .. }) if *digest == Digest::of(&bytes) => Ok(bytes),
        _ => Err(Error::machine(reading()).because("it changed while it was packed").help("cargo xtask build")),
    }
}
