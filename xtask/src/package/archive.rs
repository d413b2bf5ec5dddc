//! Files as a tar, the same bytes everywhere: sorted, of user 0, with one time, in the oldest form that can say them.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::Package;
use crate::error::{Context, Error, Result};
use crate::tree::Node;

/// A tar that is being written.
pub struct Writer<W: Write> {
    tar: Builder<W>,
    time: u64,
    directories: BTreeSet<String>,
}

impl<W: Write> Writer<W> {
    /// Everything in it gets the time `time`, seconds since 1970.
    pub fn new(to: W, time: u64) -> Self {
        Writer { tar: Builder::new(to), time, directories: BTreeSet::new() }
    }

    /// A file, link or empty directory, and the directories above it that were not there yet.
    pub fn add(&mut self, path: &str, node: &Node, bytes: &[u8]) -> Result<()> {
        let adding = || format!("cannot pack `/{path}`");
        self.parents(path).context(adding)?;
        match node {
            Node::Directory { mode } => self.directory(path, *mode),
            Node::File { digest, mode } if digest.size == bytes.len() as u64 => {
                let mut header = self.header(EntryType::Regular, *mode);
                header.set_size(digest.size);
                self.tar.append_data(&mut header, path, bytes)
            }
            Node::File { digest, .. } => {
                let (found, wanted) = (bytes.len(), digest.size);
                return Err(Error::machine(adding()).because(format!("it has {found} bytes, {wanted} are wanted")));
            }
            Node::Symlink { target } => {
                let header = self.header(EntryType::Symlink, 0o777);
                append_link(&mut self.tar, header, path, target)
            }
        }
        .context(adding)
    }

    /// The root itself, which packages of Debian begin with.
    pub fn root(&mut self) -> Result<()> {
        self.directory("", 0o755).context(|| "cannot pack `/`".to_owned())
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        for (at, _) in path.match_indices('/') {
            if !self.directories.contains(&path[..at]) {
                self.directory(&path[..at], 0o755)?;
            }
        }
        Ok(())
    }

    fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.directories.insert(path.to_owned());
        let mut header = self.header(EntryType::Directory, mode);
        let name = if path.is_empty() { "./".to_owned() } else { format!("{path}/") };
        self.tar.append_data(&mut header, name, io::empty())
    }

    fn header(&self, kind: EntryType, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root").unwrap_or_default();
        header.set_groupname("root").unwrap_or_default();
        header.set_mtime(self.time);
        header.set_size(0);
        header
    }

    /// What it was written to.
    pub fn finish(self) -> Result<W> {
        self.tar.into_inner().context(|| "cannot end an archive".to_owned())
    }
}

/// Adds a link to exactly that target: tar's own `append_link` makes `a/b` of `a//b` and of `a/./b`.
pub fn append_link<W: Write>(tar: &mut Builder<W>, mut header: Header, path: &str, target: &str) -> io::Result<()> {
    if header.set_link_name_literal(target).is_err() {
        // It does not fit. GNU tar has it in a member in front.
        let mut long = Header::new_gnu();
        let name = b"././@LongLink";
        long.as_old_mut().name[..name.len()].copy_from_slice(name);
        long.set_entry_type(EntryType::GNULongLink);
        long.set_mode(0o644);
        long.set_uid(0);
        long.set_gid(0);
        long.set_mtime(0);
        long.set_size(target.len() as u64 + 1);
        long.set_cksum();
        tar.append(&long, target.as_bytes().chain(&b"\0"[..]))?;
    }
    tar.append_data(&mut header, path, io::empty())
}

/// Writes a package into `dir`, whole or not at all.
pub fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".package-")
        .tempfile_in(dir)
        .context(|| format!("cannot write in `{}`", dir.display()))?;
    let path = dir.join(name);
    let writing = || format!("cannot write `{}`", path.display());
    file.write_all(bytes).context(writing)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode).context(writing)?;
    file.persist(&path).context(writing)?;
    Ok(())
}

/// The name of a plain archive's file.
pub fn file_name(package: &Package, machine: &str) -> String {
    format!("{}-{}-{machine}.tar.xz", package.name, package.version.without_epoch())
}

/// A package as a plain archive of its files: whoever unpacks it at `/` has them.
pub fn bytes(package: &Package, read: &dyn Fn(&str) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let mut tar = Writer::new(xz(Vec::new()), package.epoch);
    for (path, node) in &package.files {
        let bytes = if matches!(node, Node::File { .. }) { read(path)? } else { Vec::new() };
        tar.add(path, node, &bytes)?;
    }
    tar.finish()?.finish().context(|| format!("cannot pack `{}`", package.name))
}

/// A writer that compresses as xz, in one block: the same bytes however many cores there are.
pub fn xz<W: Write>(to: W) -> liblzma::write::XzEncoder<W> {
    liblzma::write::XzEncoder::new(to, 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_its_target_as_it_is() {
        // The fourth would fit without its doubled slashes.
        let targets = ["../a//b", "./a/./b/", &"a/".repeat(50), &"a//".repeat(34), &"a//".repeat(80), "/"];
        let mut tar = Writer::new(Vec::new(), 7);
        for (index, target) in targets.iter().enumerate() {
            let path = format!("{}{index}", "long-name/".repeat(5 * index));
            tar.add(&path, &Node::Symlink { target: (*target).to_owned() }, b"").unwrap();
        }
        let bytes = tar.finish().unwrap();
        let mut found = Vec::new();
        for member in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let member = member.unwrap();
            found.extend(member.link_name_bytes().map(|target| String::from_utf8(target.into_owned()).unwrap()));
        }
        assert_eq!(found, targets);
        if which::which("tar").is_err() {
            eprintln!("SKIPPED: what GNU tar reads: there is no tar");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("links.tar"), &bytes).unwrap();
        let list = crate::process::Program::new(["tar", "-tvf", "links.tar"]).dir(dir.path());
        let said = list.run(&crate::process::Cancel::default()).unwrap().success(String::new).unwrap();
        let said = String::from_utf8(said).unwrap();
        let links: Vec<&str> = said.lines().filter_map(|line| Some(line.split_once(" -> ")?.1)).collect();
        assert_eq!(links, targets);
    }
}
