//! Trees as Merkle values: a directory on disk becomes REAPI `Directory` messages, and equal content gives equal digests
//! wherever it stands. Names are sorted, owners and times are not part of it, modes only as far as a build can tell them apart.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use prost::Message;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::reapi;

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A regular file: content and permission bits.
    File { digest: Digest, mode: u32 },
    /// A symbolic link and what it says.
    Symlink { target: String },
    /// A directory: kept by itself only where it is empty or its mode is not 0755.
    Directory { mode: u32 },
}

/// Paths relative to the root, `/`-separated, each with what is there. Sorted, so that two trees can be compared side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<String, Node>);

/// A tree that does not change any more, with its digest. Cheap to clone; where the digest is known the tree is only made when
/// somebody looks into it.
#[derive(Clone, Debug)]
pub struct Rooted {
    tree: Arc<LazyLock<Tree, Box<dyn FnOnce() -> Tree + Send>>>,
    root: Digest,
}

impl Rooted {
    /// The tree of that digest. Nobody checks it.
    pub(crate) fn known(root: Digest, tree: impl FnOnce() -> Tree + Send + 'static) -> Self {
        Rooted { tree: Arc::new(LazyLock::new(Box::new(tree))), root }
    }

    /// Digest of the root `Directory`.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// Nothing is in it. Does not look into the tree: only an empty `Directory` has no bytes.
    pub fn is_empty(&self) -> bool {
        self.root.size == 0
    }

    /// The tree alone.
    pub fn into_tree(self) -> Tree {
        Tree::clone(&self)
    }
}

impl From<Tree> for Rooted {
    fn from(tree: Tree) -> Self {
        Rooted::known(tree.root(), || tree)
    }
}

impl PartialEq for Rooted {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

impl Deref for Rooted {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.tree
    }
}

/// The `Directory` messages of a tree.
#[derive(Debug)]
pub struct Encoded {
    /// Digest of the root `Directory`.
    pub root: Digest,
    /// Every directory's bytes with their digest; children before parents, the root last.
    pub directories: Vec<(Digest, Vec<u8>)>,
}

impl Tree {
    /// How many files and links are in it.
    pub fn leaves(&self) -> usize {
        self.0.values().filter(|node| !matches!(node, Node::Directory { .. })).count()
    }

    /// Encodes the tree bottom-up.
    pub fn encode(&self) -> Encoded {
        self.encode_with(&BTreeMap::new())
    }

    /// The same with whole directories at the top that are known by their digest; their own messages are not in the result.
    pub fn encode_with(&self, known: &BTreeMap<&str, Digest>) -> Encoded {
        let mut top = Level { known: known.clone(), ..Level::default() };
        for (path, node) in &self.0 {
            top.insert(path, node);
        }
        let mut directories = Vec::new();
        let root = top.encode(&mut directories);
        Encoded { root, directories }
    }

    /// Digest of the root `Directory`.
    pub fn root(&self) -> Digest {
        self.encode().root
    }

    /// Puts `other` below `prefix` (empty for the top).
    pub fn graft(&mut self, prefix: &str, other: &Tree) {
        for (path, node) in &other.0 {
            let path = if prefix.is_empty() { path.clone() } else { format!("{prefix}/{path}") };
            self.0.insert(path, node.clone());
        }
    }

    /// Adds a small file made by us.
    pub fn insert_file(&mut self, path: &str, bytes: &[u8], mode: u32) {
        self.0.insert(path.to_owned(), Node::File { digest: Digest::of(bytes), mode });
    }

    /// Reads a tree back from its root, asking `read` for each directory's bytes.
    pub fn decode(root: Digest, read: &mut impl FnMut(Digest) -> Result<Vec<u8>>) -> Result<Tree> {
        let mut tree = Tree::default();
        let mut open = vec![(String::new(), root)];
        while let Some((prefix, digest)) = open.pop() {
            let damaged =
                |what: String| Error::machine(format!("directory {digest} in the store is damaged")).because(what);
            let bytes = read(digest)?;
            let directory = reapi::Directory::decode(bytes.as_slice()).map_err(|error| damaged(error.to_string()))?;
            let wire = |digest: &Option<reapi::Digest>| {
                let digest = digest.as_ref().ok_or_else(|| damaged("a node has no digest".to_owned()))?;
                Digest::try_from(digest).map_err(damaged)
            };
            let join = |name: &str| match name {
                "" | "." | ".." => Err(damaged(format!("`{name}` is no name"))),
                name if name.contains('/') => Err(damaged(format!("`{name}` is no name"))),
                name if prefix.is_empty() => Ok(name.to_owned()),
                name => Ok(format!("{prefix}/{name}")),
            };
            let own_mode = unix_mode(&directory.node_properties);
            let empty = directory.files.is_empty() && directory.symlinks.is_empty() && directory.directories.is_empty();
            if (empty || own_mode.is_some()) && !prefix.is_empty() {
                tree.0.insert(prefix.clone(), Node::Directory { mode: own_mode.unwrap_or(0o755) });
            }
            for file in &directory.files {
                let usual = if file.is_executable { 0o755 } else { 0o644 };
                let mode =
                    file.node_properties.as_ref().and_then(|p| p.unix_mode).map_or(usual, |mode| mode.value & 0o7777);
                tree.0.insert(join(&file.name)?, Node::File { digest: wire(&file.digest)?, mode });
            }
            for link in &directory.symlinks {
                tree.0.insert(join(&link.name)?, Node::Symlink { target: link.target.clone() });
            }
            for child in &directory.directories {
                open.push((join(&child.name)?, wire(&child.digest)?));
            }
        }
        Ok(tree)
    }
}

