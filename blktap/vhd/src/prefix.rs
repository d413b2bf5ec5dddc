//! Wire structures out of bytes that may end early. Knows no structure.

use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// The structure at the start of `bytes`; what is missing counts as zero.
pub(crate) fn of<T: FromZeros + FromBytes + IntoBytes>(bytes: &[u8]) -> T {
    let mut raw = T::new_zeroed();
    let len = bytes.len().min(size_of::<T>());
    raw.as_mut_bytes()[..len].copy_from_slice(&bytes[..len]);
    raw
}
