//! Converting disks: against a byte vector, from and to every format, and what a crash leaves behind on a device.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use proptest::prelude::*;
use vhd::compact::Compact;
use vhd::convert::{self, Format, Request, convert};
use vhd::create::Storage;
use vhd::footer::{Creator, DiskKind};
use vhd::{Disk, Image, Medium, Timestamp, check};

use crate::judge;
use crate::loop_device::{self, LoopDevice};
use crate::sample::{BASE_UUID, dynamic, edit_footers};
use crate::sim_chain::{build, layers};
use crate::sim_disk::SimDisk;

const DYNAMIC: Format = Format::Vhd(Storage::Dynamic { max_bytes: None });
const FIXED: Format = Format::Vhd(Storage::Fixed);
const MIB: usize = 1 << 20;

fn request(format: Format) -> Request {
    Request {
        format,
        uuid: BASE_UUID,
        timestamp: Timestamp(846_600_000),
        is_preallocated: false,
        replaces: false,
        is_durable: false,
    }
}

/// Converts what is at `source`, and compares the new disk with the oracle and zeros.
fn check_step(source: &Disk, target: &Path, request: &Request, oracle: &[u8]) -> Disk {
    let done = convert(source, target, request, |_| ()).unwrap();
    let disk = match request.format {
        Format::Raw => Disk::open_raw(target).unwrap(),
        Format::Vhd(_) => {
            let report = check::check(target, &check::Options { check_bitmaps: true, ..check_options() }).unwrap();
            assert!(report.is_valid(), "{report:?}");
            Disk::open(target).unwrap()
        }
    };
    assert_eq!((disk.size_bytes(), fs::metadata(target).unwrap().len()), (done.size_bytes, done.file_bytes));
    let mut bytes = vec![0xee; usize::try_from(disk.size_bytes()).unwrap()];
    disk.read_at(0, &mut bytes).unwrap();
    assert!(bytes[..oracle.len()] == *oracle, "{:?} reads something else", request.format);
    assert!(bytes[oracle.len()..].iter().all(|&byte| byte == 0));
    disk
}

fn check_options() -> check::Options {
    check::Options { now: Timestamp(u32::MAX), ..check::Options::default() }
}

/// Bytes with stretches of data, some of them of zeros.
fn disks() -> impl Strategy<Value = (usize, Vec<(usize, usize, u8)>)> {
    let unit = prop_oneof![Just(1usize), Just(512), Just(4096), Just(2 * MIB)];
    let stretch = (0..9 * MIB, 1..3 * MIB, prop_oneof![Just(0u8), 1..=255u8]);
    let aligned =
        (stretch, unit).prop_map(|((at, len, value), unit)| (at / unit * unit, len.next_multiple_of(unit), value));
    (1..9 * MIB, prop::collection::vec(aligned, 0..8))
}

