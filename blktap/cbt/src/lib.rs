//! Logs of changed blocks (CBT): which blocks of a disk were written since the log began. A backup reads only those.
//!
//! A log is a regular file or the start of a block device: a header of 48 bytes (`header`), then a bitmap with one bit for
//! each 64 KiB of the disk, lowest bit first in native 64-bit words. C's tapdisk maps it and sets bits as the machine writes;
//! [`Tracker`] does the same for ours, and [`Log`] is for logs that no tapdisk has open. Logs form a chain, one for each snapshot of a
//! disk; `coalesce` adds a log to the next one when its snapshot is deleted.
//!
//! Losing a set bit loses data in somebody's backup; a bit too many costs a little time. So every order of writes here is
//! one that a kill or crash can only leave with the old log, the new one, or one that is not marked consistent.
//!
//! Logs are hostile until proved otherwise: the size in the header is checked against the file, memory is bounded, and no
//! input may panic.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod error;
mod header;
mod log;
mod log_file;
mod tracker;

pub use error::{Error, ErrorKind, Result};
pub use header::{BLOCK_BYTES, HEADER_BYTES, Header};
pub use log::{Chunks, Log};
pub use tracker::Tracker;
