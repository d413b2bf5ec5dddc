//! Images on block devices, which loop devices stand in for: past the page cache, with logical sectors of 512 and of 4096
//! bytes, on top of what older images left behind. Needs root.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
pub(crate) use testkit::loop_device::LoopDevice;
use uuid::Uuid;
use vhd::create::{Request, Storage};
use vhd::footer::{Footer, RawFooter};
use vhd::snapshot::{self, Base};
use vhd::{Disk, Image, create_image, edit};

use crate::judge;
use crate::oracle::{Oracle, SECTOR, Write, cases, writes};
use crate::sample::request;

const DYNAMIC: Storage = Storage::Dynamic { max_bytes: None };
const MIB: u64 = 1 << 20;
/// Blocks of the disks here, and their sectors.
const BLOCKS: u64 = 4;
const DISK_SECTORS: usize = 4 << 12;
/// Room for all blocks, tables and a footer.
const DEVICE_BYTES: u64 = 8 * MIB + 64 * 1024;

/// Reads the disk past our library, which knows no bitmap: old bytes would show.
fn check_with_qemu(device: &LoopDevice, directory: &Path, oracle: &Oracle) {
    oracle.check(&judge::flat_by_qemu(directory, device.path.to_str().unwrap()), "read by qemu");
}

/// Whether loop devices can be made here; else the skip is on record.
pub(crate) fn has_loop_devices() -> bool {
    let directory = tempfile::tempdir().unwrap();
    let made = LoopDevice::new(directory.path(), "probe", 4096, &[0; 1 << 20]);
    if let Err(why) = &made {
        judge::skip(&format!("no loop devices (they need root): {why}"));
    }
    made.is_ok()
}

/// What stood on the device before.
#[derive(Clone, Copy, Debug)]
enum Before {
    Zeros,
    Ones,
    /// An image of ours with every block full of old data, footer at the device's end.
    Image,
    /// The same, beginning some sectors later: footers and tables where the new image has other things.
    Shifted(usize),
}

