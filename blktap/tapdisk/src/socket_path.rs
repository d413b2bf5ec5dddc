//! A listening Unix socket that takes the place of a dead one, and is gone when its server is.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The socket; its name is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketPath {
    pub(crate) listener: UnixListener,
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl SocketPath {
    /// Listens there. `AddrInUse` where somebody answers, or where something else than a socket stands.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            listener => listener?,
        };
        listener.set_nonblocking(true)?;
        Ok(SocketPath { listener, path: path.to_owned(), identity: identity(path) })
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        // Somebody else's socket may stand there by now.
        if self.identity.is_some() && identity(&self.path) == self.identity {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Whether there is a socket that nobody listens at.
fn is_dead(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
