//! A directory of a test's own, and logs in it.

use std::fs;
use std::path::PathBuf;

use cbt::{HEADER_BYTES, Header};
use uuid::Uuid;

pub(crate) struct Bench(tempfile::TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        Bench(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a file there.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// What stands behind the header.
    pub(crate) fn bitmap(&self, name: &str) -> Vec<u8> {
        self.bytes(name).split_off(HEADER_BYTES)
    }
}

/// A header in which nothing is zero.
pub(crate) fn header(size_bytes: u64) -> Header {
    Header { parent: Uuid::from_u128(1), child: Uuid::from_u128(2), consistent: 1, padding: [3; 4], size_bytes }
}

/// A log with this bitmap.
pub(crate) fn log(size_bytes: u64, bitmap: &[u8]) -> Vec<u8> {
    [&header(size_bytes).to_bytes()[..], bitmap].concat()
}
