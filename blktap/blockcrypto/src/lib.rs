//! The encryption of blktap's disks: AES-XTS over sectors of 512 bytes, and the hash that tells the right key from a
//! wrong one. Knows keys and sectors; knows no image and prints nothing.
//!
//! A disk's key never leaves memory: it is wiped when dropped, and no `Debug` shows it. XTS hides what sectors hold. It
//! does not tell when someone changed them, or put back an older one.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod cipher;
mod key;

pub use cipher::{Cipher, SECTOR_BYTES};
pub use key::{Key, KeyError};
