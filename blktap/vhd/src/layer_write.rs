//! Writes to one image: what it knows as a writer, and the way from a request to a plan that is performed. Which steps,
//! and in which order, is `write_plan`'s.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::bat::UNUSED;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{FOOTER_BYTES, RawFooter};
use crate::footer_copies;
use crate::image::Image;
use crate::layer::{Blocks, Layer, bad_block};
use crate::medium::Medium;
use crate::plan::{Plan, Step, Target};
use crate::units::{SECTOR_BYTES, in_memory, sum};
use crate::write_plan::{self, Block, BlockWrite, Content, Segment, Space, WriteBack, WritePlan};

const FOOTER_LEN: u64 = FOOTER_BYTES as u64;
/// Holes of files begin and end on these.
const PAGE_BYTES: u64 = 4096;
/// Blocks that get a place in one plan.
const MAX_PLACED: usize = 4096;

/// What only a writer must know.
#[derive(Debug)]
pub(crate) struct Writable {
    footer: RawFooter,
    metadata_end: u64,
    end: u64,
    /// BAT entries in ascending order, to see that no block lies over another.
    entries: Vec<u32>,
    ahead: Option<Ahead>,
    /// Blocks that lie where nothing else does and hold all of their sectors, as far as that was seen: a write to them
    /// changes nothing but data. A bit each.
    whole: Vec<u64>,
    /// A write or sync failed: nobody knows what reached the disk, so nothing may build on it.
    has_failed: AtomicBool,
}

/// How far ahead of its need a file grows.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    blocks: usize,
    /// From there on the file is ours and a hole, but for footers; once it has grown.
    zero_from: Option<u64>,
}

/// Whole sectors that go to the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) offset: u64,
    pub(crate) len_bytes: u64,
    pub(crate) content: Content<'a>,
}

impl<'a> Write<'a> {
    /// Splits off the first so many bytes, of which there are more.
    fn split_off(&mut self, len_bytes: u64) -> Result<Content<'a>> {
        let first = match self.content {
            Content::Zeros => Content::Zeros,
            Content::Copy { from } => {
                self.content = Content::Copy { from: from + len_bytes };
                Content::Copy { from }
            }
            Content::Bytes(bytes) => {
                let (first, rest) = bytes.split_at(in_memory("write", len_bytes)?);
                self.content = Content::Bytes(rest);
                Content::Bytes(first)
            }
        };
        self.offset += len_bytes;
        self.len_bytes -= len_bytes;
        Ok(first)
    }
}

impl<M: Medium> Layer<M> {
    /// For writing as well.
    pub(crate) fn writer(image: Image<M>) -> Result<Self> {
        let mut layer = Layer::reader(image)?;
        let image = &layer.image;
        image.check_not_poisoned()?;
        if layer.blocks.is_none() && image.primary_offset().is_none() {
            let path = image.file().path().display();
            return Err(Error::corrupt(format!("`{path}` is a fixed disk without a footer at its end")));
        }
        image.check_apart(image.footer())?;
        let footer = RawFooter::from(image.footer());
        let mut writable = Writable {
            footer,
            metadata_end: 0,
            end: 0,
            entries: vec![],
            ahead: None,
            whole: vec![],
            has_failed: false.into(),
        };
        if let Some(Blocks { bat, .. }) = &layer.blocks {
            writable.metadata_end = image.metadata_end()?;
            writable.end = writable.metadata_end.max(bat.end_of_data().unwrap_or(0));
            writable.entries = bat.entries().iter().copied().filter(|&entry| entry != UNUSED).collect();
            writable.entries.sort_unstable();
            writable.whole = vec![0; bat.entries().len().div_ceil(64)];
        }
        layer.writable = Some(writable);
        Ok(layer)
    }

