//! What a fuzzer's bytes mean: how an image is put on a medium, and ranges of a disk.

use arbitrary::Arbitrary;

use crate::checksums;
use crate::sparse_disk::SparseDisk;

/// How an image is put on a medium. `flags`: none of the lowest three set leaves checksums as they are, 8 makes a device.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct How {
    flags: u8,
    /// Power of two of bytes that the medium has, zeros in front of the footer; at most 64 MiB, no more than the image
    /// has where that is more.
    stretch: u8,
}

impl How {
    const MAX_STRETCH: u8 = 27;

    /// Whether checksums are made right.
    pub fn is_fixed(self) -> bool {
        self.flags & 7 != 0
    }

    /// The image, with right checksums most of the time.
    pub fn bytes(self, image: &[u8]) -> Vec<u8> {
        let mut image = image.to_vec();
        if self.is_fixed() {
            checksums::fix(&mut image);
        }
        image
    }

    /// The image on its medium.
    pub fn disk(self, image: &[u8]) -> SparseDisk {
        let image = self.bytes(image);
        let make = if self.flags & 8 == 0 { SparseDisk::file } else { SparseDisk::device };
        let len_bytes = self.len_bytes(&image);
        let (body, footer) = image.split_at(image.len().saturating_sub(512));
        let disk = make(body);
        disk.resize(len_bytes);
        vhd::Medium::write_all_at(&disk, footer, len_bytes - footer.len() as u64).unwrap();
        disk.forget_writes();
        disk
    }

    /// Length of the medium.
    pub fn len_bytes(self, image: &[u8]) -> u64 {
        (image.len() as u64).max(1 << (self.stretch % How::MAX_STRETCH))
    }
}

/// A range of a disk in whole sectors, that may begin or end outside.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Range {
    /// What `at` counts from: the start, the end, a block, or in parts of the disk.
    anchor: u8,
    at: u16,
    len: u8,
}

impl Range {
    /// First sector, and how many: up to 200, or up to 55 times `unit`.
    pub fn sectors(self, disk_sectors: u64, block_sectors: u64, unit: u64) -> (u64, u64) {
        let at = u64::from(self.at);
        let first = match self.anchor % 4 {
            0 => at,
            1 => disk_sectors.saturating_sub(at),
            2 => ((at >> 4) * block_sectors + at % 16).saturating_sub(8),
            _ => disk_sectors / 0x1_0000 * at,
        };
        let len = match u64::from(self.len) {
            len @ 0..=200 => len,
            len => (len - 200) * unit,
        };
        (first, len)
    }
}

/// Cuts off images of these lengths; the last one is the rest.
pub fn cut<'a>(mut bytes: &'a [u8], lens: &[u16]) -> Vec<&'a [u8]> {
    let mut images = Vec::new();
    for &len in lens {
        let (image, rest) = bytes.split_at(usize::from(len).min(bytes.len()));
        images.push(image);
        bytes = rest;
    }
    images.push(bytes);
    images
}
