//! Results by action: `ac/ab/abcd…` holds an `ActionResult`. Only successes are kept: a failure is never reused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use prost::Message;

use super::blobs::{Found, Store};
use crate::digest::Digest;
use crate::error::{Context, Result};
use crate::reapi;
use crate::tree::Tree;

/// What an action brought: the tree of its stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Digest of the root `Directory`.
    pub root: Digest,
    /// Everything in it.
    pub tree: Tree,
}

impl Store {
    fn result(&self, action: Digest) -> PathBuf {
        let hash = action.hash.to_string();
        self.root().join("ac").join(&hash[..2]).join(hash)
    }

    /// Keeps the directories of a tree, so that the tree can be read back from its root.
    pub fn put_tree(&self, tree: &Tree) -> Result<Digest> {
        let encoded = tree.encode();
        for (digest, bytes) in &encoded.directories {
            if !self.has(*digest) {
                self.put(bytes)?;
            }
        }
        Ok(encoded.root)
    }

    /// A tree from its root; missing where one of its directories is.
    pub fn tree(&self, root: Digest) -> Result<Found<Tree>> {
        let mut missing = false;
        let tree = Tree::decode(root, &mut |digest| match self.read(digest)? {
            Found::Here(bytes) => Ok(bytes),
            Found::Missing => {
                missing = true;
                Ok(Vec::new())
            }
        })?;
        Ok(if missing { Found::Missing } else { Found::Here(tree) })
    }

    /// Bytes of files of `tree` that are not here yet.
    pub fn missing_bytes(&self, tree: &Tree) -> u64 {
        let missing = |node: &crate::tree::Node| match node {
            crate::tree::Node::File { digest, .. } if !self.has(*digest) => digest.size,
            _ => 0,
        };
        tree.0.values().map(missing).sum()
    }

    /// Keeps what an action brought: every file below `stage`, its directories, and last of all the result that names them.
    pub fn put_output(&self, action: Digest, stage: &Path, tree: Tree) -> Result<Output> {
        for (path, node) in &tree.0 {
            if let crate::tree::Node::File { digest, .. } = node {
                self.put_file(&stage.join(path), *digest)?;
            }
        }
        let encoded = tree.encode();
        for (_, bytes) in &encoded.directories {
            self.put(bytes)?;
        }
        let mut children: Vec<reapi::Directory> = Vec::with_capacity(encoded.directories.len());
        for (_, bytes) in &encoded.directories {
            children.push(reapi::Directory::decode(bytes.as_slice()).context(|| "cannot encode a result".to_owned())?);
        }
        let message = reapi::Tree { root: children.pop(), children };
        let tree_digest = self.put(&message.encode_to_vec())?;
        let result = reapi::ActionResult {
            exit_code: 0,
            output_directories: vec![reapi::OutputDirectory {
                path: "stage".to_owned(),
                tree_digest: Some(tree_digest.into()),
                root_directory_digest: Some(encoded.root.into()),
            }],
        };
        crate::atomic::write(&self.result(action), &result.encode_to_vec())?;
        Ok(Output { root: encoded.root, tree })
    }

    /// What an action brought when it ran before: missing unless every blob of it is there.
    pub fn output(&self, action: Digest) -> Result<Found<Output>> {
        let path = self.result(action);
        let Ok(bytes) = fs::read(&path) else { return Ok(Found::Missing) };
        let root = reapi::ActionResult::decode(bytes.as_slice()).ok().and_then(|result| {
            Digest::try_from(result.output_directories.first()?.root_directory_digest.as_ref()?).ok()
        });
        let Some(root) = root else { return Ok(Found::Missing) };
        let Found::Here(tree) = self.tree(root)? else {
            self.tell_lost(root, "lost a directory of a result");
            return Ok(Found::Missing);
        };
        let lost = tree.0.iter().find_map(|(path, node)| match node {
            crate::tree::Node::File { digest, .. } if !self.has(*digest) => Some((path, *digest)),
            _ => None,
        });
        if let Some((path, digest)) = lost {
            self.tell_lost(digest, &format!("lost the content of `/{path}`"));
            return Ok(Found::Missing);
        }
        Ok(Found::Here(Output { root, tree }))
    }

    /// Remembers that a result was of use now; `gc` takes the longest unused first.
    pub fn touch(&self, action: Digest) {
        if let Ok(file) = fs::File::open(self.result(action)) {
            // Only the order in which gc takes things depends on it.
            file.set_modified(SystemTime::now()).unwrap_or_default();
        }
    }
}
