//! Which written sectors of a chain's images their parents do not hold: what a coalesce would add. Reads bitmaps only.

use std::path::{Path, PathBuf};

use crate::bat::Bat;
use crate::error::Result;
use crate::header::BlockSize;
use crate::image::Image;
use crate::units::SECTOR_BYTES;

/// Sectors that are looked at together: one block of every image that libvhd made.
const WINDOW_SECTORS: u64 = 4096;
const WINDOW_BYTES: usize = 512;

/// Written sectors of an image that are not written in others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UniqueSectors {
    /// Its parent has none of them.
    pub not_in_parent: u64,
    /// No image below it has any of them.
    pub not_in_ancestors: u64,
}

/// Counts for all images of a chain, leaf first. Of the last one, which has no parent, all written sectors count.
pub fn unique_sectors(chain: &[PathBuf]) -> Result<Vec<UniqueSectors>> {
    let images: Vec<Written> = chain.iter().map(|path| Written::open(path)).collect::<Result<_>>()?;
    let mut counts = vec![UniqueSectors::default(); images.len()];
    for window in 0..images.iter().map(Written::windows).max().unwrap_or(0) {
        let (mut parent, mut ancestors) = ([0; WINDOW_BYTES], [0; WINDOW_BYTES]);
        for (image, count) in images.iter().zip(&mut counts).rev() {
            let own = image.window(window)?;
            count.not_in_parent += bits(&own, &parent);
            count.not_in_ancestors += bits(&own, &ancestors);
            ancestors.iter_mut().zip(&own).for_each(|(all, own)| *all |= own);
            parent = own;
        }
    }
    Ok(counts)
}

/// Bits that are set in one and not in the other.
fn bits(own: &[u8; WINDOW_BYTES], other: &[u8; WINDOW_BYTES]) -> u64 {
    own.iter().zip(other).map(|(own, other)| u64::from((own & !other).count_ones())).sum()
}

/// What an image holds.
struct Written {
    image: Image,
    bat: Bat,
    block_size: BlockSize,
}

impl Written {
    fn open(path: &Path) -> Result<Self> {
        let image = Image::open(path)?;
        Ok(Written { bat: image.bat()?, block_size: image.header()?.block_size, image })
    }

    fn windows(&self) -> u64 {
        (self.bat.entries().len() as u64 * self.block_size.sectors()).div_ceil(WINDOW_SECTORS)
    }

    /// Which sectors of a window are present, a bit each.
    fn window(&self, window: u64) -> Result<[u8; WINDOW_BYTES]> {
        let mut present = [0; WINDOW_BYTES];
        let block_sectors = self.block_size.sectors();
        let per_window = WINDOW_SECTORS / block_sectors;
        for (index, block) in (0..per_window).map(|index| (index, window * per_window + index)) {
            let Some(entry) = self.bat.place(block) else { continue };
            let bitmap = self.image.bitmap(entry)?;
            if per_window == 1 && bitmap.bytes().len() == present.len() {
                present.copy_from_slice(bitmap.bytes());
                continue;
            }
            for sector in (0..block_sectors).filter(|&sector| bitmap.is_present(sector)) {
                let at = index * block_sectors + sector;
                if let Some(byte) = usize::try_from(at / 8).ok().and_then(|byte| present.get_mut(byte)) {
                    *byte |= 0x80 >> (at % 8);
                }
            }
        }
        Ok(present)
    }
}

const _: () = assert!(WINDOW_SECTORS * SECTOR_BYTES == crate::units::BLOCK_BYTES);
