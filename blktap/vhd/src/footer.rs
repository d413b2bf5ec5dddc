//! The footer: identity, size and kind of a disk, in the last 512 bytes and (dynamic disks) in a copy at offset 0.
//! Knows bytes and their meaning; never reads a file.

use std::fmt;
use std::mem::{offset_of, size_of};

use uuid::Uuid;
use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::Geometry;
use crate::prefix;
use crate::timestamp::Timestamp;
use crate::version::Version;

/// Length of a footer.
pub const FOOTER_BYTES: usize = 512;

/// Features of every footer we write: the bit that the specification reserves and wants set.
pub const FEATURES_RESERVED: u32 = 2;

/// The bit that marks a temporary disk.
pub const FEATURES_TEMPORARY: u32 = 1;

/// The `data_offset` of a disk without a sparse header.
pub const NO_HEADER: u64 = u64::MAX;

const COOKIE: [u8; 8] = *b"conectix";
/// What a resize journal puts in place of the cookie until it is committed or reverted.
const COOKIE_POISONED: [u8; 8] = *b"v_poison";
/// The creator of blktap's tools and of ours; only their images have a batmap.
const CREATOR_TAP: [u8; 4] = *b"tap\0";

/// The 512 bytes as they lie on disk, unjudged.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RawFooter {
    cookie: [u8; 8],
    features: U32,
    format_version: U32,
    data_offset: U64,
    timestamp: U32,
    creator_app: [u8; 4],
    creator_version: U32,
    creator_os: U32,
    original_bytes: U64,
    current_bytes: U64,
    cylinders: U16,
    heads: u8,
    sectors_per_track: u8,
    kind: U32,
    checksum: U32,
    uuid: [u8; 16],
    saved: u8,
    hidden: u8,
    reserved: [u8; 426],
}

const _: () = {
    assert!(size_of::<RawFooter>() == FOOTER_BYTES);
    assert!(offset_of!(RawFooter, data_offset) == 16);
    assert!(offset_of!(RawFooter, creator_app) == 28);
    assert!(offset_of!(RawFooter, current_bytes) == 48);
    assert!(offset_of!(RawFooter, kind) == 60);
    assert!(offset_of!(RawFooter, checksum) == 64);
    assert!(offset_of!(RawFooter, uuid) == 68);
    assert!(offset_of!(RawFooter, hidden) == 85);
};

impl RawFooter {
    /// The first 512 bytes of `bytes`; what is missing counts as zero.
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

    /// Whether this is a footer, and none under a journal.
    pub(crate) fn has_cookie(&self) -> bool {
        self.cookie == COOKIE
    }

    /// The checksum that is stored.
    pub fn stored_checksum(&self) -> u32 {
        self.checksum.get()
    }

    /// The checksum that the other bytes give.
    pub fn computed_checksum(&self) -> u32 {
        let field = offset_of!(RawFooter, checksum);
        checksum::without(self.as_bytes(), field..field + size_of::<U32>())
    }

    /// The fields, taken at their word: nothing is checked. For showing a damaged footer; use [`Footer::try_from`]
    /// for everything else.
    pub fn fields(&self) -> Footer {
        Footer {
            is_poisoned: self.cookie == COOKIE_POISONED,
            features: self.features.get(),
            format_version: self.format_version.get().into(),
            data_offset: self.data_offset.get(),
            timestamp: Timestamp(self.timestamp.get()),
            creator: Creator {
                app: self.creator_app,
                version: self.creator_version.get().into(),
                os: self.creator_os.get(),
            },
            original_bytes: self.original_bytes.get(),
            current_bytes: self.current_bytes.get(),
            geometry: Geometry {
                cylinders: self.cylinders.get(),
                heads: self.heads,
                sectors_per_track: self.sectors_per_track,
            },
            kind: self.kind.get().into(),
            uuid: Uuid::from_bytes(self.uuid),
            saved: self.saved,
            hidden: self.hidden,
            reserved: self.reserved,
        }
    }

    /// blktap before 1.2 set `hidden` without computing the checksum again.
    pub(crate) fn is_hidden_without_checksum(&self) -> bool {
        let shown = RawFooter { hidden: 0, ..*self };
        self.fields().creator.keeps_hidden_in_backup()
            && self.hidden != 0
            && self.stored_checksum() == shown.computed_checksum()
    }

