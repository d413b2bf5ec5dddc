//! Sizes of the format and checked arithmetic on them. Knows numbers only, never where they came from.

use crate::error::{Error, ErrorKind, Result};

/// A sector, the unit of every table of the format.
pub const SECTOR_BYTES: u64 = 512;

/// The block size of every image that libvhd and this library create.
pub const BLOCK_BYTES: u64 = 2 << 20;

/// One mebibyte, the unit of sizes on the command line.
pub const MIB_BYTES: u64 = 1 << 20;

/// The largest disk that can be filled, 2040 GiB: a BAT entry is a 32-bit sector number, so blocks begin below 2 TiB of
/// the file, and with their bitmaps and gaps they take 4 KiB more than their data. Larger disks are well-formed; whether
/// to make them is the caller's business.
pub const MAX_VIRTUAL_BYTES: u64 = 2040 << 30;

/// The most BAT entries held in memory (64 MiB of table, 32 TiB of disk with 2 MiB blocks). It is sixteen times what
/// 32-bit sector numbers can address, so only a hostile image meets it.
pub const MAX_BAT_ENTRIES: u32 = 16 << 20;

/// The most BAT entries of all images of a chain together, before the last one (256 MiB of tables). Thirty disks of 2 TiB,
/// the longest chain of toolstacks, have half of it.
pub const MAX_CHAIN_ENTRIES: usize = 64 << 20;

/// A length or position in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sectors(pub u64);

impl Sectors {
    /// The smallest number of sectors that holds `len_bytes`.
    pub const fn holding(len_bytes: u64) -> Self {
        Sectors(len_bytes.div_ceil(SECTOR_BYTES))
    }

    /// In bytes; `None` past the end of 64 bits.
    pub const fn bytes(self) -> Option<u64> {
        self.0.checked_mul(SECTOR_BYTES)
    }
}

/// A run of bytes of an image file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Byte position in the file.
    pub offset: u64,
    /// Length in bytes.
    pub len_bytes: u64,
}

impl Extent {
    /// A table or path of the format, which must begin on a sector: libvhd reads them past the page cache.
    pub(crate) fn on_sector(what: &str, offset: u64, len_bytes: u64) -> Result<Self> {
        if !offset.is_multiple_of(SECTOR_BYTES) {
            return Err(Error::corrupt(format!("{what} does not begin on a sector: {offset}")));
        }
        let extent = Extent { offset, len_bytes };
        extent.end(what)?;
        Ok(extent)
    }

    /// The first byte after the run; an error past the end of 64 bits.
    pub fn end(self, what: &str) -> Result<u64> {
        sum(what, &[self.offset, self.len_bytes])
    }

    /// Whether the runs share a byte.
    pub(crate) fn overlaps(self, other: Extent) -> bool {
        let ends_after = |run: Extent, offset: u64| run.offset.saturating_add(run.len_bytes) > offset;
        ends_after(self, other.offset) && ends_after(other, self.offset)
    }
}

/// Adds sizes that come from a file; an error past the end of 64 bits.
pub(crate) fn sum(what: &str, terms: &[u64]) -> Result<u64> {
    terms
        .iter()
        .try_fold(0u64, |total, &term| total.checked_add(term))
        .ok_or_else(|| Error::corrupt(format!("{what} lies beyond 64 bits: {terms:?}")))
}

/// `len_bytes` rounded up to whole sectors; an error past the end of 64 bits.
pub(crate) fn sector_aligned(what: &str, len_bytes: u64) -> Result<u64> {
    Sectors::holding(len_bytes).bytes().ok_or_else(|| Error::corrupt(format!("{what} is beyond 64 bits: {len_bytes}")))
}

/// A length from a file as a length in memory.
pub(crate) fn in_memory(what: &str, len_bytes: u64) -> Result<usize> {
    usize::try_from(len_bytes)
        .map_err(|_| Error::new(ErrorKind::TooLarge, format!("{what} does not fit in memory: {len_bytes} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(len_bytes: u64, sectors: u64) {
        assert_eq!(Sectors::holding(len_bytes), Sectors(sectors));
    }

    #[test]
    fn sectors_round_up() {
        check(0, 0);
        check(1, 1);
        check(512, 1);
        check(513, 2);
        check(u64::MAX, 1 << 55);
    }

    #[test]
    fn tables_begin_on_sectors() {
        assert!(Extent::on_sector("x", 1536, 4).is_ok());
        assert!(Extent::on_sector("x", 1537, 4).is_err());
        assert!(Extent::on_sector("x", u64::MAX - 511, 512).is_err());
    }

    #[test]
    fn overflow_is_an_error() {
        assert!(sum("x", &[u64::MAX, 1]).is_err());
        assert!(sector_aligned("x", u64::MAX).is_err());
        assert_eq!(sum("x", &[1, 2, 3]).unwrap(), 6);
    }
}
