//! The sparse header of dynamic disks: where the BAT lies, how large blocks are, who the parent is.
//! Knows bytes and their meaning; never reads a file.

use std::fmt;
use std::mem::{offset_of, size_of};

use uuid::Uuid;
use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum;
use crate::error::{Error, Result};
use crate::locator::{Locator, RawLocator};
use crate::parent_name::ParentName;
use crate::prefix;
use crate::timestamp::Timestamp;
use crate::units::{BLOCK_BYTES, SECTOR_BYTES};
use crate::version::Version;

/// Length of a sparse header.
pub const HEADER_BYTES: usize = 1024;

/// Slots for parent locators in a header.
pub const LOCATOR_SLOTS: usize = 8;

const COOKIE: [u8; 8] = *b"cxsparse";
/// The header's own `data_offset` has no use and must hold this.
const UNUSED_OFFSET: u64 = u64::MAX;
const HEADER_VERSION: Version = Version::new(1, 0);

/// The 1024 bytes as they lie on disk, unjudged.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawHeader {
    cookie: [u8; 8],
    data_offset: U64,
    table_offset: U64,
    version: U32,
    max_bat_entries: U32,
    block_bytes: U32,
    checksum: U32,
    parent_uuid: [u8; 16],
    parent_timestamp: U32,
    reserved1: U32,
    parent_name: [u8; 512],
    locators: [RawLocator; LOCATOR_SLOTS],
    reserved2: [u8; 256],
}

const _: () = {
    assert!(size_of::<RawHeader>() == HEADER_BYTES);
    assert!(offset_of!(RawHeader, table_offset) == 16);
    assert!(offset_of!(RawHeader, checksum) == 36);
    assert!(offset_of!(RawHeader, parent_name) == 64);
    assert!(offset_of!(RawHeader, locators) == 576);
    assert!(offset_of!(RawHeader, reserved2) == 768);
};

impl RawHeader {
    /// The first 1024 bytes of `bytes`; what is missing counts as zero.
    pub fn from_prefix(bytes: &[u8]) -> Self {
        prefix::of(bytes)
    }

    /// The bytes as they lie on disk.
    pub fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    /// The eight bytes that say what this is.
    pub fn cookie(&self) -> [u8; 8] {
        self.cookie
    }

    pub(crate) fn has_cookie(&self) -> bool {
        self.cookie == COOKIE
    }

    /// Whether bits without meaning are set.
    pub(crate) fn has_reserved_bits(&self) -> bool {
        self.reserved1.get() != 0 || self.reserved2.iter().any(|&byte| byte != 0)
    }

    /// Whether a locator says anything but its code, which alone leads nowhere.
    pub(crate) fn has_locators(&self) -> bool {
        self.locators.iter().any(|locator| locator.as_bytes()[4..].iter().any(|&byte| byte != 0))
    }

    /// The field that the specification leaves unused.
    pub fn data_offset(&self) -> u64 {
        self.data_offset.get()
    }

    /// Version of the header, 1.0.
    pub fn version(&self) -> u32 {
        self.version.get()
    }

    /// Block size in bytes.
    pub fn block_bytes(&self) -> u32 {
        self.block_bytes.get()
    }

    /// Byte position of the BAT.
    pub fn table_offset(&self) -> u64 {
        self.table_offset.get()
    }

    /// Entries of the BAT.
    pub fn max_bat_entries(&self) -> u32 {
        self.max_bat_entries.get()
    }

    /// Identity of the parent.
    pub fn parent_uuid(&self) -> Uuid {
        Uuid::from_bytes(self.parent_uuid)
    }

    /// When the parent was last written.
    pub fn parent_timestamp(&self) -> Timestamp {
        Timestamp(self.parent_timestamp.get())
    }

    /// File name of the parent.
    pub fn parent_name(&self) -> ParentName {
        ParentName(self.parent_name)
    }

    /// The checksum that is stored.
    pub fn stored_checksum(&self) -> u32 {
        self.checksum.get()
    }

    /// The checksum that the other bytes give.
    pub fn computed_checksum(&self) -> u32 {
        let field = offset_of!(RawHeader, checksum);
        checksum::without(self.as_bytes(), field..field + size_of::<U32>())
    }
}

