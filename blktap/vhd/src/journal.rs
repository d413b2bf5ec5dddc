//! The journal of a resize as it lies on disk: a header, then pieces of the image as they were, each with a checksum.
//! Knows bytes and their meaning; never reads a file.

use std::mem::{offset_of, size_of};

use uuid::Uuid;
use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::byteorder::little_endian;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum;
use crate::error::{Error, Result};
use crate::prefix;
use crate::units::{Extent, SECTOR_BYTES, sum};

/// Length of a journal's header.
pub(crate) const HEADER_BYTES: usize = 512;
/// The same, on a 64-bit scale.
pub(crate) const HEADER_LEN: u64 = HEADER_BYTES as u64;
/// Length of what stands in front of each piece.
pub(crate) const ENTRY_BYTES: usize = 32;
/// The same, on a 64-bit scale.
pub(crate) const ENTRY_LEN: u64 = ENTRY_BYTES as u64;

/// Entries that are read. libvhd writes two per block that it moves, and moves at most 34 blocks of 2 MiB; only a
/// hostile journal meets this limit.
const MAX_ENTRIES: u32 = 1 << 16;

const COOKIE: [u8; 8] = *b"vjournal";
const ENTRY_COOKIE: u64 = 0xaaaa_1234_4321_aaaa;
/// Stands where libvhd has zeros, and does not look. See [`JournalHeader::is_strict`].
const STRICT: [u8; 8] = *b"strict 1";

/// The 512 bytes of the header as they lie on disk, unjudged.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawJournalHeader {
    cookie: [u8; 8],
    uuid: [u8; 16],
    footer_offset: U64,
    data_entries: U32,
    metadata_entries: U32,
    data_offset: U64,
    metadata_offset: U64,
    /// The one number that libvhd writes as the machine has it, which is little-endian wherever it runs.
    end: little_endian::U64,
    strict: [u8; 8],
    pad: [u8; 440],
}

/// The 32 bytes in front of a piece as they lie on disk, unjudged.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEntry {
    cookie: U64,
    kind: U32,
    len_bytes: U32,
    offset: U64,
    checksum: U32,
    /// Whatever was on libvhd's stack; part of the sum.
    pad: [u8; 4],
}

const _: () = {
    assert!(size_of::<RawJournalHeader>() == HEADER_BYTES);
    assert!(offset_of!(RawJournalHeader, footer_offset) == 24);
    assert!(offset_of!(RawJournalHeader, data_offset) == 40);
    assert!(offset_of!(RawJournalHeader, end) == 56);
    assert!(size_of::<RawEntry>() == ENTRY_BYTES);
    assert!(offset_of!(RawEntry, offset) == 16);
    assert!(offset_of!(RawEntry, checksum) == 24);
};

/// A journal's header; cookie and counts are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JournalHeader {
    /// Identity of the image.
    pub(crate) uuid: Uuid,
    /// Where the image's primary footer stood.
    pub(crate) footer_offset: u64,
    /// Pieces of metadata, which come first.
    pub(crate) metadata_entries: u32,
    /// Pieces of anything.
    pub(crate) data_entries: u32,
    /// Where the pieces of anything begin.
    pub(crate) data_offset: u64,
    /// Where the journal ends.
    pub(crate) end: u64,
    /// Its writer changes nothing before the image is marked for good, and unmarks only what is whole: an image that
    /// is not marked must be left as it is. Journals of libvhd do not promise that.
    pub(crate) is_strict: bool,
}

impl JournalHeader {
    /// Whether nothing is to be taken back: libvhd says so when a resize is done.
    pub(crate) fn is_empty(&self) -> bool {
        (self.metadata_entries, self.data_entries, self.data_offset) == (0, 0, 0)
    }