    /// blktap before 1.2 set `hidden` in the copy at offset 0 only.
    pub(crate) fn is_hidden_copy_of(&self, primary: &RawFooter) -> bool {
        self.fields().creator.keeps_hidden_in_backup() && *primary == (RawFooter { hidden: 0, ..*self })
    }
}

impl fmt::Debug for RawFooter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawFooter").field(&self.fields()).finish()
    }
}

/// Who wrote an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creator {
    /// Four letters, padded with spaces or zero bytes.
    pub app: [u8; 4],
    /// The application's version.
    pub version: Version,
    /// The system it ran on: `Wi2k`, `Mac ` or zero.
    pub os: u32,
}

impl Creator {
    /// What libvhd writes, and so we do: `tap` 1.3.
    pub const TAP: Creator = Creator { app: CREATOR_TAP, version: Version::new(1, 3), os: 0 };

    /// Images of blktap, and only these, can have a batmap.
    pub fn is_tap(&self) -> bool {
        self.app == CREATOR_TAP
    }

    /// From version 1.2 on a blktap image always has a batmap; before, only if its cookie is there.
    pub fn always_has_batmap(&self) -> bool {
        self.is_tap() && self.version >= Version::new(1, 2)
    }

    /// blktap before 1.2 kept `hidden` in the copy at offset 0 only.
    pub fn keeps_hidden_in_backup(&self) -> bool {
        self.is_tap() && [Version::new(0, 1), Version::new(1, 1)].contains(&self.version)
    }
}

/// What kind of disk an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// Raw data and a footer.
    Fixed,
    /// Blocks allocated on demand.
    Dynamic,
    /// Dynamic, and what it lacks is read from its parent.
    Differencing,
    /// A number without meaning in this format; kept as it is.
    Other(u32),
}

impl DiskKind {
    /// Whether the disk has a sparse header, a BAT and blocks.
    pub fn is_sparse(self) -> bool {
        matches!(self, DiskKind::Dynamic | DiskKind::Differencing)
    }
}

impl From<u32> for DiskKind {
    fn from(number: u32) -> Self {
        match number {
            2 => DiskKind::Fixed,
            3 => DiskKind::Dynamic,
            4 => DiskKind::Differencing,
            other => DiskKind::Other(other),
        }
    }
}

impl From<DiskKind> for u32 {
    fn from(kind: DiskKind) -> Self {
        match kind {
            DiskKind::Fixed => 2,
            DiskKind::Dynamic => 3,
            DiskKind::Differencing => 4,
            DiskKind::Other(other) => other,
        }
    }
}

/// A footer's fields. From [`Footer::try_from`]: cookie, checksum and creator version were right.
#[derive(Clone, PartialEq, Eq)]
pub struct Footer {
    /// A resize journal holds the truth about this image.
    pub is_poisoned: bool,
    /// [`FEATURES_RESERVED`] and [`FEATURES_TEMPORARY`].
    pub features: u32,
    /// Version of the file format, 1.0.
    pub format_version: Version,
    /// Byte position of the sparse header, or [`NO_HEADER`].
    pub data_offset: u64,
    /// When the image was created.
    pub timestamp: Timestamp,
    /// Who created it.
    pub creator: Creator,
    /// Size in bytes when it was created.
    pub original_bytes: u64,
    /// Size in bytes of the disk that a guest sees.
    pub current_bytes: u64,
    /// Geometry that a guest sees.
    pub geometry: Geometry,
    /// Kind of disk.
    pub kind: DiskKind,
    /// Identity of the image; children name their parent by it.
    pub uuid: Uuid,
    /// Whether the disk belongs to a suspended machine.
    pub saved: u8,
    /// blktap's extension: 1 marks a base copy that no machine uses.
    pub hidden: u8,
    /// Bytes without meaning, kept for whoever wrote them.
    pub reserved: [u8; 426],
}

impl fmt::Debug for Footer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Footer")
            .field("kind", &self.kind)
            .field("current_bytes", &self.current_bytes)
            .field("data_offset", &self.data_offset)
            .field("creator", &self.creator)
            .field("uuid", &self.uuid)
            .field("hidden", &self.hidden)
            .finish_non_exhaustive()
    }
}

impl TryFrom<&RawFooter> for Footer {
    type Error = Error;

