//! One image of a chain: which sectors it holds and where. What it does not hold is its parent's business; writes to it
//! are `layer_write`'s.

use std::ops::Range;

use blockcrypto::{Cipher, Key};
use rustix::io::Errno;

use crate::bat_pages::BatPages;
use crate::batmap::Batmap;
use crate::bitmap::Bitmap;
use crate::encryption;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::DiskKind;
use crate::header::Header;
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::layer_write::Writable;
use crate::medium::Medium;
use crate::units::{SECTOR_BYTES, in_memory};

/// An image with its BAT in memory.
#[derive(Debug)]
pub(crate) struct Layer<M: Medium = ImageFile> {
    pub(crate) image: Image<M>,
    /// Of a sparse image.
    pub(crate) blocks: Option<Blocks>,
    pub(crate) writable: Option<Writable>,
    /// Of an encrypted image that was opened with its key; without, its data is what lies on disk.
    pub(crate) cipher: Option<Cipher>,
}

/// Where the blocks of a sparse image lie.
#[derive(Debug)]
pub(crate) struct Blocks {
    pub(crate) header: Header,
    pub(crate) bat: BatPages,
    pub(crate) batmap: Option<Batmap>,
}

/// A stretch of the disk, in the image or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerRun {
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
                Some(Blocks { header: image.header()?.clone(), bat: image.bat_pages()?, batmap })
            }
            DiskKind::Other(number) => {
                let (path, message) = (image.file().path().display(), "is no disk type of this format");
                return Err(Error::new(ErrorKind::Corrupt, format!("{number} {message}: `{path}`")));
            }
        };
        Ok(Layer { image, blocks, writable: None, cipher: None })
    }

    /// From now on data is decrypted and encrypted, if the image is encrypted.
    pub(crate) fn unlock(&mut self, key: Option<&Key>) -> Result<()> {
        self.cipher = encryption::cipher(&self.image, key)?;
        Ok(())
    }

    pub(crate) fn image(&self) -> &Image<M> {
        &self.image
    }

    /// Size of the disk: its whole sectors.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.image.footer().current_bytes / SECTOR_BYTES * SECTOR_BYTES
    }

    /// Bytes of a block, and how many blocks the disk has. `None` for a fixed disk.
    pub(crate) fn block_geometry(&self) -> Option<(u64, usize)> {
        self.blocks.as_ref().map(|blocks| (blocks.header.block_size.bytes(), blocks.bat.len()))
    }

    /// Ranges of the disk of which the image holds something: its blocks in use, or all of a fixed disk.
    pub(crate) fn held(&self) -> impl Iterator<Item = Range<u64>> {
        let fixed = self.blocks.is_none().then_some(0..self.size_bytes());
        let blocks = self.blocks.iter().flat_map(|blocks| {
            let block_bytes = blocks.header.block_size.bytes();
            let start = move |index: usize| index as u64 * block_bytes;
            blocks.bat.used().map(move |(index, _)| start(index)..start(index + 1))
        });
        fixed.into_iter().chain(blocks)
    }

    /// Whether a block has a place, in an image that has blocks.
    pub(crate) fn holds(&self, block: usize) -> bool {
        self.blocks.as_ref().is_some_and(|blocks| blocks.bat.place(block).is_some())
    }

    /// Where a range of whole sectors, which must lie in the disk, is found. Neighbouring runs differ. `bitmap` is the
    /// last one that was read, for the next call.
    pub(crate) fn map(&self, range: Range<u64>, bitmap: &mut Option<(usize, Bitmap)>) -> Result<Vec<LayerRun>> {
        let Some(blocks) = &self.blocks else {
            let run = LayerRun { len_bytes: range.end - range.start, offset: Some(range.start) };
            return Ok(if range.is_empty() { vec![] } else { vec![run] });
        };
        let mut runs = Vec::new();
        for piece in blocks.pieces(range) {
            self.map_piece(blocks, &piece, bitmap, &mut runs)?;
        }
        Ok(runs)
    }

    fn map_piece(
        &self,
        blocks: &Blocks,
        piece: &Piece,
        bitmap: &mut Option<(usize, Bitmap)>,
        runs: &mut Vec<LayerRun>,
    ) -> Result<()> {
        let whole = (piece.sectors.end - piece.sectors.start) * SECTOR_BYTES;
        let Some(entry) = blocks.bat.place(piece.index) else {
            add(runs, LayerRun { len_bytes: whole, offset: None });
            return Ok(());
        };
        let block_size = blocks.header.block_size;
        let data = u64::from(entry) * SECTOR_BYTES + Bitmap::len_bytes(block_size);
        let at = |sector: u64| Some(data + sector * SECTOR_BYTES);
        if blocks.is_full(piece.index) {
            add(runs, LayerRun { len_bytes: whole, offset: at(piece.sectors.start) });
            return Ok(());
        }
        let bitmap = match bitmap.take() {
            Some((index, last)) if index == piece.index => bitmap.insert((index, last)),
            _ => bitmap.insert((piece.index, self.bitmap(piece.index, entry)?)),
        };
        for (is_present, sectors) in bitmap.1.runs(piece.sectors.clone()) {
            let offset = if is_present { at(sectors.start) } else { None };
            add(runs, LayerRun { len_bytes: (sectors.end - sectors.start) * SECTOR_BYTES, offset });
        }
        Ok(())
    }

    /// Reads the bitmap of a block that lies at this sector.
    pub(crate) fn bitmap(&self, index: usize, entry: u32) -> Result<Bitmap> {
        self.image.bitmap(entry).map_err(|error| self.in_block(index, error))
    }

    /// Reads of a run that [`Layer::map`] found: what is at `at` on the disk, and at `offset` in the file.
    pub(crate) fn read_run(&self, at: u64, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let read = |offset, bytes: &mut [u8]| self.image.file().read_into("data", offset, bytes).map_err(bad_block);
        match &self.cipher {
            None => read(offset, bytes),
            Some(cipher) => encryption::read(cipher, at, offset, bytes, read),
        }
    }

    /// Decrypts whole sectors that were read, if that is needed; `at` is their place on the disk.
    pub(crate) fn open_sectors(&self, at: u64, bytes: &mut [u8]) {
        if let Some(cipher) = &self.cipher {
            encryption::opened(cipher, at, bytes);
        }
    }

    /// An error when the image ends before the end of a run that [`Layer::map`] found.
    pub(crate) fn check_end(&self, offset: u64, len_bytes: u64) -> Result<()> {
        self.image.file().check_end("data", offset, in_memory("data", len_bytes)?).map_err(bad_block)
    }

    pub(crate) fn in_block(&self, index: usize, error: Error) -> Error {
        bad_block(error).within(format!("cannot use block {index} of `{}`", self.image.file().path().display()))
    }
}