impl Before {
    fn bytes(self, directory: &Path, len_bytes: u64) -> Vec<u8> {
        let len = usize::try_from(len_bytes).unwrap();
        let skip = match self {
            Before::Zeros => return vec![0; len],
            Before::Ones => return vec![0xff; len],
            Before::Image => 0,
            Before::Shifted(sectors) => sectors * SECTOR,
        };
        let path = directory.join("old.vhd");
        create_image(&path, &Request { uuid: Uuid::from_u128(666), ..request(BLOCKS * 2, DYNAMIC) }).unwrap();
        Disk::open_rw(&path).unwrap().write_at(0, &[0xee; DISK_SECTORS * SECTOR]).unwrap();
        let mut image = fs::read(&path).unwrap();
        let footer = image.split_off(image.len() - SECTOR);
        let mut bytes = [vec![0xdd; skip], image].concat();
        bytes.resize(len - SECTOR, 0xcc);
        [bytes, footer].concat()
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Dynamic,
    Fixed,
    /// Over an image in a file.
    OverFile,
    /// Over an image on another device.
    OverDevice,
    /// Over raw bytes on another device.
    OverRaw,
}

const KINDS: [Kind; 5] = [Kind::Dynamic, Kind::Fixed, Kind::OverFile, Kind::OverDevice, Kind::OverRaw];

/// Makes the image on the device, and what is below it. Returns what the disk holds then, and what must stay open.
fn create(kind: Kind, device: &LoopDevice, directory: &Path, sector_bytes: u32) -> (Oracle, Option<LoopDevice>) {
    let new = |storage| Request { uuid: Uuid::from_u128(2), ..request(BLOCKS * 2, storage) };
    let mut oracle = Oracle::zeros(DISK_SECTORS);
    let lower = |name: &str, before: Before| {
        LoopDevice::new(directory, name, sector_bytes, &before.bytes(directory, DEVICE_BYTES)).unwrap()
    };
    let mut fill = |path: &Path| {
        create_image(path, &request(BLOCKS * 2, DYNAMIC)).unwrap();
        let mut disk = Disk::open_rw(path).unwrap();
        for (first, len) in [(0, 3), (4090, 100), (DISK_SECTORS - 1, 1)] {
            let bytes = vec![0xaa; len * SECTOR];
            disk.write_at((first * SECTOR) as u64, &bytes).unwrap();
            oracle.0[first * SECTOR..][..bytes.len()].copy_from_slice(&bytes);
        }
        disk.flush().unwrap();
    };
    let (base, below) = match kind {
        Kind::Dynamic | Kind::Fixed => {
            let storage = if matches!(kind, Kind::Fixed) { Storage::Fixed } else { DYNAMIC };
            create_image(&device.path, &new(storage)).unwrap();
            return (oracle, None);
        }
        Kind::OverFile => {
            fill(&directory.join("parent.vhd"));
            (Base::vhd(&directory.join("parent.vhd")).unwrap(), None)
        }
        Kind::OverDevice => {
            let below = lower("parent.img", Before::Ones);
            fill(&below.path);
            (Base::vhd(&below.path).unwrap(), Some(below))
        }
        Kind::OverRaw => {
            let below = lower("raw.img", Before::Shifted(1));
            oracle.0.copy_from_slice(&below.bytes()[..DISK_SECTORS * SECTOR]);
            (Base::raw(&below.path).unwrap(), Some(below))
        }
    };
    snapshot::create(&device.path, &new(DYNAMIC), &base).unwrap();
    (oracle, below)
}

/// The device ends with the footer of the image.
fn check_footer(device: &LoopDevice) {
    let bytes = device.bytes();
    let footer = Footer::try_from(&RawFooter::from_prefix(&bytes[bytes.len() - SECTOR..])).unwrap();
    assert_eq!(footer.uuid, Uuid::from_u128(2));
}

fn check(kind: Kind, before: Before, sector_bytes: u32, writes: &[Write]) {
    let directory = tempfile::tempdir().unwrap();
    // Of a fixed disk the data ends at the footer, which makes its device longer than its disk by a page.
    let len_bytes = if matches!(kind, Kind::Fixed) { 8 * MIB + 4096 } else { DEVICE_BYTES };
    let old = before.bytes(directory.path(), len_bytes);
    let device = LoopDevice::new(directory.path(), "device.img", sector_bytes, &old).unwrap();
    let (mut oracle, below) = create(kind, &device, directory.path(), sector_bytes);
    let lower = below.as_ref().map(LoopDevice::bytes);
    oracle.check_image(&device.path, "new");
    check_footer(&device);
    let (one, two) = writes.split_at(writes.len() / 2);
    for (writes, when) in [(one, "written"), (two, "opened and written again")] {
        oracle.write_to(&device.path, writes);
        oracle.check_image(&device.path, when);
        check_footer(&device);
    }
    assert_eq!(Image::open(&device.path).unwrap().footer().uuid, Uuid::from_u128(2));
    assert!(below.as_ref().map(LoopDevice::bytes) == lower, "what is below was written to");
    if matches!(kind, Kind::Dynamic) && judge::has(&["qemu-img"]) {
        check_with_qemu(&device, directory.path(), &oracle);
    }
}

/// An image of qemu, whose blocks lie on no page, copied to a device.
fn check_unaligned(sector_bytes: u32, ends_with_footer: bool) {
    let directory = tempfile::tempdir().unwrap();
    let qemu = |program: &str, arguments: &[&str]| judge::run(directory.path(), program, arguments);
    qemu("qemu-img", &["create", "-q", "-f", "vpc", "-o", "subformat=dynamic,force_size=on", "q.vhd", "8M"]);
    qemu("qemu-io", &["-f", "vpc", "-c", "write -q -P 9 512 1024", "-c", "write -q -P 8 5M 1M", "q.vhd"]);
    let mut bytes = fs::read(directory.path().join("q.vhd")).unwrap();
    let footer = bytes[bytes.len() - SECTOR..].to_vec();
    bytes.resize(usize::try_from(DEVICE_BYTES).unwrap(), 0xff);
    if ends_with_footer {
        let end = bytes.len() - SECTOR;
        bytes[end..].copy_from_slice(&footer);
    }
    let device = LoopDevice::new(directory.path(), "device.img", sector_bytes, &bytes).unwrap();
    let image = Image::open(&device.path).unwrap();
    let data_sectors: Vec<u32> = image.bat().unwrap().entries().iter().map(|entry| entry.wrapping_add(1)).collect();
    assert!(!data_sectors[0].is_multiple_of(8), "qemu aligns blocks now: this test needs an image that is not");
    let mut oracle = Oracle::zeros(DISK_SECTORS);
    oracle.0[512..1536].fill(9);
    oracle.0[5 << 20..6 << 20].fill(8);
    oracle.check_image(&device.path, "made by qemu");
    // Into a block of qemu's, across its end into a new one, at the end, inside a page.
    let mut disk = Disk::open_rw(&device.path).unwrap();
    for (first, sectors) in [(3, 1), (4095, 2), (DISK_SECTORS - 1, 1), (8190, 4099), (10_000, 20)] {
        let bytes = vec![u8::try_from(sectors % 251).unwrap(); sectors * SECTOR];
        disk.write_at((first * SECTOR) as u64, &bytes).unwrap();
        oracle.0[first * SECTOR..][..bytes.len()].copy_from_slice(&bytes);
    }
    disk.flush().unwrap();
    oracle.check_image(&device.path, "written by us");
    check_with_qemu(&device, directory.path(), &oracle);
}

#[test]
fn images_whose_blocks_lie_on_no_page_work_on_every_sector_size() {
    if has_loop_devices() && judge::has(&["qemu-img", "qemu-io"]) {
        check_unaligned(512, true);
        check_unaligned(4096, true);
        check_unaligned(4096, false);
    }
}

#[test]
fn a_device_that_is_no_whole_number_of_pages_is_used_to_its_last_sector() {
    if has_loop_devices() {
        let directory = tempfile::tempdir().unwrap();
        let old = vec![0xff; 8 << 20 | SECTOR];
        let device = LoopDevice::new(directory.path(), "device.img", 512, &old).unwrap();
        let (mut oracle, _) = create(Kind::Fixed, &device, directory.path(), 512);
        let mut disk = Disk::open_rw(&device.path).unwrap();
        let last = DISK_SECTORS - 1;
        disk.write_at((last * SECTOR) as u64, &[5; SECTOR]).unwrap();
        oracle.0[last * SECTOR..].fill(5);
        oracle.check_image(&device.path, "written at its end");
        check_footer(&device);
    }
}

/// Sectors that were written to the device so far.
fn written_sectors(device: &LoopDevice) -> u64 {
    let name = device.path.file_name().unwrap().to_str().unwrap();
    let stat = fs::read_to_string(format!("/sys/class/block/{name}/stat")).unwrap();
    stat.split_whitespace().nth(6).unwrap().parse().unwrap()
}

#[test]
fn a_change_of_metadata_writes_no_sector_beside_it() {
    // A daemon that has the image open may be writing those: an entry of the BAT would be lost.
    if has_loop_devices() {
        let directory = tempfile::tempdir().unwrap();
        let device = LoopDevice::new(directory.path(), "device.img", 512, &vec![0; 8 << 20]).unwrap();
        create_image(&device.path, &request(4, DYNAMIC)).unwrap();
        let before = written_sectors(&device);
        edit::set_hidden(&Image::open_rw(&device.path).unwrap(), 1).unwrap();
        assert_eq!(written_sectors(&device) - before, 2, "both footers");
    }
}

#[test]
fn the_size_of_a_device_is_asked_anew_whenever_it_is_opened() {
    if !has_loop_devices() {
        return;
    }
    for sector_bytes in [512, 4096] {
        let directory = tempfile::tempdir().unwrap();
        // Room for two blocks.
        let small = vec![0xff; (4 << 20) + (16 << 10)];
        let device = LoopDevice::new(directory.path(), "device.img", sector_bytes, &small).unwrap();
        let (mut oracle, _) = create(Kind::Dynamic, &device, directory.path(), sector_bytes);
        let mut disk = Disk::open_rw(&device.path).unwrap();
        let mut write = |disk: &mut Disk, block: usize| {
            let done = disk.write_at((block << 21) as u64, &[7; SECTOR]).map_err(|error| error.errno());
            if done.is_ok() {
                oracle.0[block << 21..][..SECTOR].fill(7);
            }
            (done, oracle.clone())
        };
        assert_eq!((write(&mut disk, 0).0, write(&mut disk, 1).0, write(&mut disk, 2).0), (Ok(()), Ok(()), Err(28)));
        device.set_len(DEVICE_BYTES);
        // The footer is no longer at the end: the copy at the start counts, as it does for blktap, until it is moved.
        let mut disk = Disk::open_rw(&device.path).unwrap();
        assert_eq!((write(&mut disk, 2).0, write(&mut disk, 3).0), (Ok(()), Ok(())));
        disk.flush().unwrap();
        edit::set_physical_size(&Image::open_rw(&device.path).unwrap(), DEVICE_BYTES).unwrap();
        check_footer(&device);
        write(&mut disk, 0).1.check_image(&device.path, "on the grown device");
    }
}

#[test]
fn nothing_of_what_stood_on_a_device_is_read() {
    if has_loop_devices() {
        for before in [Before::Ones, Before::Image, Before::Shifted(3)] {
            for kind in KINDS {
                check(kind, before, 4096, &[]);
            }
        }
    }
}

fn befores() -> impl Strategy<Value = Before> {
    let shifted = (1..16usize).prop_map(Before::Shifted);
    prop_oneof![1 => Just(Before::Zeros), 2 => Just(Before::Ones), 2 => Just(Before::Image), 2 => shifted]
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(&KINDS[..])
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn disks_on_devices_hold_what_was_written_and_nothing_else(
        kind in kinds(),
        before in befores(),
        sector_bytes in prop::sample::select(&[512, 4096][..]),
        writes in writes(DISK_SECTORS, 1..10),
    ) {
        if has_loop_devices() {
            check(kind, before, sector_bytes, &writes);
        }
    }
}

#[test]
fn raw_devices_are_written_in_place() {
    if !has_loop_devices() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for sector_bytes in [512, 4096] {
        let mut oracle = vec![0xff; 4 << 20];
        let device = LoopDevice::new(directory.path(), "raw.img", sector_bytes, &oracle).unwrap();
        let mut disk = Disk::open_raw_rw(&device.path).unwrap();
        assert_eq!(disk.size_bytes(), 4 * MIB);
        disk.write_over(3 * 512, &[7; SECTOR]).unwrap().unwrap();
        oracle[3 * SECTOR..][..SECTOR].fill(7);
        assert_eq!(disk.status(0, 4 * MIB, 9).unwrap(), [vhd::Stretch { len_bytes: 4 * MIB, is_zero: false }]);
        // Neither end is on a page.
        disk.write_zeroes(5 * 512, 64 << 10).unwrap();
        oracle[5 * SECTOR..][..64 << 10].fill(0);
        disk.discard(1 << 20, 1 << 20).unwrap();
        disk.flush().unwrap();
        assert!(device.bytes() == oracle, "sectors of {sector_bytes}");
        disk.pass_discards();
        disk.discard(1 << 20, 1 << 20).unwrap();
        oracle[1 << 20..2 << 20].fill(0);
        disk.close().unwrap();
        assert!(device.bytes() == oracle, "discarded, sectors of {sector_bytes}");
        assert!(Disk::open_raw_rw(&device.path).unwrap().write_over(4 << 20, &[1; SECTOR]).is_none());
    }
}
