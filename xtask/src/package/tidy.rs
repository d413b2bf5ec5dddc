//! Files as distributions have them: programs and libraries without what only debuggers read (binutils does that), libraries that nobody can
//! execute, manual pages compressed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::documents::gzip;
use super::facts::Facts;
use super::{Format, Package};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::process::{Cancel, Program};
use crate::tree::Node;

/// Libraries without the right to execute them, which only rpm's tools want; manual pages compressed.
pub fn settle(package: &mut Package, facts: &Facts, prefix: &str, dist: &Path, format: Format) -> Result<()> {
    let is_library = |origins: &BTreeMap<String, String>, path: &String| {
        facts.elf.get(origins.get(path).unwrap_or(path)).is_some_and(|elf| elf.soname.is_some())
    };
    let pages = format!("{}/share/man/", prefix.trim_start_matches('/'));
    for (path, mut node) in std::mem::take(&mut package.files) {
        let is_page = path.starts_with(&pages) && !path.ends_with(".gz");
        match &mut node {
            Node::File { mode, .. } if is_library(&package.origins, &path) => {
                *mode = if format == Format::Rpm { 0o755 } else { *mode & !0o111 };
            }
            Node::File { digest, mode } if is_page => {
                let file = dist.join(&path);
                let bytes = std::fs::read(&file).context(|| format!("cannot read `{}`", file.display()))?;
                if Digest::of(&bytes) != *digest {
                    return Err(Error::machine(format!("`{}` changed while it was packed", file.display())));
                }
                let bytes = gzip(&bytes);
                let node = Node::File { digest: Digest::of(&bytes), mode: *mode };
                package.files.insert(format!("{path}.gz"), node);
                package.made.insert(format!("{path}.gz"), bytes);
                continue;
            }
            Node::Symlink { target } if is_page => {
                package.files.insert(format!("{path}.gz"), Node::Symlink { target: format!("{target}.gz") });
                continue;
            }
            _ => {}
        }
        package.files.insert(path, node);
    }
    Ok(())
}

/// Strips the files of a package that are linked dynamically; `dist` is where they stand and stay as they are.
pub fn strip(package: &mut Package, facts: &Facts, dist: &Path, cancel: &Cancel) -> Result<()> {
    let with_symbols = package.elves(facts).filter(|(_, elf)| elf.has_symbols);
    let paths: Vec<String> = with_symbols.map(|(path, _)| path.clone()).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let stripping = || format!("cannot strip the programs of `{}`", package.name);
    let scratch = tempfile::tempdir().context(stripping)?;
    // One call for all: its work is less than starting it.
    let copies: Vec<PathBuf> = (0..paths.len()).map(|number| scratch.path().join(number.to_string())).collect();
    for (path, copy) in paths.iter().zip(&copies) {
        std::fs::copy(dist.join(package.origin(path)), copy).context(stripping)?;
    }
    // The linker reads no comments; `-D` leaves no date.
    let options = ["strip", "-D", "--strip-unneeded", "--remove-section=.comment", "--remove-section=.note"];
    let argv = options.iter().map(|option| OsStr::new(*option)).chain(copies.iter().map(|copy| copy.as_os_str()));
    let ended = Program::new(argv).env("LC_ALL", "C").run(cancel)?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        return Err(Error::machine(stripping()).because(said).help("--no-strip leaves them as they are"));
    }
    for (path, copy) in paths.into_iter().zip(copies) {
        let bytes = std::fs::read(copy).context(stripping)?;
        if let Some(Node::File { digest, .. }) = package.files.get_mut(&path) {
            *digest = Digest::of(&bytes);
        }
        package.made.insert(path, bytes);
    }
    Ok(())
}