impl fmt::Debug for RawHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawHeader")
            .field("table_offset", &self.table_offset())
            .field("max_bat_entries", &self.max_bat_entries())
            .field("block_bytes", &self.block_bytes())
            .finish_non_exhaustive()
    }
}

/// Size of the blocks of a disk: a power of two from one sector to 2 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize(u32);

impl BlockSize {
    /// What libvhd and this library create: 2 MiB.
    pub const DEFAULT: BlockSize = BlockSize(2 << 20);

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0.into()
    }

    /// Sectors of data in a block.
    pub fn sectors(self) -> u64 {
        self.bytes() / SECTOR_BYTES
    }

    /// Sectors of the bitmap in front of the data: one bit per sector, in whole sectors.
    pub fn bitmap_sectors(self) -> u64 {
        self.sectors().div_ceil(8 * SECTOR_BYTES)
    }
}

impl TryFrom<u32> for BlockSize {
    type Error = Error;

    fn try_from(bytes: u32) -> Result<Self> {
        // libvhd also takes sizes below a sector, and then divides by zero when it reads (SIGFPE).
        if !bytes.is_power_of_two() || u64::from(bytes) < SECTOR_BYTES || u64::from(bytes) > BLOCK_BYTES {
            return Err(Error::corrupt(format!(
                "block size is {bytes}, not a power of two from {SECTOR_BYTES} to {BLOCK_BYTES}"
            )));
        }
        Ok(BlockSize(bytes))
    }
}

/// A sparse header's fields: cookie, checksum, version, block size and locator codes are right.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Byte position of the BAT.
    pub table_offset: u64,
    /// Entries that the BAT has room for.
    pub max_bat_entries: u32,
    /// Size of blocks.
    pub block_size: BlockSize,
    /// Identity of the parent; nil for none, and in a differencing disk for a raw parent.
    pub parent_uuid: Uuid,
    /// Modification time of the parent when it was linked. Stored, never compared.
    pub parent_timestamp: Timestamp,
    /// Bytes without meaning, kept for whoever wrote them.
    pub reserved1: u32,
    /// File name of the parent, without its directory.
    pub parent_name: ParentName,
    /// Where paths to the parent are stored.
    pub locators: [Locator; LOCATOR_SLOTS],
    /// Bytes without meaning, kept for whoever wrote them.
    pub reserved2: [u8; 256],
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("table_offset", &self.table_offset)
            .field("max_bat_entries", &self.max_bat_entries)
            .field("block_size", &self.block_size)
            .field("parent_uuid", &self.parent_uuid)
            .field("locators", &self.locators)
            .finish_non_exhaustive()
    }
}

impl TryFrom<&RawHeader> for Header {
    type Error = Error;

    fn try_from(raw: &RawHeader) -> Result<Self> {
        if raw.cookie != COOKIE {
            return Err(Error::corrupt(format!("cookie is \"{}\", not \"cxsparse\"", raw.cookie.escape_ascii())));
        }
        let (stored, computed) = (raw.stored_checksum(), raw.computed_checksum());
        if stored != computed {
            return Err(Error::corrupt(format!("checksum is {stored:#x}, computed {computed:#x}")));
        }
        if raw.version() != u32::from(HEADER_VERSION) {
            return Err(Error::corrupt(format!("version is {:#010x}, not 0x00010000", raw.version())));
        }
        if raw.data_offset() != UNUSED_OFFSET {
            return Err(Error::corrupt(format!("data offset is {}, not all ones", raw.data_offset())));
        }
        let mut locators = [Locator::default(); LOCATOR_SLOTS];
        for (slot, (locator, raw)) in locators.iter_mut().zip(&raw.locators).enumerate() {
            *locator =
                raw.try_into().map_err(|error: Error| error.within(format!("cannot read parent locator {slot}")))?;
        }
        Ok(Header {
            table_offset: raw.table_offset(),
            max_bat_entries: raw.max_bat_entries(),
            block_size: raw.block_bytes().try_into()?,
            parent_uuid: raw.parent_uuid(),
            parent_timestamp: raw.parent_timestamp(),
            reserved1: raw.reserved1.get(),
            parent_name: raw.parent_name(),
            locators,
            reserved2: raw.reserved2,
        })
    }
}

