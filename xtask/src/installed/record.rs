//! The record of what was installed into a root: every file with its digest, so that only what is still ours is ever touched. It
//! stands in the root itself, in one place, and is never taken for empty when it cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::definition::Name;
use crate::digest::Hash;
use crate::error::{Context, Error, Result};
use crate::placing;
use crate::tree::Node;

/// Where the record stands in a root.
pub const RECORD: &str = "var/lib/sultana/installed.json";
/// In each directory: what is being written, until it gets its name.
pub const ASIDE: &str = ".sultana-part";
const FORMAT: u32 = 1;

/// What stands in a root because we put it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// Version of this format.
    pub(super) format: u32,
    /// Nothing was going on when this was written.
    pub whole: bool,
    /// By path in the root, links among its parents followed.
    pub files: BTreeMap<String, Entry>,
    /// Directories that were not there before us; the empty path is the root itself.
    pub directories: BTreeSet<String>,
}

/// One file or link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    /// The component that brought it.
    pub owner: Name,
    /// What we put there. While something goes on: before and after.
    pub ours: Vec<What>,
    /// What stood there before us is kept beside it, and comes back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_original: bool,
}

/// Content and mode of a file, or a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum What {
    /// A file.
    File {
        /// Of its content.
        sha256: Hash,
        /// Permission bits.
        mode: u32,
    },
    /// A link, and what it says.
    Link(String),
}

impl What {
    /// `None` of a directory.
    pub fn of(node: &Node) -> Option<Self> {
        match node {
            Node::File { digest, mode } => Some(What::File { sha256: digest.hash, mode: *mode }),
            Node::Symlink { target } => Some(What::Link(target.clone())),
            Node::Directory { .. } => None,
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Record { format: FORMAT, whole: true, files: BTreeMap::new(), directories: BTreeSet::new() }
    }
}

/// Where the record of a root is.
fn file(root: &Path) -> Result<PathBuf> {
    Ok(root.join(placing::real(root, RECORD)?))
}

impl Record {
    /// The record of a root; `None` where nothing was installed.
    pub fn read(root: &Path) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let file = file(root)?;
        let Some(bytes) = crate::atomic::read(&file)? else { return Ok(None) };
        let reading = || Error::input(format!("cannot read the record of what is installed, `{}`", file.display()));
        let help =
            "without it nobody knows what is ours; bring it back from a backup, or move it away: then nothing is ours";
        let head: Head = serde_json::from_slice(&bytes).map_err(|error| reading().because(error).help(help))?;
        if head.format != FORMAT {
            let why = format!("it has format {}, and this xtask knows {FORMAT}", head.format);
            return Err(reading().because(why).help("use the xtask that wrote it, or a newer one"));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|error| reading().because(error).help(help))
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, root: &Path) -> Result<()> {
        let file = file(root)?;
        let writing = || format!("cannot write `{}`", file.display());
        placing::make_parents(&file)?;
        let mut bytes = serde_json::to_vec_pretty(self).context(writing)?;
        bytes.push(b'\n');
        let aside = file.with_file_name(ASIDE);
        fs::write(&aside, bytes).context(writing)?;
        fs::rename(&aside, &file).context(writing)
    }

    /// Removes it from the root.
    pub(super) fn remove(root: &Path) -> Result<()> {
        placing::remove_file(&file(root)?)
    }
}
