//! Paths to a parent as locators encode them. Knows bytes and paths; never looks at a file system.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::locator::PlatformCode;

const URL_PREFIX: &[u8] = b"file://";

/// The bytes that a locator of this code stores for `path`. An error when the code cannot carry the path.
pub fn encode(code: PlatformCode, path: &Path) -> Result<Vec<u8>> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("path `{}` is empty or has a zero in it", path.display()),
        ));
    }
    match code {
        // libvhd writes the path as it is, without the URL's percent encoding, and reads it so.
        PlatformCode::MacX => Ok([URL_PREFIX, bytes].concat()),
        PlatformCode::W2ku | PlatformCode::W2ru => encode_windows(path),
        PlatformCode::None | PlatformCode::Wi2r | PlatformCode::Wi2k | PlatformCode::Mac => {
            Err(no_known_encoding(code))
        }
    }
}

/// The path that `bytes` of a locator of this code stand for. It ends at the first zero.
pub fn decode(code: PlatformCode, bytes: &[u8]) -> Result<PathBuf> {
    let path = match code {
        PlatformCode::MacX => decode_url(bytes)?,
        PlatformCode::W2ku | PlatformCode::W2ru => decode_windows(bytes)?,
        PlatformCode::None | PlatformCode::Wi2r | PlatformCode::Wi2k | PlatformCode::Mac => {
            return Err(no_known_encoding(code));
        }
    };
    if path.as_os_str().is_empty() {
        return Err(Error::corrupt(format!("path in a {code:?} locator is empty")));
    }
    Ok(path)
}

fn decode_url(bytes: &[u8]) -> Result<PathBuf> {
    let path =
        bytes.strip_prefix(URL_PREFIX).ok_or_else(|| Error::corrupt("path in a MacX locator is not a file:// URL"))?;
    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(OsString::from_vec(path.to_vec()).into())
}

fn encode_windows(path: &Path) -> Result<Vec<u8>> {
    let text = path.to_str().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            format!("path `{}` is not UTF-8, so UTF-16 cannot carry it", path.display()),
        )
    })?;
    if text.contains('\\') {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("path `{text}` has a backslash, which separates in UTF-16 locators"),
        ));
    }
    // `a` and `../a` become `.\a` and `.\..\a`; `./a` has its prefix already.
    let prefix = if path.is_absolute() || text.starts_with("./") { "" } else { ".\\" };
    let windows = format!("{prefix}{}", text.replace('/', "\\"));
    Ok(windows.encode_utf16().flat_map(u16::to_le_bytes).collect())
}

fn decode_windows(bytes: &[u8]) -> Result<PathBuf> {
    if !bytes.len().is_multiple_of(2) {
        return Err(Error::corrupt(format!("path in UTF-16 has an odd length: {}", bytes.len())));
    }
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units.take_while(|&unit| unit != 0))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Error::corrupt("path in a locator is not UTF-16"))?;
    Ok(from_windows(&text).into())
}

/// What a path of Windows is here: libvhd takes the drive `C:` (no other) for the root.
pub(crate) fn from_windows(text: &str) -> String {
    let text = text.strip_prefix("C:").or_else(|| text.strip_prefix("c:")).unwrap_or(text);
    text.replace('\\', "/")
}

fn no_known_encoding(code: PlatformCode) -> Error {
    Error::new(ErrorKind::Corrupt, format!("no encoding of paths is known for {code:?} locators"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    fn check(code: PlatformCode, bytes: &[u8], path: Option<&str>) {
        assert_eq!(decode(code, bytes).ok(), path.map(PathBuf::from), "{code:?} {bytes:?}");
    }

    #[test]
    fn paths_are_stored_as_libvhd_stores_them() {
        let encoded = |code, path: &str| encode(code, Path::new(path)).unwrap();
        assert_eq!(encoded(PlatformCode::MacX, "./a.vhd"), b"file://./a.vhd");
        assert_eq!(encoded(PlatformCode::MacX, "../../a.vhd"), b"file://../../a.vhd");
        assert_eq!(encoded(PlatformCode::W2ku, "./a.vhd"), utf16(".\\a.vhd"));
        assert_eq!(encoded(PlatformCode::W2ru, "../../a.vhd"), utf16(".\\..\\..\\a.vhd"));
        assert_eq!(encoded(PlatformCode::W2ku, "/d/a.vhd"), utf16("\\d\\a.vhd"));
    }

    #[test]
    fn names_outside_ascii_are_read() {
        check(PlatformCode::MacX, "file://./é字😀.vhd".as_bytes(), Some("./é字😀.vhd"));
        check(PlatformCode::W2ku, &utf16(".\\é字😀.vhd"), Some("./é字😀.vhd"));
        check(PlatformCode::W2ru, &[0, 0xd8, b'a', 0], None);
    }

    #[test]
    fn a_path_ends_at_the_first_zero() {
        check(PlatformCode::W2ku, &utf16(".\\a.vhd\0xx"), Some("./a.vhd"));
        check(PlatformCode::MacX, b"file://a\0b", Some("a"));
    }

    #[test]
    fn only_drive_c_is_the_root() {
        check(PlatformCode::W2ku, &utf16("C:\\d\\a.vhd"), Some("/d/a.vhd"));
        check(PlatformCode::W2ku, &utf16("c:\\a"), Some("/a"));
        check(PlatformCode::W2ku, &utf16("D:\\a"), Some("D:/a"));
    }

    #[test]
    fn bytes_that_are_no_path_are_refused() {
        check(PlatformCode::MacX, b"./a.vhd", None);
        check(PlatformCode::MacX, b"file://", None);
        check(PlatformCode::W2ku, &utf16("a")[..1], None);
        check(PlatformCode::W2ku, &[], None);
        for code in [PlatformCode::None, PlatformCode::Wi2r, PlatformCode::Wi2k, PlatformCode::Mac] {
            check(code, b"a.vhd", None);
            assert!(encode(code, Path::new("a.vhd")).is_err());
        }
    }

    #[test]
    fn paths_that_a_code_cannot_carry_are_refused() {
        assert!(encode(PlatformCode::W2ku, Path::new("a\\b")).is_err());
        assert!(encode(PlatformCode::W2ku, Path::new(std::ffi::OsStr::from_bytes(b"\xff"))).is_err());
        assert!(encode(PlatformCode::MacX, Path::new("")).is_err());
    }

    proptest! {
        #[test]
        fn every_relative_path_survives_every_code(path in "[^\0\\\\/.][^\0\\\\/]{0,40}(/[^\0\\\\/.]{1,20}){0,3}") {
            for code in [PlatformCode::MacX, PlatformCode::W2ku, PlatformCode::W2ru] {
                let decoded = decode(code, &encode(code, Path::new(&path)).unwrap()).unwrap();
                let expected = Path::new(&path);
                let expected = expected.strip_prefix("./").unwrap_or(expected);
                prop_assert_eq!(decoded.strip_prefix("./").unwrap_or(&decoded), expected);
            }
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>) {
            for code in [PlatformCode::MacX, PlatformCode::W2ku, PlatformCode::W2ru, PlatformCode::Wi2r] {
                drop(decode(code, &bytes));
            }
        }
    }
}
