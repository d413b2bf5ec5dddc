//! Requests to tapdisks: connects, sends, takes the answer. Each step has what is left of one time limit.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tap_proto::{FRAME_BYTES, Kind, Reply, Request};

use crate::error::{Error, Result};
use tap_proto::RunDir;

/// How long a tapdisk may take to say what it is doing.
pub const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Whoever asks tapdisks.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where they are.
    pub run_dir: RunDir,
    /// Is told of every message, in the words of blktap's `--debug`.
    pub trace: Option<fn(&str)>,
}

impl Client {
    /// Of the tapdisks here.
    pub fn new(run_dir: RunDir) -> Self {
        Client { run_dir, trace: None }
    }

    /// Connects to a tapdisk. Without a time limit it waits as long as it takes: a close may have to wait for a disk.
    ///
    /// # Errors
    ///
    /// `ENOENT` without a socket of this number, `ECONNREFUSED` when it is a dead tapdisk's.
    pub fn connect(&self, pid: i32, timeout: Option<Duration>) -> Result<Connection> {
        if pid < 0 {
            return Err(Error::new(Errno::INVAL, format!("{pid} is no process")));
        }
        let path = self.run_dir.control_socket(pid);
        let stream = UnixStream::connect(&path).map_err(|source| {
            // The standard library refuses names that do not fit an address without a number.
            let source = if source.kind() == ErrorKind::InvalidInput { Errno::NAMETOOLONG.into() } else { source };
            let error = Error::io(format!("cannot reach tapdisk {pid} at `{}`", path.display()), source);
            error.with_help("`tap-ctl list` shows the tapdisks and disks that there are")
        })?;
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        Ok(Connection { stream, pid, deadline, trace: self.trace })
    }

    /// Asks a tapdisk about a disk, and takes one answer.
    pub fn ask(&self, pid: i32, minor: u16, request: &Request, timeout: Option<Duration>) -> Result<Reply> {
        let mut connection = self.connect(pid, timeout)?;
        connection.send(minor, request)?;
        connection.receive()
    }

    /// The process that listens at a tapdisk's socket: the tapdisk itself, if it is alive.
    pub fn pid(&self, pid: i32) -> Result<i32> {
        match self.ask(pid, 0, &Request::Pid, Some(LIST_TIMEOUT))? {
            Reply::Pid(pid) => Ok(pid),
            reply => Err(unexpected(pid, &reply)),
        }
    }
}

/// An answer that does not belong to the request.
pub(crate) fn unexpected(pid: i32, reply: &Reply) -> Error {
    match reply {
        Reply::Error { errno, message } => {
            let why = match message.is_empty() {
                true => Errno::from_raw_os_error(errno.abs()).to_string(),
                false => message.as_os_str().to_string_lossy().into_owned(),
            };
            Error::numbered(errno.abs(), format!("tapdisk {pid} refuses: {why}"))
                .with_help(format!("its log says more: /var/log/blktap/tapdisk.{pid}.log"))
        }
        reply => Error::new(Errno::INVAL, format!("tapdisk {pid} answers something else: {reply:?}")),
    }
}

/// A connection, which is good for one request.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    pid: i32,
    deadline: Option<Instant>,
    trace: Option<fn(&str)>,
}

impl Connection {
    /// Sends a request about a disk.
    pub fn send(&mut self, minor: u16, request: &Request) -> Result<()> {
        self.trace("sending", request.kind(), minor);
        let limit = self.left("send a request to")?;
        let sent = self.stream.set_write_timeout(limit).and_then(|()| self.stream.write_all(&request.encode(minor)));
        sent.map_err(|source| self.failed("send a request to", source))
    }

    /// Takes an answer.
    pub fn receive(&mut self) -> Result<Reply> {
        let mut frame = [0; FRAME_BYTES];
        self.read(&mut frame)?;
        let (minor, reply) = Reply::decode(&frame)
            .map_err(|source| Error::malformed(format!("tapdisk {} answers with nonsense", self.pid), source))?;
        self.trace("received", reply.kind(), minor);
        Ok(reply)
    }

    /// Takes bytes that follow an answer.
    pub fn read(&mut self, mut bytes: &mut [u8]) -> Result<()> {
        let doing = "get an answer from";
        while !bytes.is_empty() {
            let limit = self.left(doing)?;
            self.stream.set_read_timeout(limit).map_err(|source| self.failed(doing, source))?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(self.failed(doing, Errno::IO.into())),
                Ok(len) => bytes = &mut bytes[len..],
                Err(source) if source.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.failed(doing, source)),
            }
        }
        Ok(())
    }

    /// What is left of the time limit.
    fn left(&self, doing: &str) -> Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            Some(left) => Ok(Some(left)),
            None => Err(self.failed(doing, Errno::TIMEDOUT.into())),
        }
    }

    fn failed(&self, doing: &str, source: io::Error) -> Error {
        let is_late = matches!(source.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        let source = if is_late { Errno::TIMEDOUT.into() } else { source };
        Error::io(format!("cannot {doing} tapdisk {}", self.pid), source)
    }

    fn trace(&self, what: &str, kind: Kind, minor: u16) {
        if let Some(trace) = self.trace {
            trace(&format!("{what} '{}' message (uuid = {minor})", kind.name()));
        }
    }
}
