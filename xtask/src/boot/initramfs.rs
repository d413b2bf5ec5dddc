//! A file system in memory that a made-up machine starts from: what is in it, and its archive. The archive is not compressed: an
//! emulated machine takes longer to unpack than we to write.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cpio::newc::{Builder, ModeFileType, trailer};

use super::elf::Roots;
use super::kernel;
use super::pieces::Kernel;
use crate::error::{Context, Error, Result};

/// Path to content, without a leading slash.
#[derive(Debug, Default)]
pub(super) struct Initramfs(BTreeMap<String, Entry>);

#[derive(Debug)]
enum Entry {
    Dir,
    Link(String),
    Bytes { bytes: Vec<u8>, mode: u32 },
    Copy { from: PathBuf, mode: u32 },
}

impl Initramfs {
    /// Directories as in a merged `/usr`, busybox, and the script that starts.
    pub(super) fn new(busybox: &Path, init: &str) -> Result<Self> {
        let mut new = Initramfs::default();
        for dir in ["dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/lib", "usr/sbin", "var"] {
            new.dir(dir);
        }
        let links =
            [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib"), ("usr/lib64", "lib")];
        for (path, target) in links {
            new.link(path, target);
        }
        new.file("usr/bin/busybox", busybox)?;
        // The kernel wants an interpreter for it before anything is set up.
        new.link("usr/bin/sh", "busybox");
        new.text("init", init, 0o755);
        Ok(new)
    }

    fn dir(&mut self, path: &str) {
        let mut at = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            at = if at.is_empty() { part.to_owned() } else { format!("{at}/{part}") };
            self.0.entry(at.clone()).or_insert(Entry::Dir);
        }
    }

    fn put(&mut self, path: &str, entry: Entry) {
        if let Some((dir, _)) = path.rsplit_once('/') {
            self.dir(dir);
        }
        self.0.insert(path.to_owned(), entry);
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.put(path, Entry::Link(target.to_owned()));
    }

    pub(super) fn text(&mut self, path: &str, text: &str, mode: u32) {
        self.bytes(path, text.as_bytes().to_vec(), mode);
    }

    pub(super) fn bytes(&mut self, path: &str, bytes: Vec<u8>, mode: u32) {
        self.put(path, Entry::Bytes { bytes, mode });
    }

    /// A copy of a file, as executable as that is.
    pub(super) fn file(&mut self, path: &str, from: &Path) -> Result<()> {
        let there = std::fs::metadata(from).context(|| format!("cannot read `{}`", from.display()))?;
        let mode = if there.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        self.put(path, Entry::Copy { from: from.to_path_buf(), mode });
        Ok(())
    }

    /// Programs at their paths, with the libraries of all of them in one directory, where the loader of every distribution looks.
    pub(super) fn programs(&mut self, programs: &[(String, PathBuf)], roots: &Roots) -> Result<()> {
        for (path, from) in programs {
            self.file(path, from)?;
        }
        let files: Vec<PathBuf> = programs.iter().map(|(_, from)| from.clone()).collect();
        // The C library loads it by name when a thread is cancelled.
        for (name, from) in roots.libraries(&files, &["libgcc_s.so.1"])? {
            self.file(&format!("usr/lib/{name}"), &from)?;
        }
        Ok(())
    }

    /// Kernel modules with those that they need, and the order in which they are loaded.
    pub(super) fn modules(&mut self, kernel: &Kernel, names: &[&str]) -> Result<()> {
        let mut order = Vec::new();
        for name in names {
            self.module(kernel, name, &mut order)?;
        }
        let order: String = order.iter().map(|name| format!("/modules/{name}.ko\n")).collect();
        self.text("modules/order", &order, 0o644);
        Ok(())
    }

    fn module(&mut self, kernel: &Kernel, name: &str, order: &mut Vec<String>) -> Result<()> {
        let name = name.replace('-', "_");
        if order.contains(&name) || kernel.builtin.contains(&name) {
            return Ok(());
        }
        let Some(path) = kernel.modules.get(&name) else {
            let missing = format!("kernel {} has no module {name}", kernel.version);
            return Err(Error::machine(missing).help("another kernel: a cloud kernel has nothing of Xen"));
        };
        let bytes = kernel::module(path)?;
        for needed in super::elf::needed_modules(&bytes) {
            self.module(kernel, &needed, order)?;
        }
        self.bytes(&format!("modules/{name}.ko"), bytes, 0o644);
        order.push(name);
        Ok(())
    }

    /// One line a path, with where it came from.
    pub(super) fn list(&self) -> String {
        let line = |(path, entry): (&String, &Entry)| match entry {
            Entry::Dir => format!("d    {path}\n"),
            Entry::Link(target) => format!("l    {path} -> {target}\n"),
            Entry::Bytes { bytes, mode } => format!("{mode:o}  {path} ({} bytes, made here)\n", bytes.len()),
            Entry::Copy { from, mode } => format!("{mode:o}  {path} ({})\n", from.display()),
        };
        self.0.iter().map(line).collect()
    }

    /// Writes the archive.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let cannot = || format!("cannot write `{}`", path.display());
        let mut file = BufWriter::new(File::create(path).context(cannot)?);
        for (path, entry) in &self.0 {
            let (kind, mode, bytes) = match entry {
                Entry::Dir => (ModeFileType::Directory, 0o755, Vec::new()),
                Entry::Link(target) => (ModeFileType::Symlink, 0o777, target.clone().into_bytes()),
                Entry::Bytes { bytes, mode } => (ModeFileType::Regular, *mode, bytes.clone()),
                Entry::Copy { from, mode } => {
                    let read = std::fs::read(from).context(|| format!("cannot read `{}`", from.display()))?;
                    (ModeFileType::Regular, *mode, read)
                }
            };
            let size = u32::try_from(bytes.len()).context(|| format!("cannot put `{path}` into an initramfs"))?;
            let mut writer = Builder::new(path).mode(mode).set_mode_file_type(kind).write(file, size);
            writer.write_all(&bytes).context(cannot)?;
            file = writer.finish().context(cannot)?;
        }
        trailer(file).and_then(|mut file| file.flush()).context(cannot)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn every_directory_is_there_before_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let busybox = dir.path().join("busybox");
        std::fs::write(&busybox, "#!").unwrap();
        std::fs::set_permissions(&busybox, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut made = Initramfs::new(&busybox, "#!/bin/sh\n").unwrap();
        made.text("etc/xen/scripts/block", "text", 0o755);
        let path = dir.path().join("archive");
        made.write(&path).unwrap();

        let mut names = Vec::new();
        let mut reader = cpio::NewcReader::new(File::open(path).unwrap()).unwrap();
        while !reader.entry().is_trailer() {
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            match name.as_str() {
                "etc/xen/scripts/block" => assert_eq!((mode, content.as_str()), (0o100_755, "text")),
                "usr/bin/busybox" => assert_eq!((mode, content.as_str()), (0o100_755, "#!")),
                "bin" => assert_eq!((mode, content.as_str()), (0o120_777, "usr/bin")),
                _ => {}
            }
            let parent = name.rsplit_once('/').map(|(parent, _)| parent.to_owned());
            assert!(parent.is_none_or(|parent| names.contains(&parent)), "{name} comes too early");
            names.push(name);
            reader = cpio::NewcReader::new(reader.finish().unwrap()).unwrap();
        }
        assert!(names.iter().any(|name| name == "etc/xen") && made.list().contains("l    bin -> usr/bin"));
    }
}
