//! The `apt` origin: files of a Debian source package, from the mirror that this machine's apt uses. No host is ever written
//! down: the lock has paths below the mirror's `pool/`, sizes and digests, and `fetch` needs nothing else.
//!
//! - `machine.rs`: which mirrors this machine has, and one file from them.
//! - `index.rs`: the Sources indexes, read only by `update`, in a private state directory.
//! - `pool.rs`: what a source package's files are called. `version.rs`: which of two versions is newer.
//! - `series.rs`: Debian's patches.
//! - `unpacked.rs`: binary packages in a root of their own.

mod index;
mod machine;
mod pool;
mod series;
mod unpacked;
mod version;

use std::path::PathBuf;

use super::attempts::Failure;
use super::scratch::Scratch;
use super::unpack::{Strip, unpack};
use super::{Fetching, Order, Prepared, Wanted, attempts, files};
use crate::definition::{Apt, File, Pin};
use crate::error::{Error, Result};

use pool::Part;

pub use unpacked::{Unpacked, Wanted as WantedPackages, unpacked};
#[cfg(feature = "gate")]
pub use version::compare as compare_versions;

/// A source package that `update` chose.
struct Chosen {
    version: String,
    files: Vec<File>,
}

/// Makes the tree of a Debian source package: upstream's files, and those of Debian's patches that are wanted.
pub(super) fn prepare(ctx: &Fetching<'_>, apt: &Apt, order: &Order<'_>) -> Result<Prepared> {
    let chosen = match order.wanted {
        Wanted::Pinned(pin) => Chosen {
            version: pin.version.clone().ok_or_else(|| {
                Error::input(format!("the lock of `{}` names no version of source `{}`", ctx.manifest, order.source))
                    .help(format!("cargo xtask update {}", order.source))
            })?,
            files: pin.files.clone(),
        },
        Wanted::Newest(_) => choose(ctx, apt, order)?,
    };
    let mut held = Vec::new();
    for file in &chosen.files {
        held.push((Part::of(&apt.package, &file.path)?, fetch(ctx, apt, order, file)?));
    }
    // Upstream's tree first; its further parts go below it.
    held.sort_by(|(one, _), (other, _)| one.cmp(other));
    let scratch = Scratch::new(&ctx.layout.work().join("tmp"), "debian")?;
    let mut epoch = 0;
    for (part, path) in &held {
        match part {
            Part::Upstream => epoch = epoch.max(unpack(path, Strip::Top, order.into)?),
            Part::Extra(name) => {
                let at = order.into.join(name);
                // It replaces a directory of that name, as with dpkg-source.
                crate::atomic::remove_tree(&at)?;
                epoch = epoch.max(unpack(path, Strip::Top, &at)?);
            }
            Part::Debian => {
                unpack(path, Strip::Parts(0), &scratch.path().join("packaging"))?;
            }
        }
    }
    if !apt.debian_patches.is_none() {
        series::apply(ctx, apt, order, &scratch.path().join("packaging/debian/patches"))?;
    }
    let tree = order.scan()?;
    let pin = Pin {
        commit: None,
        signed_tag: None,
        version: Some(chosen.version),
        tree: tree.root().hash,
        epoch,
        files: chosen.files,
        submodules: Vec::new(),
    };
    Ok(Prepared { pin, tree })
}

/// One locked file, out of the store or from the first of the machine's mirrors that has it.
fn fetch(ctx: &Fetching<'_>, apt: &Apt, order: &Order<'_>, file: &File) -> Result<PathBuf> {
    if let Some(path) = files::held(ctx, file)? {
        return Ok(path);
    }
    let (source, name) = (order.source, files::file_name(&file.path));
    let by_hand = format!("to give it a file that you have: cargo xtask fetch {source} --from FILE");
    if ctx.offline {
        return Err(Error::machine(format!(
            "cannot fetch source `{source}` with --offline: `{name}` (sha256 {}) is not in the store",
            file.sha256
        ))
        .help(by_hand));
    }
    let addresses = machine::addresses(ctx, &file.path).map_err(|error| error.help(by_hand.as_str()))?;
    let mut gone = 0;
    let result = attempts::along(ctx, &format!("`{name}` of source `{source}`"), &addresses, |address| {
        let failure = match machine::download(ctx, address, Some(files::digest_of(file))) {
            Ok((_, path)) => return Ok(path),
            Err(failure) => failure,
        };
        gone += usize::from(matches!(&failure, Failure::Permanent(why) if machine::is_gone(why)));
        Err(failure)
    });
    result.map_err(|error| {
        let error = if gone == addresses.len() {
            Error::machine(format!(
                "cannot fetch source `{source}`: `{}` is gone from this machine's mirror",
                file.path
            ))
            .because(index::versions_now(ctx, apt))
        } else {
            error
        };
        match order.wanted {
            Wanted::Pinned(_) => {
                error.help(format!("to take a version that the mirror has: cargo xtask update {source}")).help(by_hand)
            }
            Wanted::Newest(_) => error.help("to take another version: name it in the manifest, `version = …`"),
        }
    })
}

/// What `update` writes down: the wanted version, or the newest, with its files.
fn choose(ctx: &Fetching<'_>, apt: &Apt, order: &Order<'_>) -> Result<Chosen> {
    let wants = |file: &File| match Part::of(&apt.package, &file.path) {
        Ok(Part::Debian) => !apt.debian_patches.is_none(),
        Ok(_) => true,
        Err(_) => false,
    };
    if ctx.offline {
        return Err(Error::machine(format!("cannot update source `{}` with --offline", order.source)));
    }
    let packages = index::read(ctx, apt)?;
    let found = packages.iter().filter(|package| apt.version.as_ref().is_none_or(|wanted| *wanted == package.version));
    if let Some(package) = found.max_by(|one, other| version::compare(&one.version, &other.version)) {
        let files = package.files.iter().filter(|file| wants(file)).cloned().collect();
        return Ok(Chosen { version: package.version.clone(), files });
    }
    let Some(wanted) = &apt.version else {
        return Err(Error::input(format!(
            "cannot update source `{}`: there is no source package `{}` in {}",
            order.source,
            apt.package,
            index::suites_looked_in(apt)
        )));
    };
    // A version that has left the indexes may still be in the pool for a while.
    (ctx.say)(&format!(
        "source `{}`: {} {wanted} is in no index of this machine's mirror any more; looking for its files in the pool by name",
        order.source, apt.package
    ));
    let mut files = Vec::new();
    for candidates in pool::candidates(&apt.package, wanted, !apt.debian_patches.is_none()) {
        files.push(machine::first_of(ctx, &candidates).map_err(|error| {
            error
                .because(index::now(&packages, apt))
                .help("name a version in the manifest that the mirror has, or none for the newest")
        })?);
    }
    Ok(Chosen { version: wanted.clone(), files })
}
