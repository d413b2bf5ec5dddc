//! What tests and fuzz targets share: disks in memory, images as bytes, and the bodies of the fuzz targets. For tests
//! only: it panics where something is wrong, and nothing that is shipped depends on it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

pub mod checksums;
pub mod fuzz;
pub mod loop_device;
mod program;
pub mod sample;
pub mod shared_storage;
pub mod sim_disk;
pub mod sparse_disk;

pub use program::{find_program, program};
