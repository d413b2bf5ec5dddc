//! Where the blocks of an image lie in its file and may go, and where its footer must stand then. Decides only.

use std::ops::Range;

use crate::bitmap::Bitmap;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::FOOTER_BYTES;
use crate::footer_copies;
use crate::header::BlockSize;
use crate::plan::{Step, Target};
use crate::units::{SECTOR_BYTES, Sectors, sum};

const FOOTER_LEN: u64 = FOOTER_BYTES as u64;
/// Data of a new block begins on a page, as libvhd places it.
const DATA_ALIGN_SECTORS: u64 = 8;

/// Where an image's blocks lie and may go.
#[derive(Clone, Debug)]
pub(crate) struct Space<'a> {
    pub(crate) block_size: BlockSize,
    pub(crate) table_offset: u64,
    /// The byte position after all metadata and blocks.
    pub(crate) end: u64,
    pub(crate) target: Target,
    pub(crate) medium_bytes: u64,
    pub(crate) footer: &'a [u8],
    pub(crate) write_back: Option<WriteBack>,
}

/// Of a file whose writer is asked for durability by flushes only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteBack {
    /// From this byte on the file holds zeros, but for footers, none of which is where data of a block can go.
    pub(crate) zero_from: u64,
    /// How many blocks more than it needs the file makes room for when it grows.
    pub(crate) ahead_blocks: usize,
    /// Whether zeros in the file are what the disk reads where a new block holds nothing.
    pub(crate) is_zero_where_absent: bool,
}

impl Space<'_> {
    /// The BAT entry of a block that is put after `end`.
    pub(crate) fn place(&self, end: u64) -> Result<u32> {
        let full = |message: &str| Error::new(ErrorKind::NoSpace, message);
        let entry = self.entry(end).ok_or_else(|| full("no block can begin beyond 2 TiB of the file"))?;
        self.check_device(self.block_end(entry))?;
        Ok(entry)
    }

    fn entry(&self, end: u64) -> Option<u32> {
        let bitmap_sectors = self.block_size.bitmap_sectors();
        let data = (Sectors::holding(end).0 + bitmap_sectors).next_multiple_of(DATA_ALIGN_SECTORS);
        u32::try_from(data - bitmap_sectors).ok().filter(|&entry| entry != crate::bat::UNUSED)
    }

    /// An error when the device ends before blocks that end here, and a footer.
    pub(crate) fn check_device(&self, end: u64) -> Result<()> {
        let needed = sum("footer", &[end, FOOTER_LEN])?;
        match self.target {
            Target::BlockDevice { len_bytes } if needed > len_bytes => {
                let message = format!("device has {len_bytes} bytes, the image needs {needed}");
                Err(Error::new(ErrorKind::NoSpace, message))
            }
            Target::File | Target::BlockDevice { .. } => Ok(()),
        }
    }

    /// How many more blocks have a place that a BAT entry can name, and the byte position after them.
    pub(crate) fn room(&self, wanted: usize) -> (usize, u64) {
        self.room_after(self.end, wanted)
    }

    fn room_after(&self, mut end: u64, wanted: usize) -> (usize, u64) {
        for count in 0..wanted {
            match self.entry(end) {
                Some(entry) => end = self.block_end(entry),
                None => return (count, end),
            }
        }
        (wanted, end)
    }

    /// Where a footer has to be written so that the file ends with one, and after its blocks; `None` when it does.
    pub(crate) fn new_footer(&self, end: u64) -> Result<Option<u64>> {
        let offset = |end| footer_copies::primary_offset(self.target, self.medium_bytes, end);
        if sum("footer", &[offset(end)?, FOOTER_LEN])? <= self.medium_bytes {
            return Ok(None);
        }
        // Where a block ends, none has its data later: the next one begins with its bitmap.
        let (_, end) = self.room_after(end, self.write_back.map_or(0, |back| back.ahead_blocks));
        offset(end).map(Some)
    }

    /// Whether the BAT may point to a new block before it is on disk, at a place that holds zeros from this byte on.
    pub(crate) fn is_early(&self, entry: u32, zero_from: u64) -> bool {
        let is_zero = self.write_back.is_some_and(|back| back.is_zero_where_absent);
        self.target == Target::File && is_zero && self.data_offset(entry) >= zero_from
    }

    /// Zeros that take no space of a file. A device keeps its space: only who owns it may say otherwise.
    pub(crate) fn cleared(&self, what: &'static str, offset: u64, end: u64) -> Step {
        let len_bytes = end - offset;
        match self.target {
            Target::File => Step::Punch { what, offset, len_bytes },
            Target::BlockDevice { .. } => Step::Zero { what, offset, len_bytes },
        }
    }

    /// Sectors that a block takes, its bitmap included.
    pub(crate) fn block_sectors(&self) -> u64 {
        self.block_size.bitmap_sectors() + self.block_size.sectors()
    }

    /// Places between these blocks, which are in ascending order and lie over nothing, where others fit; so many at most.
    pub(crate) fn gaps(&self, from: u64, used: impl Iterator<Item = u32>, wanted: usize) -> Vec<u32> {
        let (mut gaps, mut end) = (Vec::new(), from);
        for used in used {
            while gaps.len() < wanted
                && let Some(entry) = self.entry(end).filter(|&entry| self.block_end(entry) <= byte(used))
            {
                gaps.push(entry);
                end = self.block_end(entry);
            }
            end = end.max(self.block_end(used));
        }
        gaps
    }

    pub(crate) fn data_offset(&self, entry: u32) -> u64 {
        byte(entry) + Bitmap::len_bytes(self.block_size)
    }

    /// Where sectors of the block lie: first byte, and the one after the last.
    pub(crate) fn data_range(&self, entry: u32, sectors: &Range<u64>) -> (u64, u64) {
        let at = |sector: u64| self.data_offset(entry) + sector * SECTOR_BYTES;
        (at(sectors.start), at(sectors.end))
    }

    pub(crate) fn block_end(&self, entry: u32) -> u64 {
        self.data_offset(entry) + self.block_size.bytes()
    }
}

