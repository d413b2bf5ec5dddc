//! Which files may be parents. An image names its parents itself, so whoever serves images of others says where those
//! may be.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::canonical::canonical;
use crate::error::{Error, ErrorKind, Result};

static PROCESS: OnceLock<Gate> = OnceLock::new();

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

    /// Makes this the gate of every image that is opened without one, from now on. For programs that let their user say
    /// where parents may be: no way of opening an image can forget it. The first call counts.
    pub fn set_for_process(self) {
        PROCESS.get_or_init(|| self);
    }

    /// The gate of images that are opened without one.
    pub(crate) fn of_process() -> Self {
        PROCESS.get().cloned().unwrap_or_default()
    }

    /// An error for a canonical path where no parent may be.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        match &self.directories {
            Some(directories) if !directories.iter().any(|directory| path.starts_with(directory)) => {
                let message = format!("`{}` is in none of the directories where parents may be", path.display());
                Err(Error::new(ErrorKind::InvalidInput, message).with_errno(Errno::ACCESS))
            }
            _ => Ok(()),
        }
    }

    /// Opens a parent by its canonical path, as a plain descriptor.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> Result<std::fs::File> {
        self.check(path)?;
        let opened = match &self.directories {
            // A link that somebody put there since the path was looked up must not lead out again. Below /dev links are
            // the system's, and the names of logical volumes.
            Some(_) if !path.starts_with("/dev") => {
                rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
            }
            _ => rustix::fs::open(path, flags, Mode::empty()),
        };
        Ok(opened.map_err(|errno| Error::io("refused by the system", errno.into()))?.into())
    }
}