fn write_sparse(path: &Path, len: usize, stretches: &[(usize, usize, u8)]) -> Vec<u8> {
    let file = File::create(path).unwrap();
    file.set_len(len as u64).unwrap();
    let mut oracle = vec![0; len];
    for &(at, stretch, value) in stretches {
        let (at, end) = (at.min(len), (at + stretch).min(len));
        oracle[at..end].fill(value);
        file.write_all_at(&oracle[at..end], at as u64).unwrap();
    }
    oracle
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_disk_reads_the_same_in_every_format((len, stretches) in disks(), is_durable: bool) {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut oracle = write_sparse(&path("a.raw"), len, &stretches);
        oracle.resize(len.next_multiple_of(512), 0);
        let mut disk = Disk::open_raw(&path("a.raw")).unwrap();
        let steps = [DYNAMIC, FIXED, Format::Raw, FIXED, DYNAMIC, DYNAMIC, Format::Raw];
        for (number, format) in steps.into_iter().enumerate() {
            let request = Request { is_durable, ..request(format) };
            disk = check_step(&disk, &path(&number.to_string()), &request, &oracle);
        }
        // All that was read of zeros takes no space, and nothing else is lost: the last raw disk is as sparse as can be.
        let held = oracle.chunks(4096).filter(|page| page.iter().any(|&byte| byte != 0)).count() as u64;
        prop_assert!(fs::metadata(path("6")).unwrap().blocks() * 512 <= held * 4096);
        let blocks = oracle.chunks(2 * MIB).filter(|block| block.iter().any(|&byte| byte != 0)).count();
        prop_assert_eq!(Image::open(&path("5")).unwrap().bat().unwrap().allocated_blocks(), blocks);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_becomes_one_disk(layers in layers(), base in prop::option::of(0..200_000usize), to_device: bool) {
        let (disk, oracle) = build(&layers, base);
        for format in [DYNAMIC, FIXED, Format::Raw] {
            let target = match (to_device, format) {
                (true, _) => SimDisk::device(vec![0xff; 5 * MIB]),
                (false, Format::Raw) => SimDisk::file(vec![0; oracle.len()]),
                (false, _) => SimDisk::file(vec![]),
            };
            let done = convert::write(&disk, &target, &request(format), |_| ()).unwrap();
            let new = open(&target, format).unwrap();
            prop_assert!(new.size_bytes() >= done.size_bytes);
            let mut bytes = vec![0xee; usize::try_from(done.size_bytes).unwrap()];
            new.read_at(0, &mut bytes).unwrap();
            prop_assert!(bytes[..oracle.len()] == oracle && bytes[oracle.len()..].iter().all(|&byte| byte == 0));
        }
    }
}

fn open(file: &SimDisk, format: Format) -> vhd::Result<Disk<SimDisk>> {
    match format {
        Format::Raw => Disk::of_raw(file.clone()),
        Format::Vhd(_) => Disk::of(Image::on(file.clone())?, vec![], None),
    }
}

/// A disk of a few blocks, on which a footer that is none of ours lies where a half-written device might show it.
fn source() -> (Disk<SimDisk>, Vec<u8>) {
    let mut bytes = vec![0; 5 * MIB];
    bytes[..MIB].fill(1);
    bytes[5 * MIB - 512..].fill(3);
    (Disk::of_raw(SimDisk::file(bytes.clone())).unwrap(), bytes)
}

#[test]
fn a_crash_leaves_nothing_on_a_device_that_could_be_taken_for_a_disk() {
    let (disk, oracle) = source();
    for format in [DYNAMIC, FIXED, Format::Raw] {
        // Old content: a whole image of another disk.
        let mut old = dynamic(64);
        let footer = old.split_off(old.len() - 512);
        old.resize(7 * MIB - 512, 0xaa);
        let target = SimDisk::device([old, footer].concat());
        let done = convert::write(&disk, &target, &request(format), |_| ()).unwrap();
        let events = target.log_len();
        for events in 0..events {
            for bits in 0..8u32 {
                let mut at = 0;
                let coin = || {
                    at += 1;
                    bits >> (at % 3) & 1 == 0
                };
                let crashed = target.crashed(events, coin);
                if Image::on(crashed.clone()).is_ok_and(|image| image.footer().current_bytes == 64 << 20) {
                    let old = &crashed.bytes()[4096..7 * MIB - 4096];
                    assert!(old.iter().all(|&byte| byte == 0xaa), "the old image is a ruin after {events} events");
                    continue;
                }
                match format {
                    Format::Raw => {
                        let mut first = [1; 512];
                        crashed.read_exact_at(&mut first, 0).unwrap();
                        assert!(first != [1; 512] || crashed.bytes()[..5 * MIB] == oracle, "{events}");
                    }
                    Format::Vhd(_) => {
                        let Ok(found) = Image::on(crashed.clone()) else { continue };
                        assert_eq!(found.footer().current_bytes, done.size_bytes);
                        let mut bytes = vec![0xee; oracle.len()];
                        open(&crashed, format).unwrap().read_at(0, &mut bytes).unwrap();
                        assert!(bytes == oracle, "{format:?} after {events} events");
                    }
                }
            }
        }
    }
}

#[test]
fn a_device_must_be_large_enough_and_is_left_alone_where_it_is_not() {
    let (disk, _) = source();
    for (format, needed) in [(Format::Raw, 5 * MIB), (FIXED, 6 * MIB + 512), (DYNAMIC, 3584)] {
        let target = SimDisk::device(vec![0xaa; needed - 512]);
        assert_eq!(convert::write(&disk, &target, &request(format), |_| ()).unwrap_err().errno(), 28, "{format:?}");
        assert_eq!(target.log_len(), 0);
    }
    // Room for the tables and one of two blocks.
    let target = SimDisk::device(vec![0xaa; 3 * MIB]);
    assert_eq!(convert::write(&disk, &target, &request(DYNAMIC), |_| ()).unwrap_err().errno(), 28);
    assert!(Image::on(target).is_err());
}

#[test]
fn every_failed_write_is_the_error_of_the_whole() {
    let (disk, oracle) = source();
    for format in [DYNAMIC, FIXED, Format::Raw] {
        for events in 0.. {
            let target = SimDisk::device(vec![0; 7 * MIB]);
            target.fail_in(events);
            match convert::write(&disk, &target, &request(format), |_| ()) {
                Err(error) => assert_eq!(error.errno(), 28),
                Ok(_) => {
                    let mut bytes = vec![0xee; oracle.len()];
                    open(&target, format).unwrap().read_at(0, &mut bytes).unwrap();
                    assert!(bytes == oracle && events > 2);
                    break;
                }
            }
        }
    }
}

#[test]
fn what_is_reserved_is_owned_and_blocks_have_places() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let oracle = write_sparse(&path("a.raw"), 5 * MIB, &[(MIB, 1000, 7)]);
    let disk = Disk::open_raw(&path("a.raw")).unwrap();
    for (name, format) in [("raw", Format::Raw), ("fixed", FIXED), ("dynamic", DYNAMIC)] {
        check_step(&disk, &path(name), &Request { is_preallocated: true, ..request(format) }, &oracle);
        assert!(fs::metadata(path(name)).unwrap().blocks() * 512 >= 5 << 20, "{name}");
    }
    let image = Image::open(&path("dynamic")).unwrap();
    assert_eq!(image.bat().unwrap().allocated_blocks(), 3);
    assert!((0..3).all(|block| image.batmap().unwrap().unwrap().is_full(block)));
}

