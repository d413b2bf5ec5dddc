//! A connection that somebody else accepted, passed over a Unix socket: how storage migration brings its clients.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::fs::fstat;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Whoever passes connections has them at hand.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of the words that come with it, which name it.
const MAX_WORDS: usize = 16 << 10;

/// What arrives here, as a stream: it may be a TCP connection just as well.
pub(crate) fn receive(stream: &UnixStream) -> io::Result<UnixStream> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut words = vec![0; MAX_WORDS];
    // Room for more than is taken: what is too much is closed.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(stream, &mut [io::IoSliceMut::new(&mut words)], &mut ancillary, flags)?;
    let mut passed: Vec<OwnedFd> = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            passed.extend(descriptors);
        }
    }
    let first = passed.into_iter().next().ok_or_else(|| io::Error::other("no descriptor came with the message"))?;
    let kind = rustix::fs::FileType::from_raw_mode(fstat(&first)?.st_mode);
    if kind != rustix::fs::FileType::Socket {
        return Err(io::Error::other(format!("what was passed is no socket, but {kind:?}")));
    }
    let client = UnixStream::from(first);
    client.set_nonblocking(false)?;
    Ok(client)
}
