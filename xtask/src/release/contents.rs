//! What a release archive holds, as a value: each path with what is there, who it comes from, and where its bytes are. Reads and
//! writes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::definition::Name;
use crate::error::{Error, Result};
use crate::tree::{Node, Tree};

/// Who a member comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A source, as the lock or, for a directory of this repository, its last commit has it.
    Source(Name),
    /// Steps of a component made it.
    Made(Name),
    /// Crates that a Cargo.lock names, and what tells cargo where they are.
    Crates,
    /// This project.
    Ours,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Owner::Source(name) => write!(f, "source `{name}`"),
            Owner::Made(name) => write!(f, "made by `{name}`"),
            Owner::Crates => write!(f, "vendored crates"),
            Owner::Ours => write!(f, "ours"),
        }
    }
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// On disk.
    File(PathBuf),
    /// Here.
    Memory(Arc<[u8]>),
    /// It has none.
    None,
}

/// One path of an archive.
#[derive(Clone, Debug)]
pub struct Member {
    /// What is there.
    pub node: Node,
    /// Whose it is.
    pub owner: Owner,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Everything in an archive.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The one directory that all is in: `xen-4.17.5`.
    pub top: String,
    /// The time of every member, seconds since 1970.
    pub epoch: u64,
    /// By path below the top.
    pub members: BTreeMap<String, Member>,
}

impl Contents {
    /// Nothing yet.
    pub fn new(top: String, epoch: u64) -> Self {
        Contents { top, epoch, members: BTreeMap::new() }
    }

    /// Adds one member. Nobody's file is ever replaced by another's.
    pub fn add(&mut self, path: String, member: Member) -> Result<()> {
        if let Some(there) = self.members.get(&path) {
            let message = format!("two parts of the archive have `{path}`: {}, and {}", there.owner, member.owner);
            return Err(Error::input(message).help("give one of them another place: `[tarball] at` in components/"));
        }
        self.members.insert(path, member);
        Ok(())
    }

    /// Adds a file made in memory.
    pub fn add_bytes(&mut self, path: &str, bytes: &[u8], owner: Owner) -> Result<()> {
        let mut tree = Tree::default();
        tree.insert_file(path, bytes, 0o644);
        let node = tree.0.remove(path).expect("it was just put there");
        self.add(path.to_owned(), Member { node, owner, bytes: Bytes::Memory(bytes.into()) })
    }

    /// Adds a tree that stands in `dir`, below `at`.
    pub fn add_tree(&mut self, at: &str, tree: &Tree, dir: &Path, owner: &Owner) -> Result<()> {
        for (path, node) in &tree.0 {
            let bytes = match node {
                Node::File { .. } => Bytes::File(dir.join(path)),
                Node::Symlink { .. } | Node::Directory { .. } => Bytes::None,
            };
            self.add(below(at, path), Member { node: node.clone(), owner: owner.clone(), bytes })?;
        }
        Ok(())
    }

    /// Files below `at` whose bytes are these, and not what stands on disk.
    pub fn keep_bytes(&mut self, at: &str, files: BTreeMap<String, Vec<u8>>) {
        for (path, bytes) in files {
            if let Some(member) = self.members.get_mut(&below(at, &path)) {
                member.bytes = Bytes::Memory(bytes.into());
            }
        }
    }

    /// Every directory above a member, and those that are members themselves, each once.
    pub fn directories(&self) -> std::collections::BTreeSet<String> {
        let mut all = std::collections::BTreeSet::new();
        for (path, member) in &self.members {
            if matches!(member.node, Node::Directory { .. }) {
                all.insert(path.clone());
            }
            let mut rest = path.as_str();
            while let Some((parent, _)) = rest.rsplit_once('/') {
                if !all.insert(parent.to_owned()) {
                    break;
                }
                rest = parent;
            }
        }
        all
    }

    /// No file or link stands where another member needs a directory.
    pub fn check(&self) -> Result<()> {
        for directory in self.directories() {
            if let Some(member) = self.members.get(&directory).filter(|it| !matches!(it.node, Node::Directory { .. })) {
                let message = format!("`{directory}` of the archive is a file ({}) and a directory", member.owner);
                return Err(Error::input(message).help("give one of them another place: `[tarball] at` in components/"));
            }
        }
        Ok(())
    }

    /// Sum of the sizes of all files.
    pub fn bytes(&self) -> u64 {
        let size = |member: &Member| if let Node::File { digest, .. } = member.node { digest.size } else { 0 };
        self.members.values().map(size).sum()
    }
}

/// A path below a place; `.` is the top.
pub fn below(at: &str, path: &str) -> String {
    if at == "." { path.to_owned() } else { format!("{at}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_replaces_what_another_part_brought() {
        let mut contents = Contents::new("x-1".into(), 0);
        contents.add_bytes("tools/a", b"1", Owner::Source("xen".parse().unwrap())).unwrap();
        let error = contents.add_bytes("tools/a", b"1", Owner::Ours).unwrap_err().report();
        assert!(error.contains("`tools/a`: source `xen`, and ours"), "{error}");
        contents.add_bytes("tools/a/b", b"1", Owner::Ours).unwrap();
        assert!(contents.check().unwrap_err().report().contains("`tools/a` of the archive is a file"));
    }

    #[test]
    fn directories_are_all_that_members_stand_in() {
        let mut contents = Contents::new("x-1".into(), 0);
        contents.add_bytes("a/b/c", b"", Owner::Ours).unwrap();
        contents.add_bytes("a/b/d", b"", Owner::Ours).unwrap();
        contents.add_bytes("e", b"", Owner::Ours).unwrap();
        assert_eq!(contents.directories().into_iter().collect::<Vec<_>>(), ["a", "a/b"]);
    }
}