#[test]
fn a_new_image_is_what_xenserver_wants() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_sparse(&path("a.raw"), 5 * MIB, &[(0, MIB, 7), (4 * MIB, 1, 7)]);
    let disk = Disk::open_raw(&path("a.raw")).unwrap();
    let format = Format::Vhd(Storage::Dynamic { max_bytes: Some(1 << 40) });
    convert(&disk, &path("b"), &request(format), |_| ()).unwrap();
    let image = Image::open(&path("b")).unwrap();
    let footer = image.footer();
    assert_eq!((footer.creator, footer.kind, footer.current_bytes), (Creator::TAP, DiskKind::Dynamic, 6 << 20));
    assert_eq!((footer.uuid, image.max_virtual_bytes().unwrap()), (BASE_UUID, 1 << 40));
    let batmap = image.batmap().unwrap().unwrap();
    assert_eq!([0, 1, 2, 3].map(|block| batmap.is_full(block)), [true, false, true, false]);
    let bat = image.bat().unwrap();
    let entries: Vec<u32> = bat.entries().iter().copied().filter(|&entry| entry != u32::MAX).collect();
    assert!(entries.iter().all(|entry| (entry + 1) % 8 == 0), "data begins on a page: {entries:?}");
    assert!(entries.is_sorted());
}

