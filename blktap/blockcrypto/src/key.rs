//! The key of an encrypted disk: where its bytes come from, and its hash. Encrypts nothing.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Read};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of the longest key.
const MAX_BYTES: usize = 64;

/// A key of 256 or 512 bits, for AES-128 and AES-256: XTS takes two keys of the cipher. Wiped when dropped.
pub struct Key(Zeroizing<Box<[u8]>>);

impl Key {
    /// A key of 32 or 64 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        match bytes.len() {
            32 | 64 => Ok(Key(Zeroizing::new(bytes.into()))),
            len => Err(KeyError::Length(len)),
        }
    }

    /// Reads a key that is all that `source` has, to its end; of something larger only as much as tells that it is no
    /// key.
    pub fn read(mut source: impl Read) -> Result<Self, KeyError> {
        // One buffer that never moves, so that no copy is left behind.
        let mut bytes = Zeroizing::new([0; MAX_BYTES + 1]);
        let mut len = 0;
        while len < bytes.len() {
            match source.read(&mut bytes[len..]) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(KeyError::Read(error)),
            }
        }
        Key::new(&bytes[..len])
    }

    /// How many bits it has: 256 or 512.
    pub fn bits(&self) -> usize {
        self.0.len() * 8
    }

    /// What a disk stores of its key: SHA-256 of the nonce, then the key.
    pub fn hash(&self, nonce: &[u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update(nonce).chain_update(&**self.0).finalize().into()
    }

    /// Its halves: the key of the data, and the key of the tweak.
    pub(crate) fn halves(&self) -> (&[u8], &[u8]) {
        self.0.split_at(self.0.len() / 2)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("bits", &self.bits()).finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// It has this many bytes, or more.
    Length(usize),
    /// Its halves are equal, which would undo what XTS protects; OpenSSL, and so blktap, refuses it too.
    EqualHalves,
    /// It cannot be read.
    Read(io::Error),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Length(len) if *len > MAX_BYTES => write!(f, "key has more than {MAX_BYTES} bytes, not 32 or 64"),
            KeyError::Length(len) => write!(f, "key has {len} bytes, not 32 or 64"),
            KeyError::EqualHalves => f.write_str("first and second half of the key are equal"),
            KeyError::Read(_) => f.write_str("cannot read key"),
        }
    }
}

impl Error for KeyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            KeyError::Read(error) => Some(error),
            KeyError::Length(_) | KeyError::EqualHalves => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a key in pieces of `step` bytes.
    fn check(len: usize, step: usize, is_key: bool) {
        struct Pieces(Vec<u8>, usize);
        impl Read for Pieces {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                let len = self.1.min(self.0.len()).min(bytes.len());
                bytes[..len].copy_from_slice(&self.0[..len]);
                self.0.drain(..len);
                Ok(len)
            }
        }
        let key = Key::read(Pieces((0..=255).cycle().take(len).collect(), step));
        assert_eq!(key.as_ref().ok().map(Key::bits), is_key.then_some(len * 8), "{len} bytes: {key:?}");
    }

    #[test]
    fn a_key_is_all_that_is_there() {
        for step in [1, 7, 1000] {
            check(32, step, true);
            check(64, step, true);
            for len in [0, 16, 31, 33, 63, 65, 1 << 16] {
                check(len, step, false);
            }
        }
    }

    #[test]
    fn the_hash_is_that_of_nonce_and_key() {
        let check = |len: usize, nonce: u8, expected: &str| {
            let bytes: Vec<u8> = (0..=255).take(len).collect();
            let hash = Key::new(&bytes).unwrap().hash(&[nonce; 32]);
            assert_eq!(base16ct::lower::encode_string(&hash), expected);
        };
        // From blktap 4's `vhd-util key -C`.
        check(32, 0, "bb2275c49f28ad52cae6d55e34a974a58c7a3ba26f976e8ecbbe7a536918dc73");
        check(64, 0xaa, "ba41eb115a13e3b0ea595fdc61e325fcbd38f214f461676674de5b28667bc967");
    }

    #[test]
    fn nothing_shows_the_key() {
        let key = Key::new(&[0xa7; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "Key { bits: 256, .. }");
    }
}
