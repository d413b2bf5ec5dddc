//! Planning writes to blocks: where new blocks go, and in which order footer, data, bitmaps and BAT reach the disk, so
//! that a crash after any step leaves an image that opens, with every sector old or new. Decides only.
//!
//! 1. A file that grows gets its footer first, at its new end: whatever a guest writes, the last sector of the file is
//!    never one that a guest chose.
//! 2. Data, and in new blocks zeros and bitmap: nothing points to them yet.
//! 3. Bits of old bitmaps and entries of the BAT, once everything that they point to is durable.
//!
//! With [`crate::space::WriteBack`] a file grows by many blocks at a time, so that the first step is rare. A new block of an image without
//! a parent then goes where the file is a hole, with all bits of its bitmap set: whatever of its data, bitmap and entry
//! survives a crash, a sector that was not written reads as zeros, as before. So nothing waits.
//!
//! Where space runs out in the first two steps, nothing leads to what was written: the same blocks, or others, can be put
//! at the same places again. Entries that may come early are therefore written late, when all that needs space was.

use std::ops::Range;

use crate::bat::ENTRY_BYTES;
use crate::bitmap::Bitmap;
use crate::error::Result;
use crate::plan::{Plan, Step, Target};
use crate::space::{Space, byte};

/// A block that is written to.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    /// It gets a place.
    New,
    /// It has one; with its bitmap as it is.
    At {
        entry: u32,
        bitmap: Bitmap,
        /// Whether the disk has the entry too, for all we know.
        is_in_bat: bool,
    },
}

/// A free place among the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) entry: u32,
    /// Whether its data is zeros, durably.
    pub(crate) is_zero: bool,
}

/// What is written to one block.
#[derive(Clone, Debug)]
pub(crate) struct BlockWrite<'a> {
    pub(crate) index: usize,
    pub(crate) block: Block,
    /// In ascending order, apart from each other. A new block without any gets a place and holds nothing.
    pub(crate) segments: Vec<Segment<'a>>,
}

/// What is written to a stretch of a block.
#[derive(Clone, Debug)]
pub(crate) struct Segment<'a> {
    /// Counted from the block's first; at least one.
    pub(crate) sectors: Range<u64>,
    pub(crate) content: Content<'a>,
}

/// Where the bytes come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    /// As many as the sectors have.
    Bytes(&'a [u8]),
    /// Those at this position of another medium.
    Copy {
        from: u64,
    },
    Zeros,
}

/// What to do, and what is different when it is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct WritePlan {
    /// The footer of a file that grows. All that follows waits for it.
    pub(crate) growth: Plan,
    /// What the next steps lead to.
    pub(crate) content: Plan,
    /// Whether they wait for that.
    pub(crate) waits: bool,
    /// Bitmaps and entries.
    pub(crate) pointers: Plan,
    /// Blocks that have a place now, and their BAT entries.
    pub(crate) placed: Vec<(usize, u32)>,
    /// Blocks that had one, whose entries are written again.
    pub(crate) rewritten: Vec<usize>,
    /// Blocks that hold all of their sectors now.
    pub(crate) whole: Vec<usize>,
    /// [`Space::end`] afterwards.
    pub(crate) end: u64,
}

/// Plans writes to different blocks, in ascending order. New ones go to the free places first.
pub(crate) fn plan(space: &Space<'_>, free: &[Spot], writes: Vec<BlockWrite<'_>>) -> Result<WritePlan> {
    let mut planner = Planner {
        space,
        free: free.iter(),
        end: space.end,
        data: vec![],
        early: vec![],
        metadata: vec![],
        placed: vec![],
        rewritten: vec![],
        whole: vec![],
    };
    for write in writes {
        planner.write(write)?;
    }
    planner.finish()
}

struct Planner<'a> {
    space: &'a Space<'a>,
    free: std::slice::Iter<'a, Spot>,
    end: u64,
    data: Vec<Step>,
    /// Entries that may reach the disk before what they point to.
    early: Vec<Step>,
    metadata: Vec<Step>,
    placed: Vec<(usize, u32)>,
    rewritten: Vec<usize>,
    whole: Vec<usize>,
}