#[test]
fn part_of_the_disk_itself_is_never_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("a.vhd"), dynamic(64)).unwrap();
    let base = vhd::snapshot::Base::vhd(&path("a.vhd")).unwrap();
    vhd::snapshot::create(&path("b.vhd"), &crate::sample::request(64, Storage::Dynamic { max_bytes: None }), &base)
        .unwrap();
    fs::hard_link(path("a.vhd"), path("link")).unwrap();
    std::os::unix::fs::symlink(path("b.vhd"), path("soft")).unwrap();
    let disk = Disk::open(&path("b.vhd")).unwrap();
    let before = [fs::read(path("a.vhd")).unwrap(), fs::read(path("b.vhd")).unwrap()];
    for name in ["a.vhd", "b.vhd", "link", "soft"] {
        let request = Request { replaces: true, ..request(Format::Raw) };
        let error = convert(&disk, &path(name), &request, |_| ()).unwrap_err();
        assert_eq!(error.errno(), 22, "{name}");
    }
    assert!(before == [fs::read(path("a.vhd")).unwrap(), fs::read(path("b.vhd")).unwrap()]);
}

#[test]
fn what_is_there_is_replaced_only_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let oracle = write_sparse(&path("a.raw"), MIB, &[(0, 10, 1)]);
    let disk = Disk::open_raw(&path("a.raw")).unwrap();
    fs::write(path("b"), "old").unwrap();
    assert_eq!(convert(&disk, &path("b"), &request(Format::Raw), |_| ()).unwrap_err().errno(), 17);
    assert_eq!(fs::read(path("b")).unwrap(), b"old");
    let open = File::open(path("b")).unwrap();
    check_step(&disk, &path("b"), &Request { replaces: true, ..request(Format::Raw) }, &oracle);
    assert_eq!(open.metadata().unwrap().len(), 3, "whoever has it open keeps what it was");
    for name in ["", "none/b"] {
        assert!(convert(&disk, &path(name), &Request { replaces: true, ..request(Format::Raw) }, |_| ()).is_err());
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn a_raw_disk_is_its_bytes_and_is_not_written() {
    let file = SimDisk::file([[1; 512], [2; 512]].concat()[..1000].to_vec());
    let mut disk = Disk::of_raw(file.clone()).unwrap();
    let mut bytes = [0xee; 1024];
    disk.read_at(0, &mut bytes).unwrap();
    assert_eq!((disk.size_bytes(), bytes[511], bytes[999], bytes[1000..] == [0; 24]), (1024, 1, 2, true));
    assert_eq!(disk.write_at(0, &[3; 512]).unwrap_err().errno(), 9);
    assert_eq!(disk.read_at(0, &mut [0; 1025]).unwrap_err().errno(), 22);
    assert_eq!(file.log_len(), 0);
}

#[test]
fn a_disk_of_nothing_becomes_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("a.raw"), "").unwrap();
    for (name, format) in [("b", DYNAMIC), ("c", FIXED), ("d", Format::Raw)] {
        check_step(&Disk::open_raw(&path("a.raw")).unwrap(), &path(name), &request(format), &[]);
    }
}

#[test]
fn a_disk_under_a_journal_is_not_converted() {
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.is_poisoned = true);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("a.vhd"), image).unwrap();
    let converted = Disk::open(&path("a.vhd")).and_then(|disk| convert(&disk, &path("b"), &request(DYNAMIC), |_| ()));
    assert_eq!((converted.unwrap_err().errno(), path("b").exists()), (22, false));
}

