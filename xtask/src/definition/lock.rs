//! `manifests/NAME.lock`: the exact revision of every source. Written by commands only; complete or refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Name;
use crate::digest::Hash;

/// The version of the file's form.
pub const VERSION: u32 = 1;

/// The exact revision of every source of a manifest that has one (a `path` source has none).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// The version of the file's form.
    pub version: u32,
    /// By name of the source.
    #[serde(default)]
    pub sources: BTreeMap<Name, Pin>,
}

impl Default for Lock {
    fn default() -> Self {
        Lock { version: VERSION, sources: BTreeMap::new() }
    }
}

impl Lock {
    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &std::path::Path) -> crate::error::Result<()> {
        use crate::error::Context;
        let text = toml::to_string(self).context(|| format!("cannot write lock `{}`", path.display()))?;
        crate::atomic::write(path, format!("# Written by `cargo xtask update`; do not edit.\n{text}").as_bytes())
    }
}

/// One exact revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pin {
    /// git: the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// apt: the version with its revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of the root `Directory` of the checked-out tree.
    pub tree: Hash,
    /// Seconds since 1970: SOURCE_DATE_EPOCH of everything built from it.
    pub epoch: u64,
    /// archive and apt: the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// git: the submodules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub submodules: Vec<Submodule>,
}

/// One file of an archive or a Debian source package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// apt: path under the mirror's base, `pool/…`. archive: the file's name.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Hash,
}

/// One submodule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Submodule {
    /// Where in the tree.
    pub path: String,
    /// Where from.
    pub url: String,
    /// The commit that the tree names.
    pub commit: Commit,
}

/// A full commit id: 40 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Commit(String);

impl Commit {
    /// The 40 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Commit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Commit(text))
        } else {
            Err(format!("`{text}` is not a full commit id: 40 lower-case hex digits are wanted"))
        }
    }
}

impl From<Commit> for String {
    fn from(commit: Commit) -> String {
        commit.0
    }
}

impl std::fmt::Display for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
