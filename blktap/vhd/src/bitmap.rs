//! The bitmap in front of a block: which sectors of it this image holds. Knows bits only.

use std::ops::Range;

use crate::error::Result;
use crate::header::BlockSize;
use crate::units::{SECTOR_BYTES, in_memory};

/// One bit per sector, from the most significant one of the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bitmap(Vec<u8>);

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

    /// Sectors past the end are absent.
    pub(crate) fn is_present(&self, sector: u64) -> bool {
        let byte = usize::try_from(sector / 8).ok().and_then(|byte| self.0.get(byte));
        byte.is_some_and(|byte| byte & (0x80 >> (sector % 8)) != 0)
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
}