#[test]
fn an_image_that_is_cut_short_is_no_disk_of_zeros() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_sparse(&path("a.raw"), 6 * MIB, &[(0, 6 * MIB, 1)]);
    convert(&Disk::open_raw(&path("a.raw")).unwrap(), &path("b"), &request(DYNAMIC), |_| ()).unwrap();
    File::options().write(true).open(path("b")).unwrap().set_len(3 << 20).unwrap();
    let disk = Disk::open(&path("b")).unwrap();
    assert_eq!(convert(&disk, &path("c"), &request(Format::Raw), |_| ()).unwrap_err().job_errno(), 22);
    assert!(!path("c").exists());
}

#[test]
fn qemu_reads_what_we_convert_and_we_read_what_it_converts() {
    if !judge::has(&["qemu-img"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let stretches = [(0, 100, 1), (3 * MIB, 2 * MIB, 2), (9 * MIB + 4096, 70_000, 3)];
    let oracle = write_sparse(&path("a.raw"), 12 * MIB, &stretches);
    let disk = Disk::open_raw(&path("a.raw")).unwrap();
    for (name, format) in [("d.vhd", DYNAMIC), ("f.vhd", FIXED)] {
        check_step(&disk, &path(name), &request(format), &oracle);
        assert!(judge::flat_by_qemu(directory.path(), name) == oracle, "{name} is something else to qemu");
    }
    for subformat in ["dynamic", "fixed"] {
        let option = format!("subformat={subformat},force_size=on");
        let arguments = ["convert", "-f", "raw", "-O", "vpc", "-o", &option, "a.raw", subformat];
        judge::run(directory.path(), "qemu-img", arguments);
        let made = Disk::open(&path(subformat)).unwrap();
        check_step(&made, &path(&format!("{subformat}.raw")), &request(Format::Raw), &oracle);
    }
}

#[test]
fn devices_take_every_format_and_give_it_back() {
    if !loop_device::has_loop_devices() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    // The end of a raw disk lies in the middle of a page.
    let stretches = [(4096, 100, 1), (2 * MIB + 512, 2 * MIB, 2), (7 * MIB, 512, 3)];
    let oracle = write_sparse(&path("a.raw"), 7 * MIB + 512, &stretches);
    let disk = Disk::open_raw(&path("a.raw")).unwrap();
    for (number, sector_bytes) in [(0, 512), (1, 4096)] {
        let device = LoopDevice::new(directory.path(), &format!("device{number}"), sector_bytes, &[0xff; 10 * MIB]);
        let device = device.unwrap();
        let request = |format| Request { replaces: true, ..request(format) };
        let refused = convert(&disk, &device.path, &Request { replaces: false, ..request(DYNAMIC) }, |_| ());
        assert_eq!(refused.unwrap_err().errno(), 17);
        assert!(device.bytes().iter().all(|&byte| byte == 0xff));
        for format in [DYNAMIC, FIXED, Format::Raw, DYNAMIC] {
            let done = convert(&disk, &device.path, &request(format), |_| ()).unwrap();
            let on_device = match format {
                Format::Raw => Disk::open_raw(&device.path).unwrap(),
                Format::Vhd(_) => Disk::open(&device.path).unwrap(),
            };
            let mut bytes = vec![0xee; usize::try_from(done.size_bytes).unwrap()];
            on_device.read_at(0, &mut bytes).unwrap();
            assert!(bytes[..oracle.len()] == oracle && bytes[oracle.len()..].iter().all(|&byte| byte == 0));
            let back = path("back");
            convert(&on_device, &back, &request(FIXED), |_| ()).unwrap();
            let mut bytes = vec![0xee; oracle.len()];
            Disk::open(&back).unwrap().read_at(0, &mut bytes).unwrap();
            assert!(bytes == oracle, "{format:?} on sectors of {sector_bytes}");
            assert_eq!(convert(&on_device, &device.path, &request(format), |_| ()).unwrap_err().errno(), 22);
        }
        let compact = Compact::open(&device.path).unwrap();
        let found = compact.find(|_| ()).unwrap();
        assert_eq!((found.blocks, found.droppable.len()), (4, 0));
        compact.run(&found, true, |_| ()).unwrap();
    }
}