    /// Writes to blocks that hold all of their sectors already. `None` where others are among them: nothing was written.
    pub(crate) fn write_over(&self, offset: u64, bytes: &[u8]) -> Option<Result<()>> {
        let (blocks, writable) = (self.blocks.as_ref()?, self.writable().ok()?);
        let file = self.image.file();
        let pieces = || blocks.pieces(offset..offset + bytes.len() as u64);
        if !pieces().all(|piece| writable.is_whole(piece.index)) {
            return None;
        }
        let mut rest = bytes;
        for piece in pieces() {
            let len = in_memory("write", (piece.sectors.end - piece.sectors.start) * SECTOR_BYTES).ok()?;
            let (bytes, after) = rest.split_at(len);
            rest = after;
            let at = blocks.data_offset(piece.index, piece.sectors.start)?;
            if let Err(source) = file.write_all_at(bytes, at) {
                let error = Error::io(format!("cannot write data ({len} bytes at {at})"), source);
                return Some(writable.note(Err(error.within(self.cannot_write()))));
            }
        }
        Some(Ok(()))
    }

    /// Writes in ascending order, apart from each other and inside the disk. What is copied comes from `source`.
    pub(crate) fn write(&mut self, writes: &[Write<'_>], source: Option<&M>) -> Result<()> {
        let writable = self.writable()?;
        let file = self.image.file();
        let source = source.unwrap_or(file);
        let Some(blocks) = &self.blocks else {
            let steps: Result<Vec<Step>> = writes.iter().map(|write| self.fixed_step(write)).collect();
            return writable.note(file.perform_from(source, &Plan { steps: steps? }));
        };
        let space = self.space(blocks, writable);
        let mut planned: Vec<BlockWrite<'_>> = Vec::new();
        for write in writes {
            let mut rest = *write;
            for piece in blocks.pieces(write.offset..write.offset + write.len_bytes) {
                let content = rest.split_off((piece.sectors.end - piece.sectors.start) * SECTOR_BYTES)?;
                let segment = Segment { sectors: piece.sectors, content };
                match planned.last_mut() {
                    Some(last) if last.index == piece.index => last.segments.push(segment),
                    _ => {
                        let block = self.block(blocks, writable, &space, piece.index)?;
                        planned.push(BlockWrite { index: piece.index, block, segments: vec![segment] });
                    }
                }
            }
        }
        let medium_bytes = space.medium_bytes;
        let planned = write_plan::plan(&space, planned).map_err(|error| error.within(self.cannot_write()))?;
        writable.note(file.perform_from(source, &planned.plan))?;
        self.settle(planned, medium_bytes);
        Ok(())
    }

    /// From now on a file grows by so many bytes at a time, and new blocks without anything below them do not wait for the
    /// disk. Room that an earlier writer was killed with is given back first.
    pub(crate) fn write_back(&mut self, ahead_bytes: u64) -> Result<()> {
        let Some(block_bytes) = self.block_geometry().map(|(bytes, _)| bytes) else { return Ok(()) };
        if self.image.file().target() == Target::File && self.is_hole_behind()? {
            self.give_back()?;
        }
        let blocks = in_memory("blocks", ahead_bytes / block_bytes)?;
        if let Some(writable) = &mut self.writable {
            writable.ahead = Some(Ahead { blocks, zero_from: None });
        }
        Ok(())
    }

    /// Whether the file goes on behind the last block, with nothing but a hole and its footer.
    fn is_hole_behind(&self) -> Result<bool> {
        let (writable, file) = (self.writable()?, self.image.file());
        // The page behind the end may hold an older footer.
        let behind =
            (writable.end + FOOTER_LEN).next_multiple_of(PAGE_BYTES)..file.len_bytes().saturating_sub(FOOTER_LEN);
        if behind.is_empty() || self.image.primary_offset() != Some(behind.end) {
            return Ok(false);
        }
        let held = file.first_data(behind);
        Ok(held.map_err(|source| Error::io("cannot look for a hole", source).within(self.cannot_write()))?.is_none())
    }

    /// Ends the file behind its last block again.
    fn give_back(&self) -> Result<()> {
        let (writable, file) = (self.writable()?, self.image.file());
        let offset = writable.end.next_multiple_of(SECTOR_BYTES);
        let end = sum("footer", &[offset, FOOTER_LEN])?;
        if end >= file.len_bytes() {
            return Ok(());
        }
        let footer = Step::Write { what: "footer", offset, bytes: writable.footer.bytes().to_vec() };
        writable.note(file.perform(&Plan { steps: vec![footer, Step::Barrier] }).and_then(|()| file.cut(end)))
    }

    /// Makes everything durable, and gives back what the file has ahead of its need.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.flush()?;
        let is_ahead =
            self.writable.as_ref().and_then(|writable| writable.ahead).is_some_and(|it| it.zero_from.is_some());
        if is_ahead { self.give_back() } else { Ok(()) }
    }

