//! The block allocation table. Knows offsets and entries; never reads a file.

use crate::error::{Error, ErrorKind, Result};
use crate::footer::Footer;
use crate::header::{BlockSize, Header};
use crate::units::{Extent, MAX_BAT_ENTRIES, SECTOR_BYTES, Sectors};

/// The entry of a block that is not allocated.
pub const UNUSED: u32 = u32::MAX;

/// Bytes of one entry.
pub const ENTRY_BYTES: u64 = 4;

/// The entries of a disk, one per block: the sector where the block's bitmap begins, or [`UNUSED`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bat {
    entries: Vec<u32>,
    block_size: BlockSize,
}

impl Bat {
    /// Where the entries of this disk lie: as many as its size needs, which may be fewer than the table has room for.
    pub fn extent(footer: &Footer, header: &Header) -> Result<Extent> {
        let blocks = footer.current_bytes.div_ceil(header.block_size.bytes());
        if blocks > header.max_bat_entries.into() {
            return Err(Error::corrupt(format!(
                "disk of {} bytes has {blocks} blocks, the BAT has room for {}",
                footer.current_bytes, header.max_bat_entries
            )));
        }
        if blocks > MAX_BAT_ENTRIES.into() {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("BAT has {blocks} entries, at most {MAX_BAT_ENTRIES} are read"),
            ));
        }
        Extent::on_sector("BAT", header.table_offset, blocks * ENTRY_BYTES)
    }

    /// Where the whole table lies.
    pub fn room(header: &Header) -> Result<Extent> {
        Extent::on_sector("BAT", header.table_offset, Bat::room_bytes(header.max_bat_entries))
    }

    /// Length of a table with room for so many entries: whole sectors, at least one.
    pub fn room_bytes(max_entries: u32) -> u64 {
        (u64::from(max_entries) * ENTRY_BYTES).next_multiple_of(SECTOR_BYTES).max(SECTOR_BYTES)
    }

    /// The table with these entries.
    pub fn new(entries: Vec<u32>, block_size: BlockSize) -> Self {
        Bat { entries, block_size }
    }

    /// The entries in `bytes`, as they lie on disk.
    pub fn decode(bytes: &[u8]) -> impl Iterator<Item = u32> {
        bytes.chunks_exact(4).map(|entry| u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]))
    }

    /// The entries as they lie on disk.
    pub fn encode(&self) -> Vec<u8> {
        self.entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
    }

    /// One entry per block, [`UNUSED`] or an absolute sector.
    pub fn entries(&self) -> &[u32] {
        &self.entries
    }

    /// The sector where the block's bitmap begins; `None` when it is not allocated, or no block of the disk.
    pub fn place(&self, block: u64) -> Option<u32> {
        let entry = usize::try_from(block).ok().and_then(|block| self.entries.get(block)).copied();
        entry.filter(|&entry| entry != UNUSED)
    }

    /// Gives a block its place.
    pub(crate) fn set(&mut self, index: usize, entry: u32) {
        if let Some(slot) = self.entries.get_mut(index) {
            *slot = entry;
        }
    }

    /// How many blocks are allocated.
    pub fn allocated_blocks(&self) -> usize {
        self.usage().allocated_blocks
    }

    /// Sectors of data in a block.
    pub(crate) fn data_sectors(&self) -> u64 {
        self.block_size.sectors()
    }

    /// Sectors that a block takes, its bitmap included.
    pub(crate) fn block_sectors(&self) -> u64 {
        self.block_size.bitmap_sectors() + self.block_size.sectors()
    }

    /// The byte position after the last allocated block; `None` when there is none.
    pub fn end_of_data(&self) -> Option<u64> {
        self.usage().end_of_data()
    }

    fn usage(&self) -> BatUsage {
        let mut usage = BatUsage::of(self.block_size);
        self.entries.iter().for_each(|&entry| usage.add(entry));
        usage
    }
}

/// What of a BAT is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatUsage {
    block_size: BlockSize,
    /// How many blocks are allocated.
    pub allocated_blocks: usize,
    last: Option<u32>,
}

impl BatUsage {
    pub(crate) fn of(block_size: BlockSize) -> Self {
        BatUsage { block_size, allocated_blocks: 0, last: None }
    }

    pub(crate) fn add(&mut self, entry: u32) {
        if entry != UNUSED {
            self.allocated_blocks += 1;
            self.last = self.last.max(Some(entry));
        }
    }

    /// The byte position after the last allocated block; `None` when there is none.
    pub fn end_of_data(&self) -> Option<u64> {
        let block = Sectors(u64::from(self.last?) + self.block_size.bitmap_sectors() + self.block_size.sectors());
        Some(block.0 * SECTOR_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(entries: &[u32], allocated: usize, end_of_data: Option<u64>) {
        let bat = Bat { entries: entries.to_vec(), block_size: BlockSize::DEFAULT };
        assert_eq!((bat.allocated_blocks(), bat.end_of_data()), (allocated, end_of_data));
        assert_eq!(Bat::new(Bat::decode(&bat.encode()).collect(), BlockSize::DEFAULT), bat);
    }

    #[test]
    fn data_ends_after_the_block_that_lies_last() {
        check(&[], 0, None);
        check(&[UNUSED, UNUSED], 0, None);
        check(&[UNUSED, 7], 1, Some((7 + 1 + 4096) * 512));
        check(&[4104, 7], 2, Some((4104 + 1 + 4096) * 512));
        check(&[UNUSED - 1, 0], 2, Some((u64::from(UNUSED - 1) + 1 + 4096) * 512));
    }

    #[test]
    fn a_table_takes_whole_sectors_and_at_least_one() {
        let room = |entries| Bat::room_bytes(entries);
        assert_eq!([room(0), room(1), room(128), room(129), room(u32::MAX)], [512, 512, 512, 1024, 16 << 30]);
    }

    proptest! {
        #[test]
        fn entries_survive_a_round_trip(entries: Vec<u32>) {
            let bat = Bat { entries, block_size: BlockSize::DEFAULT };
            prop_assert_eq!(Bat::new(Bat::decode(&bat.encode()).collect(), BlockSize::DEFAULT), bat);
        }
    }
}
