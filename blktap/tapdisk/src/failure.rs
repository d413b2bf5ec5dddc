//! Why a request failed: what its client is told, and the number that the control socket sends.

use legacy_cli::terminal::in_words;
use nbd::ErrorCode;

/// What a client is told.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// The cause, of which the code is all that travels.
    pub(crate) errno: i32,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A refusal.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Failure { code, message: message.into(), errno: code.errno() }
    }

    /// A failure with the system's number.
    pub(crate) fn numbered(errno: i32, message: impl Into<String>) -> Self {
        Failure { code: ErrorCode::of_errno(errno), message: message.into(), errno }
    }

    /// A thread failed in the middle of a change.
    pub(crate) fn of_a_thread() -> Self {
        Failure::new(ErrorCode::Io, "the server failed while it changed the image: serve it again")
    }

    /// The disk is closed.
    pub(crate) fn of_an_end() -> Self {
        Failure::new(ErrorCode::Shutdown, "the disk was closed")
    }

    pub(crate) fn is_no_space(&self) -> bool {
        self.code == ErrorCode::NoSpace
    }
}

impl From<vhd::Error> for Failure {
    fn from(error: vhd::Error) -> Self {
        Failure::numbered(error.errno(), in_words(&error))
    }
}

impl From<cbt::Error> for Failure {
    fn from(error: cbt::Error) -> Self {
        Failure::numbered(error.errno(), in_words(&error))
    }
}
