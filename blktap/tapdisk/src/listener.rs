//! Where clients come from: a socket with a name, or a TCP port.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::socket_path::SocketPath;

/// A socket that is listened at.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(SocketPath),
    Tcp(TcpListener),
}

impl Listener {
    /// A port; 0 stands for a free one.
    pub(crate) fn tcp(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Listener::Tcp(listener))
    }

    /// The port that it has, where it is one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Unix(_) => None,
            Listener::Tcp(listener) => listener.local_addr().ok(),
        }
    }

    /// The next client. A TCP connection comes as a Unix stream as well: reading and writing are the same.
    pub(crate) fn accept(&self) -> io::Result<UnixStream> {
        match self {
            Listener::Unix(socket) => Ok(socket.listener.accept()?.0),
            Listener::Tcp(listener) => {
                let stream = listener.accept()?.0;
                // Replies are complete when they are sent.
                stream.set_nodelay(true)?;
                Ok(UnixStream::from(OwnedFd::from(stream)))
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Unix(socket) => socket.listener.as_fd(),
            Listener::Tcp(listener) => listener.as_fd(),
        }
    }
}
