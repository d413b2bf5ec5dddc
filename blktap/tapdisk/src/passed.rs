//! A connection that somebody else accepted, passed over a Unix socket: how storage migration brings its clients.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketType, recvmsg};

/// Whoever passes connections has them at hand.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of the words that come with it, which name it.
const MAX_WORDS: usize = 16 << 10;

/// Connections that wait for somebody to ask for them.
const MAX_WAITING: usize = 16;

/// Connections by the names that came with them: whoever opens an image of type `nbd` may name one.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<VecDeque<(String, Passed)>>);

/// A connection that waits.
#[derive(Debug)]
pub(crate) enum Passed {
    /// As it came.
    New(UnixStream),
    /// Of a disk that was paused: all is agreed on.
    Used(nbd::Remote<UnixStream>),
}

impl Connections {
    /// Keeps what arrives here, for one use, in place of an older one of this name.
    pub(crate) fn receive(&self, stream: &UnixStream) -> io::Result<()> {
        let (connection, name) = receive(stream)?;
        let mut waiting = self.waiting();
        waiting.retain(|(held, _)| *held != name);
        add(&mut waiting, name, Passed::New(connection));
        Ok(())
    }

    /// Keeps a connection for whoever opens the image again: nobody passes it a second time.
    pub(crate) fn keep(&self, name: String, connection: nbd::Remote<UnixStream>) {
        let mut waiting = self.waiting();
        if waiting.iter().all(|(held, _)| *held != name) {
            add(&mut waiting, name, Passed::Used(connection));
        }
    }

    /// The connection of this name.
    pub(crate) fn take(&self, name: &str) -> Option<Passed> {
        let mut waiting = self.waiting();
        let index = waiting.iter().position(|(found, _)| found == name)?;
        waiting.remove(index).map(|(_, connection)| connection)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(String, Passed)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The oldest goes where there are too many.
fn add(waiting: &mut VecDeque<(String, Passed)>, name: String, connection: Passed) {
    if waiting.len() == MAX_WAITING {
        waiting.pop_front();
    }
    waiting.push_back((name, connection));
}

/// What arrives here, as a stream: it may be a TCP connection just as well. And its name.
pub(crate) fn receive(stream: &UnixStream) -> io::Result<(UnixStream, String)> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut words = vec![0; MAX_WORDS];
    // Room for more than is taken: what is too much is closed.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(stream, &mut [io::IoSliceMut::new(&mut words)], &mut ancillary, flags)?;
    words.truncate(received.bytes);
    let end = words.iter().position(|&byte| byte == 0 || byte == b'\n').unwrap_or(words.len());
    let name = String::from_utf8_lossy(&words[..end]).into_owned();
    let mut passed: Vec<OwnedFd> = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            passed.extend(descriptors);
        }
    }
    let first = passed.into_iter().next().ok_or_else(|| io::Error::other("no descriptor came with the message"))?;
    // Of others a wait may never end: only a stream is sure to be cut when it is shut down.
    let is_stream = rustix::net::sockopt::socket_type(&first).is_ok_and(|kind| kind == SocketType::STREAM);
    if !is_stream {
        return Err(io::Error::other("what was passed is no stream"));
    }
    let client = UnixStream::from(first);
    client.set_nonblocking(false)?;
    Ok((client, name))
}