    /// The header in the first 512 bytes of `bytes`; what is missing counts as zero.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let raw: RawJournalHeader = prefix::of(bytes);
        if raw.cookie != COOKIE {
            return Err(Error::corrupt(format!("cookie is \"{}\", not \"vjournal\"", raw.cookie.escape_ascii())));
        }
        let header = JournalHeader {
            uuid: Uuid::from_bytes(raw.uuid),
            footer_offset: raw.footer_offset.get(),
            metadata_entries: raw.metadata_entries.get(),
            data_entries: raw.data_entries.get(),
            data_offset: raw.data_offset.get(),
            end: raw.end.get(),
            is_strict: raw.strict == STRICT,
        };
        if header.data_entries > MAX_ENTRIES || header.metadata_entries > MAX_ENTRIES {
            let (metadata, data) = (header.metadata_entries, header.data_entries);
            return Err(Error::corrupt(format!("has {metadata} and {data} entries, at most {MAX_ENTRIES}")));
        }
        let metadata_offset = raw.metadata_offset.get();
        if metadata_offset != if header.is_empty() { 0 } else { HEADER_LEN } {
            return Err(Error::corrupt(format!("metadata begins at {metadata_offset}, not after the header")));
        }
        if !header.footer_offset.is_multiple_of(SECTOR_BYTES) {
            return Err(Error::corrupt(format!("footer was on no sector: {}", header.footer_offset)));
        }
        sum("footer", &[header.footer_offset, SECTOR_BYTES])?;
        Ok(header)
    }

    /// The bytes as they lie on disk.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let raw = RawJournalHeader {
            cookie: COOKIE,
            uuid: self.uuid.into_bytes(),
            footer_offset: self.footer_offset.into(),
            data_entries: self.data_entries.into(),
            metadata_entries: self.metadata_entries.into(),
            data_offset: self.data_offset.into(),
            metadata_offset: if self.is_empty() { 0 } else { HEADER_LEN }.into(),
            end: self.end.into(),
            strict: if self.is_strict { STRICT } else { [0; 8] },
            pad: [0; 440],
        };
        raw.as_bytes().to_vec()
    }
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Footer,
    FooterCopy,
    Header,
    Locator,
    Bat,
    BatmapHeader,
    Batmap,
    /// Anything: libvhd writes bitmaps and data of blocks.
    Data,
}

impl Kind {
    const NUMBERS: [(Kind, u32); 8] = [
        (Kind::Footer, 1),
        (Kind::FooterCopy, 2),
        (Kind::Header, 3),
        (Kind::Locator, 4),
        (Kind::Bat, 5),
        (Kind::BatmapHeader, 6),
        (Kind::Batmap, 7),
        (Kind::Data, 8),
    ];
}

/// One piece: where it belongs, and the sum that it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// Whole sectors of the image.
    pub(crate) extent: Extent,
    stored_checksum: u32,
    own_sum: u32,
}

