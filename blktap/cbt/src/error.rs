//! The one error type of this library. Holds what callers branch on (kind, errno) and what people read (message, source).

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustix::io::Errno;

/// Shorthand for results of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, for callers that branch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused; the errno is its own.
    Io,
    /// The file is no log, or ends before its header or bitmap does.
    Corrupt,
    /// The caller asked for something that makes no sense.
    InvalidInput,
    /// The device is smaller than what must go onto it.
    NoSpace,
}

impl ErrorKind {
    fn errno(self) -> Errno {
        match self {
            ErrorKind::Io => Errno::IO,
            ErrorKind::Corrupt | ErrorKind::InvalidInput => Errno::INVAL,
            ErrorKind::NoSpace => Errno::NOSPC,
        }
    }
}

/// An error of this library: what we were doing, to what, and why it failed.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    errno: i32,
    message: String,
    source: Option<io::Error>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, errno: kind.errno().raw_os_error(), message: message.into(), source: None }
    }

    /// A failed system call; `message` says what it was for.
    pub(crate) fn io(message: impl Into<String>, source: io::Error) -> Self {
        let errno = source.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
        Error { kind: ErrorKind::Io, errno, message: message.into(), source: Some(source) }
    }

    /// What callers branch on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// A positive Linux error number, for exit statuses.
    pub fn errno(&self) -> i32 {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
