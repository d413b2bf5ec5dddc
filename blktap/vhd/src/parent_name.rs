//! The parent's file name as a header holds it: UTF-16BE in 512 bytes. Knows bytes and text only.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::locator_path;

/// Room for the name, in bytes.
const NAME_BYTES: usize = 512;

/// A file name of at most 256 UTF-16 units; shorter ones are padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ParentName(
    /// The bytes as they lie on disk.
    pub [u8; NAME_BYTES],
);

impl ParentName {
    /// The name as bytes of a header. An error when it is longer than the field or has a zero in it.
    pub fn encode(name: &str) -> Result<Self> {
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
        if units.len() > NAME_BYTES || name.contains('\0') {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("parent name `{name}` does not fit in 256 UTF-16 units without zeros"),
            ));
        }
        let mut encoded = ParentName::default();
        encoded.0[..units.len()].copy_from_slice(&units);
        Ok(encoded)
    }

    /// The name as text, up to the first zero. Windows stores a whole path, which is shown as locators show theirs. An
    /// error when it is not UTF-16.
    pub fn decode(&self) -> Result<String> {
        let units = self.0.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        char::decode_utf16(units.take_while(|&unit| unit != 0))
            .collect::<std::result::Result<String, _>>()
            .map(|text| locator_path::from_windows(&text))
            .map_err(|_| Error::corrupt("parent name is not UTF-16"))
    }
}

impl Default for ParentName {
    fn default() -> Self {
        ParentName([0; NAME_BYTES])
    }
}

impl fmt::Debug for ParentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParentName").field(&self.decode()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(name: &str, is_encodable: bool) {
        match ParentName::encode(name) {
            Ok(encoded) => assert_eq!((encoded.decode().unwrap().as_str(), true), (name, is_encodable)),
            Err(_) => assert!(!is_encodable, "{name}"),
        }
    }

    #[test]
    fn names_of_every_script_survive() {
        check("", true);
        check("a.vhd", true);
        check("diské 字 😀.vhd", true);
        check(&"x".repeat(256), true);
        check(&"x".repeat(257), false);
        check("a\0b", false);
    }

    #[test]
    fn paths_of_windows_are_shown_as_in_locators() {
        let shown = |name| ParentName::encode(name).unwrap().decode().unwrap();
        assert_eq!((shown("C:\\d\\a.vhd"), shown("D:\\a")), ("/d/a.vhd".to_owned(), "D:/a".to_owned()));
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        let mut name = ParentName::default();
        name.0[..4].copy_from_slice(&[0xd8, 0, 0, b'a']);
        assert!(name.decode().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes: [[u8; 32]; 16]) {
            let mut name = ParentName::default();
            name.0.copy_from_slice(bytes.as_flattened());
            drop(name.decode());
        }
    }
}
