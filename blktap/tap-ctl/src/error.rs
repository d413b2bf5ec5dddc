//! The one error type: words for people, and the number that C callers and scripts see.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustix::io::Errno;
use tap_proto::Malformed;

/// Shorthand for results of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// What we were doing, to what, and why it failed.
#[derive(Debug)]
pub struct Error {
    errno: i32,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    help: Option<String>,
}

impl Error {
    pub(crate) fn new(errno: Errno, message: impl Into<String>) -> Self {
        Error::numbered(errno.raw_os_error(), message)
    }

    pub(crate) fn numbered(errno: i32, message: impl Into<String>) -> Self {
        Error { errno, message: message.into(), source: None, help: None }
    }

    pub(crate) fn io(message: impl Into<String>, source: io::Error) -> Self {
        let errno = source.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
        Error { errno, message: message.into(), source: Some(Box::new(source)), help: None }
    }

    pub(crate) fn malformed(message: impl Into<String>, source: Malformed) -> Self {
        Error {
            errno: Errno::PROTO.raw_os_error(),
            message: message.into(),
            source: Some(Box::new(source)),
            help: None,
        }
    }

    /// The same, and what to do about it.
    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        Error { help: Some(help.into()), ..self }
    }

    /// What to do about it, where that is known.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// A positive Linux error number.
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
        self.source.as_deref().map(|source| source as _)
    }
}
