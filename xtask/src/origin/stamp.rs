//! What was checked out where, so that a look tells whether anything must be done: `NAME.toml` says the pin, `NAME.TREE` lists
//! every file as it was put there. While a tree is replaced both the old and the new one are recorded, so that a run killed in
//! between leaves nothing unexplained.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::definition::{Name, Origin, Pin};
use crate::digest::{Digest, Hash};
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::tree::Tree;

/// One tree that fetch put in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Stamp {
    /// What of the origin shaped the tree beside the pin: patches, parts stripped, submodules.
    pub(super) recipe: String,
    /// The revision.
    pub(super) pin: Pin,
}

/// What stands in `NAME.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Recorded {
    /// The tree in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Stamp>,
    /// The tree that is just being put there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Stamp>,
}

impl Recorded {
    /// Every tree that may stand there.
    pub(super) fn all(&self) -> impl Iterator<Item = &Stamp> {
        self.next.iter().chain(&self.at)
    }
}

impl Stamp {
    pub(super) fn new(origin: &Origin, pin: &Pin) -> Self {
        Stamp { recipe: recipe(origin), pin: pin.clone() }
    }
}

/// See `Stamp::recipe`. Addresses are not in it: the same content from elsewhere is the same.
pub(super) fn recipe(origin: &Origin) -> String {
    match origin {
        // What was fetched before a signature was asked for is looked at again.
        Origin::Git(git) => match (git.require_signed, &git.allowed_signers) {
            (Some(signed), Some(file)) => format!("git submodules={} {signed:?} signed by {file}", git.submodules),
            _ => format!("git submodules={}", git.submodules),
        },
        Origin::Archive(archive) => format!("archive strip={}", archive.strip),
        Origin::Apt(apt) => format!("apt {} {:?}", apt.package, apt.debian_patches),
        Origin::Path(local) => format!("path {}", local.dir),
    }
}

/// The stamp files of one source.
pub(super) struct Stamps {
    dir: PathBuf,
    source: Name,
}

impl Stamps {
    pub(super) fn of(layout: &Layout, source: &Name) -> Self {
        Stamps { dir: layout.state().join("source"), source: source.clone() }
    }

    /// Held by the one run that changes the source.
    pub(super) fn lock_file(&self) -> PathBuf {
        self.dir.join(format!("{}.lock", self.source))
    }

    fn file(&self) -> PathBuf {
        self.dir.join(format!("{}.toml", self.source))
    }

    fn listing_file(&self, tree: Hash) -> PathBuf {
        self.dir.join(format!("{}.{tree}", self.source))
    }

    /// What is recorded. A damaged record is none: the tree is then compared with the lock as if we had never seen it.
    pub(super) fn read(&self) -> Recorded {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        toml::from_str(&text).unwrap_or_default()
    }

    /// Records, and forgets the listings that nothing recorded needs.
    pub(super) fn write(&self, recorded: &Recorded) -> Result<()> {
        let text = toml::to_string(recorded).context(|| format!("cannot write down the state of `{}`", self.source))?;
        crate::atomic::write(&self.file(), text.as_bytes())?;
        let kept: Vec<PathBuf> = recorded.all().map(|stamp| self.listing_file(stamp.pin.tree)).collect();
        let ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.rsplit_once('.'))
                .is_some_and(|(source, tree)| source == self.source.as_str() && tree.parse::<Hash>().is_ok())
        };
        let Ok(entries) = fs::read_dir(&self.dir) else { return Ok(()) };
        for path in entries.flatten().map(|entry| entry.path()).filter(ours).filter(|path| !kept.contains(path)) {
            // A listing too many costs space only.
            match fs::remove_file(path) {
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Nothing is there any more.
    pub(super) fn forget(&self) -> Result<()> {
        self.write(&Recorded::default())
    }

    /// Remembers every file of a tree.
    pub(super) fn write_listing(&self, tree: &Tree) -> Result<()> {
        let encoded = tree.encode();
        let mut bytes = Vec::new();
        for (_, directory) in &encoded.directories {
            bytes.extend_from_slice(&(directory.len() as u64).to_le_bytes());
            bytes.extend_from_slice(directory);
        }
        crate::atomic::write(&self.listing_file(encoded.root.hash), &bytes)
    }

    /// Every file of the tree as it was put there; `None` when that was not remembered.
    pub(super) fn listing(&self, tree: Hash) -> Option<Tree> {
        let bytes = fs::read(self.listing_file(tree)).ok()?;
        let mut directories = HashMap::new();
        let mut rest = bytes.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let (directory, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            directories.insert(Digest::of(directory), directory);
            rest = after;
        }
        let root = directories.keys().find(|digest| digest.hash == tree).copied()?;
        let read = |digest: Digest| {
            let found = directories.get(&digest).map(|bytes| bytes.to_vec());
            found.ok_or_else(|| Error::machine(format!("directory {digest} is missing")))
        };
        Tree::decode(root, &mut { read }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(root: &std::path::Path) -> Stamps {
        let layout = Layout { root: root.to_path_buf(), store: root.join("store") };
        Stamps::of(&layout, &"foo".parse().unwrap())
    }

    fn stamp(tree: &Tree) -> Stamp {
        let pin = Pin {
            commit: None,
            signed_tag: None,
            version: None,
            tree: tree.root().hash,
            epoch: 1,
            files: vec![],
            submodules: vec![],
        };
        Stamp { recipe: "archive strip=1".into(), pin }
    }

    #[test]
    fn what_was_recorded_reads_back_and_old_listings_go() {
        let root = tempfile::tempdir().unwrap();
        let stamps = stamps(root.path());
        assert_eq!(stamps.read(), Recorded::default());
        let (mut old, mut new) = (Tree::default(), Tree::default());
        old.insert_file("a/b", b"old", 0o644);
        new.insert_file("a/b", b"new", 0o755);
        stamps.write_listing(&old).unwrap();
        stamps.write_listing(&new).unwrap();
        let both = Recorded { at: Some(stamp(&old)), next: Some(stamp(&new)) };
        stamps.write(&both).unwrap();
        assert_eq!(stamps.read(), both);
        assert_eq!(stamps.listing(old.root().hash), Some(old.clone()));
        stamps.write(&Recorded { at: Some(stamp(&new)), next: None }).unwrap();
        assert_eq!(stamps.listing(old.root().hash), None);
        assert_eq!(stamps.listing(new.root().hash), Some(new));
    }

    #[test]
    fn a_damaged_record_is_none() {
        let root = tempfile::tempdir().unwrap();
        let stamps = stamps(root.path());
        crate::atomic::write(&stamps.file(), b"at = [").unwrap();
        assert_eq!(stamps.read(), Recorded::default());
        let tree = Tree::default();
        stamps.write_listing(&tree).unwrap();
        crate::atomic::write(&stamps.listing_file(tree.root().hash), b"\x09\0\0\0\0\0\0\0short").unwrap();
        assert_eq!(stamps.listing(tree.root().hash), None);
    }
}
