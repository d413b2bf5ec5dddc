//! What ELF files need to be used: the libraries that programs are linked to, found in roots that are not this system's; the modules
//! that kernel modules need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};

use crate::elf::Elf;
use crate::error::{Context, Error, Result};

/// Some roots, the one that is looked at first in front.
#[derive(Clone, Debug)]
pub(super) struct Roots(Vec<PathBuf>);

impl Roots {
    pub(super) fn new<'a>(roots: impl IntoIterator<Item = &'a Path>) -> Self {
        Roots(roots.into_iter().map(Path::to_path_buf).collect())
    }

    /// Every library that these files need, and those that they need, by the name that they are linked by. That one is missing is the
    /// fault of what is tested.
    pub(super) fn libraries(&self, files: &[PathBuf], also: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
        let dirs: Vec<(&Path, Vec<String>)> = self.0.iter().map(|root| (root.as_path(), library_dirs(root))).collect();
        let find = |name: &str| {
            // Of Xen only what is tested: another one may be installed on this machine.
            let is_xens = name.starts_with("libxen") || name.starts_with("libxl");
            let dirs = if is_xens { dirs.get(..1).unwrap_or_default() } else { &dirs };
            dirs.iter().find_map(|(root, dirs)| dirs.iter().find_map(|dir| inside(root, &format!("{dir}/{name}"))))
        };
        let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
        let mut wanted: Vec<(String, PathBuf)> = Vec::new();
        let read = |path: &Path| std::fs::read(path).context(|| format!("cannot read `{}`", path.display()));
        for file in files {
            let needed = Elf::read(&read(file)?).map(|elf| elf.needed).unwrap_or_default();
            wanted.extend(needed.into_iter().map(|name| (name, file.clone())));
        }
        wanted.extend(also.iter().map(|name| ((*name).to_owned(), PathBuf::from("/"))));
        while let Some((name, by)) = wanted.pop() {
            if found.contains_key(&name) {
                continue;
            }
            let Some(path) = find(&name) else {
                let roots: Vec<String> = self.0.iter().map(|root| format!("`{}`", root.display())).collect();
                return Err(Error::step(format!("cannot find the library {name} that `{}` needs", by.display()))
                    .because(format!("looked for it in {}", roots.join(", "))));
            };
            let needed = Elf::read(&read(&path)?).map(|elf| elf.needed).unwrap_or_default();
            wanted.extend(needed.into_iter().map(|name| (name, path.clone())));
            found.insert(name, path);
        }
        Ok(found)
    }
}

/// A path in a root, with links followed as they are there: an absolute one begins at that root.
pub(super) fn inside(root: &Path, path: &str) -> Option<PathBuf> {
    let mut todo: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
    let mut at: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => drop(at.pop()),
            _ => {
                let here = root.join(at.join("/")).join(&part);
                match std::fs::read_link(&here) {
                    Ok(target) => {
                        links += 1;
                        let target = target.to_str().filter(|_| links < 40)?.to_owned();
                        if target.starts_with('/') {
                            at.clear();
                        }
                        todo.extend(target.rsplit('/').map(str::to_owned));
                    }
                    Err(_) => at.push(part),
                }
            }
        }
    }
    let found = root.join(at.join("/"));
    found.exists().then_some(found)
}

/// Where libraries are in a root: as distributions have them, with Debian's places for a machine and for a version of Xen.
pub(super) fn library_dirs(root: &Path) -> Vec<String> {
    let mut dirs = Vec::new();
    let below = |dir: &str| {
        let entries = std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    for dir in ["usr/local/lib", "usr/lib", "lib", "usr/lib64", "lib64"] {
        for name in below(dir) {
            if name.ends_with("-linux-gnu") {
                dirs.push(format!("{dir}/{name}"));
            } else if name.starts_with("xen-") {
                let xen = format!("{dir}/{name}/lib");
                dirs.extend(below(&xen).into_iter().map(|machine| format!("{xen}/{machine}")));
                dirs.push(xen);
            }
        }
        dirs.push(dir.to_owned());
    }
    dirs.retain(|dir| inside(root, dir).is_some_and(|dir| dir.is_dir()));
    dirs
}

/// The modules that a kernel module needs, by name.
pub(super) fn needed_modules(module: &[u8]) -> Vec<String> {
    let text = modinfo(module).unwrap_or_default();
    let depends = text.split(|byte| *byte == 0).find_map(|line| line.strip_prefix(b"depends="));
    let names = depends.map(String::from_utf8_lossy).unwrap_or_default();
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn modinfo(module: &[u8]) -> Option<&[u8]> {
    let header = FileHeader64::<Endianness>::parse(module).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, module).ok()?;
    let (_, section) = sections.section_by_name(endian, b".modinfo")?;
    section.data(endian, module).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_in_their_root() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("usr/lib/x86_64-linux-gnu")).unwrap();
        fs::write(at("usr/lib/x86_64-linux-gnu/ld.so"), "").unwrap();
        symlink("/usr/lib", at("lib")).unwrap();
        symlink("../lib/x86_64-linux-gnu/ld.so", at("usr/ld")).unwrap();
        symlink("../../../etc/passwd", at("out")).unwrap();
        symlink("/round", at("round")).unwrap();
        let real = Some(at("usr/lib/x86_64-linux-gnu/ld.so"));
        assert_eq!(inside(root.path(), "lib/x86_64-linux-gnu/ld.so"), real);
        assert_eq!(inside(root.path(), "/usr/ld"), real);
        for nothing in ["out", "round", "usr/none"] {
            assert_eq!(inside(root.path(), nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_libraries_of_this_program_are_found_and_a_missing_one_is_named() {
        let own = [std::env::current_exe().unwrap()];
        let found = Roots::new([Path::new("/")]).libraries(&own, &[]).unwrap();
        assert!(found.keys().any(|name| name.starts_with("libc.so")), "{found:?}");
        let empty = tempfile::tempdir().unwrap();
        let error = Roots::new([empty.path()]).libraries(&own, &[]).unwrap_err();
        assert!(error.to_string().starts_with("cannot find the library "), "{error}");
        // What is named like one of Xen's is not taken from the machine.
        let error = Roots::new([empty.path(), Path::new("/")]).libraries(&[], &["libxenlight.so.4.17"]).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Step);
    }
}
