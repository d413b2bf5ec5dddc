//! Unix sockets by name: one that is listened at takes the place of a dead one, and is gone when its server is; a connection
//! to one waits for its server no longer than it may.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

/// How soon a server is tried again that takes nobody.
const PAUSE: Duration = Duration::from_millis(10);

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
        && connect(path, Duration::ZERO).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Connects. `WouldBlock` where the server has taken none of those who wait at it in this time: it is there, but hangs.
pub(crate) fn connect(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let deadline = Instant::now() + limit;
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &address) {
            Err(Errno::AGAIN) if Instant::now() < deadline => thread::sleep(PAUSE),
            connected => {
                connected?;
                let stream = UnixStream::from(socket);
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_takes_nobody_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let waiting = connect(&path, Duration::ZERO).unwrap();
        assert_eq!(connect(&path, Duration::from_millis(30)).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        // It is not dead, so its place is not taken.
        assert_eq!(SocketPath::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop((waiting, listener));
        drop(SocketPath::bind(&path).unwrap());
    }
}
