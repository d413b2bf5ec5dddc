//! Writes to one image: what it knows as a writer, and the way from a request to a plan. Which steps, and in which order,
//! is `write_plan`'s; what happens to them `layer_perform`'s.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use crate::aligned::AlignedBuffer;
use crate::bitmap::Bitmap;
use crate::encryption;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{FOOTER_BYTES, RawFooter};
use crate::footer_copies;
use crate::image::Image;
use crate::layer::{Blocks, Layer, Piece, bad_block};
use crate::layer_ahead::Ahead;
use crate::medium::Medium;
use crate::places::Places;
use crate::plan::{Plan, Step, Target};
use crate::space::{Space, WriteBack};
use crate::units::{SECTOR_BYTES, in_memory, sum};
use crate::write_plan::{self, Block, BlockWrite, Content, Segment, WritePlan};

/// Blocks that get a place in one plan.
const MAX_PLACED: usize = 4096;

/// What only a writer must know.
#[derive(Debug)]
pub(crate) struct Writable {
    pub(crate) footer: RawFooter,
    pub(crate) metadata_end: u64,
    /// The byte position after all metadata, blocks and free places.
    pub(crate) end: u64,
    pub(crate) places: Places,
    pub(crate) ahead: Option<Ahead>,
    /// We made the file longer than its blocks need.
    pub(crate) has_slack: bool,
    /// Blocks that lie where nothing else does and hold all of their sectors, as far as that was seen: a write to them
    /// changes nothing but data. A bit each.
    whole: Vec<u64>,
    /// Blocks whose entries on disk may be other than in memory; they are not among the whole ones.
    pub(crate) unpointed: Mutex<BTreeSet<usize>>,
    /// A write or sync failed: nobody knows what reached the disk, so nothing may build on it.
    pub(crate) has_failed: AtomicBool,
    /// Whether what earlier writers left is durable.
    pub(crate) is_caught_up: AtomicBool,
    /// Held while somebody waits for the disk.
    pub(crate) syncing: Mutex<()>,
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
        // One that could not be read is an error here.
        let read = layer.blocks.as_ref().and_then(|blocks| blocks.batmap.as_ref());
        let again = match read {
            None => image.batmap().map_err(|error| error.within(image.cannot_write()))?,
            Some(_) => None,
        };
        let batmap = read.or(again.as_ref());
        image.check_apart_with(image.footer(), batmap)?;
        let footer = RawFooter::from(image.footer());
        let mut writable = Writable {
            footer,
            metadata_end: 0,
            end: 0,
            places: Places::default(),
            ahead: None,
            has_slack: false,
            whole: vec![],
            unpointed: Mutex::default(),
            has_failed: false.into(),
            is_caught_up: false.into(),
            syncing: Mutex::default(),
        };
        if let Some(blocks) = &layer.blocks {
            writable.metadata_end = image.metadata_end_with(batmap)?;
            writable.places = Places::of(blocks.bat.used().map(|(_, entry)| entry));
            let blocks_end = writable.places.last_used().map_or(0, |entry| blocks.end_of(entry));
            writable.end = writable.metadata_end.max(blocks_end);
            writable.whole = vec![0; blocks.bat.len().div_ceil(64)];
        }
        layer.writable = Some(writable);
        layer.find_gaps();
        Ok(layer)
    }

    /// Writes to blocks that hold all of their sectors already; `None` where others are among them: nothing was written. The
    /// writes lie in the disk, but those that `is_inside` refuses: they are `None` too.
    pub(crate) fn write_over(
        &self,
        writes: &[(u64, &[u8])],
        is_inside: impl Fn(&(u64, &[u8])) -> bool,
    ) -> Vec<Option<Result<()>>> {
        let none = || writes.iter().map(|_| None).collect();
        let (Some(blocks), Ok(writable)) = (&self.blocks, self.writable()) else { return none() };
        let pieces = |&(offset, bytes): &(u64, &[u8])| blocks.pieces(offset..offset + bytes.len() as u64);
        let is_over = |write| is_inside(write) && pieces(write).all(|piece| writable.is_whole(piece.index));
        let mut done: Vec<Option<Result<()>>> = writes.iter().map(|write| is_over(write).then_some(Ok(()))).collect();
        let over = || writes.iter().enumerate().zip(&done).filter(|(_, done)| done.is_some()).map(|(write, _)| write);
        let sealed: Vec<_> = match &self.cipher {
            Some(cipher) => over().map(|(_, &(offset, bytes))| encryption::sealed(cipher, offset, bytes)).collect(),
            None => vec![],
        };
        let (mut parts, mut whose) = (Vec::with_capacity(writes.len()), Vec::with_capacity(writes.len()));
        let mut failed = vec![];
        for (number, (index, write)) in over().enumerate() {
            let bytes = sealed.get(number).map_or(write.1, AlignedBuffer::bytes);
            if let Err(error) = Layer::<M>::add_parts(blocks, pieces(write), bytes, &mut parts) {
                failed.push((index, error));
            }
            whose.resize(parts.len(), index);
        }
        for (index, error) in failed {
            done[index] = Some(Err(error));
        }
        self.write_parts(&parts, &whose, &mut done);
        done
    }

    /// Adds where in the file the bytes of pieces go, which have their places.
    fn add_parts<'a>(
        blocks: &Blocks,
        pieces: impl Iterator<Item = Piece>,
        bytes: &'a [u8],
        parts: &mut Vec<(u64, &'a [u8])>,
    ) -> Result<()> {
        let mut rest = bytes;
        for piece in pieces {
            let len = in_memory("write", (piece.sectors.end - piece.sectors.start) * SECTOR_BYTES)?;
            let (bytes, after) = rest.split_at(len);
            let at = blocks.data_offset(piece.index, piece.sectors.start);
            parts.push((at.ok_or_else(|| Error::corrupt("a whole block has no place"))?, bytes));
            rest = after;
        }
        Ok(())
    }

    /// Writes parts, and notes with those whose they are what failed.
    fn write_parts(&self, parts: &[(u64, &[u8])], whose: &[usize], done: &mut [Option<Result<()>>]) {
        let mut is_sure = true;
        for (&index, &(at, bytes)) in whose.iter().zip(parts) {
            match self.take_space_of(at, bytes.len() as u64) {
                Ok(is_taken) => is_sure &= is_taken,
                Err(error) => done[index] = Some(Err(error)),
            }
        }
        let lacks_space = |index: usize| done[index].as_ref().is_some_and(Result::is_err);
        let (whose, parts): (Vec<_>, Vec<_>) =
            whose.iter().copied().zip(parts.iter().copied()).filter(|&(index, _)| !lacks_space(index)).unzip();
        for ((index, (at, bytes)), written) in
            whose.iter().copied().zip(&parts).zip(self.image.file().write_each(&parts))
        {
            if let Err(source) = written {
                let error = Error::io(format!("cannot write data ({} bytes at {at})", bytes.len()), source);
                let error = error.within(self.cannot_write());
                done[index] = Some(self.writable().and_then(|writable| writable.note(Err(error))));
            }
        }
        if !is_sure && let Err(error) = self.sync() {
            // The first is told why, the others that it is so.
            let mut error = Some(error);
            for index in whose {
                let error = error.take().map_or_else(|| self.writable().map(drop), Err);
                done[index] = Some(error);
            }
        }
    }

    /// Writes in ascending order, apart from each other and inside the disk. What is copied comes from `source`. Of an
    /// encrypted disk all of it is in memory meanwhile.
    pub(crate) fn write(&mut self, writes: &[Write<'_>], source: Option<&M>) -> Result<()> {
        let Some(cipher) = &self.cipher else { return self.write_stored(writes, source) };
        let sealed: Result<Vec<_>> = writes.iter().map(|write| encryption::sealed_write(cipher, write)).collect();
        let sealed = sealed?;
        let writes = writes.iter().zip(&sealed);
        let writes: Vec<_> =
            writes.map(|(write, sealed)| Write { content: Content::Bytes(sealed.bytes()), ..*write }).collect();
        self.write_stored(&writes, source)
    }

    /// The same of what goes to the file.
    fn write_stored(&mut self, writes: &[Write<'_>], source: Option<&M>) -> Result<()> {
        if self.blocks.is_none() {
            let steps: Result<Vec<Step>> = writes.iter().map(|write| self.fixed_step(write)).collect();
            return self.perform_at_once(&Plan { steps: steps? }, source);
        }
        let planned = self.planned(|layer| layer.plan(writes))?;
        self.perform(planned, source)
    }

    /// Plans with the places that are free by now; where there is no room, once more with those that a sync makes free.
    fn planned(&mut self, plan: impl Fn(&Self) -> Result<WritePlan>) -> Result<WritePlan> {
        self.settle_places();
        let planned = match plan(self) {
            Err(error) if error.kind() == ErrorKind::NoSpace && self.writable()?.places.is_waiting() => {
                self.flush()?;
                self.settle_places();
                plan(self)
            }
            planned => planned,
        };
        planned.map_err(|error| error.within(self.cannot_write()))
    }

    fn plan(&self, writes: &[Write<'_>]) -> Result<WritePlan> {
        let (blocks, writable) = (self.blocks()?, self.writable()?);
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
        let new = planned.iter().filter(|write| matches!(write.block, Block::New)).count();
        write_plan::plan(&space, &self.spots(&space, writable, new), planned)
    }

    /// Those of these blocks that have no place, and how many of them, from the first on, the BAT can give one.
    pub(crate) fn unplaced(&self, indices: Range<usize>) -> Result<(Vec<usize>, usize)> {
        let (blocks, writable) = (self.blocks()?, self.writable()?);
        let inside = indices.start..indices.end.min(blocks.bat.len());
        let unplaced: Vec<usize> = inside.filter(|&index| blocks.bat.place(index).is_none()).collect();
        let free = writable.places.free_count().min(unplaced.len());
        let (fitting, _) = self.space(blocks, writable).room(unplaced.len() - free);
        Ok((unplaced, free + fitting))
    }

    /// Gives blocks that have no place one, all or none where the medium has no room. They read as before: without a
    /// parent every sector is there and zero; with one, or where zeros would be decrypted, none is there.
    pub(crate) fn place(&mut self, indices: &[usize]) -> Result<()> {
        self.settle_places();
        let (blocks, writable) = (self.blocks()?, self.writable()?);
        let (space, free) = (self.space(blocks, writable), writable.places.free_count());
        let (_, end) = space.room(indices.len().saturating_sub(free));
        space.check_device(end).map_err(|error| error.within(self.cannot_write()))?;
        for indices in indices.chunks(MAX_PLACED) {
            let planned = self.planned(|layer| {
                let (blocks, writable) = (layer.blocks()?, layer.writable()?);
                let all = Segment { sectors: 0..blocks.header.block_size.sectors(), content: Content::Zeros };
                let segments = if layer.is_zero_where_absent() { vec![all] } else { vec![] };
                let new = |&index| BlockWrite { index, block: Block::New, segments: segments.clone() };
                let space = layer.space(blocks, writable);
                let spots = layer.spots(&space, writable, indices.len());
                write_plan::plan(&space, &spots, indices.iter().map(new).collect())
            })?;
            self.perform(planned, None)?;
        }
        Ok(())
    }

    /// Whether zeros in the file are what the disk reads where the image holds nothing.
    pub(crate) fn is_zero_where_absent(&self) -> bool {
        !self.image.has_parent() && self.cipher.is_none()
    }

    pub(crate) fn blocks(&self) -> Result<&Blocks> {
        self.image.header()?;
        self.blocks.as_ref().ok_or_else(|| Error::corrupt("a sparse image has no blocks"))
    }

    pub(crate) fn space<'a>(&self, blocks: &Blocks, writable: &'a Writable) -> Space<'a> {
        let file = self.image.file();
        let medium_bytes = file.len_bytes();
        let unplaced = blocks.bat.len().saturating_sub(writable.places.used_count());
        let write_back = writable.ahead.map(|ahead| WriteBack {
            zero_from: ahead.zero_from.unwrap_or(medium_bytes),
            ahead_blocks: ahead.blocks.min(unplaced),
            is_zero_where_absent: self.is_zero_where_absent(),
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

    pub(crate) fn fixed_step(&self, write: &Write<'_>) -> Result<Step> {
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

    /// The block as it is now.
    fn block(&self, blocks: &Blocks, writable: &Writable, space: &Space<'_>, index: usize) -> Result<Block> {
        let Some(entry) = self.entry(blocks, writable, space, index)? else { return Ok(Block::New) };
        let is_whole = writable.is_whole(index);
        // What was seen need not be read again.
        let mut bitmap = if is_whole { Bitmap::empty(blocks.header.block_size)? } else { self.bitmap(index, entry)? };
        if is_whole || blocks.is_full(index) {
            bitmap.set(0..blocks.header.block_size.sectors());
        }
        Ok(Block::At { entry, bitmap, is_in_bat: !writable.is_unpointed(index) })
    }

    /// The block's entry, if it has one. Writing is strict: one that points into metadata or over another block is refused.
    pub(crate) fn entry(
        &self,
        blocks: &Blocks,
        writable: &Writable,
        space: &Space<'_>,
        index: usize,
    ) -> Result<Option<u32>> {
        let Some(entry) = blocks.bat.place(index) else { return Ok(None) };
        let refuse = |why: &str| {
            let offset = u64::from(entry) * SECTOR_BYTES;
            self.in_block(index, Error::corrupt(format!("BAT entry {entry} (byte {offset}) {why}")))
        };
        if u64::from(entry) * SECTOR_BYTES < writable.metadata_end {
            return Err(refuse("points into metadata"));
        }
        if writable.places.is_overlapped(entry, space.block_sectors()) {
            return Err(refuse("points over another block"));
        }
        // A file may end inside its last block: libvhd's writers extend it only as far as they write, and so do we.
        let footer_at = space.medium_bytes.saturating_sub(FOOTER_BYTES as u64);
        if matches!(space.target, Target::BlockDevice { .. }) && space.block_end(entry) > footer_at {
            return Err(refuse("points over the footer or past the end"));
        }
        Ok(Some(entry))
    }
}

impl Writable {
    fn is_whole(&self, index: usize) -> bool {
        self.whole.get(index / 64).is_some_and(|bits| bits & 1 << (index % 64) != 0)
    }

    pub(crate) fn is_unpointed(&self, index: usize) -> bool {
        self.unpointed.lock().unwrap_or_else(PoisonError::into_inner).contains(&index)
    }

    pub(crate) fn set_whole(&mut self, index: usize, is_whole: bool) {
        if let Some(bits) = self.whole.get_mut(index / 64) {
            let bit = 1 << (index % 64);
            *bits = if is_whole { *bits | bit } else { *bits & !bit };
        }
    }
}