impl Entry {
    /// The entry in 32 bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut raw: RawEntry = prefix::of(bytes);
        if raw.cookie.get() != ENTRY_COOKIE {
            return Err(Error::corrupt(format!("cookie is {:#x}, not {ENTRY_COOKIE:#x}", raw.cookie.get())));
        }
        let number = raw.kind.get();
        let kind = Kind::NUMBERS.into_iter().find_map(|(kind, known)| (known == number).then_some(kind));
        let kind = kind.ok_or_else(|| Error::corrupt(format!("type is unknown: {number}")))?;
        let len_bytes = u64::from(raw.len_bytes.get());
        if len_bytes == 0 || !len_bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(Error::corrupt(format!("has {len_bytes} bytes, not whole sectors")));
        }
        let extent = Extent::on_sector("piece", raw.offset.get(), len_bytes)?;
        let stored_checksum = raw.checksum.get();
        raw.checksum = 0.into();
        Ok(Entry { kind, extent, stored_checksum, own_sum: checksum::sum(raw.as_bytes()) })
    }

    /// The bytes in front of a piece whose bytes add up to `data_sum`.
    pub(crate) fn encode(kind: Kind, extent: Extent, data_sum: u32) -> Result<Vec<u8>> {
        let number = Kind::NUMBERS.into_iter().find_map(|(known, number)| (known == kind).then_some(number));
        let len_bytes = u32::try_from(extent.len_bytes);
        let mut raw = RawEntry {
            cookie: ENTRY_COOKIE.into(),
            kind: number.expect("NUMBERS has every kind").into(),
            len_bytes: len_bytes.map_err(|_| Error::corrupt(format!("{kind:?} is too long for a journal")))?.into(),
            offset: extent.offset.into(),
            checksum: 0.into(),
            pad: [0; 4],
        };
        raw.checksum = (!checksum::sum(raw.as_bytes()).wrapping_add(data_sum)).into();
        Ok(raw.as_bytes().to_vec())
    }

    /// An error unless bytes that add up to `data_sum` are those that were written.
    pub(crate) fn check(&self, data_sum: u32) -> Result<()> {
        let (stored, computed) = (self.stored_checksum, !self.own_sum.wrapping_add(data_sum));
        if stored != computed {
            return Err(Error::corrupt(format!("checksum is {stored:#x}, computed {computed:#x}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> JournalHeader {
        JournalHeader {
            uuid: Uuid::from_u128(7),
            footer_offset: 4608,
            metadata_entries: 9,
            data_entries: 2,
            data_offset: 5920,
            end: 0x0020_1300,
            is_strict: true,
        }
    }

    fn check(change: impl FnOnce(&mut [u8]), is_accepted: bool) {
        let mut bytes = sample().encode();
        change(&mut bytes);
        assert_eq!(JournalHeader::decode(&bytes).is_ok(), is_accepted);
    }

    #[test]
    fn fields_out_of_range_are_refused() {
        check(|_| (), true);
        check(|bytes| bytes[0] = 0, false);
        check(|bytes| bytes[24..32].fill(0xff), false);
        check(|bytes| bytes[31] = 1, false);
        check(|bytes| bytes[32] = 1, false);
        check(|bytes| bytes[36] = 1, false);
        check(|bytes| bytes[55] = 1, false);
        assert!(JournalHeader::decode(&[]).is_err());
    }

    #[test]
    fn the_end_is_little_endian_as_libvhd_leaves_it() {
        let bytes = sample().encode();
        assert_eq!(bytes[56..64], [0x00, 0x13, 0x20, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[40..48], [0, 0, 0, 0, 0, 0, 0x17, 0x20]);
    }

    #[test]
    fn entries_of_libvhd_are_read() {
        // The first entry of a journal of libvhd: its last four bytes were on the stack.
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&ENTRY_COOKIE.to_be_bytes());
        bytes[8..28].copy_from_slice(&[0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0x04, 0x02, 0, 0, 0, 0, 0, 0]);
        bytes[28..].copy_from_slice(&[0xfe, 0x7f, 0, 0]);
        let checksum = !(checksum::sum(&bytes) + 1000);
        bytes[24..28].copy_from_slice(&checksum.to_be_bytes());
        let entry = Entry::decode(&bytes).unwrap();
        assert_eq!((entry.kind, entry.extent), (Kind::Footer, Extent { offset: 0x0402_0000, len_bytes: 512 }));
        assert!(entry.check(1000).is_ok() && entry.check(1001).is_err());
    }

    #[test]
    fn entries_out_of_range_are_refused() {
        let good = Entry::encode(Kind::Data, Extent { offset: 512, len_bytes: 1024 }, 0).unwrap();
        assert!(Entry::decode(&good).is_ok());
        for (at, byte) in [(0, 0), (11, 9), (11, 0), (14, 0), (15, 1), (23, 1)] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert!(Entry::decode(&bytes).is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn what_we_write_we_read(sectors in 1u32..8000, offset in 0u64..1 << 40, data_sum: u32, number in 0usize..8) {
            let extent = Extent { offset: offset * 512, len_bytes: u64::from(sectors) * 512 };
            let kind = Kind::NUMBERS[number].0;
            let entry = Entry::decode(&Entry::encode(kind, extent, data_sum).unwrap()).unwrap();
            prop_assert_eq!((entry.kind, entry.extent), (kind, extent));
            prop_assert!(entry.check(data_sum).is_ok() && entry.check(data_sum ^ 1).is_err());
            prop_assert_eq!(JournalHeader::decode(&sample().encode()).unwrap(), sample());
        }
    }
}
