//! The batmap, blktap's extension after the BAT: which blocks are full, a marker, and the hash of an encryption key.
//! Knows bytes and their meaning; never reads a file.

use std::fmt;
use std::mem::{offset_of, size_of};

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum;
use crate::error::{Error, Result};
use crate::footer::Footer;
use crate::key_hash::{KeyHash, RawKeyHash};
use crate::prefix;
use crate::units::{Extent, SECTOR_BYTES, Sectors, sector_aligned};
use crate::version::Version;

/// Length of a batmap header.
pub const BATMAP_HEADER_BYTES: usize = 512;

const COOKIE: [u8; 8] = *b"tdbatmap";
/// The version that is written since blktap 1.2.
const VERSION: Version = Version::new(1, 2);
/// The version whose checksum summed signed bytes.
const VERSION_SIGNED: Version = Version::new(1, 1);

/// The 512 bytes as they lie on disk, unjudged.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawBatmapHeader {
    cookie: [u8; 8],
    map_offset: U64,
    map_sectors: U32,
    version: U32,
    checksum: U32,
    marker: u8,
    key_hash: RawKeyHash,
    reserved: [u8; 418],
}

const _: () = {
    assert!(size_of::<RawBatmapHeader>() == BATMAP_HEADER_BYTES);
    assert!(offset_of!(RawBatmapHeader, map_sectors) == 16);
    assert!(offset_of!(RawBatmapHeader, checksum) == 24);
    assert!(offset_of!(RawBatmapHeader, marker) == 28);
    assert!(offset_of!(RawBatmapHeader, key_hash) == 29);
};

impl RawBatmapHeader {
    /// The first 512 bytes of `bytes`; what is missing counts as zero.
    pub fn from_prefix(bytes: &[u8]) -> Self {
        prefix::of(bytes)
    }

    /// The bytes as they lie on disk.
    pub fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    /// Whether this is a batmap's header at all.
    pub fn has_cookie(&self) -> bool {
        self.cookie == COOKIE
    }

    /// A number that toolstacks keep in an image; its meaning is theirs. Valid even where the rest is damaged.
    pub fn marker(&self) -> u8 {
        self.marker
    }

    /// Hash of the key of an encrypted disk. Valid even where the rest is damaged.
    pub fn key_hash(&self) -> Option<KeyHash> {
        self.key_hash.checked()
    }

    pub(crate) fn raw_key_hash(&self) -> RawKeyHash {
        self.key_hash
    }

    pub(crate) fn set_marker(&mut self, marker: u8) {
        self.marker = marker;
    }

    /// Says where the map is and what it adds up to, and leaves all else as it is.
    pub(crate) fn set_map(&mut self, header: &BatmapHeader) {
        self.map_offset = header.map_offset.into();
        self.map_sectors = header.map_sectors.into();
        self.checksum = header.checksum.into();
    }

    pub(crate) fn set_key_hash(&mut self, key_hash: KeyHash) {
        self.key_hash = Some(key_hash).into();
    }

    pub(crate) fn set_checksum(&mut self, checksum: u32) {
        self.checksum = checksum.into();
    }
}

impl fmt::Debug for RawBatmapHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawBatmapHeader")
            .field("has_cookie", &self.has_cookie())
            .field("marker", &self.marker)
            .finish_non_exhaustive()
    }
}

/// A batmap header's fields; the cookie is right.
#[derive(Clone, PartialEq, Eq)]
pub struct BatmapHeader {
    /// Byte position of the map.
    pub map_offset: u64,
    /// Room for the map.
    pub map_sectors: u32,
    /// Version of the batmap, 1.2.
    pub version: Version,
    /// Checksum of the map as stored.
    pub checksum: u32,
    /// A number that toolstacks keep in an image; its meaning is theirs.
    pub marker: u8,
    /// Hash of the key of an encrypted disk.
    pub key_hash: Option<KeyHash>,
}

impl BatmapHeader {
    /// Where the header lies: in the sector after the BAT, whose room ends there.
    pub fn extent(bat_room: Extent) -> Result<Extent> {
        let extent = Extent { offset: bat_room.end("BAT")?, len_bytes: BATMAP_HEADER_BYTES as u64 };
        extent.end("batmap header")?;
        Ok(extent)
    }

    /// The header of an empty map of this room at this place.
    pub fn empty(map: Extent) -> Result<Self> {
        let map_sectors = u32::try_from(Sectors::holding(map.len_bytes).0)
            .map_err(|_| Error::corrupt(format!("batmap of {} bytes has too many sectors", map.len_bytes)))?;
        Ok(BatmapHeader {
            map_offset: map.offset,
            map_sectors,
            version: VERSION,
            checksum: checksum::of(&[]),
            marker: 0,
            key_hash: None,
        })
    }

    /// An error when the map is of a version that came later: libvhd refuses those.
    pub(crate) fn check_version(&self) -> Result<()> {
        if self.version > VERSION {
            return Err(Error::corrupt(format!("version is {}, at most {VERSION} is known", self.version)));
        }
        Ok(())
    }

