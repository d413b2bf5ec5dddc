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
    /// The file ends before something that its metadata promises.
    Truncated,
    /// Metadata contradicts the format, its checksum, or itself.
    Corrupt,
    /// Well-formed, but not something this library can do.
    Unsupported,
    /// The caller asked for something that makes no sense.
    InvalidInput,
    /// Two causes are possible that call for opposite remedies; people must decide.
    InDoubt,
    /// A size beyond what the format or this library can address.
    TooLarge,
    /// The device is smaller than what must go onto it.
    NoSpace,
    /// The chain of parents comes back to an image it has passed, or is longer than [`crate::MAX_CHAIN_DEPTH`].
    ChainLoop,
}

impl ErrorKind {
    /// The errno that C callers of libvhd see for this kind.
    fn errno(self) -> Errno {
        match self {
            ErrorKind::Io => Errno::IO,
            // libvhd reports a short read as EPIPE, and scripts know that number.
            ErrorKind::Truncated => Errno::PIPE,
            ErrorKind::Corrupt | ErrorKind::InvalidInput | ErrorKind::InDoubt => Errno::INVAL,
            ErrorKind::Unsupported => Errno::OPNOTSUPP,
            ErrorKind::TooLarge => Errno::FBIG,
            ErrorKind::NoSpace => Errno::NOSPC,
            ErrorKind::ChainLoop => Errno::LOOP,
        }
    }
}

/// An error of this library: what we were doing, to what, and why it failed.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    errno: i32,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a cause below it, with the number of its kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, errno: kind.errno().raw_os_error(), message: message.into(), source: None }
    }

    /// Metadata that contradicts the format.
    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Corrupt, message)
    }

    /// A failed system call; `message` says what it was for.
    pub(crate) fn io(message: impl Into<String>, source: io::Error) -> Self {
        let errno = source.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
        Error { kind: ErrorKind::Io, errno, message: message.into(), source: Some(Box::new(source)) }
    }

    /// The same error under a message that names the object it happened to.
    pub(crate) fn within(self, message: impl Into<String>) -> Self {
        Error { kind: self.kind, errno: self.errno, message: message.into(), source: Some(Box::new(self)) }
    }

    /// The same error with the number that C callers see in this place.
    pub(crate) fn with_errno(mut self, errno: Errno) -> Self {
        self.errno = errno.raw_os_error();
        self
    }

    /// What callers branch on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The number for whoever runs a whole job on an image. A fault of the image is EINVAL there, which nobody tries
    /// again, also where a guest's request would get EIO; EIO is left for what the system reported.
    pub fn job_errno(&self) -> i32 {
        let is_fault = matches!(self.kind, ErrorKind::Corrupt | ErrorKind::Truncated);
        if is_fault && self.errno == Errno::IO.raw_os_error() { Errno::INVAL.raw_os_error() } else { self.errno }
    }

    /// Whether space was wanting, or quota, or the right to make a file longer: what failed so can be tried again.
    pub fn is_want_of_space(&self) -> bool {
        [Errno::NOSPC, Errno::DQUOT, Errno::FBIG].iter().any(|errno| errno.raw_os_error() == self.errno)
    }

    /// A positive Linux error number, the one a C caller would see.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: Error, kind: ErrorKind, errno: i32, message: &str) {
        assert_eq!((error.kind(), error.errno(), error.to_string().as_str()), (kind, errno, message));
    }

    #[test]
    fn kinds_have_the_numbers_of_libvhd() {
        check(Error::corrupt("bad"), ErrorKind::Corrupt, 22, "bad");
        check(Error::new(ErrorKind::Truncated, "short"), ErrorKind::Truncated, 32, "short");
        check(Error::new(ErrorKind::ChainLoop, "loop"), ErrorKind::ChainLoop, 40, "loop");
    }

    #[test]
    fn wrapping_keeps_kind_and_number_and_adds_the_cause() {
        let error = Error::io("cannot open `x`", io::Error::from_raw_os_error(2)).within("cannot walk");
        assert_eq!(StdError::source(&error).map(ToString::to_string).as_deref(), Some("cannot open `x`"));
        check(error, ErrorKind::Io, 2, "cannot walk");
    }
}
