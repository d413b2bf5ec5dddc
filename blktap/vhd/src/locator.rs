//! Parent locators: the eight slots of a header that say where paths to the parent are stored.
//! Knows the slots; the paths themselves are `locator_path`'s.

use std::mem::size_of;

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::{Error, Result};
use crate::units::{Extent, SECTOR_BYTES, sum};

/// The longest path that is read: 32767 UTF-16 units, the limit of Windows. Linux has 4096 bytes.
const MAX_PATH_BYTES: u64 = 64 << 10;

/// The 24 bytes of a slot as they lie on disk, unjudged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawLocator {
    code: U32,
    space: U32,
    len_bytes: U32,
    reserved: U32,
    offset: U64,
}

const _: () = assert!(size_of::<RawLocator>() == 24);

/// How a path is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlatformCode {
    /// The slot is empty.
    #[default]
    None,
    /// Windows, relative path, deprecated: encoding not documented.
    Wi2r,
    /// Windows, absolute path, deprecated: encoding not documented.
    Wi2k,
    /// Windows, relative path in UTF-16LE.
    W2ru,
    /// Windows, absolute path in UTF-16LE (libvhd stores the relative one here too).
    W2ku,
    /// Classic Mac OS: an alias record, which only that system can resolve.
    Mac,
    /// Mac OS X: a `file://` URL in UTF-8.
    MacX,
}

impl PlatformCode {
    const NUMBERS: [(PlatformCode, u32); 7] = [
        (PlatformCode::None, 0),
        (PlatformCode::Wi2r, u32::from_be_bytes(*b"Wi2r")),
        (PlatformCode::Wi2k, u32::from_be_bytes(*b"Wi2k")),
        (PlatformCode::W2ru, u32::from_be_bytes(*b"W2ru")),
        (PlatformCode::W2ku, u32::from_be_bytes(*b"W2ku")),
        (PlatformCode::Mac, u32::from_be_bytes(*b"Mac ")),
        (PlatformCode::MacX, u32::from_be_bytes(*b"MacX")),
    ];
}

impl TryFrom<u32> for PlatformCode {
    type Error = Error;

    fn try_from(number: u32) -> Result<Self> {
        PlatformCode::NUMBERS
            .into_iter()
            .find_map(|(code, known)| (known == number).then_some(code))
            .ok_or_else(|| Error::corrupt(format!("platform code is unknown: {number:#010x}")))
    }
}

impl From<PlatformCode> for u32 {
    fn from(code: PlatformCode) -> Self {
        PlatformCode::NUMBERS
            .into_iter()
            .find_map(|(known, number)| (known == code).then_some(number))
            .expect("NUMBERS has every code")
    }
}

/// Room reserved for a path, as stored. The specification says sectors, Microsoft and libvhd write bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataSpace(
    /// The number as stored.
    pub u32,
);

impl DataSpace {
    /// In bytes: below 512 it counts sectors, a multiple of 512 is bytes, anything else is neither.
    pub fn bytes(self) -> Result<u64> {
        let stored = u64::from(self.0);
        match stored {
            1..SECTOR_BYTES => Ok(stored * SECTOR_BYTES),
            _ if stored.is_multiple_of(SECTOR_BYTES) => Ok(stored),
            _ => Err(Error::corrupt(format!(
                "space of a parent locator is {stored}: neither sectors nor whole sectors in bytes"
            ))),
        }
    }
}

/// One slot. The code is known; position and lengths are checked by [`Locator::extent`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locator {
    /// How the path is encoded.
    pub code: PlatformCode,
    /// Room reserved for it.
    pub space: DataSpace,
    /// Length of the encoded path.
    pub len_bytes: u32,
    /// Zero; kept as it is.
    pub reserved: u32,
    /// Byte position of the encoded path in the file.
    pub offset: u64,
}

impl Locator {
    /// Whether the slot is in use.
    pub fn is_used(&self) -> bool {
        self.code != PlatformCode::None
    }

    /// The byte position after the path's room, for finding out where data may begin. A room that is neither sectors
    /// nor bytes counts as bytes, rounded up, as in libvhd.
    pub fn end(&self) -> Result<u64> {
        let room_bytes = self.space.bytes().unwrap_or(u64::from(self.space.0).next_multiple_of(SECTOR_BYTES));
        sum("parent locator", &[self.offset, room_bytes])
    }

    /// Where the encoded path lies. An error when it is empty or longer than its room: a length from a hostile image
    /// must not make anyone read past it.
    pub fn extent(&self) -> Result<Extent> {
        let (len_bytes, space_bytes) = (u64::from(self.len_bytes), self.space.bytes()?);
        if len_bytes == 0 || len_bytes > space_bytes {
            return Err(Error::corrupt(format!("path of a parent locator takes {len_bytes} bytes of {space_bytes}")));
        }
        if len_bytes > MAX_PATH_BYTES {
            return Err(Error::corrupt(format!(
                "path of a parent locator takes {len_bytes} bytes, at most {MAX_PATH_BYTES}"
            )));
        }
        Extent::on_sector("path of a parent locator", self.offset, len_bytes)
    }
}

impl TryFrom<&RawLocator> for Locator {
    type Error = Error;

    fn try_from(raw: &RawLocator) -> Result<Self> {
        Ok(Locator {
            code: raw.code.get().try_into()?,
            space: DataSpace(raw.space.get()),
            len_bytes: raw.len_bytes.get(),
            reserved: raw.reserved.get(),
            offset: raw.offset.get(),
        })
    }
}

impl From<Locator> for RawLocator {
    fn from(locator: Locator) -> Self {
        RawLocator {
            code: u32::from(locator.code).into(),
            space: locator.space.0.into(),
            len_bytes: locator.len_bytes.into(),
            reserved: locator.reserved.into(),
            offset: locator.offset.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(space: u32, len_bytes: u32, offset: u64, is_accepted: bool) {
        let locator = Locator { code: PlatformCode::MacX, space: DataSpace(space), len_bytes, reserved: 0, offset };
        assert_eq!(locator.extent().is_ok(), is_accepted, "{locator:?}");
    }

    #[test]
    fn space_counts_sectors_or_bytes() {
        check(1, 512, 3072, true);
        check(1, 513, 3072, false);
        check(512, 512, 3072, true);
        check(513, 14, 3072, false);
        check(0, 14, 3072, false);
    }

    #[test]
    fn hostile_lengths_are_refused() {
        check(512, 0, 3072, false);
        check(512, 0x0010_0000, 3072, false);
        check(512, u32::MAX, 3072, false);
        check(512, 14, u64::MAX, false);
        check(1 << 30, 1 << 20, 3072, false);
    }

    #[test]
    fn every_code_has_its_number() {
        for (code, number) in PlatformCode::NUMBERS {
            assert_eq!((PlatformCode::try_from(number).unwrap(), u32::from(code)), (code, number));
        }
        assert!(PlatformCode::try_from(0x4141_4141).is_err());
    }
}
