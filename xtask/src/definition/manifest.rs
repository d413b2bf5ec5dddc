//! `manifests/NAME.toml`: a named set of components and sources. Says what is wanted; `lock.rs` says what exactly it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Name;
use super::blktap::Blktap;
use crate::digest::Hash;

/// A named set of components and sources.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Files that this one stands over, relative to it, later ones over earlier ones.
    #[serde(default)]
    pub include: Vec<String>,
    /// What this set is, in one line.
    pub summary: String,
    /// Built by `build` without a name.
    pub components: Vec<Name>,
    /// Built with `--all` or when named.
    #[serde(default)]
    pub optional: Vec<Name>,
    /// Where each source comes from.
    pub sources: BTreeMap<Name, Origin>,
    /// Which blktap; where it is left out the lists above say it.
    #[serde(default)]
    pub blktap: Option<Blktap>,
    /// Components that the machine provides: their fixed run-time paths, present at build time or not.
    #[serde(default)]
    pub system: BTreeMap<Name, String>,
    /// Installed paths that two components bring, and whose copy is taken.
    #[serde(default)]
    pub shared: BTreeMap<String, Name>,
}

/// Where a source comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Origin {
    /// A git repository.
    Git(Git),
    /// Plain files.
    Archive(Archive),
    /// A Debian source package, by path under the mirror's pool.
    Apt(Apt),
    /// In this repository or any local directory.
    Path(Local),
}

impl Origin {
    /// The word a definition uses for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Origin::Git(_) => "git",
            Origin::Archive(_) => "archive",
            Origin::Apt(_) => "apt",
            Origin::Path(_) => "path",
        }
    }

    /// What of it moves on, in words: `branch main`. A tag does not, or should not.
    pub fn moves(&self) -> Option<String> {
        match self {
            Origin::Git(git) => {
                let branch = git.branch.as_ref().map(|branch| format!("branch {branch}"));
                branch.or_else(|| git.r#ref.as_ref().map(|name| format!("ref {name}")))
            }
            Origin::Apt(apt) if apt.version.is_none() => Some(match &apt.suite {
                Some(suite) => format!("the newest version in {suite}"),
                None => "the newest version".to_owned(),
            }),
            Origin::Apt(_) | Origin::Archive(_) | Origin::Path(_) => None,
        }
    }
}

/// A git repository; exactly one of branch, tag, commit and ref.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Git {
    /// In the order they are tried.
    pub urls: Vec<String>,
    /// Tracked branch.
    pub branch: Option<String>,
    /// Tag.
    pub tag: Option<String>,
    /// Commit, 40 hex digits.
    pub commit: Option<String>,
    /// Any other remote ref, in full.
    pub r#ref: Option<String>,
    /// Fetch and pin submodules too.
    #[serde(default)]
    pub submodules: bool,
    /// What must be signed by one of `allowed-signers`.
    pub require_signed: Option<Signed>,
    /// ssh's allowed_signers file or a GPG keyring, relative to the manifest.
    pub allowed_signers: Option<String>,
}

/// What of a revision must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Signed {
    /// The tag.
    Tag,
    /// The commit.
    Commit,
}

/// One archive.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    /// In the order they are tried.
    pub urls: Vec<String>,
    /// What its bytes must be, known before any lock.
    #[cfg_attr(feature = "extras", schemars(with = "Option<String>"))]
    pub sha256: Option<Hash>,
    /// Leading path parts to drop when it is unpacked.
    #[serde(default = "one")]
    pub strip: usize,
}

fn one() -> usize {
    1
}

/// A Debian source package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Apt {
    /// Name of the source package.
    pub package: String,
    /// Version with revision; `update` moves within it only when it is absent.
    pub version: Option<String>,
    /// Suite in which `update` looks the version up; all suites of the machine's own mirror if absent.
    pub suite: Option<String>,
    /// Debian's patches to apply, by name, or all of them.
    #[serde(default, skip_serializing_if = "DebianPatches::is_none")]
    pub debian_patches: DebianPatches,
}

/// Which of Debian's patches are applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "extras", schemars(untagged))]
pub enum DebianPatches {
    /// `"all"`: the whole series.
    All(String),
    /// By the names in `debian/patches/series`, in that order.
    Named(Vec<String>),
}

impl Default for DebianPatches {
    fn default() -> Self {
        DebianPatches::Named(Vec::new())
    }
}

impl DebianPatches {
    /// Nothing of `debian/` is wanted.
    pub fn is_none(&self) -> bool {
        matches!(self, DebianPatches::Named(names) if names.is_empty())
    }
}

impl<'de> Deserialize<'de> for DebianPatches {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = DebianPatches;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"all\" or a list of names of debian/patches")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DebianPatches, E> {
                match text {
                    "all" => Ok(DebianPatches::All(text.to_owned())),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<DebianPatches, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(DebianPatches::Named(names))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Local {
    /// Relative to the repository's root, or absolute.
    pub dir: String,
}