    /// Those of these blocks that have no place, and how many of them, from the first on, the BAT can give one.
    pub(crate) fn unplaced(&self, indices: Range<usize>) -> Result<(Vec<usize>, usize)> {
        let (blocks, writable) = (self.blocks()?, self.writable()?);
        let entries = blocks.bat.entries();
        let unplaced: Vec<usize> = indices.filter(|&index| entries.get(index) == Some(&UNUSED)).collect();
        let (fitting, _) = self.space(blocks, writable).room(unplaced.len());
        Ok((unplaced, fitting))
    }

    /// Gives blocks that have no place one, all or none where the medium has no room. They read as before: without a
    /// parent every sector is there and zero, with one none is there.
    pub(crate) fn place(&mut self, indices: &[usize]) -> Result<()> {
        let space = self.space(self.blocks()?, self.writable()?);
        space.check_device(space.room(indices.len()).1).map_err(|error| error.within(self.cannot_write()))?;
        for indices in indices.chunks(MAX_PLACED) {
            let (blocks, writable) = (self.blocks()?, self.writable()?);
            let all = Segment { sectors: 0..blocks.header.block_size.sectors(), content: Content::Zeros };
            let segments = if self.image.has_parent() { vec![] } else { vec![all] };
            let new = |&index| BlockWrite { index, block: Block::New, segments: segments.clone() };
            let space = self.space(blocks, writable);
            let medium_bytes = space.medium_bytes;
            let planned = write_plan::plan(&space, indices.iter().map(new).collect());
            let planned = planned.map_err(|error| error.within(self.cannot_write()))?;
            writable.note(self.image.file().perform(&planned.plan))?;
            self.settle(planned, medium_bytes);
        }
        Ok(())
    }

    fn blocks(&self) -> Result<&Blocks> {
        self.image.header()?;
        self.blocks.as_ref().ok_or_else(|| Error::corrupt("a sparse image has no blocks"))
    }

    /// Notes where new blocks are, and that the file may have grown from so many bytes.
    fn settle(&mut self, planned: WritePlan, medium_bytes: u64) {
        if let (Some(blocks), Some(writable)) = (&mut self.blocks, &mut self.writable) {
            writable.end = planned.end;
            if let Some(Ahead { zero_from: zero_from @ None, .. }) = &mut writable.ahead
                && planned.has_grown
            {
                *zero_from = Some(medium_bytes);
            }
            for index in planned.whole {
                writable.set_whole(index);
            }
            for (index, entry) in planned.placed {
                blocks.bat.set(index, entry);
                // New blocks lie behind all others.
                writable.entries.push(entry);
            }
        }
    }

