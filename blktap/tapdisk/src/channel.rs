//! A client's stream, in the clear or inside TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection};

use crate::arrival::Arrival;

/// The stream.
#[derive(Debug)]
pub(crate) struct Channel<'a> {
    socket: &'a UnixStream,
    arrival: Arrival<'a>,
    tls: Option<Box<ServerConnection>>,
}

impl<'a> Channel<'a> {
    pub(crate) fn new(socket: &'a UnixStream) -> Self {
        Channel { socket, arrival: Arrival::new(socket), tls: None }
    }

    /// What comes from here on, both ways, is inside TLS.
    pub(crate) fn start_tls(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        let connection = ServerConnection::new(Arc::clone(config)).map_err(invalid)?;
        self.tls = Some(Box::new(connection));
        Ok(())
    }

    /// Whether looking for the next bytes is worth it: somebody waits for each answer.
    pub(crate) fn looks(&mut self, is_worth_it: bool) {
        self.arrival.looks(is_worth_it);
    }

    /// Reads some bytes, none at the end. `WouldBlock` when nothing comes in time.
    pub(crate) fn read(&mut self, bytes: &mut [u8], wait: Option<Duration>) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.arrival.read(bytes, wait) };
        // A record that comes byte by byte is nothing yet.
        let deadline = wait.map(|wait| Instant::now() + wait);
        loop {
            match tls.reader().read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            let wait = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if wait == Some(Duration::ZERO) {
                return Err(ErrorKind::WouldBlock.into());
            }
            if tls.read_tls(&mut Timed { arrival: &mut self.arrival, wait })? == 0 {
                return Ok(0);
            }
            let processed = tls.process_new_packets().map_err(invalid);
            // The other end is told of what was wrong, too.
            while tls.wants_write() {
                tls.write_tls(&mut &*self.socket)?;
            }
            processed?;
        }
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return (&*self.socket).write_all(bytes) };
        let mut left = bytes;
        while !left.is_empty() || tls.wants_write() {
            // It takes as much as its buffer holds.
            let taken = tls.writer().write(left)?;
            left = &left[taken..];
            while tls.wants_write() {
                tls.write_tls(&mut &*self.socket)?;
            }
        }
        Ok(())
    }

    /// Whether what is sent goes to the socket as it is.
    pub(crate) fn takes_pages(&self) -> bool {
        self.tls.is_none()
    }

    /// Sends what somebody else puts into the socket.
    pub(crate) fn send_from(&mut self, send: impl FnOnce(&UnixStream) -> io::Result<()>) -> io::Result<()> {
        send(self.socket)
    }

    /// Says that nothing more comes, where the other end can tell that from a cut.
    pub(crate) fn end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // It may be gone already.
            drop(self.write_all(&[]));
        }
    }
}

/// The socket with a time limit.
struct Timed<'a, 'b> {
    arrival: &'a mut Arrival<'b>,
    wait: Option<Duration>,
}

impl Read for Timed<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.arrival.read(bytes, self.wait)
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
