//! What holds the sectors of a disk: a chain of images, or several stores as one. Ranges were checked to lie in the disk;
//! what is written is whole sectors.

mod cache;
mod chain;
mod pair;
pub(crate) mod ram;
mod remote;
mod stack;

use std::fmt::Debug;
use std::path::PathBuf;

pub(crate) use cache::Cache;
pub(crate) use chain::Chain;
pub(crate) use pair::{Fate, Pair, Role, Second};
pub(crate) use remote::Remote;
pub(crate) use stack::Stack;

use crate::failure::Result;
use crate::pipe::Loan;

pub(crate) const SECTOR_BYTES: u64 = 512;

/// An image of a chain.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// What blktap calls its driver.
    pub(crate) kind: &'static str,
    pub(crate) path: PathBuf,
}

/// A stretch of whole sectors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) len_bytes: u64,
    /// Whether it is known to be zeros.
    pub(crate) is_zero: bool,
}

/// What became of a write beside others.
pub(crate) type Written = Result<()>;

/// Sectors, somewhere. Many read and write over at a time; one changes more.
pub(crate) trait Store: Debug + Send + Sync {
    fn size_bytes(&self) -> u64;

    /// Its images, first the one that is written.
    fn links(&self) -> Vec<Link>;

    /// Of a range of whole sectors, in order, how long each part is, and whether the image that is written holds it
    /// itself.
    fn own(&self, _offset: u64, len_bytes: u64) -> Result<Vec<(u64, bool)>> {
        Ok(vec![(len_bytes, true)])
    }

    /// Fills the bytes, at any alignment.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()>;

    /// All of them, or nothing is known of any.
    fn read_many(&self, reads: &mut [(u64, &mut [u8])]) -> Result<()> {
        reads.iter_mut().try_for_each(|(offset, bytes)| self.read(*offset, bytes))
    }

    /// The range as bytes of files that go through the page cache, if all of it is there as it is on the disk.
    fn lend(&self, _offset: u64, _len_bytes: u64) -> Option<Vec<Loan<'_>>> {
        None
    }

    /// Whether it wants to know what was read.
    fn absorbs(&self) -> bool {
        false
    }

    /// Keeps what was read from elsewhere. Where it cannot, nothing is lost.
    fn absorb(&mut self, _offset: u64, _len_bytes: u64) {}

    /// Writes where that changes nothing but data; `None`, and nothing written, where it changes more.
    fn write_over(&self, offset: u64, bytes: &[u8]) -> Option<Result<()>>;

    /// Several at a time.
    fn write_over_many(&self, writes: &[(u64, &[u8])]) -> Vec<Option<Written>> {
        writes.iter().map(|(offset, bytes)| self.write_over(*offset, bytes)).collect()
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Several at a time where that can be; what became of each.
    fn write_many(&mut self, writes: &[(u64, &[u8])]) -> Vec<Written> {
        writes.iter().map(|&(offset, bytes)| self.write(offset, bytes)).collect()
    }

    /// Makes the beginning of a range zeros. How many bytes are done, some of them at least: others want the disk too.
    fn write_zeroes(&mut self, offset: u64, len_bytes: u64) -> Result<u64>;

    /// Gives space of the beginning of a range back where that can be done. How many bytes are done.
    fn discard(&mut self, _offset: u64, len_bytes: u64) -> Result<u64> {
        Ok(len_bytes)
    }

    /// The first stretches of a range, at most so many and at least one. They may end before the range does.
    fn stretches(&self, offset: u64, len_bytes: u64, max: usize) -> Result<Vec<Stretch>>;

    fn flush(&self) -> Result<()>;

    /// Makes everything durable and closes all files.
    fn close(self: Box<Self>) -> Result<()>;
}

/// Reads each sector from the upper of two stores where that holds it itself, from the lower one where not. Past the end of
/// that there are zeros: a disk can be larger than its parent.
fn read_through(upper: &dyn Store, lower: &dyn Store, offset: u64, bytes: &mut [u8]) -> Result<()> {
    let end = offset + bytes.len() as u64;
    let start = offset - offset % SECTOR_BYTES;
    let (mut at, mut rest) = (start, bytes);
    for (len_bytes, is_own) in upper.own(start, end.next_multiple_of(SECTOR_BYTES) - start)? {
        let (from, to) = (at.max(offset), (at + len_bytes).min(end));
        let len = usize::try_from(to - from).expect("part of a buffer");
        let (bytes, after) = rest.split_at_mut(len);
        if is_own {
            upper.read(from, bytes)?
        } else {
            let held = lower.size_bytes().saturating_sub(from).min(bytes.len() as u64);
            let (held, past) = bytes.split_at_mut(usize::try_from(held).expect("part of a buffer"));
            past.fill(0);
            if !held.is_empty() {
                lower.read(from, held)?;
            }
        }
        (at, rest) = (at + len_bytes, after);
    }
    Ok(())
}

/// Zeros that are written at a time.
pub(crate) static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Writes zeros to the beginning of a range, as data.
fn write_zeros(store: &mut dyn Store, offset: u64, len_bytes: u64) -> Result<u64> {
    let len = len_bytes.min(ZEROS.len() as u64);
    store.write(offset, &ZEROS[..usize::try_from(len).expect("at most so many")])?;
    Ok(len)
}
