//! Memory and ranges aligned for O_DIRECT. Knows numbers and bytes; does no I/O.

use std::ops::Range;

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Satisfies the logical sector size of every device in use.
pub(crate) const ALIGN_BYTES: u64 = 4096;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// A buffer that starts on a page: transfers past the page cache take it as it is.
#[derive(Debug)]
pub struct AlignedBuffer {
    pages: Vec<Page>,
    len: usize,
}

impl AlignedBuffer {
    /// So many zeros.
    pub fn zeroed(len: usize) -> Self {
        let pages = vec![Page::new_zeroed(); len.div_ceil(size_of::<Page>())];
        AlignedBuffer { pages, len }
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.pages.as_slice().as_bytes()[..self.len]
    }

    /// The same, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.pages.as_mut_slice().as_mut_bytes()[..self.len]
    }
}

/// The smallest range of whole sectors of a device around a run.
pub(crate) fn aligned_range(offset: u64, len_bytes: u64, sector_bytes: u64) -> Range<u64> {
    let end = offset.saturating_add(len_bytes);
    offset - offset % sector_bytes..end.checked_next_multiple_of(sector_bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offset: u64, len_bytes: u64, sector_bytes: u64, range: Range<u64>) {
        assert_eq!(aligned_range(offset, len_bytes, sector_bytes), range);
    }

    #[test]
    fn ranges_grow_to_sectors_of_the_device_and_no_further() {
        check(512, 1024, 512, 512..1536);
        check(1540, 4, 512, 1536..2048);
        check(512, 1024, 4096, 0..4096);
        check(4095, 2, 4096, 0..8192);
        check(u64::MAX, 2, 4096, u64::MAX - 4095..u64::MAX);
    }

    #[test]
    fn buffers_start_on_a_page() {
        let mut buffer = AlignedBuffer::zeroed(5000);
        assert_eq!(buffer.bytes().as_ptr().align_offset(4096), 0);
        assert_eq!(buffer.bytes_mut().len(), 5000);
    }
}