impl Planner<'_> {
    fn write(&mut self, write: BlockWrite<'_>) -> Result<()> {
        let BlockWrite { index, block, segments } = write;
        match block {
            Block::At { entry, mut bitmap, is_in_bat } => {
                let mut is_changed = false;
                for Segment { sectors, content } in segments {
                    let (offset, end) = self.space.data_range(entry, &sectors);
                    match content {
                        Content::Zeros => self.data.push(self.space.cleared("data", offset, end)),
                        _ => self.data(content, offset, end),
                    }
                    is_changed |= bitmap.set(sectors);
                }
                if bitmap.has_all(self.space.block_size) {
                    self.whole.push(index);
                }
                if is_changed {
                    let bytes = bitmap.into_bytes();
                    self.metadata.push(Step::Write { what: "bitmap", offset: byte(entry), bytes });
                }
                if !is_in_bat {
                    self.rewritten.push(index);
                    add_entry(&mut self.metadata, self.space.table_offset, index, entry);
                }
            }
            Block::New => {
                let (entry, zero_from) = self.spot()?;
                let mut bitmap = Bitmap::empty(self.space.block_size)?;
                let mut zeros_from = self.space.data_offset(entry);
                for Segment { sectors, content } in segments {
                    let (offset, end) = self.space.data_range(entry, &sectors);
                    if !matches!(content, Content::Zeros) {
                        self.zeros(zeros_from, offset, zero_from);
                        self.data(content, offset, end);
                        zeros_from = end;
                    }
                    bitmap.set(sectors);
                }
                self.zeros(zeros_from, self.space.block_end(entry), zero_from);
                let is_early = self.space.is_early(entry, zero_from);
                if is_early {
                    bitmap.set(0..self.space.block_size.sectors());
                }
                if bitmap.has_all(self.space.block_size) {
                    self.whole.push(index);
                }
                self.data.push(Step::Write { what: "bitmap", offset: byte(entry), bytes: bitmap.into_bytes() });
                self.placed.push((index, entry));
                let steps = if is_early { &mut self.early } else { &mut self.metadata };
                add_entry(steps, self.space.table_offset, index, entry);
            }
        }
        Ok(())
    }

    /// The next place, and the byte from which on it holds zeros.
    fn spot(&mut self) -> Result<(u32, u64)> {
        if let Some(&Spot { entry, is_zero }) = self.free.next() {
            return Ok((entry, if is_zero { 0 } else { u64::MAX }));
        }
        let entry = self.space.place(self.end)?;
        self.end = self.space.block_end(entry);
        Ok((entry, self.space.write_back.map_or(u64::MAX, |back| back.zero_from)))
    }

    fn data(&mut self, content: Content<'_>, offset: u64, end: u64) {
        let what = "data";
        match (content, self.data.last_mut()) {
            (Content::Zeros, _) => {}
            (Content::Bytes(bytes), _) => self.data.push(Step::Write { what, offset, bytes: bytes.to_vec() }),
            (Content::Copy { from }, Some(Step::Copy { from: before, offset: at, len_bytes, .. }))
                if *before + *len_bytes == from && *at + *len_bytes == offset =>
            {
                *len_bytes += end - offset;
            }
            (Content::Copy { from }, _) => self.data.push(Step::Copy { what, from, offset, len_bytes: end - offset }),
        }
    }

    /// Zeros where old bytes may lie. Past the end of a file there are none.
    fn zeros(&mut self, from: u64, to: u64, zero_from: u64) {
        let to = match self.space.target {
            Target::File => to.min(zero_from).min(self.space.medium_bytes),
            Target::BlockDevice { .. } => to,
        };
        if from < to {
            self.data.push(self.space.cleared("rest of block", from, to));
        }
    }

    fn finish(self) -> Result<WritePlan> {
        let footer = |offset| Step::Write { what: "footer", offset, bytes: self.space.footer.to_vec() };
        let waits = !self.metadata.is_empty();
        let mut pointers = self.metadata;
        pointers.extend(self.early);
        Ok(WritePlan {
            growth: Plan { steps: self.space.new_footer(self.end)?.map(footer).into_iter().collect() },
            content: Plan { steps: self.data },
            waits,
            pointers: Plan { steps: pointers },
            placed: self.placed,
            rewritten: self.rewritten,
            whole: self.whole,
            end: self.end,
        })
    }
}

