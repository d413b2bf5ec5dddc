//! Runs of bytes from medium to medium, a chunk at a time: memory is bounded whatever their length.

use crate::checksum;
use crate::error::Result;
use crate::medium::Medium;
use crate::plan::{Plan, Step};
use crate::units::{Extent, in_memory};

/// The longest piece in memory.
pub(crate) const CHUNK_BYTES: u64 = 1 << 20;

/// Copies a run to another place, which must not overlap it; returns the sum of its bytes.
pub(crate) fn copy(
    what: &'static str,
    from: &impl Medium,
    run: Extent,
    to: &impl Medium,
    to_offset: u64,
) -> Result<u32> {
    each_chunk(what, from, run, |done, bytes| {
        to.perform(&Plan { steps: vec![Step::Write { what, offset: to_offset + done, bytes }] })
    })
}

/// The sum of the bytes of a run.
pub(crate) fn sum(what: &'static str, from: &impl Medium, run: Extent) -> Result<u32> {
    each_chunk(what, from, run, |_, _| Ok(()))
}

/// Whether a run is the same in another place.
pub(crate) fn is_same(
    what: &'static str,
    from: &impl Medium,
    run: Extent,
    other: &impl Medium,
    offset: u64,
) -> Result<bool> {
    let mut is_same = true;
    each_chunk(what, from, run, |done, bytes| {
        is_same &= other.read(what, offset + done, bytes.len())? == bytes;
        Ok(())
    })?;
    Ok(is_same)
}

/// Whether a run has no other byte than this.
pub(crate) fn is_filled(what: &'static str, from: &impl Medium, run: Extent, byte: u8) -> Result<bool> {
    let mut is_filled = true;
    each_chunk(what, from, run, |_, bytes| {
        is_filled &= bytes.iter().all(|&found| found == byte);
        Ok(())
    })?;
    Ok(is_filled)
}

fn each_chunk(
    what: &'static str,
    from: &impl Medium,
    run: Extent,
    mut perform: impl FnMut(u64, Vec<u8>) -> Result<()>,
) -> Result<u32> {
    run.end(what)?;
    let (mut done, mut sum) = (0, 0u32);
    while done < run.len_bytes {
        let len = in_memory(what, CHUNK_BYTES.min(run.len_bytes - done))?;
        let bytes = from.read(what, run.offset + done, len)?;
        sum = sum.wrapping_add(checksum::sum(&bytes));
        perform(done, bytes)?;
        done += len as u64;
    }
    Ok(sum)
}
