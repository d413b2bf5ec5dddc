//! Where things stand on disk: the repository, its working directory `.xtask/`, `dist/`, and the store that all checkouts share.
//! Only names paths; creates nothing.

use std::path::{Path, PathBuf};

use crate::definition::Name;
use crate::error::{Error, Result};

/// The paths of one checkout and its store.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The repository's root: it holds `components/` and `manifests/`.
    pub root: PathBuf,
    /// The store, shared by all checkouts of a user.
    pub store: PathBuf,
}

impl Layout {
    /// `root` as given, or the first directory upwards of the current one that holds `components/` and `manifests/`; the
    /// store as given, or `sultana` in the user's cache directory.
    pub fn find(root: Option<PathBuf>, store: Option<PathBuf>) -> Result<Self> {
        let current = std::env::current_dir()
            .map_err(|error| Error::machine("cannot tell the current directory").because(error))?;
        let is_root = |dir: &Path| dir.join("components").is_dir() && dir.join("manifests").is_dir();
        let root = match root {
            Some(root) if is_root(&root) => current.join(root),
            Some(root) => {
                return Err(Error::input(format!("`{}` holds no components/ and manifests/", root.display())));
            }
            None => current.ancestors().find(|dir| is_root(dir)).map(Path::to_path_buf).ok_or_else(|| {
                Error::input(format!("no components/ and manifests/ in `{}` or above it", current.display()))
                    .help("run this inside a checkout of Sultana, or name one: cargo xtask --checkout DIR …")
            })?,
        };
        let cache = || {
            let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
            set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache"))).map(|dir| dir.join("sultana"))
        };
        let store = match store {
            Some(store) => current.join(store),
            None => cache().ok_or_else(|| {
                Error::machine("no place for the store: neither XDG_CACHE_HOME nor HOME is an absolute path")
                    .help("name one: XTASK_STORE=DIR cargo xtask …")
            })?,
        };
        Ok(Layout { root, store })
    }

    /// Everything this checkout keeps that is neither a source of ours nor a result.
    pub fn work(&self) -> PathBuf {
        self.root.join(".xtask")
    }

    /// Where checked-out trees stand.
    pub fn source_root(&self) -> PathBuf {
        self.work().join("src")
    }

    /// The checked-out tree of a source that is not in this repository.
    pub fn source(&self, source: &Name) -> PathBuf {
        self.source_root().join(source)
    }

    /// Where a component is built: `src`, `build`, `stage`, `deps`, `tmp`, `home`.
    pub fn build(&self, component: &Name) -> PathBuf {
        self.work().join("build").join(component)
    }

    /// The logs of a component's last run, one file a step.
    pub fn logs(&self, component: &Name) -> PathBuf {
        self.work().join("log").join(component)
    }

    /// What earlier runs learned: stat indexes, last actions, durations, fingerprints.
    pub fn state(&self) -> PathBuf {
        self.work().join("state")
    }

    /// What is remembered of a source's files, so that they are not read again.
    pub fn source_index(&self, source: &Name) -> PathBuf {
        self.state().join("index").join(source)
    }

    /// The history of all gates, unless another file is named.
    pub fn gate_state(&self) -> PathBuf {
        self.work().join("gate").join("gate.db")
    }

    /// The merged result.
    pub fn dist(&self) -> PathBuf {
        self.root.join("dist")
    }

    /// Packages of a kind, `deb`, as they were made last.
    pub fn packages(&self, kind: &str) -> PathBuf {
        self.work().join("packages").join(kind)
    }

    /// Bare mirrors, one per repository.
    pub fn mirrors(&self) -> PathBuf {
        self.store.join("git")
    }

    /// Downloaded files, by SHA-256.
    pub fn files(&self) -> PathBuf {
        self.store.join("files")
    }

    /// Vendored crates of cargo components, by digest of their Cargo.lock.
    pub fn crates(&self) -> PathBuf {
        self.store.join("crates")
    }
}
