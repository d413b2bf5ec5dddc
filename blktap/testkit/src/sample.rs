//! Images as bytes, made with the library's own planner and encoders, with fixed identity and time.

use std::path::Path;

use uuid::Uuid;
use vhd::Timestamp;
use vhd::batmap::{BatmapHeader, RawBatmapHeader};
use vhd::create::{Request, Storage, plan};
use vhd::footer::{DiskKind, Footer, RawFooter};
use vhd::header::{Header, RawHeader};
use vhd::locator::{DataSpace, Locator, PlatformCode};
use vhd::locator_path;
use vhd::parent_name::ParentName;
use vhd::plan::{Step, Target};

/// Identity of every image made here, but for children.
pub const BASE_UUID: Uuid = Uuid::from_u128(0x0bad_cafe);

/// Where the parent's paths of a child begin.
pub const LOCATORS_AT: usize = 3072;

pub fn request(size_mib: u64, storage: Storage) -> Request {
    Request { storage, size_bytes: size_mib << 20, uuid: BASE_UUID, timestamp: Timestamp(846_600_000) }
}

/// A dynamic disk of at most 256 MiB, so that its tables are where the constants here say.
pub fn dynamic(size_mib: u64) -> Vec<u8> {
    let mut image = Vec::new();
    for step in plan(&request(size_mib, Storage::Dynamic { max_bytes: None }), Target::File).unwrap().steps {
        let (offset, bytes) = match step {
            Step::Write { offset, bytes, .. } => (offset, bytes),
            Step::Fill { offset, len_bytes, byte, .. } => (offset, vec![byte; usize::try_from(len_bytes).unwrap()]),
            step => unreachable!("no step of creating a dynamic disk: {step:?}"),
        };
        let offset = usize::try_from(offset).unwrap();
        image.resize(image.len().max(offset + bytes.len()), 0);
        image[offset..][..bytes.len()].copy_from_slice(&bytes);
    }
    image
}

/// A differencing disk on top of `parent`, with one locator per code; a nil `parent_uuid` means a raw parent.
pub fn child(parent: &Path, parent_uuid: Uuid, codes: &[PlatformCode]) -> Vec<u8> {
    let mut image = dynamic(64);
    let footer = image.split_off(image.len() - 512);
    assert_eq!(image.len(), LOCATORS_AT);
    let mut locators = [Locator::default(); 8];
    for (locator, &code) in locators.iter_mut().zip(codes) {
        let bytes = locator_path::encode(code, parent).unwrap();
        *locator = Locator {
            code,
            space: DataSpace(512),
            len_bytes: u32::try_from(bytes.len()).unwrap(),
            reserved: 0,
            offset: image.len() as u64,
        };
        image.extend(&bytes);
        image.resize(image.len().next_multiple_of(512), 0);
    }
    image.extend(footer);
    let name = parent.file_name().unwrap().to_str().unwrap();
    edit_header(&mut image, |header| {
        header.parent_uuid = parent_uuid;
        header.parent_timestamp = Timestamp(846_500_000);
        header.parent_name = ParentName::encode(name).unwrap();
        header.locators = locators;
    });
    edit_footers(&mut image, |footer| {
        footer.kind = DiskKind::Differencing;
        footer.uuid = Uuid::from_u128(2);
    });
    image
}

/// The three locators that libvhd writes.
pub const LIBVHD_CODES: [PlatformCode; 3] = [PlatformCode::MacX, PlatformCode::W2ku, PlatformCode::W2ru];

/// Changes both footers, with right checksums.
pub fn edit_footers(image: &mut [u8], edit: impl FnOnce(&mut Footer)) {
    let end = image.len() - 512;
    let mut footer = Footer::try_from(&RawFooter::from_prefix(&image[end..])).unwrap();
    edit(&mut footer);
    let raw = RawFooter::from(&footer);
    image[..512].copy_from_slice(raw.bytes());
    image[end..].copy_from_slice(raw.bytes());
}

/// Changes the header, with a right checksum.
pub fn edit_header(image: &mut [u8], edit: impl FnOnce(&mut Header)) {
    let mut header = Header::try_from(&RawHeader::from_prefix(&image[512..])).unwrap();
    edit(&mut header);
    image[512..1536].copy_from_slice(RawHeader::from(&header).bytes());
}

/// Changes the header of the batmap of an image whose BAT takes a sector.
pub fn edit_batmap(image: &mut [u8], edit: impl FnOnce(&mut BatmapHeader)) {
    let mut header = BatmapHeader::try_from(&RawBatmapHeader::from_prefix(&image[2048..])).unwrap();
    edit(&mut header);
    image[2048..2560].copy_from_slice(RawBatmapHeader::from(&header).bytes());
}

/// Changes bytes of the header and makes its checksum right, for values that the checked type cannot hold.
pub fn patch_header(image: &mut [u8], offset: usize, bytes: &[u8]) {
    image[512 + offset..][..bytes.len()].copy_from_slice(bytes);
    let sum = RawHeader::from_prefix(&image[512..]).computed_checksum();
    image[512 + 36..][..4].copy_from_slice(&sum.to_be_bytes());
}
