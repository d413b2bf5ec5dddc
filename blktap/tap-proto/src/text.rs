//! Texts in fields of 256 bytes that end with a NUL: paths, `type:path` strings, messages.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::Malformed;

/// Length of a field, the NUL included.
pub const TEXT_BYTES: usize = 256;

/// At most 255 bytes, none of them NUL. Bytes, not characters: what was sent comes back as it was.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(Vec<u8>);

impl Text {
    /// A text that fits a field.
    pub fn new(text: impl AsRef<OsStr>) -> Result<Self, Malformed> {
        let bytes = text.as_ref().as_bytes();
        if bytes.len() >= TEXT_BYTES || bytes.contains(&0) {
            let shown = text.as_ref().display();
            let len = bytes.len();
            return Err(Malformed::new(format!(
                "`{shown}` has {len} bytes; at most {} go into a message",
                TEXT_BYTES - 1
            )));
        }
        Ok(Text(bytes.to_vec()))
    }

    /// The start of a text that may be too long, for messages to people.
    pub fn cut(text: &str) -> Self {
        let mut end = text.len().min(TEXT_BYTES - 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Text(text.as_bytes()[..end].iter().copied().filter(|&byte| byte != 0).collect())
    }

    /// The bytes.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// The bytes.
    pub fn into_os_string(self) -> OsString {
        OsString::from_vec(self.0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn from_field(field: &[u8; TEXT_BYTES]) -> Result<Self, Malformed> {
        let end = field.iter().position(|&byte| byte == 0);
        let end = end.ok_or_else(|| Malformed::new("a text of 256 bytes does not end"))?;
        Ok(Text(field[..end].to_vec()))
    }

    pub(crate) fn to_field(&self) -> [u8; TEXT_BYTES] {
        let mut field = [0; TEXT_BYTES];
        field[..self.0.len()].copy_from_slice(&self.0);
        field
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_os_str().fmt(f)
    }
}
