//! Control of tapdisks: finds them by their sockets, asks them, starts them, and keeps the numbers of disks.
//!
//! | file | owns |
//! |---|---|
//! | `client` | one request to one tapdisk, with its time limit |
//! | `disk` | what is done with one disk: attach, open, pause, … |
//! | `minors` | numbers of disks: markers, allocated and freed under a lock |
//! | `list` | all tapdisks, their disks, and markers that nobody serves |
//! | `sample` | counters of all disks |
//! | `spawn` | starting a tapdisk |
//!
//! Frames are `tap-proto`'s; command lines are `cmd/`'s.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod client;
pub mod cmd;
pub mod disk;
mod error;
pub mod list;
pub mod minors;
pub mod sample;
mod spawn;

pub use error::{Error, Result};
pub use spawn::spawn;
pub use tap_proto::RunDir;
