//! An image that keeps what was read from its parents, so that it is here the next time.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Link, SECTOR_BYTES, Store, Stretch, Written};
use crate::failure::Result;

/// The image. It holds what a disk on the same parents would read, so it can be thrown away.
#[derive(Debug)]
pub(crate) struct Cache {
    store: Box<dyn Store>,
    /// There was no room: what is read stays where it is.
    is_full: AtomicBool,
}

impl Cache {
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Cache { store, is_full: AtomicBool::new(false) }
    }
}

impl Store for Cache {
    fn size_bytes(&self) -> u64 {
        self.store.size_bytes()
    }

    fn links(&self) -> Vec<Link> {
        self.store.links()
    }

    fn own(&self, offset: u64, len_bytes: u64) -> Result<Vec<(u64, bool)>> {
        self.store.own(offset, len_bytes)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.store.read(offset, bytes)
    }

    fn read_many(&self, reads: &mut [(u64, &mut [u8])]) -> Result<()> {
        self.store.read_many(reads)
    }

    fn absorbs(&self) -> bool {
        !self.is_full.load(Ordering::Relaxed)
    }

    fn absorb(&mut self, offset: u64, len_bytes: u64) {
        let start = offset - offset % SECTOR_BYTES;
        let end = (offset + len_bytes).next_multiple_of(SECTOR_BYTES);
        let parts = self.store.own(start, end - start).unwrap_or_default();
        let mut at = start;
        for (len_bytes, is_own) in parts {
            if !is_own {
                let mut bytes = vec![0; usize::try_from(len_bytes).expect("as much was just read into memory")];
                let kept = self.store.read(at, &mut bytes).and_then(|()| self.store.write(at, &bytes));
                if let Err(failed) = kept {
                    tracing::warn!("nothing more is cached: {}", failed.message);
                    self.is_full.store(true, Ordering::Relaxed);
                    return;
                }
            }
            at += len_bytes;
        }
    }

    fn write_over(&self, offset: u64, bytes: &[u8]) -> Option<Result<()>> {
        self.store.write_over(offset, bytes)
    }

    fn write_over_many(&self, writes: &[(u64, &[u8])]) -> Vec<Option<Written>> {
        self.store.write_over_many(writes)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.store.write(offset, bytes)
    }

    fn write_many(&mut self, writes: &[(u64, &[u8])]) -> Vec<Written> {
        self.store.write_many(writes)
    }

    fn write_zeroes(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        self.store.write_zeroes(offset, len_bytes)
    }

    fn discard(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        self.store.discard(offset, len_bytes)
    }

    fn stretches(&self, offset: u64, len_bytes: u64, max: usize) -> Result<Vec<Stretch>> {
        self.store.stretches(offset, len_bytes, max)
    }

    fn flush(&self) -> Result<()> {
        self.store.flush()
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.store.close()
    }
}
