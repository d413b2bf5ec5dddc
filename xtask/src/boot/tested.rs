//! The root that is tested: where in it hypervisor, tools and tapdisk are, in the layouts of `make install` and of Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};

use super::elf::inside;
use crate::error::{Context, Error, Result};

/// What a dom0 runs of Xen.
const TOOLS: [&str; 10] = [
    "libxl-save-helper",
    "xen-init-dom0",
    "xenconsole",
    "xenconsoled",
    "xenstore-exists",
    "xenstore-list",
    "xenstore-ls",
    "xenstore-read",
    "xenstored",
    "xl",
];
/// What scripts of Xen call besides, where there is such a thing.
const MORE_TOOLS: [&str; 5] = ["xenstore", "xenstore-chmod", "xenstore-rm", "xenstore-watch", "xenstore-write"];

pub(super) struct Tested<'a>(pub(super) &'a Path);

impl Tested<'_> {
    fn missing(&self, what: &str) -> Error {
        Error::input(format!("there is no {what} in `{}`", self.0.display()))
            .help("cargo xtask build")
            .help("to test another root: cargo xtask boot SCENARIO --root DIR")
    }

    /// The hypervisor's file.
    pub(super) fn hypervisor(&self) -> Result<PathBuf> {
        if let Some(found) = inside(self.0, "boot/xen.gz") {
            return Ok(found);
        }
        let entries = fs::read_dir(self.0.join("boot")).into_iter().flatten().flatten();
        let is_xen = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("xen-") && name.ends_with(".gz")
        };
        let newest = entries.map(|entry| entry.path()).filter(is_xen).max();
        newest.ok_or_else(|| self.missing("hypervisor (boot/xen.gz)"))
    }

    /// Directories of programs, without a leading slash; a version's own before the common one, which in Debian has wrappers.
    pub(super) fn program_dirs(&self) -> Vec<String> {
        let mut dirs = Vec::new();
        for lib in ["usr/local/lib", "usr/local/libexec", "usr/lib", "usr/libexec"] {
            for entry in fs::read_dir(self.0.join(lib)).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name == "xen" || name.starts_with("xen-") {
                    dirs.push(format!("{lib}/{name}/bin"));
                }
            }
        }
        dirs.extend(["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"].map(str::to_owned));
        dirs.retain(|dir| inside(self.0, dir).is_some_and(|dir| dir.is_dir()));
        dirs
    }

    fn find(&self, name: &str, dirs: &[String]) -> Option<(String, PathBuf)> {
        dirs.iter().find_map(|dir| Some((format!("{dir}/{name}"), inside(self.0, &format!("{dir}/{name}"))?)))
    }

    /// The tools with the paths that they are called by.
    pub(super) fn tools(&self) -> Result<Vec<(String, PathBuf)>> {
        let dirs = self.program_dirs();
        let mut found = Vec::new();
        for name in TOOLS {
            found.push(self.find(name, &dirs).ok_or_else(|| self.missing(name))?);
        }
        found.extend(MORE_TOOLS.iter().filter_map(|name| self.find(name, &dirs)));
        Ok(found)
    }

    /// Scripts and settings, by path.
    pub(super) fn etc_xen(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut files = Vec::new();
        for dir in ["etc/xen", "etc/xen/scripts"] {
            let path = self.0.join(dir);
            for entry in fs::read_dir(&path).context(|| format!("cannot read `{}`", path.display()))?.flatten() {
                let path = format!("{dir}/{}", entry.file_name().to_string_lossy());
                files.extend(inside(self.0, &path).filter(|file| file.is_file()).map(|file| (path, file)));
            }
        }
        Ok(files)
    }

    /// A program of blktap.
    pub(super) fn blktap(&self, name: &str) -> Result<PathBuf> {
        let mut dirs = self.program_dirs();
        dirs.extend(["usr/libexec", "usr/local/libexec"].map(str::to_owned));
        self.find(name, &dirs).map(|(_, path)| path).ok_or_else(|| self.missing(name))
    }
}
