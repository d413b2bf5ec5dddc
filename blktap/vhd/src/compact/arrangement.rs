//! Where the blocks of an image lie, and plans that move, drop and close up. Each plan begins and ends with everything
//! durable, and after a crash anywhere in it the image is valid and reads the same: what a plan writes over belongs to
//! nobody, and only then a single entry of the BAT leads there. Decides only.

use std::collections::VecDeque;
use std::ops::Range;

use crate::bat::{ENTRY_BYTES, UNUSED};
use crate::error::{Error, Result};
use crate::plan::{Plan, Step, Target};
use crate::space::Space;
use crate::units::{SECTOR_BYTES, Sectors, sum};

/// Where libvhd puts the data of blocks, in sectors.
const DATA_ALIGN_SECTORS: u64 = 8;

/// The blocks of an image.
#[derive(Debug)]
pub(super) struct Arrangement<'a> {
    space: Space<'a>,
    metadata_end: u64,
    /// BAT entry and number of every block that has a place, in the order of the file.
    placed: Vec<(u32, u32)>,
    /// The same of blocks that were moved down, all below the others that can still be moved.
    moved: Vec<(u32, u32)>,
    /// Sectors between metadata and blocks that belong to nobody.
    gaps: VecDeque<Range<u64>>,
    /// Whether data begins on pages.
    is_aligned: bool,
}

/// A block that gets another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    index: u32,
    from: u32,
    to: u32,
}

impl<'a> Arrangement<'a> {
    /// Of an image whose blocks lie apart, between metadata and primary footer. Anything else is an error: what lies
    /// over something else must not be moved, nor anything into it.
    pub(super) fn of(space: Space<'a>, metadata_end: u64, data_end: u64, entries: &[u32]) -> Result<Self> {
        let used = (0u32..).zip(entries.iter().copied()).filter(|&(_, entry)| entry != UNUSED);
        let mut placed: Vec<(u32, u32)> = used.map(|(index, entry)| (entry, index)).collect();
        placed.sort_unstable();
        let mut end = metadata_end;
        for &(entry, index) in &placed {
            let start = u64::from(entry) * SECTOR_BYTES;
            if start < end || space.block_end(entry) > data_end {
                let message = format!("block {index} at {start} lies over metadata, another block or the footer");
                return Err(Error::corrupt(message));
            }
            end = space.block_end(entry);
        }
        let is_aligned =
            |&(entry, _): &(u32, u32)| (space.data_offset(entry) / SECTOR_BYTES).is_multiple_of(DATA_ALIGN_SECTORS);
        let is_aligned = placed.iter().all(is_aligned);
        Ok(Arrangement { space, metadata_end, placed, moved: vec![], gaps: VecDeque::new(), is_aligned })
    }

    /// The byte position after the metadata.
    pub(super) fn metadata_end(&self) -> u64 {
        self.metadata_end
    }

    /// Whether a range holds no block.
    pub(super) fn is_free(&self, range: &Range<u64>) -> bool {
        self.placed.iter().all(|&(entry, _)| {
            self.space.block_end(entry) <= range.start || u64::from(entry) * SECTOR_BYTES >= range.end
        })
    }

    /// The metadata ends here now.
    pub(super) fn set_metadata_end(&mut self, end: u64) {
        self.metadata_end = end;
    }

    /// Takes blocks, in ascending order, their places.
    pub(super) fn drop_blocks(&mut self, blocks: &[u32]) -> Plan {
        self.placed.retain(|(_, index)| blocks.binary_search(index).is_err());
        let mut steps = self.point(blocks.iter().map(|&index| (index, UNUSED)));
        steps.push(Step::Barrier);
        Plan { steps }
    }

    /// Moves blocks that begin before `until` behind all others, and behind that.
    pub(super) fn move_up(&mut self, until: u64) -> Result<Vec<Move>> {
        let count = self.placed.partition_point(|&(entry, _)| u64::from(entry) * SECTOR_BYTES < until);
        let mut end = self.end().max(until);
        let mut moves = Vec::with_capacity(count);
        for (from, index) in self.placed.drain(..count) {
            let to = self.space.place(end)?;
            end = self.space.block_end(to);
            moves.push(Move { index, from, to });
        }
        self.placed.extend(moves.iter().map(|&Move { index, to, .. }| (to, index)));
        Ok(moves)
    }

    /// Moves at most so many blocks that lie last into gaps before them. Empty when no gap takes any.
    pub(super) fn move_down(&mut self, max: usize) -> Vec<Move> {
        if self.moved.is_empty() {
            self.find_gaps();
        }
        let moves: Vec<Move> = std::iter::from_fn(|| self.next_down()).take(max).collect();
        self.moved.extend(moves.iter().map(|&Move { index, to, .. }| (to, index)));
        moves
    }

    fn next_down(&mut self) -> Option<Move> {
        let &(from, index) = self.placed.last()?;
        loop {
            let gap = self.gaps.front_mut()?;
            let align = if self.is_aligned { DATA_ALIGN_SECTORS } else { 1 };
            let bitmap_sectors = self.space.block_size.bitmap_sectors();
            let start = (gap.start + bitmap_sectors).next_multiple_of(align) - bitmap_sectors;
            let end = start + bitmap_sectors + self.space.block_size.sectors();
            let to = u32::try_from(start).ok().filter(|_| end <= gap.end);
            match to {
                None => self.gaps.pop_front(),
                Some(to) if to > from => return None,
                Some(to) => {
                    gap.start = end;
                    self.placed.pop();
                    return Some(Move { index, from, to });
                }
            };
        }
    }

