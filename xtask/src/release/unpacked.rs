//! An unpacked archive as a working tree: `tarball.toml` beside `components/` and `manifests/` says where each source stands, so that
//! a build there fetches nothing and needs no git. Sources have the digests that the lock names, so what was built from a checkout is
//! the same action.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::definition::Name;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::stat_index::{Modes, scan_without};
use crate::tree::Rooted;

/// What says it.
pub(super) const INDEX: &str = "tarball.toml";
/// The version of its form.
pub(super) const VERSION: u32 = 1;
/// Where crates are below a workspace.
pub(super) const VENDOR: &str = "vendor";

/// What stands where in an archive.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Unpacked {
    /// The version of the file's form.
    pub version: u32,
    /// The manifest that it is of.
    pub manifest: Name,
    /// The components that it is of.
    pub components: Vec<Name>,
    /// Every source that is in it.
    pub sources: BTreeMap<Name, Entry>,
    /// The top.
    #[serde(skip)]
    dir: PathBuf,
}

/// One source.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    /// Its directory, below the top.
    pub at: String,
    /// SHA-256 of the root `Directory` of its tree: as in the lock, where that has it.
    pub tree: crate::digest::Hash,
    /// What stands in that directory and is not the source's: its top paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

impl Unpacked {
    pub(super) fn new(manifest: Name, components: Vec<Name>, sources: BTreeMap<Name, Entry>) -> Self {
        Unpacked { version: VERSION, manifest, components, sources, dir: PathBuf::new() }
    }

    /// That directory is the checkout in an archive.
    pub fn is_at(root: &Path) -> bool {
        root.join(INDEX).is_file()
    }

    /// The archive that this checkout is in; `None` for any other checkout.
    pub fn around(layout: &Layout) -> Result<Option<Self>> {
        let file = layout.root.join(INDEX);
        let Some(bytes) = crate::atomic::read(&file)? else { return Ok(None) };
        let cannot = || format!("cannot read `{}`", file.display());
        let text = String::from_utf8(bytes).context(cannot)?;
        let wrong = || Error::input(cannot()).help("unpack the archive again, whole, into an empty directory");
        let unpacked: Self = toml::from_str(&text).map_err(|error| wrong().because(error))?;
        if unpacked.version != VERSION {
            let why = format!("its form is version {}; this xtask reads {VERSION}", unpacked.version);
            return Err(wrong().because(why));
        }
        let dir = layout.root.parent().unwrap_or(Path::new("/")).to_path_buf();
        Ok(Some(Unpacked { dir, ..unpacked }))
    }

    /// Where a source stands.
    pub fn directory(&self, source: &Name) -> Option<PathBuf> {
        let at = &self.sources.get(source)?.at;
        Some(if at == "." { self.dir.clone() } else { self.dir.join(at) })
    }

    /// The source as it is now.
    pub fn tree(&self, layout: &Layout, source: &Name, entry: &Entry) -> Result<Rooted> {
        let dir = self.directory(source).unwrap_or_default();
        // What builds by hand or in here leave beside it is not the source's either; nor is what a source never has.
        scan_without(&dir, &layout.source_index(source), Modes::Source, &mut |path, _| {
            Ok(entry.without.iter().any(|without| without == path))
        })
    }

    /// The source is as it was when the archive was made.
    pub fn is_as_it_was(&self, source: &Name, tree: &Rooted) -> bool {
        self.sources.get(source).is_some_and(|entry| entry.tree == tree.root().hash)
    }

    /// The crates of a source that cargo builds.
    pub fn crates(&self, source: &Name) -> Option<PathBuf> {
        self.directory(source).map(|dir| dir.join(VENDOR)).filter(|dir| dir.is_dir())
    }
}
