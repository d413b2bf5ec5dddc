//! An image on a parent that another tapdisk serves: several disks of a host share one cache of their parent so.

use super::{Chain, Link, Remote, Store, Stretch, Written, read_through};
use crate::failure::Result;

/// The image, without its own parents, and who serves them.
#[derive(Debug)]
pub(crate) struct Stack {
    leaf: Chain,
    parent: Remote,
}

impl Stack {
    pub(crate) fn new(leaf: Chain, parent: Remote) -> Self {
        Stack { leaf, parent }
    }
}

impl Store for Stack {
    fn size_bytes(&self) -> u64 {
        self.leaf.size_bytes()
    }

    fn links(&self) -> Vec<Link> {
        [self.leaf.links(), self.parent.links()].concat()
    }

    fn own(&self, offset: u64, len_bytes: u64) -> Result<Vec<(u64, bool)>> {
        self.leaf.own(offset, len_bytes)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        read_through(&self.leaf, &self.parent, offset, bytes)
    }

    fn write_over(&self, offset: u64, bytes: &[u8]) -> Option<Result<()>> {
        self.leaf.write_over(offset, bytes)
    }

    fn write_over_many(&self, writes: &[(u64, &[u8])]) -> Vec<Option<Written>> {
        self.leaf.write_over_many(writes)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.leaf.write(offset, bytes)
    }

    fn write_many(&mut self, writes: &[(u64, &[u8])]) -> Vec<Written> {
        self.leaf.write_many(writes)
    }

    fn write_zeroes(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        // What reads as zeros for want of anything in the image is the parent's.
        super::write_zeros(self, offset, len_bytes)
    }

    fn stretches(&self, _offset: u64, len_bytes: u64, _max: usize) -> Result<Vec<Stretch>> {
        Ok(vec![Stretch { len_bytes, is_zero: false }])
    }

    fn flush(&self) -> Result<()> {
        self.leaf.flush()
    }

    fn close(self: Box<Self>) -> Result<()> {
        Box::new(self.leaf).close()
    }
}
