//! `manifests/NAME.lock`: the exact revision of every source. Written by commands only; complete or refused.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::Name;
use crate::digest::Hash;
use crate::error::{Context, Error, Result};

/// The version of the file's form.
pub const VERSION: u32 = 1;

/// The exact revision of every source of a manifest that has one (a `path` source has none).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// The version of the file's form.
    pub version: u32,
    /// Nothing moves a pin until `unfreeze`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
    /// By name of the source.
    #[serde(default)]
    pub sources: BTreeMap<Name, Pin>,
}

impl Default for Lock {
    fn default() -> Self {
        Lock { version: VERSION, frozen: false, sources: BTreeMap::new() }
    }
}

/// What stands at the top of every lock.
const HEADER: &str = "\
# Written by `cargo xtask update`, `pin` and `freeze` only: the exact revision of every source of the manifest beside this file.
# After a conflict in a merge take either side, then run `cargo xtask update` for the sources in question.
";

impl Lock {
    /// The lock at `path`; `None` if there is none. `Definitions::load` says more about one that is damaged.
    pub fn read(path: &Path) -> Result<Option<Lock>> {
        let reading = || format!("cannot read lock `{}`", path.display());
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map(Some).map_err(|error| Error::input(reading()).because(error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(reading),
        }
    }

    /// Replaces the lock at `path`, whole or not at all. The same pins always give the same bytes.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).context(|| format!("cannot write lock `{}`", path.display()))?;
        crate::atomic::write(path, format!("{HEADER}\n{text}").as_bytes())
    }
}

/// One exact revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pin {
    /// git: the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// git: the tag object whose signature was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_tag: Option<Commit>,
    /// apt: the version with its revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of the root `Directory` of the checked-out tree.
    pub tree: Hash,
    /// Seconds since 1970, `LAST_EPOCH` at most: SOURCE_DATE_EPOCH of everything built from it.
    #[serde(deserialize_with = "epoch")]
    pub epoch: u64,
    /// archive and apt: the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// git: the submodules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub submodules: Vec<Submodule>,
}

/// The last second that a date with four digits for the year can say; bills, changelogs and repositories have such dates.
pub const LAST_EPOCH: u64 = 253_402_300_799;

fn epoch<'de, D: Deserializer<'de>>(value: D) -> std::result::Result<u64, D::Error> {
    let epoch = u64::deserialize(value)?;
    if epoch > LAST_EPOCH {
        return Err(D::Error::custom(format!("epoch {epoch} is after the year 9999")));
    }
    Ok(epoch)
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

    fn try_from(text: String) -> std::result::Result<Self, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_of_a_time_that_no_date_can_say_is_refused() {
        let read = |epoch: u64| toml::from_str::<Pin>(&format!("tree = '{}'\nepoch = {epoch}", "0".repeat(64)));
        assert_eq!(read(LAST_EPOCH).unwrap().epoch, LAST_EPOCH);
        assert!(read(LAST_EPOCH + 1).unwrap_err().to_string().contains("epoch 253402300800 is after the year 9999"));
    }

    #[test]
    fn what_was_written_reads_back_and_says_who_wrote_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.lock");
        assert_eq!(Lock::read(&path).unwrap(), None);
        let hash = crate::digest::Digest::of(b"").hash;
        let commit = Commit::try_from("0".repeat(40)).unwrap();
        let git = Pin {
            commit: Some(commit.clone()),
            signed_tag: Some(commit.clone()),
            version: None,
            tree: hash,
            epoch: 7,
            files: Vec::new(),
            submodules: vec![Submodule { path: "lib/x".to_owned(), url: "https://x".to_owned(), commit }],
        };
        let file = File { path: "pool/a.tar.xz".to_owned(), size: 1, sha256: hash };
        let apt = Pin {
            commit: None,
            signed_tag: None,
            version: Some("1-1".to_owned()),
            tree: hash,
            epoch: 8,
            files: vec![file],
            submodules: Vec::new(),
        };
        let sources = BTreeMap::from([("a".parse().unwrap(), git), ("b.c".parse().unwrap(), apt)]);
        let lock = Lock { version: VERSION, frozen: true, sources };
        lock.write(&path).unwrap();
        assert_eq!(Lock::read(&path).unwrap(), Some(lock));
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("# Written by `cargo xtask update`"));
    }
}
