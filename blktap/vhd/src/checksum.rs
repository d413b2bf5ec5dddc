//! The format's checksum: the complement of the sum of bytes. Knows bytes only.

use std::ops::Range;

/// The complement of the sum of all bytes.
pub(crate) fn of(bytes: &[u8]) -> u32 {
    !sum(bytes)
}

/// The same with the bytes of `field` (where the checksum itself is stored) taken as zero.
pub(crate) fn without(bytes: &[u8], field: Range<usize>) -> u32 {
    let stored = bytes.get(field).map_or(0, sum);
    !sum(bytes).wrapping_sub(stored)
}

/// The sum of bytes taken as signed: what blktap wrote in batmaps of version 1.1.
pub(crate) fn of_signed(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(0u32, |total, &byte| total.wrapping_add_signed(i32::from(byte.cast_signed())))
}

/// The sum of bytes, for what is summed piece by piece.
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0u32, |total, &byte| total.wrapping_add(u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], unsigned: u32, signed: u32) {
        assert_eq!((of(bytes), of_signed(bytes)), (unsigned, signed), "{bytes:?}");
    }

    #[test]
    fn sums_are_complemented() {
        check(&[], u32::MAX, u32::MAX);
        check(&[1, 2], !3, !3);
        check(&[0xff, 0x80, 1], !0x180, !(1u32.wrapping_sub(129)));
    }

    #[test]
    fn the_stored_field_counts_as_zero() {
        assert_eq!(without(&[1, 9, 9, 2], 1..3), !3);
    }
}