    fn find_gaps(&mut self) {
        self.gaps.clear();
        let mut start = Sectors::holding(self.metadata_end).0;
        for &(entry, _) in &self.placed {
            if start < u64::from(entry) {
                self.gaps.push_back(start..u64::from(entry));
            }
            start = self.space.block_end(entry) / SECTOR_BYTES;
        }
    }

    /// The writes of moves, whose data lies where `data` says, given a range of the file; the rest of it is zeros.
    pub(super) fn plan_moves(
        &mut self,
        moves: &[Move],
        data: impl Fn(Range<u64>) -> Result<Vec<Range<u64>>>,
    ) -> Result<Plan> {
        let mut steps = Vec::new();
        let end = moves.iter().map(|moved| self.space.block_end(moved.to)).max().unwrap_or(0);
        if let Some(offset) = self.space.new_footer(end)? {
            steps.push(Step::Write { what: "footer", offset, bytes: self.space.footer.to_vec() });
            steps.push(Step::Barrier);
            self.space.medium_bytes = sum("footer", &[offset, self.space.footer.len() as u64])?;
        }
        for &Move { from, to, .. } in moves {
            let (start, block_end) = (u64::from(from) * SECTOR_BYTES, self.space.block_end(from));
            let target = |at: u64| u64::from(to) * SECTOR_BYTES + (at - start);
            let mut at = start;
            let mut hole = |from: u64, to: u64| {
                if from < to {
                    steps.push(Step::Punch { what: "hole in block", offset: target(from), len_bytes: to - from });
                }
            };
            let mut copies = Vec::new();
            // The bitmap apart from the data: that begins on a page, and pages can be shared.
            let data_start = self.space.data_offset(from);
            for held in [data(start..data_start)?, data(data_start..block_end)?].concat() {
                hole(at, held.start);
                at = held.end;
                let (offset, len_bytes) = (target(held.start), held.end - held.start);
                copies.push(Step::Copy { what: "block", from: held.start, offset, len_bytes });
            }
            hole(at, block_end);
            steps.extend(copies);
        }
        steps.push(Step::Barrier);
        steps.extend(self.point(moves.iter().map(|moved| (moved.index, moved.to))));
        steps.push(Step::Barrier);
        Ok(Plan { steps })
    }

    /// Entries of the BAT.
    fn point(&self, entries: impl Iterator<Item = (u32, u32)>) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut next = None;
        for (index, entry) in entries {
            let entry = entry.to_be_bytes();
            match steps.last_mut() {
                Some(Step::Write { bytes, .. }) if next == Some(index) => bytes.extend(entry),
                _ => {
                    let offset = self.space.table_offset + u64::from(index) * ENTRY_BYTES;
                    steps.push(Step::Write { what: "BAT", offset, bytes: entry.to_vec() });
                }
            }
            next = Some(index + 1);
        }
        steps
    }

    /// How many blocks lie elsewhere than where these entries say.
    pub(super) fn count_moved(&self, entries: &[u32]) -> usize {
        let is_moved = |&&(entry, index): &&(u32, u32)| {
            usize::try_from(index).ok().and_then(|index| entries.get(index)).is_none_or(|&old| old != entry)
        };
        self.placed.iter().chain(&self.moved).filter(is_moved).count()
    }

    /// The byte position after metadata and blocks.
    fn end(&self) -> u64 {
        let last = [self.placed.last(), self.moved.last()].into_iter().flatten();
        last.map(|&(entry, _)| self.space.block_end(entry)).fold(self.metadata_end, u64::max)
    }

    /// Puts the footer where a file can end, and the length that the file then has. `None` where it is there already.
    pub(super) fn close_up(&self) -> Result<Option<(Plan, u64)>> {
        let offset = Sectors::holding(self.end()).0 * SECTOR_BYTES;
        let len_bytes = sum("footer", &[offset, self.space.footer.len() as u64])?;
        if self.space.target != Target::File || len_bytes >= self.space.medium_bytes {
            return Ok(None);
        }
        let footer = Step::Write { what: "footer", offset, bytes: self.space.footer.to_vec() };
        Ok(Some((Plan { steps: vec![footer, Step::Barrier] }, len_bytes)))
    }

    /// Stretches between metadata and footer that belong to nobody and have room for a block at least.
    pub(super) fn left_over(&mut self) -> Vec<Range<u64>> {
        let footer_offset = self.space.medium_bytes.saturating_sub(self.space.footer.len() as u64);
        self.placed.append(&mut self.moved);
        self.placed.sort_unstable();
        self.find_gaps();
        self.gaps.push_back(self.end() / SECTOR_BYTES..footer_offset / SECTOR_BYTES);
        let block_sectors = self.space.block_size.bitmap_sectors() + self.space.block_size.sectors();
        let gaps = self.gaps.iter().filter(|gap| gap.end.saturating_sub(gap.start) >= block_sectors);
        gaps.map(|gap| gap.start * SECTOR_BYTES..gap.end * SECTOR_BYTES).collect()
    }

    /// The file was cut.
    pub(super) fn set_medium_bytes(&mut self, len_bytes: u64) {
        self.space.medium_bytes = len_bytes;
    }
}