impl Blocks {
    /// Whether the batmap, which libvhd believes over the bitmap, says that all of the block is here.
    pub(crate) fn is_full(&self, index: usize) -> bool {
        let index = u32::try_from(index).ok();
        self.batmap.as_ref().zip(index).is_some_and(|(batmap, index)| batmap.is_full(index))
    }

    /// Where a sector of a block that has a place lies.
    pub(crate) fn data_offset(&self, index: usize, sector: u64) -> Option<u64> {
        let entry = self.bat.place(index)?;
        Some((u64::from(entry) + sector) * SECTOR_BYTES + Bitmap::len_bytes(self.header.block_size))
    }

    /// The byte position after a block at this entry.
    pub(crate) fn end_of(&self, entry: u32) -> u64 {
        let block_size = self.header.block_size;
        u64::from(entry) * SECTOR_BYTES + Bitmap::len_bytes(block_size) + block_size.bytes()
    }

    /// Cuts a range of the disk where blocks begin.
    pub(crate) fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = Piece> + use<> {
        let block_sectors = self.header.block_size.sectors();
        let (mut at, end) = (range.start / SECTOR_BYTES, range.end / SECTOR_BYTES);
        std::iter::from_fn(move || {
            let index = usize::try_from(at / block_sectors).ok().filter(|_| at < end)?;
            let first = at % block_sectors;
            let count = (block_sectors - first).min(end - at);
            at += count;
            Some(Piece { index, sectors: first..first + count })
        })
    }
}

/// A damaged block is an error of the disk for whoever reads it.
pub(crate) fn bad_block(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Truncated => error.with_errno(Errno::IO),
        _ => error,
    }
}

/// The part of a range that is in one block.
pub(crate) struct Piece {
    pub(crate) index: usize,
    /// Counted from the block's first.
    pub(crate) sectors: Range<u64>,
}

/// Adds a run, or makes the last one longer.
fn add(runs: &mut Vec<LayerRun>, run: LayerRun) {
    match runs.last_mut() {
        Some(last) if last.offset.map(|offset| offset + last.len_bytes) == run.offset => {
            last.len_bytes += run.len_bytes
        }
        _ => runs.push(run),
    }
}
