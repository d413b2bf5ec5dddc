//! The header of a log, and what follows from it. Knows bytes; never reads a file.

use uuid::Uuid;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What one bit of the bitmap stands for.
pub const BLOCK_BYTES: u64 = 64 << 10;

/// Where the bitmap begins.
pub const HEADER_BYTES: usize = 48;

/// As it lies on disk, in the byte order of the machine that runs the disk: a C structure, written as it is.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawHeader {
    parent: [u8; 16],
    child: [u8; 16],
    consistent: i32,
    padding: [u8; 4],
    size_bytes: u64,
}

const _: () = assert!(size_of::<RawHeader>() == HEADER_BYTES);

/// What a log says about itself. Any bytes are a header; what it promises is checked where it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The disk of the log before this one; nil for none.
    pub parent: Uuid,
    /// The disk of the log after this one; nil for none.
    pub child: Uuid,
    /// Whether the bitmap can be relied on: not 0 when it holds every write. 0 while a tapdisk has it open.
    pub consistent: i32,
    /// Four bytes that C leaves as they are.
    pub padding: [u8; 4],
    /// Size of the disk in bytes.
    pub size_bytes: u64,
}

impl Header {
    /// The header of a new log, of a disk of this size.
    pub const fn new(size_bytes: u64) -> Self {
        Header { parent: Uuid::nil(), child: Uuid::nil(), consistent: 0, padding: [0; 4], size_bytes }
    }

    /// Decodes it.
    pub fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Self {
        let RawHeader { parent, child, consistent, padding, size_bytes } = zerocopy::transmute!(*bytes);
        Header { parent: Uuid::from_bytes(parent), child: Uuid::from_bytes(child), consistent, padding, size_bytes }
    }

    /// Encodes it.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        zerocopy::transmute!(RawHeader {
            parent: self.parent.into_bytes(),
            child: self.child.into_bytes(),
            consistent: self.consistent,
            padding: self.padding,
            size_bytes: self.size_bytes,
        })
    }

    /// Length of the bitmap in bytes.
    pub const fn bitmap_bytes(&self) -> u64 {
        self.size_bytes.div_ceil(BLOCK_BYTES).div_ceil(8)
    }

    /// Where the bitmap, and the log, end. At most some 35 TB: no sum with it has more than 64 bits.
    pub const fn end(&self) -> u64 {
        HEADER_BYTES as u64 + self.bitmap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(size_bytes: u64, bitmap_bytes: u64) {
        assert_eq!(Header::new(size_bytes).bitmap_bytes(), bitmap_bytes, "{size_bytes}");
    }

    #[test]
    fn a_byte_of_bitmap_stands_for_eight_blocks() {
        check(0, 0);
        check(1, 1);
        check(8 * BLOCK_BYTES, 1);
        check(8 * BLOCK_BYTES + 1, 2);
        check(10 << 20, 20);
        check(2 << 40, 4 << 20);
        check(u64::MAX, 1 << 45);
    }

    #[test]
    fn every_byte_of_a_header_survives() {
        let bytes: [u8; HEADER_BYTES] = std::array::from_fn(|at| u8::try_from(at).unwrap_or(0) ^ 0xa5);
        assert_eq!(Header::from_bytes(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn fields_lie_where_c_has_them() {
        let header = Header {
            parent: Uuid::from_u128(1),
            child: Uuid::from_u128(2),
            consistent: -1,
            padding: [7; 4],
            size_bytes: 10 << 20,
        };
        let bytes = header.to_bytes();
        assert_eq!((bytes[15], bytes[31]), (1, 2));
        assert_eq!(bytes[32..40], [255, 255, 255, 255, 7, 7, 7, 7]);
        assert_eq!(bytes[40..], (10u64 << 20).to_ne_bytes());
    }
}