    fn try_from(raw: &RawFooter) -> Result<Self> {
        if raw.cookie != COOKIE && raw.cookie != COOKIE_POISONED {
            return Err(Error::corrupt(format!("cookie is \"{}\", not \"conectix\"", raw.cookie.escape_ascii())));
        }
        let (stored, computed) = (raw.stored_checksum(), raw.computed_checksum());
        if stored != computed && !raw.is_hidden_without_checksum() {
            return Err(Error::corrupt(format!("checksum is {stored:#x}, computed {computed:#x}")));
        }
        let footer = raw.fields();
        if footer.creator.version == Version::new(0, 1) {
            // Bitmaps of 0.1 are little-endian; no tool of today reads them, and libvhd says EINVAL.
            return Err(Error::new(ErrorKind::Corrupt, "creator version is 0.1, whose bitmaps have another bit order"));
        }
        Ok(footer)
    }
}

impl From<&Footer> for RawFooter {
    /// The bytes of a footer, checksum included.
    fn from(footer: &Footer) -> Self {
        let mut raw = RawFooter {
            cookie: if footer.is_poisoned { COOKIE_POISONED } else { COOKIE },
            features: footer.features.into(),
            format_version: u32::from(footer.format_version).into(),
            data_offset: footer.data_offset.into(),
            timestamp: footer.timestamp.0.into(),
            creator_app: footer.creator.app,
            creator_version: u32::from(footer.creator.version).into(),
            creator_os: footer.creator.os.into(),
            original_bytes: footer.original_bytes.into(),
            current_bytes: footer.current_bytes.into(),
            cylinders: footer.geometry.cylinders.into(),
            heads: footer.geometry.heads,
            sectors_per_track: footer.geometry.sectors_per_track,
            kind: u32::from(footer.kind).into(),
            checksum: 0.into(),
            uuid: footer.uuid.into_bytes(),
            saved: footer.saved,
            hidden: footer.hidden,
            reserved: footer.reserved,
        };
        raw.checksum = raw.computed_checksum().into();
        raw
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Footer {
        Footer {
            is_poisoned: false,
            features: FEATURES_RESERVED,
            format_version: Version::new(1, 0),
            data_offset: 512,
            timestamp: Timestamp(7),
            creator: Creator::TAP,
            original_bytes: 64 << 20,
            current_bytes: 64 << 20,
            geometry: Geometry::for_size(64 << 20),
            kind: DiskKind::Dynamic,
            uuid: Uuid::from_u128(1),
            saved: 0,
            hidden: 0,
            reserved: [0; 426],
        }
    }

    fn check(raw: &RawFooter, hidden: Option<u8>) {
        assert_eq!(Footer::try_from(raw).ok().map(|footer| footer.hidden), hidden, "{raw:?}");
    }

    #[test]
    fn what_we_write_we_read() {
        check(&RawFooter::from(&sample()), Some(0));
    }

    #[test]
    fn a_footer_under_a_journal_is_readable() {
        check(&RawFooter::from(&Footer { is_poisoned: true, hidden: 1, ..sample() }), Some(1));
    }

    #[test]
    fn wrong_cookie_checksum_or_version_is_refused() {
        let good = RawFooter::from(&sample());
        check(&RawFooter { cookie: *b"conectiX", ..good }, None);
        check(&RawFooter { hidden: 1, ..good }, None);
        let old = Creator { version: Version::new(0, 1), ..Creator::TAP };
        check(&RawFooter::from(&Footer { creator: old, ..sample() }), None);
    }

    #[test]
    fn blktap_1_1_may_hide_without_a_new_checksum() {
        let creator = Creator { version: Version::new(1, 1), ..Creator::TAP };
        let raw = RawFooter::from(&Footer { creator, ..sample() });
        check(&RawFooter { hidden: 1, ..raw }, Some(1));
    }

    proptest! {
        #[test]
        fn accepted_bytes_survive_a_round_trip(mut bytes: [[u8; 32]; 16], poisoned: bool) {
            bytes[0][..8].copy_from_slice(if poisoned { &COOKIE_POISONED } else { &COOKIE });
            let mut raw = RawFooter::from_prefix(bytes.as_flattened());
            raw.checksum = raw.computed_checksum().into();
            if let Ok(footer) = Footer::try_from(&raw) {
                prop_assert_eq!(RawFooter::from(&footer), raw);
            }
        }
    }
}
