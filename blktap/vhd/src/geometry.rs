//! Disk geometry: the algorithm of the VHD specification's appendix. Knows numbers only.

use crate::units::SECTOR_BYTES;

/// Cylinders, heads and sectors per track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u16,
    /// Heads.
    pub heads: u8,
    /// Sectors per track.
    pub sectors_per_track: u8,
}

impl Geometry {
    /// The geometry for a disk of this size, never larger than the disk (up to 65535 × 16 × 255 sectors).
    pub fn for_size(size_bytes: u64) -> Self {
        // libvhd counts sectors in 32 bits, and its `check` refuses a geometry larger than what it computes itself: a
        // disk of exactly 2 TiB must have the geometry of an empty one.
        let sectors = (size_bytes / SECTOR_BYTES) & u64::from(u32::MAX);
        let sectors = sectors.min(65535 * 16 * 255);
        if sectors >= 65535 * 16 * 63 {
            return Geometry::over(sectors, 16, 255);
        }
        let cylinders_times_heads = sectors / 17;
        let heads = cylinders_times_heads.div_ceil(1024).max(4);
        if heads <= 16 && cylinders_times_heads < heads * 1024 {
            return Geometry::over(sectors, heads, 17);
        }
        if sectors / 31 < 16 * 1024 {
            return Geometry::over(sectors, 16, 31);
        }
        Geometry::over(sectors, 16, 63)
    }

    fn over(sectors: u64, heads: u64, sectors_per_track: u64) -> Self {
        let narrow = |value: u64| u8::try_from(value).expect("heads and sectors per track are at most 255");
        Geometry {
            cylinders: u16::try_from(sectors / sectors_per_track / heads).unwrap_or(u16::MAX),
            heads: narrow(heads),
            sectors_per_track: narrow(sectors_per_track),
        }
    }

    /// The size in bytes that the geometry spans.
    pub fn size_bytes(self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors_per_track) * SECTOR_BYTES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(size_mib: u64, cylinders: u16, heads: u8, sectors_per_track: u8) {
        assert_eq!(
            Geometry::for_size(size_mib << 20),
            Geometry { cylinders, heads, sectors_per_track },
            "{size_mib} MiB"
        );
    }

    #[test]
    fn follows_the_specification() {
        check(0, 0, 4, 17);
        check(1, 30, 4, 17);
        check(64, 963, 8, 17);
        check(34, 140, 16, 31);
        check(506, 1028, 16, 63);
        check(32_254, 65531, 16, 63);
        check(32_256, 16191, 16, 255);
        check(2_088_960, 65535, 16, 255);
    }

    #[test]
    fn sectors_wrap_at_2_tib_as_in_libvhd() {
        check(2 << 20, 0, 4, 17);
    }

    proptest! {
        #[test]
        fn never_spans_more_than_the_disk(size_bytes: u64) {
            prop_assert!(Geometry::for_size(size_bytes).size_bytes() <= size_bytes);
        }
    }
}
