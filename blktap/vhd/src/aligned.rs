//! Memory and ranges aligned for O_DIRECT. Knows numbers and bytes; does no I/O.

use std::ops::Range;

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Satisfies the logical block size of every device in use.
pub(crate) const ALIGN_BYTES: u64 = 4096;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// A buffer that starts on a page.
#[derive(Debug)]
pub(crate) struct AlignedBuffer {
    pages: Vec<Page>,
    len: usize,
}

impl AlignedBuffer {
    pub(crate) fn zeroed(len: usize) -> Self {
        let pages = vec![Page::new_zeroed(); len.div_ceil(size_of::<Page>())];
        AlignedBuffer { pages, len }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.pages.as_slice().as_bytes()[..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.pages.as_mut_slice().as_mut_bytes()[..self.len]
    }
}

/// The smallest aligned range around a run, cut at the end of the device, which is a whole number of its blocks.
pub(crate) fn aligned_range(offset: u64, len_bytes: u64, device_bytes: u64) -> Range<u64> {
    let start = offset - offset % ALIGN_BYTES;
    let end = offset.saturating_add(len_bytes);
    let end = end.checked_next_multiple_of(ALIGN_BYTES).unwrap_or(u64::MAX).min(device_bytes.max(end));
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offset: u64, len_bytes: u64, device_bytes: u64, range: Range<u64>) {
        assert_eq!(aligned_range(offset, len_bytes, device_bytes), range);
    }

    #[test]
    fn ranges_grow_to_pages_and_stop_at_the_end() {
        check(512, 1024, 8192, 0..4096);
        check(4095, 2, 8192, 0..8192);
        check(7680, 512, 8192, 4096..8192);
        check(4096, 512, 4608, 4096..4608);
    }

    #[test]
    fn buffers_start_on_a_page() {
        let mut buffer = AlignedBuffer::zeroed(5000);
        assert_eq!(buffer.bytes().as_ptr().align_offset(4096), 0);
        assert_eq!(buffer.bytes_mut().len(), 5000);
    }
}
