//! How the golden images that are ours are made: one function for each, from fixed identities, times and patterns. An
//! image may stand on those before it.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use uuid::Uuid;
use vhd::create::{Request, Storage};
use vhd::footer::{Creator, DiskKind};
use vhd::header::BlockSize;
use vhd::locator::{DataSpace, Locator, PlatformCode};
use vhd::parent_name::ParentName;
use vhd::snapshot::{self, Base};
use vhd::{Disk, Image, KeyHash, Version, create_image, edit};

use crate::oracle::{Oracle, SECTOR, Write};
use crate::sample::{BASE_UUID, dynamic, edit_batmap, edit_footers, edit_header, request};

/// File name and maker. The maker leaves the file at the path; in its directory are those before it.
pub(crate) type Maker = (&'static str, fn(&Path));

/// All of them, parents before children.
pub(crate) const OURS: [Maker; 18] = [
    ("empty.vhd", |path| create(path, 4, DYNAMIC)),
    ("dynamic.vhd", |path| {
        create(path, 6, DYNAMIC);
        // A whole block, a part of the last one, none of the middle one.
        write(path, &[(0, 4096, 1), (8193, 3, 2), (12_287, 1, 3)]);
    }),
    ("room-to-grow.vhd", |path| {
        create(path, 4, Storage::Dynamic { max_bytes: Some(2 << 40) });
        write(path, &[(4095, 2, 4)]);
    }),
    ("fixed.vhd", |path| {
        create(path, 2, Storage::Fixed);
        write(path, &[(0, 2, 5), (4095, 1, 6)]);
    }),
    ("parent.vhd", |path| {
        create(path, 4, DYNAMIC);
        write(path, &[(0, 4096, 7), (4097, 1, 8)]);
        edit::set_hidden(&Image::open_rw(path).unwrap(), 1).unwrap();
    }),
    ("child.vhd", |path| {
        snapshot(path, "parent.vhd", 4, 11);
        write(path, &[(3, 5, 9), (4096, 4096, 10)]);
        edit::set_marker(&Image::open_rw(path).unwrap(), 0xc5).unwrap();
    }),
    // Writes to children end on pages: libvhdi reads no others right.
    ("grandchild.vhd", |path| {
        snapshot(path, "child.vhd", 4, 12);
        write(path, &[(6, 2, 0), (8184, 8, 11)]);
    }),
    ("larger-child.vhd", |path| {
        snapshot(path, "child.vhd", 6, 14);
        write(path, &[(8191, 2, 12)]);
    }),
    ("windows-like-child.vhd", windows_child),
    ("raw.img", |path| {
        let mut oracle = Oracle::zeros(3000);
        oracle.write(&Write::new(1000, 2000, 12));
        fs::write(path, oracle.0).unwrap();
    }),
    ("on-raw.vhd", |path| {
        set_time(path, "raw.img");
        let request = Request { uuid: Uuid::from_u128(13), ..request(2, DYNAMIC) };
        snapshot::create(path, &request, &Base::raw(&path.with_file_name("raw.img")).unwrap()).unwrap();
        write(path, &[(1001, 1, 13), (2999, 2, 14)]);
    }),
    ("key-hash.vhd", |path| {
        create(path, 2, DYNAMIC);
        let key_hash = KeyHash { nonce: [0x5a; 32], hash: [0xa5; 32] };
        edit_file(path, |image| edit_batmap(image, |header| header.key_hash = Some(key_hash)));
    }),
    ("small-blocks.vhd", |path| {
        let mut image = dynamic(2);
        image[1536..][..400].fill(0xff);
        edit_header(&mut image, |header| {
            header.block_size = BlockSize::try_from(4096).unwrap();
            header.max_bat_entries = 100;
        });
        edit_footers(&mut image, |footer| {
            footer.current_bytes = 99 * 4096;
            footer.geometry = vhd::Geometry::for_size(99 * 4096);
        });
        fs::write(path, image).unwrap();
        write(path, &[(7, 10, 15), (791, 1, 16)]);
    }),
    ("in-a-resize.vhd", |path| {
        fs::copy(path.with_file_name("dynamic.vhd"), path).unwrap();
        edit_file(path, |image| edit_footers(image, |footer| footer.is_poisoned = true));
    }),
    ("no-primary-footer.vhd", |path| {
        fs::copy(path.with_file_name("dynamic.vhd"), path).unwrap();
        let len = fs::metadata(path).unwrap().len();
        File::options().write(true).open(path).unwrap().set_len(len - SECTOR as u64).unwrap();
    }),
    ("short-footer.vhd", |path| {
        fs::copy(path.with_file_name("fixed.vhd"), path).unwrap();
        let len = fs::metadata(path).unwrap().len();
        File::options().write(true).open(path).unwrap().set_len(len - 1).unwrap();
    }),
    ("tap-0.1.vhd", |path| {
        let mut image = dynamic(2);
        edit_footers(&mut image, |footer| footer.creator = Creator { version: Version::new(0, 1), ..Creator::TAP });
        fs::write(path, image).unwrap();
    }),
    ("tap-1.1.vhd", |path| {
        create(path, 4, DYNAMIC);
        write(path, &[(0, 4096, 17), (4096, 1, 18)]);
        edit_file(path, |image| {
            // Block 0 is full. The sum is over signed bytes, of which this one is -128.
            image[2560] = 0x80;
            edit_batmap(image, |header| (header.version, header.checksum) = (Version::new(1, 1), 127));
            edit_footers(image, |footer| footer.creator = Creator { version: Version::new(1, 1), ..Creator::TAP });
            // Hidden in the copy only, and without a new checksum, as its writer did it.
            image[85] = 1;
        });
    }),
];

const DYNAMIC: Storage = Storage::Dynamic { max_bytes: None };

fn create(path: &Path, size_mib: u64, storage: Storage) {
    create_image(path, &request(size_mib, storage)).unwrap();
}

/// Writes of (first sector, sectors, seed).
fn write(path: &Path, writes: &[(usize, usize, u8)]) {
    let mut disk = Disk::open_rw(path).unwrap();
    for &(first, sectors, seed) in writes {
        disk.write_at((first * SECTOR) as u64, &Write::new(first, sectors, seed).bytes()).unwrap();
    }
    disk.flush().unwrap();
}

fn snapshot(path: &Path, parent: &str, size_mib: u64, uuid: u128) {
    set_time(path, parent);
    let request = Request { uuid: Uuid::from_u128(uuid), ..request(size_mib, DYNAMIC) };
    snapshot::create(path, &request, &Base::vhd(&path.with_file_name(parent)).unwrap()).unwrap();
}

/// The time of a parent, which its child stores.
fn set_time(path: &Path, parent: &str) {
    let parent = File::options().write(true).open(path.with_file_name(parent)).unwrap();
    parent.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
}

fn edit_file(path: &Path, edit: impl FnOnce(&mut [u8])) {
    let mut image = fs::read(path).unwrap();
    edit(&mut image);
    fs::write(path, image).unwrap();
}

/// A child as Windows 10 makes it: no batmap, a whole path as name, an absolute path that leads nowhere here before the
/// relative one, each in its own place around the BAT, data on no page.
fn windows_child(path: &Path) {
    let parent = r"C:\Disks\parent.vhd";
    let locator = |code, room, offset, path: &str| {
        let bytes: Vec<u8> = path.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let len_bytes = u32::try_from(bytes.len()).unwrap();
        (Locator { code, space: DataSpace(room), len_bytes, reserved: 0, offset }, bytes)
    };
    let paths =
        [locator(PlatformCode::W2ku, 4096, 4096, parent), locator(PlatformCode::W2ru, 65_536, 12_288, r".\parent.vhd")];
    let mut image = dynamic(4);
    let footer = image.split_off(image.len() - SECTOR);
    image.truncate(1536);
    image.resize(12_288 + 65_536, 0);
    image[8192..][..512].fill(0xff);
    for (locator, bytes) in &paths {
        image[usize::try_from(locator.offset).unwrap()..][..bytes.len()].copy_from_slice(bytes);
    }
    image.extend(footer);
    edit_header(&mut image, |header| {
        header.table_offset = 8192;
        header.parent_uuid = BASE_UUID;
        header.parent_name = ParentName::encode(parent).unwrap();
        header.locators[..2].copy_from_slice(&paths.map(|(locator, _)| locator));
    });
    edit_footers(&mut image, |footer| {
        footer.kind = DiskKind::Differencing;
        footer.uuid = Uuid::from_u128(15);
        footer.creator = Creator { app: *b"win ", version: Version::new(10, 0), os: 0x5769_326b };
    });
    fs::write(path, image).unwrap();
    write(path, &[(16, 8, 13)]);
}