/// The mode that a node's properties name.
fn unix_mode(properties: &Option<reapi::NodeProperties>) -> Option<u32> {
    Some(properties.as_ref()?.unix_mode?.value & 0o7777)
}

/// Properties for a mode that the message cannot say otherwise.
fn properties(mode: u32, usual: &[u32]) -> Option<reapi::NodeProperties> {
    let unusual = !usual.contains(&mode);
    unusual.then_some(reapi::NodeProperties { unix_mode: Some(reapi::UInt32Value { value: mode }) })
}

#[derive(Default)]
struct Level<'a> {
    mode: Option<u32>,
    files: BTreeMap<&'a str, (Digest, u32)>,
    symlinks: BTreeMap<&'a str, &'a str>,
    directories: BTreeMap<&'a str, Level<'a>>,
    /// Directories that need no encoding.
    known: BTreeMap<&'a str, Digest>,
}

impl<'a> Level<'a> {
    fn insert(&mut self, path: &'a str, node: &'a Node) {
        if let Some((first, rest)) = path.split_once('/') {
            self.directories.entry(first).or_default().insert(rest, node);
            return;
        }
        match node {
            Node::File { digest, mode } => {
                self.files.insert(path, (*digest, *mode));
            }
            Node::Symlink { target } => {
                self.symlinks.insert(path, target);
            }
            Node::Directory { mode } => self.directories.entry(path).or_default().mode = Some(*mode),
        }
    }

    fn encode(&self, into: &mut Vec<(Digest, Vec<u8>)>) -> Digest {
        let mut directory = reapi::Directory {
            node_properties: self.mode.and_then(|mode| properties(mode, &[0o755])),
            ..reapi::Directory::default()
        };
        let mut digests = self.known.clone();
        for (name, child) in &self.directories {
            digests.insert(name, child.encode(into));
        }
        for (name, digest) in digests {
            directory.directories.push(reapi::DirectoryNode { name: name.to_owned(), digest: Some(digest.into()) });
        }
        for (name, (digest, mode)) in &self.files {
            directory.files.push(reapi::FileNode {
                name: (*name).to_owned(),
                digest: Some((*digest).into()),
                is_executable: mode & 0o100 != 0,
                node_properties: properties(*mode, &[0o644, 0o755]),
            });
        }
        for (name, target) in &self.symlinks {
            directory.symlinks.push(reapi::SymlinkNode { name: (*name).to_owned(), target: (*target).to_owned() });
        }
        let bytes = directory.encode_to_vec();
        let digest = Digest::of(&bytes);
        into.push((digest, bytes));
        digest
    }
}

/// What a source file's mode is worth: executable by its owner or not. Anything else differs from machine to machine (umask).
pub fn source_mode(mode: u32) -> u32 {
    if mode & 0o100 == 0 { 0o644 } else { 0o755 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn round_trip(tree: &Tree) -> Tree {
        let encoded = tree.encode();
        let blobs: HashMap<Digest, Vec<u8>> = encoded.directories.into_iter().collect();
        Tree::decode(encoded.root, &mut |digest| Ok(blobs[&digest].clone())).unwrap()
    }

    fn node() -> impl Strategy<Value = Node> {
        prop_oneof![
            (any::<Vec<u8>>(), prop_oneof![Just(0o644), Just(0o755), Just(0o4755), Just(0o600)])
                .prop_map(|(bytes, mode)| Node::File { digest: Digest::of(&bytes), mode }),
            "[a-z/.]{1,20}".prop_map(|target| Node::Symlink { target }),
            prop_oneof![Just(0o755), Just(0o700)].prop_map(|mode| Node::Directory { mode }),
        ]
    }

    proptest! {
        #[test]
        fn a_tree_reads_back_as_it_was(entries in proptest::collection::btree_map("[a-c]{1,2}", node(), 0..6),
                                       below in proptest::collection::btree_map("[a-c]{1,2}", node(), 0..6)) {
            let mut tree = Tree(entries);
            tree.graft("z/y", &Tree(below));
            prop_assert_eq!(round_trip(&tree), tree);
        }
    }

    #[test]
    fn a_directory_known_by_its_digest_counts_as_if_it_were_there() {
        let (mut above, mut below) = (Tree::default(), Tree::default());
        above.insert_file("deps/a", b"1", 0o644);
        above.insert_file("z", b"2", 0o644);
        below.insert_file("b/c", b"3", 0o755);
        let encoded = above.encode_with(&BTreeMap::from([("src", below.root())]));
        above.graft("src", &below);
        assert_eq!(encoded.root, above.root());
        assert!(encoded.directories.len() < above.encode().directories.len());
    }

    #[test]
    fn names_that_leave_the_tree_are_refused() {
        let directory = reapi::Directory {
            symlinks: vec![reapi::SymlinkNode { name: "../x".into(), target: "y".into() }],
            ..Default::default()
        };
        let bytes = directory.encode_to_vec();
        assert!(Tree::decode(Digest::of(&bytes), &mut |_| Ok(bytes.clone())).is_err());
    }
}
