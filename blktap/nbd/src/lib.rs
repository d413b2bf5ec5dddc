//! The NBD protocol. The server's half: what a client sends becomes requests, what is answered becomes bytes; sockets and
//! disks are others' business. The client's half: [`Remote`], over any stream.
//!
//! [`Handshake`] takes a client from the greeting to a [`Session`]: what both agreed on. A session reads the heads of
//! [`Request`]s, says which of them must be refused, and writes replies in the form that was agreed. Structs as they travel
//! are in `wire`.
//!
//! Source: `doc/proto.md` of the NBD project, with the experimental extension EXTENDED_HEADERS.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod error;
mod export;
mod handshake;
mod option;
mod remote;
mod reply;
mod request;
mod session;
mod wire;

use std::fmt;

pub use error::ErrorCode;
pub use export::Export;
pub use handshake::{Handshake, Next, Tls};
pub use remote::Remote;
pub use reply::Extent;
pub use request::{Command, CommandFlags, Request};
pub use session::{Form, Session};

/// Bytes of payload that a request may carry, or that a read without chunks may ask for.
pub const MAX_PAYLOAD_BYTES: u32 = 64 << 20;

/// Something that no client of this protocol sends. The connection must be closed: nobody knows where the next message
/// begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    message: String,
}

impl Violation {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Violation { message: message.into() }
    }

    /// The same for a server that cannot go on: the head of a reply that then fails has been sent.
    pub fn of_server(message: impl Into<String>) -> Self {
        Violation::new(message)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Violation {}
