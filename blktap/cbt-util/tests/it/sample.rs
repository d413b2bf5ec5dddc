//! Logs as bytes, written down here once more so that a mistake in the library shows.

pub(crate) const PARENT: &str = "01010101-0101-0101-0101-010101010101";
pub(crate) const CHILD: &str = "0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a";

/// A consistent log with this parent and child.
pub(crate) fn log(size_bytes: u64, bitmap: &[u8]) -> Vec<u8> {
    [&[0x01; 16][..], &[0x0a; 16], &1i32.to_ne_bytes(), &[0xc7; 4], &size_bytes.to_ne_bytes(), bitmap].concat()
}
