//! One image of a chain: which sectors it holds and where, and writes to it. What it does not hold is its parent's
//! business.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::bat::{Bat, UNUSED};
use crate::batmap::Batmap;
use crate::bitmap::Bitmap;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{DiskKind, FOOTER_BYTES, RawFooter};
use crate::header::Header;
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::medium::Medium;
use crate::plan::{Plan, Step, Target};
use crate::units::{SECTOR_BYTES, in_memory, sum};
use crate::write_plan::{self, Block, BlockWrite, Space};

/// An image with its BAT in memory.
#[derive(Debug)]
pub(crate) struct Layer<M: Medium = ImageFile> {
    image: Image<M>,
    blocks: Option<Blocks>,
    writable: Option<Writable>,
}

#[derive(Debug)]
struct Blocks {
    header: Header,
    bat: Bat,
    batmap: Option<Batmap>,
}

/// What only a writer must know.
#[derive(Debug)]
struct Writable {
    footer: RawFooter,
    metadata_end: u64,
    end: u64,
    /// BAT entries in ascending order, to see that no block lies over another.
    entries: Vec<u32>,
    /// A write or sync failed: nobody knows what reached the disk, so nothing may build on it.
    has_failed: AtomicBool,
}

/// A stretch of the disk, in the image or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) len_bytes: u64,
    /// Byte position in the image's file.
    pub(crate) offset: Option<u64>,
}

impl<M: Medium> Layer<M> {
    /// For reading. A batmap that cannot be read is none.
    pub(crate) fn reader(image: Image<M>) -> Result<Self> {
        let blocks = match image.footer().kind {
            DiskKind::Fixed => None,
            DiskKind::Dynamic | DiskKind::Differencing => {
                let batmap = image.batmap().ok().flatten();
                Some(Blocks { header: image.header()?.clone(), bat: image.bat()?, batmap })
            }
            DiskKind::Other(number) => {
                let (path, message) = (image.file().path().display(), "is no disk type of this format");
                return Err(Error::new(ErrorKind::Corrupt, format!("{number} {message}: `{path}`")));
            }
        };
        Ok(Layer { image, blocks, writable: None })
    }

    /// For writing as well.
    pub(crate) fn writer(image: Image<M>) -> Result<Self> {
        let mut layer = Layer::reader(image)?;
        let image = &layer.image;
        if image.footer().is_poisoned {
            let path = image.file().path().display();
            return Err(Error::corrupt(format!("`{path}` is in the middle of a resize: revert its journal first")));
        }
        let footer = RawFooter::from(image.footer());
        let mut writable = Writable { footer, metadata_end: 0, end: 0, entries: vec![], has_failed: false.into() };
        if let Some(Blocks { bat, .. }) = &layer.blocks {
            writable.metadata_end = image.metadata_end()?;
            writable.end = writable.metadata_end.max(bat.end_of_data().unwrap_or(0));
            writable.entries = bat.entries().iter().copied().filter(|&entry| entry != UNUSED).collect();
            writable.entries.sort_unstable();
        }
        layer.writable = Some(writable);
        Ok(layer)
    }

    pub(crate) fn image(&self) -> &Image<M> {
        &self.image
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.image.footer().current_bytes
    }

    /// Where a range of whole sectors, which must lie in the disk, is found. Neighbouring runs differ.
    pub(crate) fn map(&self, range: Range<u64>) -> Result<Vec<Run>> {
        let Some(blocks) = &self.blocks else {
            return Ok(vec![Run { len_bytes: range.end - range.start, offset: Some(range.start) }]);
        };
        let mut runs = Vec::new();
        for piece in pieces(blocks, range) {
            self.map_piece(blocks, &piece, &mut runs)?;
        }
        Ok(runs)
    }

    fn map_piece(&self, blocks: &Blocks, piece: &Piece, runs: &mut Vec<Run>) -> Result<()> {
        let entry = blocks.bat.entries().get(piece.index).copied().unwrap_or(UNUSED);
        let whole = (piece.sectors.end - piece.sectors.start) * SECTOR_BYTES;
        if entry == UNUSED {
            add(runs, Run { len_bytes: whole, offset: None });
            return Ok(());
        }
        let block_size = blocks.header.block_size;
        let data = u64::from(entry) * SECTOR_BYTES + Bitmap::len_bytes(block_size);
        let at = |sector: u64| Some(data + sector * SECTOR_BYTES);
        if blocks.is_full(piece.index) {
            add(runs, Run { len_bytes: whole, offset: at(piece.sectors.start) });
            return Ok(());
        }
        let bitmap = self.bitmap(blocks, piece.index, entry)?;
        for sector in piece.sectors.clone() {
            let offset = if bitmap.is_present(sector) { at(sector) } else { None };
            add(runs, Run { len_bytes: SECTOR_BYTES, offset });
        }
        Ok(())
    }