/// Adds the write of a BAT entry, or makes the last write longer.
pub(crate) fn add_entry(steps: &mut Vec<Step>, table_offset: u64, index: usize, entry: u32) {
    let (at, entry) = (table_offset + index as u64 * ENTRY_BYTES, entry.to_be_bytes());
    match steps.last_mut() {
        Some(Step::Write { what: "BAT", offset, bytes }) if *offset + bytes.len() as u64 == at => bytes.extend(entry),
        _ => steps.push(Step::Write { what: "BAT", offset: at, bytes: entry.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::BlockSize;
    use crate::space::WriteBack;
    use crate::space::tests::space;

    /// All steps, and where they wait.
    fn steps(planned: &WritePlan) -> Vec<(&str, u64, u64)> {
        let WritePlan { growth, content, waits, pointers, .. } = planned;
        let barriers = [!growth.steps.is_empty(), *waits, false];
        let stages = [growth, content, pointers].into_iter().zip(barriers);
        let steps = stages.flat_map(|(stage, waits)| stage.steps.iter().chain(waits.then_some(&Step::Barrier)));
        steps.map(|step| (step.what(), step.range().0, step.range().1)).collect()
    }

    fn check(space: &Space<'_>, block: Block, expected: &[(&str, u64, u64)]) {
        check_at(space, &[], block, expected);
    }

    fn check_at(space: &Space<'_>, free: &[Spot], block: Block, expected: &[(&str, u64, u64)]) {
        let segments = vec![Segment { sectors: 1..3, content: Content::Bytes(&[1; 1024]) }];
        let write = BlockWrite { index: 3, block, segments };
        assert_eq!(steps(&plan(space, free, vec![write]).unwrap()), expected);
    }

    #[test]
    fn a_file_grows_with_its_footer_ahead_and_the_bat_last() {
        check(
            &space(3072, 3584, Target::File),
            Block::New,
            &[
                ("footer", 4096 + (2 << 20), 512),
                ("barrier", 0, 0),
                ("data", 4608, 1024),
                ("bitmap", 3584, 512),
                ("barrier", 0, 0),
                ("BAT", 1548, 4),
            ],
        );
    }

    #[test]
    fn a_device_is_zeroed_where_nothing_is_written() {
        check(
            &space(3072, 4 << 20, Target::BlockDevice { len_bytes: 4 << 20 }),
            Block::New,
            &[
                ("rest of block", 4096, 512),
                ("data", 4608, 1024),
                ("rest of block", 5632, (2 << 20) - 1536),
                ("bitmap", 3584, 512),
                ("barrier", 0, 0),
                ("BAT", 1548, 4),
            ],
        );
    }

    #[test]
    fn copies_that_lie_side_by_side_are_one() {
        let space = space(3072, 4 << 20, Target::BlockDevice { len_bytes: 4 << 20 });
        let copy = |sectors: Range<u64>, from| Segment { sectors, content: Content::Copy { from } };
        let zeros = Segment { sectors: 9..4000, content: Content::Zeros };
        let segments = vec![copy(0..2, 512), copy(2..4, 1536), copy(4..6, 8192), zeros];
        let planned = plan(&space, &[], vec![BlockWrite { index: 0, block: Block::New, segments }]).unwrap();
        let steps = steps(&planned);
        let (data, rest) = ("data", "rest of block");
        assert_eq!(steps[..3], [(data, 4096, 2048), (data, 6144, 1024), (rest, 7168, (2 << 20) - 3072)]);
    }

    #[test]
    fn a_bitmap_follows_its_data_and_only_if_it_changes() {
        let full = space((2 << 20) + 4096, (2 << 20) + 4608, Target::File);
        let mut bitmap = Bitmap::empty(BlockSize::DEFAULT).unwrap();
        let at = |bitmap: &Bitmap| Block::At { entry: 7, bitmap: bitmap.clone(), is_in_bat: true };
        check(&full, at(&bitmap), &[("data", 4608, 1024), ("barrier", 0, 0), ("bitmap", 3584, 512)]);
        bitmap.set(0..4);
        check(&full, at(&bitmap), &[("data", 4608, 1024)]);
    }

    #[test]
    fn a_block_that_holds_nothing_is_zeroed_where_old_bytes_lie() {
        let space = space(3072, 3584 + 1024, Target::File);
        let new = |index| BlockWrite { index, block: Block::New, segments: vec![] };
        let planned = plan(&space, &[], vec![new(3), new(4)]).unwrap();
        let block = (2 << 20) + 4096;
        let expected = [
            ("footer", 4096 + block + (2 << 20), 512),
            ("barrier", 0, 0),
            ("rest of block", 4096, 512),
            ("bitmap", 3584, 512),
            ("bitmap", 3584 + block, 512),
            ("barrier", 0, 0),
            ("BAT", 1548, 8),
        ];
        assert_eq!(steps(&planned), expected);
        assert_eq!(planned.placed, [(3, 7), (4, 7 + 4104)]);
    }

    #[test]
    fn an_entry_that_the_disk_may_not_have_is_written_again() {
        let full = space((2 << 20) + 4096, (2 << 20) + 4608, Target::File);
        let mut bitmap = Bitmap::empty(BlockSize::DEFAULT).unwrap();
        bitmap.set(0..4);
        let block = Block::At { entry: 7, bitmap, is_in_bat: false };
        check(&full, block, &[("data", 4608, 1024), ("barrier", 0, 0), ("BAT", 1548, 4)]);
    }

    #[test]
    fn a_free_place_is_used_before_the_file_grows_and_shows_nothing_of_what_was_there() {
        let block = (2 << 20) + 4096;
        let mut space = space(4096 + 2 * block, 4608 + 2 * block, Target::File);
        let (data, bitmap, bat) = (("data", 4608, 1024), ("bitmap", 3584, 512), ("BAT", 1548, 4));
        let old = [("rest of block", 4096, 512), data, ("rest of block", 5632, (2 << 20) - 1536), bitmap];
        let late = [("barrier", 0, 0), bat];
        let free = |is_zero| [Spot { entry: 7, is_zero }];
        check_at(&space, &free(false), Block::New, &[old.as_slice(), &late].concat());
        check_at(&space, &free(true), Block::New, &[[data, bitmap], late].concat());
        // Where it lies says nothing about what is there.
        space.write_back = Some(WriteBack { zero_from: 0, ahead_blocks: 1, is_zero_where_absent: true });
        check_at(&space, &free(false), Block::New, &[old.as_slice(), &late].concat());
        check_at(&space, &free(true), Block::New, &[data, bitmap, bat]);
    }

    #[test]
    fn there_is_no_place_past_the_device_or_2_tib() {
        let refused = |space: &Space<'_>| {
            let segments = vec![Segment { sectors: 0..1, content: Content::Bytes(&[1; 512]) }];
            let write = BlockWrite { index: 0, block: Block::New, segments };
            plan(space, &[], vec![write]).map(|_| ()).map_err(|error| error.errno())
        };
        let device = |len_bytes| space(3072, len_bytes, Target::BlockDevice { len_bytes });
        assert_eq!(refused(&device((2 << 20) + 4607)), Err(28));
        assert_eq!(refused(&device((2 << 20) + 4608)), Ok(()));
        assert_eq!(refused(&space(2 << 40, 2 << 40, Target::File)), Err(28));
    }
}
