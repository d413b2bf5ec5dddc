//! What changes a disk: data, zeros, blocks that are freed or get a place; and what makes it durable.

use std::ops::Range;

use super::{Disk, MAX_MAP_BYTES};
use crate::error::Result;
use crate::layer_write::Write;
use crate::map::{Place, Run};
use crate::medium::Medium;
use crate::write_plan::Content;

/// Bytes that one plan writes at most: its steps hold them in memory.
const MAX_PLAN_BYTES: usize = 16 << 20;

impl<M: Medium> Disk<M> {
    /// Writes. Everything is durable after the next [`Disk::flush`]; until then each sector reads old or new, also
    /// after a crash. When the medium fails, this and every later write or flush is an error: open the image again. Want of
    /// space ends nothing ([`crate::Error::is_want_of_space`]): each sector is old or new then, and the write can be tried
    /// again.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check("write", offset, bytes.len() as u64)?;
        let mut at = offset;
        for bytes in bytes.chunks(MAX_PLAN_BYTES) {
            let len_bytes = bytes.len() as u64;
            if let Some(done) = self.write_over(at, bytes) {
                done?;
                at += len_bytes;
                continue;
            }
            self.write(Write { offset: at, len_bytes, content: Content::Bytes(bytes) })?;
            at += len_bytes;
        }
        Ok(())
    }

    /// Several writes as one: they wait for the disk together, which is most of what a write to a new place costs. They lie
    /// apart from each other and hold at most 16 MiB. After an error any of them may be there.
    pub fn write_many(&mut self, writes: &[(u64, &[u8])]) -> Result<()> {
        let mut ascending = writes.to_vec();
        ascending.sort_unstable_by_key(|&(offset, _)| offset);
        let mut end = 0;
        for &(offset, bytes) in &ascending {
            self.check("write", offset, bytes.len() as u64)?;
            if offset < end {
                return Err(self.refused("write", offset, bytes.len() as u64, "over another write in"));
            }
            end = offset + bytes.len() as u64;
        }
        let writes = ascending.into_iter().map(|(offset, bytes)| {
            let len_bytes = bytes.len() as u64;
            Write { offset, len_bytes, content: Content::Bytes(bytes) }
        });
        self.perform(&writes.collect::<Vec<_>>())
    }

    /// [`Disk::write_at`] where that changes nothing but data, as far as this has seen the image; others may read and write
    /// in the same way meanwhile. `None`, and nothing written, where it changes more.
    pub fn write_over(&self, offset: u64, bytes: &[u8]) -> Option<Result<()>> {
        self.write_over_many(&[(offset, bytes)]).pop().flatten()
    }

    /// Several of [`Disk::write_over`], all at once where an engine does that; what became of each. Where they lie over each
    /// other the later one counts.
    pub fn write_over_many(&self, writes: &[(u64, &[u8])]) -> Vec<Option<Result<()>>> {
        let is_right = |&(offset, bytes): &(u64, &[u8])| self.check("write", offset, bytes.len() as u64).is_ok();
        match (self.layers.first(), &self.base) {
            (Some(leaf), _) => leaf.write_over(writes, is_right),
            (None, Some(base)) if base.is_writable() => base.write_each(writes, is_right),
            (None, _) => writes.iter().map(|_| None).collect(),
        }
    }

    /// Makes a range read as zeros, with the promises of [`Disk::write_at`]. What reads as zeros for want of any block is
    /// left alone. Blocks of an image without a parent that lie in it wholly lose their places; what else the image holds of
    /// it stays the image's, so that the parent never shows, and becomes a hole of a file. Later writes may need space.
    pub fn write_zeroes(&mut self, offset: u64, len_bytes: u64) -> Result<()> {
        self.in_parts(offset, len_bytes, Disk::write_zeroes_part)
    }

    /// The beginning of [`Disk::write_zeroes`], for who lets others in between: how many bytes are done, some of them at
    /// least.
    pub fn write_zeroes_part(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        self.check("write", offset, len_bytes)?;
        self.clear_part(offset, len_bytes, |disk, at, Run { len_bytes, place }| match place {
            Place::Zero => Ok(()),
            _ => disk.write_zero_run(at, len_bytes),
        })
    }

    fn write_zero_run(&mut self, offset: u64, len_bytes: u64) -> Result<()> {
        // Those of an encrypted disk are in memory.
        let max_bytes = if self.is_encrypted(0) { MAX_PLAN_BYTES as u64 } else { len_bytes };
        let (mut at, end) = (offset, offset + len_bytes);
        while at < end {
            let len_bytes = max_bytes.min(end - at);
            self.write(Write { offset: at, len_bytes, content: Content::Zeros })?;
            at += len_bytes;
        }
        Ok(())
    }

    /// Says that nobody needs these bytes any more: the image gives their space back where it can, as in
    /// [`Disk::write_zeroes`]. They then read as zeros, or as before, and never as the parent's. Takes no space
    /// itself, and finds none only where an earlier write found none.
    /// On a raw disk that is a device it does nothing unless [`Disk::pass_discards`] was called.
    pub fn discard(&mut self, offset: u64, len_bytes: u64) -> Result<()> {
        self.in_parts(offset, len_bytes, Disk::discard_part)
    }

    /// The beginning of [`Disk::discard`]: how many bytes are done, some of them at least.
    pub fn discard_part(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        self.check("discard", offset, len_bytes)?;
        self.clear_part(offset, len_bytes, |disk, at, Run { len_bytes, place }| match (place, disk.layers.first()) {
            (Place::Layer { depth: 0, .. }, Some(leaf)) => leaf.discard(at..at + len_bytes),
            (Place::Base { offset }, None) => disk.base.as_ref().map_or(Ok(()), |base| base.discard(offset, len_bytes)),
            _ => Ok(()),
        })
    }

    /// From now on discards reach a raw disk that is a device too, for an owner who wants its space back in the pool that the
    /// device is part of. Files give theirs back anyway, and what an image holds is the image's.
    pub fn pass_discards(&mut self) {
        if let (true, Some(base)) = (self.layers.is_empty(), &mut self.base) {
            base.pass_discards();
        }
    }

    fn in_parts(
        &mut self,
        offset: u64,
        len_bytes: u64,
        part: impl Fn(&mut Self, u64, u64) -> Result<u64>,
    ) -> Result<()> {
        let mut done = part(self, offset, len_bytes)?;
        while done < len_bytes {
            done += part(self, offset + done, len_bytes - done)?;
        }
        Ok(())
    }

    /// Frees the blocks in the first part of a range, and calls with the runs that it then has, and their positions on the
    /// disk. A part ends where a block does, and is as much as runs are looked up for at a time.
    fn clear_part(
        &mut self,
        offset: u64,
        len_bytes: u64,
        mut each: impl FnMut(&mut Self, u64, Run) -> Result<()>,
    ) -> Result<u64> {
        let end = (offset + len_bytes).min((offset / MAX_MAP_BYTES + 1) * MAX_MAP_BYTES);
        if let (&mut [ref mut leaf], None) = (self.layers.as_mut_slice(), &self.base) {
            let freed = leaf.free(offset..end);
            self.owners.written(offset..end);
            freed?;
        }
        let mut at = offset;
        for run in self.runs(offset..end)? {
            each(self, at, run)?;
            at += run.len_bytes;
        }
        Ok(end - offset)
    }

    fn write(&mut self, write: Write<'_>) -> Result<()> {
        self.perform(&[write])
    }

    /// In ascending order, apart from each other.
    fn perform(&mut self, writes: &[Write<'_>]) -> Result<()> {
        let Some(leaf) = self.layers.first_mut() else {
            return writes.iter().try_for_each(|write| self.write_raw(write));
        };
        let written = leaf.write(writes, None);
        // Also of what failed some may be there.
        for write in writes {
            self.owners.written(write.offset..write.offset + write.len_bytes);
        }
        written
    }

    fn write_raw(&self, write: &Write<'_>) -> Result<()> {
        match (&self.base, write.content) {
            (Some(base), Content::Bytes(bytes)) => base.write(write.offset, bytes),
            (Some(base), Content::Zeros) => base.zero(write.offset, write.len_bytes),
            (Some(_), Content::Copy { .. }) | (None, _) => {
                Err(self.refused("write", write.offset, write.len_bytes, "copies have no place on"))
            }
        }
    }

    /// Those of these blocks of the first image that have no place, and how many of them, from the first on, can have
    /// one: a BAT cannot name places beyond 2 TiB. An error where the image has no blocks.
    pub fn unplaced(&self, blocks: Range<usize>) -> Result<(Vec<usize>, usize)> {
        self.layers.first().map_or(Ok((vec![], 0)), |leaf| leaf.unplaced(blocks))
    }

    /// Gives these blocks, which have none, a place without writing data; the disk reads as before. An error, and no
    /// change, where the device has no room for all of them.
    pub fn place(&mut self, blocks: &[usize]) -> Result<()> {
        let Some(leaf) = self.layers.first_mut() else { return Ok(()) };
        let placed = leaf.place(blocks);
        let block_bytes = leaf.block_geometry().map_or(0, |(block_bytes, _)| block_bytes);
        for &block in blocks {
            let start = block as u64 * block_bytes;
            self.owners.written(start..start + block_bytes);
        }
        placed
    }

    /// From now on only [`Disk::flush`] waits for the disk, where that can be: a file grows by up to so many bytes at a time, as
    /// a hole, and a new block of an image without a parent is not waited for. After a crash a sector still reads old or
    /// new, and what was flushed is there. [`Disk::close`] gives the room back; after a kill, the next call of this does.
    ///
    /// Past the page cache ([`Cache::Direct`](crate::Cache)) this is as safe: a write into a hole is zeros until all of it is on
    /// disk, because the file system marks the new extent as unwritten until then; the file's size comes after what is in it;
    /// and a flush makes both durable. Of an image without a parent a block may then be pointed to before its data is
    /// there; what is not there reads as zeros, as it did before.
    ///
    /// # Errors
    ///
    /// Those of a write: what a killed writer left could not be given back.
    pub fn write_back(&mut self, ahead_bytes: u64) -> Result<()> {
        self.layers.first_mut().map_or(Ok(()), |leaf| leaf.write_back(ahead_bytes))
    }

    /// Makes everything written durable, and leaves no room behind the last block that [`Disk::write_back`] made or that
    /// blocks had.
    pub fn close(mut self) -> Result<()> {
        match self.layers.first_mut() {
            Some(leaf) => leaf.close(),
            None => self.flush(),
        }
    }

    /// Makes everything written durable. It can lack space where an earlier write did, and be tried again then; a failed
    /// sync is final, with EIO.
    pub fn flush(&self) -> Result<()> {
        match (self.layers.first(), &self.base) {
            (Some(leaf), _) => leaf.flush(),
            (None, Some(base)) => base.flush(),
            (None, None) => Ok(()),
        }
    }
}
