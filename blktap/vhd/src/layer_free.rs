//! Giving space of one image back: whole blocks lose their places, parts of blocks become holes. Where a place may go next
//! is `places`' business.

use std::ops::Range;
use std::sync::PoisonError;

use crate::bat::UNUSED;
use crate::error::{Error, Result};
use crate::footer::FOOTER_BYTES;
use crate::layer::Layer;
use crate::layer_write::{Writable, Write};
use crate::medium::Medium;
use crate::plan::{Plan, Target};
use crate::space::Space;
use crate::units::SECTOR_BYTES;
use crate::write_plan::{self, Content, Spot};

impl<M: Medium> Layer<M> {
    /// Takes their places from the blocks that lie wholly in this range of the disk, which has nothing below it: they read
    /// as zeros. Others keep theirs, among them those that a batmap calls full: it has its checksum in another sector, so it
    /// cannot change without a moment in which blktap would not open the image, and blktap's check refuses a batmap that
    /// calls a block full that has no place.
    ///
    /// The places are punched at once: a crash that brings an entry back shows zeros, which are what was asked for,
    /// whatever of the block's bitmap is left, since nothing is below. Where zeros in the file are no zeros of the disk, the
    /// entries are durably gone before.
    pub(crate) fn free(&mut self, range: Range<u64>) -> Result<()> {
        let (writable, disk_end) = (self.writable()?, self.size_bytes());
        let Some(blocks) = self.blocks.as_ref().filter(|_| !self.image.has_parent()) else { return Ok(()) };
        let (space, block_bytes) = (self.space(blocks, writable), blocks.header.block_size.bytes());
        let mut freed = Vec::new();
        for piece in blocks.pieces(range.clone()) {
            let start = piece.index as u64 * block_bytes;
            let is_whole = range.start <= start && (start + block_bytes).min(disk_end) <= range.end;
            if is_whole && !blocks.is_full(piece.index) {
                // What is damaged is left alone, and an error for whoever needs it.
                let entry = self.entry(blocks, writable, &space, piece.index).ok().flatten();
                freed.extend(entry.map(|entry| (piece.index, entry)));
            }
        }
        if freed.is_empty() {
            return Ok(());
        }
        let mut steps = Vec::new();
        for &(index, _) in &freed {
            write_plan::add_entry(&mut steps, space.table_offset, index, UNUSED);
        }
        let cleared = writable.note(self.image.file().perform(&Plan { steps }));
        let punched = cleared.as_ref().map_or(Ok(()), |()| {
            if !self.is_zero_where_absent() {
                self.sync()?;
            }
            freed.iter().try_for_each(|&(_, entry)| self.punched(&space, entry))
        });
        let (Some(blocks), Some(writable)) = (&mut self.blocks, &mut self.writable) else { return Ok(()) };
        for (index, entry) in freed {
            writable.set_whole(index, false);
            let unpointed = writable.unpointed.get_mut().unwrap_or_else(PoisonError::into_inner);
            if cleared.is_ok() {
                unpointed.remove(&index);
                blocks.bat.set(index, UNUSED);
                writable.places.clear(entry);
            } else {
                unpointed.insert(index);
            }
        }
        cleared.and(punched)
    }

    /// Looks for room between blocks. Who freed it may have been killed, so it counts as free only after a sync.
    pub(crate) fn find_gaps(&mut self) {
        let (Some(blocks), Some(writable)) = (&self.blocks, &self.writable) else { return };
        let space = self.space(blocks, writable);
        // Behind the end of a file nothing is what it seems.
        let is_inside = |&entry: &u32| u64::from(entry) * SECTOR_BYTES < space.medium_bytes;
        let unplaced = blocks.bat.len().saturating_sub(writable.places.used_count());
        let gaps = space.gaps(writable.metadata_end, writable.places.used().take_while(is_inside), unplaced);
        if let Some(writable) = &mut self.writable {
            writable.places.found(gaps);
        }
    }

    pub(crate) fn settle_places(&mut self) {
        if let Some(writable) = &mut self.writable {
            writable.places.settle();
        }
    }

    /// Places for so many new blocks, as far as some are free.
    pub(crate) fn spots(&self, space: &Space<'_>, writable: &Writable, count: usize) -> Vec<Spot> {
        let spot = |(entry, is_untouched)| {
            let data = space.data_offset(entry)..space.block_end(entry).min(space.medium_bytes);
            let is_hole = || self.image.file().first_data(data).is_ok_and(|data| data.is_none());
            Spot { entry, is_zero: is_untouched && space.target == Target::File && is_hole() }
        };
        writable.places.free().take(count).map(spot).collect()
    }

    /// Gives the space of a place back that no entry leads to. That it cannot be is no failure: nobody reads it.
    fn punched(&self, space: &Space<'_>, entry: u32) -> Result<()> {
        if space.target != Target::File {
            return Ok(());
        }
        let start = u64::from(entry) * SECTOR_BYTES;
        match self.discarded(start, space.block_end(entry).min(self.footer_at()).saturating_sub(start)) {
            Err(error) if error.is_want_of_space() => Ok(()),
            done => self.writable()?.note(done),
        }
    }

    /// Gives space of a range that the image holds back, where the medium can. What was there reads as zeros, or as before.
    pub(crate) fn discard(&self, range: Range<u64>) -> Result<()> {
        let writable = self.writable()?;
        if self.cipher.is_some() {
            // The zeros of a hole would be decrypted.
            return Ok(());
        }
        let Some(blocks) = &self.blocks else {
            let write = Write { offset: range.start, len_bytes: range.end - range.start, content: Content::Zeros };
            let (offset, len_bytes) = self.fixed_step(&write)?.range();
            return writable.note(self.discarded(offset, len_bytes));
        };
        if blocks.pieces(range.clone()).any(|piece| writable.is_unpointed(piece.index)) {
            // What is discarded must not be the parent's again when this writer is killed.
            self.point()?;
        }
        for piece in blocks.pieces(range) {
            let space = self.space(blocks, writable);
            if let Some(entry) = self.entry(blocks, writable, &space, piece.index)? {
                let (offset, end) = space.data_range(entry, &piece.sectors);
                writable.note(self.discarded(offset, end.min(self.footer_at()).saturating_sub(offset)))?;
            }
        }
        Ok(())
    }

    /// A file may end inside its last block: its footer stands there.
    fn footer_at(&self) -> u64 {
        self.image.file().len_bytes().saturating_sub(FOOTER_BYTES as u64) / SECTOR_BYTES * SECTOR_BYTES
    }

    fn discarded(&self, offset: u64, len_bytes: u64) -> Result<()> {
        if len_bytes == 0 {
            return Ok(());
        }
        let done = self.image.file().discard(offset, len_bytes);
        done.map_err(|source| {
            Error::io(format!("cannot discard {len_bytes} bytes at {offset}"), source).within(self.cannot_write())
        })
    }
}
