//! A disk that another server has, over NBD: the other end of a migration, or a tapdisk that serves the parents of ours.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nbd::Remote as Connection;

use super::{Link, Store, Stretch, Written};
use crate::failure::{Failure, Result};
use crate::passed::{Connections, Passed};
use crate::socket_path::connect;

/// How long the other end may take: as long as C's retries.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to let us in.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// The export that C's tapdisk lists; it takes any name, and so do we.
const NAME: &str = "tapdisk_client";

/// The disk. Requests of several threads go one after the other; those that came together do not wait for each other.
#[derive(Debug)]
pub(crate) struct Remote {
    /// A Unix stream by name; it may be a TCP connection just as well.
    connection: Mutex<Connection<UnixStream>>,
    size_bytes: u64,
    target: PathBuf,
    /// Where a connection goes that was passed to us, for the next one who opens it by this name.
    kept: Option<Arc<Connections>>,
}

impl Remote {
    /// Connects to the socket at this path, or to `address:port`.
    pub(crate) fn connect(target: PathBuf) -> io::Result<Self> {
        let stream = match connect(&target, CONNECT_TIME) {
            Ok(stream) => stream,
            Err(error) => match target.to_str().and_then(|text| text.parse::<std::net::SocketAddr>().ok()) {
                Some(address) => {
                    let stream = TcpStream::connect_timeout(&address, CONNECT_TIME)?;
                    stream.set_nodelay(true)?;
                    UnixStream::from(OwnedFd::from(stream))
                }
                None => return Err(error),
            },
        };
        Remote::over(stream, target)
    }

    /// Goes on with a connection that was passed, and gives it back at the end; `target` is what it is called.
    pub(crate) fn passed(passed: Passed, target: PathBuf, connections: Arc<Connections>) -> io::Result<Self> {
        let remote = match passed {
            Passed::New(stream) => Remote::over(stream, target)?,
            Passed::Used(connection) => Remote::of(connection, target),
        };
        Ok(Remote { kept: Some(connections), ..remote })
    }

    /// Negotiates.
    fn over(stream: UnixStream, target: PathBuf) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Remote::of(Connection::new(stream, NAME)?, target))
    }

    fn of(connection: Connection<UnixStream>, target: PathBuf) -> Self {
        Remote { size_bytes: connection.size_bytes(), connection: Mutex::new(connection), target, kept: None }
    }

    fn connection(&self) -> MutexGuard<'_, Connection<UnixStream>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, doing: &str) -> impl Fn(io::Error) -> Failure + use<'_> {
        let doing = format!("cannot {doing} `{}`", self.target.display());
        move |error| Failure::numbered(error.raw_os_error().unwrap_or(5), format!("{doing}: {error}"))
    }
}

impl Store for Remote {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn links(&self) -> Vec<Link> {
        vec![Link { kind: "nbd", path: self.target.clone() }]
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.read_many(&mut [(offset, bytes)])
    }

    fn read_many(&self, reads: &mut [(u64, &mut [u8])]) -> Result<()> {
        self.connection().read_many(reads).map_err(self.failed("read"))
    }

    fn write_over(&self, offset: u64, bytes: &[u8]) -> Option<Result<()>> {
        Some(self.connection().write_many(&[(offset, bytes)]).map_err(self.failed("write to")))
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.connection().write_many(&[(offset, bytes)]).map_err(self.failed("write to"))
    }

    fn write_many(&mut self, writes: &[(u64, &[u8])]) -> Vec<Written> {
        let done = self.connection().write_many(writes).map_err(self.failed("write to"));
        vec![done; writes.len()]
    }

    fn write_zeroes(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        let done = self.connection().write_zeroes(offset, len_bytes);
        match done.map_err(self.failed("write zeros to"))? {
            true => Ok(len_bytes),
            false => super::write_zeros(self, offset, len_bytes),
        }
    }

    fn stretches(&self, _offset: u64, len_bytes: u64, _max: usize) -> Result<Vec<Stretch>> {
        Ok(vec![Stretch { len_bytes, is_zero: false }])
    }

    fn flush(&self) -> Result<()> {
        self.connection().flush().map_err(self.failed("flush"))
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.flush()?;
        let mut connection = self.connection.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (self.kept, self.target.into_os_string().into_string()) {
            (Some(connections), Ok(name)) => connections.keep(name, connection),
            // It is as good as gone.
            _ => drop(connection.disconnect()),
        }
        Ok(())
    }
}
