//! The control protocol between `tap-ctl` and `tapdisk`, as blktap 4 speaks it on 64-bit machines: frames of 544 bytes in
//! the machine's byte order, one request per connection, without version or length.
//!
//! Bytes to checked values and back; sockets are others' business. [`raw`](self) layouts are in one file, what they mean in
//! `request` and `reply`, and `decoder` puts requests together that arrive in pieces. `run_dir` has the names that both ends
//! know.
//!
//! Source: `tapdisk-message.h` of blktap 4, and what its programs were seen to send and take.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod decoder;
mod kind;
mod raw;
mod reply;
mod request;
mod run_dir;
mod text;

use std::fmt;

pub use decoder::{Decoded, Decoder};
pub use kind::Kind;
pub use raw::FRAME_BYTES;
pub use reply::{Disk, Listed, Reply};
pub use request::{Blkif, Extra, Flags, Open, Request, Ring};
pub use run_dir::RunDir;
pub use text::{TEXT_BYTES, Text};

/// One message as it travels.
pub type Frame = [u8; FRAME_BYTES];

/// The cookie of requests that mean all disks of a tapdisk.
pub const ALL_MINORS: u16 = u16::MAX;

/// A frame that is no request or reply of this protocol. tapdisk answers EINVAL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    message: String,
}

impl Malformed {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Malformed { message: message.into() }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Malformed {}