    fn bitmap(&self, blocks: &Blocks, index: usize, entry: u32) -> Result<Bitmap> {
        let len = in_memory("bitmap", Bitmap::len_bytes(blocks.header.block_size))?;
        let bytes = self.image.file().read("bitmap", u64::from(entry) * SECTOR_BYTES, len);
        Ok(Bitmap::from_bytes(bytes.map_err(|error| self.in_block(index, error))?))
    }

    /// Reads a run that [`Layer::map`] found.
    pub(crate) fn read_run(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let read = self.image.file().read("data", offset, bytes.len());
        bytes.copy_from_slice(&read.map_err(bad_block)?);
        Ok(())
    }

    /// Writes whole sectors that lie in the disk.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let writable = self.writable()?;
        let Some(blocks) = &self.blocks else {
            let end = sum("data", &[offset, bytes.len() as u64, FOOTER_BYTES as u64])?;
            if end > self.image.file().len_bytes() {
                let error = Error::corrupt(format!("file ends before byte {end} and a footer"));
                return Err(bad_block(error).within(self.cannot_write()));
            }
            let step = Step::Write { what: "data", offset, bytes: bytes.to_vec() };
            return writable.note(self.image.file().perform(&Plan { steps: vec![step] }));
        };
        let file = self.image.file();
        let space = Space {
            block_size: blocks.header.block_size,
            table_offset: blocks.header.table_offset,
            end: writable.end,
            target: file.target(),
            medium_bytes: file.len_bytes(),
            footer: writable.footer.bytes(),
        };
        let mut writes = Vec::new();
        let mut rest = bytes;
        for piece in pieces(blocks, offset..offset + bytes.len() as u64) {
            let len = in_memory("write", (piece.sectors.end - piece.sectors.start) * SECTOR_BYTES)?;
            let (bytes, after) = rest.split_at(len);
            rest = after;
            let block = self.block(blocks, writable, &space, piece.index)?;
            writes.push(BlockWrite { index: piece.index, block, first_sector: piece.sectors.start, bytes });
        }
        let planned = write_plan::plan(&space, writes).map_err(|error| error.within(self.cannot_write()))?;
        writable.note(file.perform(&planned.plan))?;
        if let (Some(blocks), Some(writable)) = (&mut self.blocks, &mut self.writable) {
            writable.end = planned.end;
            for (index, entry) in planned.placed {
                blocks.bat.set(index, entry);
                // New blocks lie behind all others.
                writable.entries.push(entry);
            }
        }
        Ok(())
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
        if matches!(space.target, Target::BlockDevice { .. }) && space.block_end(entry) > space.medium_bytes {
            return Err(refuse("points past the end"));
        }
        let mut bitmap = self.bitmap(blocks, index, entry)?;
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

    fn in_block(&self, index: usize, error: Error) -> Error {
        bad_block(error).within(format!("cannot use block {index} of `{}`", self.image.file().path().display()))
    }

    fn cannot_write(&self) -> String {
        format!("cannot write to `{}`", self.image.file().path().display())
    }
}

impl Writable {
    /// Remembers a failure.
    fn note(&self, done: Result<()>) -> Result<()> {
        if done.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        done
    }
}

impl Blocks {
    /// Whether the batmap, which libvhd believes over the bitmap, says that all of the block is here.
    fn is_full(&self, index: usize) -> bool {
        let index = u32::try_from(index).ok();
        self.batmap.as_ref().zip(index).is_some_and(|(batmap, index)| batmap.is_full(index))
    }
}

/// A damaged block is an error of the disk for whoever reads it.
fn bad_block(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Truncated => error.with_errno(Errno::IO),
        _ => error,
    }
}

/// The part of a range that is in one block.
struct Piece {
    index: usize,
    sectors: Range<u64>,
}

fn pieces(blocks: &Blocks, range: Range<u64>) -> impl Iterator<Item = Piece> {
    let block_sectors = blocks.header.block_size.sectors();
    let (mut at, end) = (range.start / SECTOR_BYTES, range.end / SECTOR_BYTES);
    std::iter::from_fn(move || {
        let index = usize::try_from(at / block_sectors).ok().filter(|_| at < end)?;
        let first = at % block_sectors;
        let count = (block_sectors - first).min(end - at);
        at += count;
        Some(Piece { index, sectors: first..first + count })
    })
}

/// Adds a run, or makes the last one longer.
fn add(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if last.offset.map(|offset| offset + last.len_bytes) == run.offset => {
            last.len_bytes += run.len_bytes
        }
        _ => runs.push(run),
    }
}
