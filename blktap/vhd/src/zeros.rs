//! Telling zeros from data. Knows bytes only.

use std::ops::Range;

/// What data is told apart by: the smallest piece of a file that can be a hole.
pub(crate) const PAGE_BYTES: usize = 4096;

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Comparing slices is what the standard library does fastest.
    bytes.chunks(PAGE_BYTES).all(|page| *page == [0; PAGE_BYTES][..page.len()])
}

/// The stretches of whole pages that are not zero, in order, with pages of zeros between them.
pub(crate) fn data(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut pages = bytes[at..].chunks(PAGE_BYTES);
        let ahead: usize = pages.by_ref().take_while(|page| is_zero(page)).map(<[u8]>::len).sum();
        let start = at + ahead;
        let held: usize = bytes[start..].chunks(PAGE_BYTES).take_while(|page| !is_zero(page)).map(<[u8]>::len).sum();
        at = start + held;
        (held > 0).then_some(start..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(len: usize, ones: &[usize], expected: &[(usize, usize)]) {
        let mut bytes = vec![0; len];
        ones.iter().for_each(|&at| bytes[at] = 1);
        let found: Vec<_> = data(&bytes).map(|range| (range.start, range.end)).collect();
        assert_eq!(found, expected, "{len} {ones:?}");
        assert_eq!(is_zero(&bytes), ones.is_empty());
    }

    #[test]
    fn data_is_told_from_zeros_by_pages() {
        check(0, &[], &[]);
        check(10_000, &[], &[]);
        check(10_000, &[9999], &[(8192, 10_000)]);
        check(20_480, &[0, 4095, 4096, 12_288], &[(0, 8192), (12_288, 16_384)]);
        check(8192, &[4095, 4096], &[(0, 8192)]);
    }
}