    /// Gives space of a range that the image holds back, where the medium can. What was there reads as zeros, or as before.
    pub(crate) fn discard(&self, range: Range<u64>) -> Result<()> {
        let writable = self.writable()?;
        let file = self.image.file();
        let Some(blocks) = &self.blocks else {
            let write = Write { offset: range.start, len_bytes: range.end - range.start, content: Content::Zeros };
            let (offset, len_bytes) = self.fixed_step(&write)?.range();
            return writable.note(self.discarded(offset, len_bytes));
        };
        for piece in blocks.pieces(range) {
            let space = self.space(blocks, writable);
            if let Block::At { entry, .. } = self.block(blocks, writable, &space, piece.index)? {
                let (offset, end) = space.data_range(entry, &piece.sectors);
                // A file may end inside its last block: its footer stands there.
                let footer_at = file.len_bytes().saturating_sub(FOOTER_BYTES as u64);
                let footer_at = footer_at / SECTOR_BYTES * SECTOR_BYTES;
                writable.note(self.discarded(offset, end.min(footer_at).saturating_sub(offset)))?;
            }
        }
        Ok(())
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

    fn space<'a>(&self, blocks: &Blocks, writable: &'a Writable) -> Space<'a> {
        let file = self.image.file();
        let medium_bytes = file.len_bytes();
        let unplaced = blocks.bat.entries().len().saturating_sub(writable.entries.len());
        let write_back = writable.ahead.map(|ahead| WriteBack {
            zero_from: ahead.zero_from.unwrap_or(medium_bytes),
            ahead_blocks: ahead.blocks.min(unplaced),
            has_no_parent: !self.image.has_parent(),
        });
        Space {
            block_size: blocks.header.block_size,
            table_offset: blocks.header.table_offset,
            end: writable.end,
            target: file.target(),
            medium_bytes,
            footer: writable.footer.bytes(),
            write_back,
        }
    }

    fn fixed_step(&self, write: &Write<'_>) -> Result<Step> {
        let (what, &Write { offset, len_bytes, content }) = ("data", write);
        let end = sum(what, &[offset, len_bytes])?;
        if end > footer_copies::fixed_data_end(self.image.file().len_bytes()) {
            let error = Error::corrupt(format!("file ends before byte {end} and a footer"));
            return Err(bad_block(error).within(self.cannot_write()));
        }
        Ok(match content {
            Content::Bytes(bytes) => Step::Write { what, offset, bytes: bytes.to_vec() },
            Content::Copy { from } => Step::Copy { what, from, offset, len_bytes },
            Content::Zeros => Step::Zero { what, offset, len_bytes },
        })
    }

    /// The block as it is now. Writing is strict: an entry that points into metadata or over another block is refused.
    fn block(&self, blocks: &Blocks, writable: &Writable, space: &Space<'_>, index: usize) -> Result<Block> {
        let entry = blocks.bat.entries().get(index).copied().unwrap_or(UNUSED);
        if entry == UNUSED {
            return Ok(Block::New);
        }
        let refuse = |why: &str| {
            let offset = u64::from(entry) * SECTOR_BYTES;
            self.in_block(index, Error::corrupt(format!("BAT entry {entry} (byte {offset}) {why}")))
        };
        if u64::from(entry) * SECTOR_BYTES < writable.metadata_end {
            return Err(refuse("points into metadata"));
        }
        let at = writable.entries.partition_point(|&other| other < entry);
        let before = at.checked_sub(1).and_then(|at| writable.entries.get(at));
        let after = writable.entries.get(at + 1);
        let overlaps = |low: u32, high: u32| space.block_end(low) > u64::from(high) * SECTOR_BYTES;
        if before.is_some_and(|&before| overlaps(before, entry)) || after.is_some_and(|&after| overlaps(entry, after)) {
            return Err(refuse("points over another block"));
        }
        // A file may end inside its last block: libvhd's writers extend it only as far as they write, and so do we.
        let footer_at = space.medium_bytes.saturating_sub(FOOTER_BYTES as u64);
        if matches!(space.target, Target::BlockDevice { .. }) && space.block_end(entry) > footer_at {
            return Err(refuse("points over the footer or past the end"));
        }
        let mut bitmap = self.bitmap(index, entry)?;
        if blocks.is_full(index) {
            bitmap.set(0..blocks.header.block_size.sectors());
        }
        Ok(Block::At { entry, bitmap })
    }

    /// Makes everything written durable.
    pub(crate) fn flush(&self) -> Result<()> {
        self.writable()?.note(self.image.file().flush())
    }

    fn writable(&self) -> Result<&Writable> {
        let refuse = |why, errno| Error::new(ErrorKind::Io, why).with_errno(errno).within(self.cannot_write());
        match &self.writable {
            None => Err(refuse("image is open for reading only", Errno::BADF)),
            Some(writable) if writable.has_failed.load(Ordering::Relaxed) => {
                Err(refuse("an earlier write failed: open the image again", Errno::IO))
            }
            Some(writable) => Ok(writable),
        }
    }

    fn cannot_write(&self) -> String {
        format!("cannot write to `{}`", self.image.file().path().display())
    }
}

impl Writable {
    fn is_whole(&self, index: usize) -> bool {
        self.whole.get(index / 64).is_some_and(|bits| bits & 1 << (index % 64) != 0)
    }

    fn set_whole(&mut self, index: usize) {
        if let Some(bits) = self.whole.get_mut(index / 64) {
            *bits |= 1 << (index % 64);
        }
    }

    /// Remembers a failure.
    fn note(&self, done: Result<()>) -> Result<()> {
        if done.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        done
    }
}
