//! What an image stores of the key that its disk is encrypted with. Knows bytes; hashes nothing.

use std::mem::size_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The value of the first byte when there is a hash.
const IS_SET: u8 = 1;

/// Proof that a key is the right one, without the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash {
    /// Random bytes that were hashed in front of the key.
    pub nonce: [u8; 32],
    /// SHA-256 of nonce and key.
    pub hash: [u8; 32],
}

/// The 65 bytes as they lie in a batmap header, or in an attribute of the file.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawKeyHash {
    cookie: u8,
    nonce: [u8; 32],
    hash: [u8; 32],
}

const _: () = assert!(size_of::<RawKeyHash>() == 65);

impl RawKeyHash {
    pub(crate) fn checked(&self) -> Option<KeyHash> {
        self.in_force().filter(|_| self.cookie == IS_SET)
    }

    /// For whoever reads and writes data: as in tapdisk, only 0 means a disk in the clear.
    pub(crate) fn in_force(&self) -> Option<KeyHash> {
        (self.cookie != 0).then_some(KeyHash { nonce: self.nonce, hash: self.hash })
    }
}

impl From<Option<KeyHash>> for RawKeyHash {
    fn from(key_hash: Option<KeyHash>) -> Self {
        match key_hash {
            Some(KeyHash { nonce, hash }) => RawKeyHash { cookie: IS_SET, nonce, hash },
            None => RawKeyHash { cookie: 0, nonce: [0; 32], hash: [0; 32] },
        }
    }
}