pub(crate) fn byte(entry: u32) -> u64 {
    u64::from(entry) * SECTOR_BYTES
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of blocks of 2 MiB that end there.
    pub(crate) fn space(end: u64, medium_bytes: u64, target: Target) -> Space<'static> {
        Space {
            block_size: BlockSize::DEFAULT,
            table_offset: 1536,
            end,
            target,
            medium_bytes,
            footer: &[9; 512],
            write_back: None,
        }
    }

    #[test]
    fn gaps_are_where_a_whole_block_fits() {
        let space = space(0, 0, Target::File);
        let gaps = |used: &[u32], wanted| space.gaps(3072, used.iter().copied(), wanted);
        let block = 4104;
        assert_eq!(gaps(&[7, 7 + block], 9), []);
        assert_eq!(gaps(&[7 + block], 9), [7]);
        assert_eq!(gaps(&[7 + block - 8, 7 + 2 * block], 9), []);
        assert_eq!(gaps(&[7, 7 + 4 * block], 9), [1, 2, 3].map(|at| 7 + at * block));
        assert_eq!(gaps(&[7, 7 + 4 * block], 2), [1, 2].map(|at| 7 + at * block));
        assert_eq!(gaps(&[7, u32::MAX - 1], 1000).len(), 1000);
    }

    #[test]
    fn room_ends_at_2_tib() {
        let block = (2 << 20) + 4096;
        assert_eq!(space(3072, 0, Target::File).room(3), (3, 4096 + 2 * block + (2 << 20)));
        let near = (2 << 40) - 2 * block;
        assert_eq!(space(near, 0, Target::File).room(5).0, 2);
        assert_eq!(space(u64::MAX >> 1, 0, Target::File).room(5).0, 0);
    }
}