    /// Where the checksummed part of the map lies: at least a sector. libvhd counts whole 16 MiB of disk, so on some
    /// sizes the last bits are not part of it; a map that is stored shorter than that is refused (libvhd aborts there).
    pub fn map_extent(&self, footer: &Footer) -> Result<Extent> {
        let len_bytes = sector_aligned("batmap", footer.current_bytes >> 24)?.max(SECTOR_BYTES);
        let room_bytes = u64::from(self.map_sectors) * SECTOR_BYTES;
        if len_bytes > room_bytes {
            return Err(Error::corrupt(format!(
                "batmap has {room_bytes} bytes, a disk of this size needs {len_bytes}"
            )));
        }
        Extent::on_sector("batmap", self.map_offset, len_bytes)
    }

    /// The room of the map, used or not.
    pub fn map_room(&self) -> Extent {
        Extent { offset: self.map_offset, len_bytes: u64::from(self.map_sectors) * SECTOR_BYTES }
    }

    /// The checksum that a map's bytes give under this header's version.
    pub fn computed_checksum(&self, map: &[u8]) -> u32 {
        if self.version == VERSION_SIGNED { checksum::of_signed(map) } else { checksum::of(map) }
    }
}

impl fmt::Debug for BatmapHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatmapHeader")
            .field("map_offset", &self.map_offset)
            .field("map_sectors", &self.map_sectors)
            .field("version", &self.version)
            .field("marker", &self.marker)
            .field("has_key_hash", &self.key_hash.is_some())
            .finish_non_exhaustive()
    }
}

impl TryFrom<&RawBatmapHeader> for BatmapHeader {
    type Error = Error;

    fn try_from(raw: &RawBatmapHeader) -> Result<Self> {
        if !raw.has_cookie() {
            return Err(Error::corrupt(format!("cookie is \"{}\", not \"tdbatmap\"", raw.cookie.escape_ascii())));
        }
        Ok(BatmapHeader {
            map_offset: raw.map_offset.get(),
            map_sectors: raw.map_sectors.get(),
            version: raw.version.get().into(),
            checksum: raw.checksum.get(),
            marker: raw.marker,
            key_hash: raw.key_hash(),
        })
    }
}

impl From<&BatmapHeader> for RawBatmapHeader {
    fn from(header: &BatmapHeader) -> Self {
        RawBatmapHeader {
            cookie: COOKIE,
            map_offset: header.map_offset.into(),
            map_sectors: header.map_sectors.into(),
            version: u32::from(header.version).into(),
            checksum: header.checksum.into(),
            marker: header.marker,
            key_hash: header.key_hash.into(),
            reserved: [0; 418],
        }
    }
}

/// A batmap whose map fits its header's checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batmap {
    header: BatmapHeader,
    map: Vec<u8>,
}

impl Batmap {
    /// Joins a header and the bytes of [`BatmapHeader::map_extent`]. An error when the checksum differs.
    pub fn new(header: BatmapHeader, map: Vec<u8>) -> Result<Self> {
        let (stored, computed) = (header.checksum, header.computed_checksum(&map));
        if stored != computed {
            return Err(Error::corrupt(format!("checksum is {stored:#x}, computed {computed:#x}")));
        }
        Ok(Batmap { header, map })
    }

    /// The header.
    pub fn header(&self) -> &BatmapHeader {
        &self.header
    }

    /// The bytes that the checksum covers.
    pub(crate) fn map(&self) -> &[u8] {
        &self.map
    }

    /// Whether every sector of the block is present in this image. Bits run from the most significant one.
    pub fn is_full(&self, block: u32) -> bool {
        let (byte, bit) = (block / 8, block % 8);
        usize::try_from(byte).ok().and_then(|byte| self.map.get(byte)).is_some_and(|byte| byte & (0x80 >> bit) != 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(version: Version, checksum: u32) -> BatmapHeader {
        let map = Extent { offset: 2560, len_bytes: 512 };
        BatmapHeader { version, checksum, ..BatmapHeader::empty(map).unwrap() }
    }

    fn check(version: Version, checksum: u32, is_accepted: bool) {
        assert_eq!(Batmap::new(header(version, checksum), vec![0xff, 0x80, 0, 1]).is_ok(), is_accepted);
    }

    #[test]
    fn version_1_1_sums_signed_bytes() {
        check(VERSION, !0x180, true);
        check(VERSION, !1u32.wrapping_sub(129), false);
        check(VERSION_SIGNED, !1u32.wrapping_sub(129), true);
        check(VERSION_SIGNED, !0x180, false);
    }

    #[test]
    fn bits_run_from_the_most_significant_one() {
        let batmap = Batmap::new(header(VERSION, !0x181), vec![0xff, 0x80, 0, 1, 1]).unwrap();
        let full: Vec<u32> = (0..64).filter(|&block| batmap.is_full(block)).collect();
        assert_eq!(full, [0, 1, 2, 3, 4, 5, 6, 7, 8, 31, 39]);
        assert!(!batmap.is_full(u32::MAX));
    }

    proptest! {
        #[test]
        fn fields_survive_a_round_trip(map_offset: u64, map_sectors: u32, marker: u8, nonce: [u8; 32], hash: [u8; 32], has_key: bool) {
            let key_hash = has_key.then_some(KeyHash { nonce, hash });
            let header = BatmapHeader { map_offset, map_sectors, marker, key_hash, ..header(VERSION, 5) };
            let raw = RawBatmapHeader::from(&header);
            prop_assert_eq!((raw.marker(), raw.key_hash()), (marker, key_hash));
            prop_assert_eq!(BatmapHeader::try_from(&raw).unwrap(), header);
        }
    }
}
