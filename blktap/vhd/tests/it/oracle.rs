//! What a disk must hold: a byte vector, and random writes that go to it and to the disk.

use std::ops::Range;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use vhd::{Disk, Medium};

pub(crate) const SECTOR: usize = 512;
/// Sectors of a block of 2 MiB.
const BLOCK_SECTORS: usize = 4096;

/// Bytes for whole sectors. Every sector says where it belongs and which write it comes from; of seed 0 they are zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    pub(crate) first: usize,
    pub(crate) sectors: usize,
    seed: u8,
}

impl Write {
    pub(crate) fn new(first: usize, sectors: usize, seed: u8) -> Self {
        Write { first, sectors, seed }
    }

    pub(crate) fn offset(&self) -> usize {
        self.first * SECTOR
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.seed; self.sectors * SECTOR];
        if self.seed != 0 {
            for (index, sector) in bytes.chunks_mut(SECTOR).enumerate() {
                sector[..8].copy_from_slice(&((self.first + index) as u64).to_be_bytes());
            }
        }
        bytes
    }

    /// Grown to whole pages of 4096 bytes at its end.
    pub(crate) fn to_page_end(mut self) -> Self {
        self.sectors = (self.first + self.sectors).next_multiple_of(8) - self.first;
        self
    }
}

/// Writes of a few sectors up to more than a block, many of them at the borders of blocks and at the end.
pub(crate) fn writes(disk_sectors: usize, count: Range<usize>) -> impl Strategy<Value = Vec<Write>> {
    let near = |at: usize| (0..16usize).prop_map(move |more| (at + more).saturating_sub(8));
    let border = (0..disk_sectors.div_ceil(BLOCK_SECTORS)).prop_flat_map(move |block| near(block * BLOCK_SECTORS));
    let first = prop_oneof![4 => 0..disk_sectors, 3 => border, 1 => near(disk_sectors)];
    let sectors = prop_oneof![6 => 1..20usize, 2 => 20..600usize, 1 => BLOCK_SECTORS..BLOCK_SECTORS * 2 + 20];
    let write = (first, sectors, any::<u8>()).prop_map(move |(first, sectors, seed)| {
        let first = first.min(disk_sectors - 1);
        Write { first, sectors: sectors.min(disk_sectors - first), seed }
    });
    vec(write, count)
}

/// What a disk must hold.
#[derive(Clone, Debug)]
pub(crate) struct Oracle(pub(crate) Vec<u8>);

impl Oracle {
    pub(crate) fn zeros(sectors: usize) -> Self {
        Oracle(vec![0; sectors * SECTOR])
    }

    pub(crate) fn write(&mut self, write: &Write) {
        self.0[write.offset()..][..write.sectors * SECTOR].copy_from_slice(&write.bytes());
    }

    /// Writes to the image too, which is opened for that.
    pub(crate) fn write_to(&mut self, path: &Path, writes: &[Write]) {
        let mut disk = Disk::open_rw(path).unwrap();
        self.write_on(&mut disk, writes);
    }

    pub(crate) fn write_on<M: Medium>(&mut self, disk: &mut Disk<M>, writes: &[Write]) {
        for write in writes {
            disk.write_at(write.offset() as u64, &write.bytes()).unwrap();
            self.write(write);
        }
        disk.flush().unwrap();
    }

    /// Reads the image through its chain.
    pub(crate) fn check_image(&self, path: &Path, when: &str) {
        self.check(&flat(path), when);
    }

    /// Names the first sector that differs.
    pub(crate) fn check(&self, found: &[u8], when: &str) {
        assert_eq!(found.len(), self.0.len(), "size of the disk, {when}");
        let mut sectors = found.chunks(SECTOR).zip(self.0.chunks(SECTOR));
        if let Some(sector) = sectors.position(|(found, wanted)| found != wanted) {
            let shown = |bytes: &[u8]| bytes[sector * SECTOR..][..9].escape_ascii().to_string();
            let (found, wanted) = (shown(found), shown(&self.0));
            panic!("sector {sector} begins with \"{found}\", not \"{wanted}\", {when}");
        }
    }
}

/// All that the image's disk holds, read in pieces that lie across the borders of blocks.
pub(crate) fn flat(path: &Path) -> Vec<u8> {
    let disk = Disk::open(path).unwrap();
    let mut bytes = vec![1; usize::try_from(disk.size_bytes()).unwrap()];
    let piece = (3 << 20) + SECTOR;
    for (index, bytes) in bytes.chunks_mut(piece).enumerate() {
        disk.read_at((index * piece) as u64, bytes).unwrap();
    }
    bytes
}

/// How often something random is tried: a few times, or many when a run has an hour.
pub(crate) fn cases() -> ProptestConfig {
    let cases = if std::env::var("XTASK_TIER").is_ok_and(|tier| tier == "full") { 100 } else { 8 };
    ProptestConfig { cases, ..ProptestConfig::default() }
}
