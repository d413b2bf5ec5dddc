//! Which files may be parents. An image names its parents itself, so whoever serves images of others says where those
//! may be.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::canonical::canonical;
use crate::error::{Error, ErrorKind, Result};

/// Where parents may be. Without limits unless one is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    directories: Option<Vec<PathBuf>>,
}

impl Gate {
    /// Parents anywhere, across directories and mounts.
    pub fn any() -> Self {
        Gate::default()
    }

    /// Only parents in or below these directories, links resolved.
    pub fn within(directories: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self> {
        let directories = directories.into_iter().map(|directory| {
            let directory = directory.as_ref();
            canonical(directory)
                .map_err(|source| Error::io(format!("cannot allow parents in `{}`", directory.display()), source))
        });
        Ok(Gate { directories: Some(directories.collect::<Result<_>>()?) })
    }

    /// Opens a parent by its canonical path, as a plain descriptor.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> Result<std::fs::File> {
        let refuse = |errno: Errno| Error::io("refused by the system", errno.into());
        let Some(directories) = &self.directories else {
            return Ok(rustix::fs::open(path, flags, Mode::empty()).map_err(refuse)?.into());
        };
        if !directories.iter().any(|directory| path.starts_with(directory)) {
            let message = "it is in none of the directories where parents may be";
            return Err(Error::new(ErrorKind::InvalidInput, message).with_errno(Errno::ACCESS));
        }
        // A link that somebody put there since the path was looked up must not lead out again.
        let file = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
        Ok(file.map_err(refuse)?.into())
    }
}