impl From<&Header> for RawHeader {
    /// The bytes of a header, checksum included.
    fn from(header: &Header) -> Self {
        let mut raw = RawHeader {
            cookie: COOKIE,
            data_offset: UNUSED_OFFSET.into(),
            table_offset: header.table_offset.into(),
            version: u32::from(HEADER_VERSION).into(),
            max_bat_entries: header.max_bat_entries.into(),
            block_bytes: header.block_size.0.into(),
            checksum: 0.into(),
            parent_uuid: header.parent_uuid.into_bytes(),
            parent_timestamp: header.parent_timestamp.0.into(),
            reserved1: header.reserved1.into(),
            parent_name: header.parent_name.0,
            locators: header.locators.map(RawLocator::from),
            reserved2: header.reserved2,
        };
        raw.checksum = raw.computed_checksum().into();
        raw
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::locator::{DataSpace, PlatformCode};

    fn sample() -> Header {
        Header {
            table_offset: 1536,
            max_bat_entries: 32,
            block_size: BlockSize::DEFAULT,
            parent_uuid: Uuid::nil(),
            parent_timestamp: Timestamp(0),
            reserved1: 0,
            parent_name: ParentName::default(),
            locators: [Locator::default(); LOCATOR_SLOTS],
            reserved2: [0; 256],
        }
    }

    fn check(change: impl FnOnce(&mut RawHeader), is_accepted: bool) {
        let mut raw = RawHeader::from(&sample());
        change(&mut raw);
        raw.checksum = raw.computed_checksum().into();
        assert_eq!(Header::try_from(&raw).is_ok(), is_accepted, "{raw:?}");
    }

    #[test]
    fn what_we_write_we_read() {
        check(|_| (), true);
        let locator =
            Locator { code: PlatformCode::MacX, space: DataSpace(512), len_bytes: 14, reserved: 0, offset: 3072 };
        check(|raw| raw.locators[7] = locator.into(), true);
    }

    #[test]
    fn fields_out_of_range_are_refused() {
        check(|raw| raw.cookie[0] = 0, false);
        check(|raw| raw.data_offset = 512.into(), false);
        check(|raw| raw.version = 0.into(), false);
        check(|raw| raw.locators[3].as_mut_bytes()[0] = b'A', false);
        for (block_bytes, is_accepted) in [
            (0, false),
            (256, false),
            (512, true),
            (64 << 10, true),
            (3 << 20, false),
            (2 << 20, true),
            (4 << 20, false),
        ] {
            check(|raw| raw.block_bytes = block_bytes.into(), is_accepted);
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let mut raw = RawHeader::from(&sample());
        raw.reserved2[9] = 1;
        assert!(Header::try_from(&raw).is_err());
    }

    #[test]
    fn bitmaps_take_whole_sectors() {
        let sizes =
            |bytes: u32| BlockSize::try_from(bytes).map(|size| (size.sectors(), size.bitmap_sectors())).unwrap();
        assert_eq!(sizes(2 << 20), (4096, 1));
        assert_eq!(sizes(512), (1, 1));
    }

    proptest! {
        #[test]
        fn accepted_bytes_survive_a_round_trip(mut bytes: [[u8; 32]; 32], has_locators: bool) {
            let flat = bytes.as_flattened_mut();
            flat[..16].copy_from_slice(&RawHeader::from(&sample()).bytes()[..16]);
            flat[24..28].copy_from_slice(&[0, 1, 0, 0]);
            flat[32..36].copy_from_slice(&[0, 0x20, 0, 0]);
            for slot in 0..LOCATOR_SLOTS {
                flat[576 + 24 * slot..][..4].copy_from_slice(if has_locators { b"W2ku" } else { &[0; 4] });
            }
            let mut raw = RawHeader::from_prefix(flat);
            raw.checksum = raw.computed_checksum().into();
            let header = Header::try_from(&raw).unwrap();
            prop_assert_eq!(RawHeader::from(&header), raw);
        }
    }
}
