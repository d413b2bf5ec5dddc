//! The bitmap in front of a block: which sectors of it this image holds. Knows bits only.

use std::ops::Range;

use crate::error::Result;
use crate::header::BlockSize;
use crate::units::{SECTOR_BYTES, in_memory};

/// One bit per sector, from the most significant one of the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap(Vec<u8>);

impl Bitmap {
    /// Length on disk: whole sectors.
    pub(crate) fn len_bytes(block_size: BlockSize) -> u64 {
        block_size.bitmap_sectors() * SECTOR_BYTES
    }

    pub(crate) fn empty(block_size: BlockSize) -> Result<Self> {
        Ok(Bitmap(vec![0; in_memory("bitmap", Bitmap::len_bytes(block_size))?]))
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Bitmap(bytes)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes as they lie on disk.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the image holds the sector, counted from the start of the block. Sectors past the end are absent.
    pub fn is_present(&self, sector: u64) -> bool {
        self.byte(sector) & (0x80 >> (sector % 8)) != 0
    }

    /// The sectors of the range in stretches that are all present (`true`) or all absent, which take turns.
    pub fn runs(&self, sectors: Range<u64>) -> impl Iterator<Item = (bool, Range<u64>)> {
        let mut at = sectors.start;
        std::iter::from_fn(move || {
            let (start, is_present) = (at, self.is_present(at));
            let same = if is_present { 0xff } else { 0 };
            while at < sectors.end && self.is_present(at) == is_present {
                let is_whole_byte = at.is_multiple_of(8) && self.byte(at) == same;
                at = if is_whole_byte { (at + 8).min(sectors.end) } else { at + 1 };
            }
            (start < at).then_some((is_present, start..at))
        })
    }

    /// Whether the image holds every sector of a block.
    pub(crate) fn has_all(&self, block_size: BlockSize) -> bool {
        let all = 0..block_size.sectors();
        self.runs(all.clone()).next() == Some((true, all))
    }

    fn byte(&self, sector: u64) -> u8 {
        usize::try_from(sector / 8).ok().and_then(|byte| self.0.get(byte)).copied().unwrap_or(0)
    }

    /// Marks sectors as present; whether any was not.
    pub(crate) fn set(&mut self, sectors: Range<u64>) -> bool {
        let mut is_changed = false;
        for sector in sectors {
            if let Some(byte) = usize::try_from(sector / 8).ok().and_then(|byte| self.0.get_mut(byte)) {
                let bit = 0x80 >> (sector % 8);
                is_changed |= *byte & bit == 0;
                *byte |= bit;
            }
        }
        is_changed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bits_run_from_the_most_significant_one() {
        let mut bitmap = Bitmap::empty(BlockSize::DEFAULT).unwrap();
        assert!(bitmap.set(0..1) && bitmap.set(7..10) && !bitmap.set(8..10));
        assert_eq!(bitmap.clone().into_bytes()[..3], [0x81, 0xc0, 0]);
        let present: Vec<u64> = (0..5000).filter(|&sector| bitmap.is_present(sector)).collect();
        assert_eq!(present, [0, 7, 8, 9]);
        assert!(!bitmap.is_present(u64::MAX) && !bitmap.set(4096..4100));
    }

    proptest! {
        #[test]
        fn runs_are_the_bits_in_turns(bytes in proptest::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..40), start in 0..200u64, len in 0..200u64) {
            let bitmap = Bitmap::from_bytes(bytes);
            let runs: Vec<_> = bitmap.runs(start..start + len).collect();
            let bits: Vec<bool> = runs.iter().flat_map(|(is_present, run)| run.clone().map(|_| *is_present)).collect();
            prop_assert_eq!(bits, (start..start + len).map(|at| bitmap.is_present(at)).collect::<Vec<_>>());
            prop_assert!(runs.windows(2).all(|pair| pair[0].0 != pair[1].0 && pair[0].1.end == pair[1].1.start));
        }
    }
}
