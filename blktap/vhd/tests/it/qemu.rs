//! qemu as an independent judge of what we write, and as another writer of what we read. Not of differencing images: it
//! takes a parent's data for zeros, and does not say so.

use std::path::Path;

use proptest::prelude::*;
use vhd::create::{Request, Storage};
use vhd::footer::DiskKind;
use vhd::{Disk, Image, chain, check, create_image};

use crate::judge;
use crate::oracle::{Oracle, SECTOR, Write, cases, flat, writes};
use crate::sample::request;

const JUDGES: [&str; 2] = ["qemu-img", "qemu-io"];

fn check_empty(size_mib: u64, storage: Storage) {
    let directory = tempfile::tempdir().unwrap();
    let (path, raw) = (directory.path().join("a.vhd"), directory.path().join("a.raw"));
    create_image(&path, &request(size_mib, storage)).unwrap();
    let info = judge::run(directory.path(), "qemu-img", ["info", "-f", "vpc", "--output=json", "a.vhd"]);
    assert!(info.contains(&format!("\"virtual-size\": {}", size_mib << 20)), "{info}");
    std::fs::File::create(&raw).unwrap().set_len(size_mib << 20).unwrap();
    let compared = judge::run(directory.path(), "qemu-img", ["compare", "-f", "vpc", "-F", "raw", "a.vhd", "a.raw"]);
    assert!(compared.contains("Images are identical"), "{compared}");
}

#[test]
fn qemu_reads_zeros_of_the_right_size_from_what_we_create() {
    if !judge::has(&JUDGES) {
        return;
    }
    check_empty(64, Storage::Dynamic { max_bytes: None });
    check_empty(10_000, Storage::Dynamic { max_bytes: Some(2 << 40) });
    check_empty(2_088_960, Storage::Dynamic { max_bytes: None });
    check_empty(4, Storage::Fixed);
}

/// An image that qemu makes, of exactly this size or what its geometry makes of it.
fn create_with_qemu(directory: &Path, name: &str, kind: DiskKind, sectors: usize, is_exact: bool) {
    let subformat = if kind == DiskKind::Fixed { "fixed" } else { "dynamic" };
    let options = format!("subformat={subformat}{}", if is_exact { ",force_size=on" } else { "" });
    let size = (sectors * SECTOR).to_string();
    judge::run(directory, "qemu-img", ["create", "-q", "-f", "vpc", "-o", &options, name, &size]);
}

/// All writes by one process of qemu.
fn write_with_qemu(oracle: &mut Oracle, directory: &Path, name: &str, writes: &[Write]) {
    let mut arguments = vec!["-f".to_owned(), "vpc".to_owned()];
    for (index, write) in writes.iter().enumerate() {
        let (bytes, offset) = (write.bytes(), write.offset());
        let source = format!("{index}.bytes");
        let what = if bytes.iter().all(|&byte| byte == 0) { "-z".to_owned() } else { format!("-s {source}") };
        arguments.extend(["-c".to_owned(), format!("write -q {what} {offset} {}", bytes.len())]);
        std::fs::write(directory.join(source), bytes).unwrap();
        oracle.write(write);
    }
    arguments.push(name.to_owned());
    judge::run(directory, "qemu-io", arguments);
}

fn check_foreign(kind: DiskKind) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("q.vhd");
    create_with_qemu(directory.path(), "q.vhd", kind, (64 << 20) / SECTOR, true);
    let image = Image::open(&path).unwrap();
    assert_eq!((image.footer().kind, image.footer().current_bytes), (kind, 64 << 20));
    assert_eq!((image.marker().unwrap(), image.batmap().unwrap()), (0, None));
    assert_eq!(chain::depth(&path).unwrap(), 1);
    if kind.is_sparse() {
        assert_eq!(image.bat().unwrap().allocated_blocks(), 0);
    }
    assert_eq!(image.physical_bytes().unwrap(), std::fs::metadata(&path).unwrap().len());
}

#[test]
fn images_of_qemu_open() {
    if judge::has(&JUDGES) {
        check_foreign(DiskKind::Dynamic);
        check_foreign(DiskKind::Fixed);
    }
}

#[test]
fn blocks_that_qemu_writes_are_counted() {
    if judge::has(&JUDGES) {
        let directory = tempfile::tempdir().unwrap();
        create_with_qemu(directory.path(), "q.vhd", DiskKind::Dynamic, 40_000, true);
        judge::run(directory.path(), "qemu-io", ["-f", "vpc", "-c", "write -q 0 1", "-c", "write -q 10M 1", "q.vhd"]);
        let image = Image::open(&directory.path().join("q.vhd")).unwrap();
        assert_eq!(image.bat().unwrap().allocated_blocks(), 2);
    }
}

/// Nothing is wrong with the image, sectors that it calls absent hold zeros. Only its geometry may be too large, which
/// qemu rounds up.
fn check_sound(path: &Path) {
    let options = check::Options { check_bitmaps: true, ignore_timestamps: true, ..check::Options::default() };
    let mut findings = check::check(path, &options).unwrap().findings;
    findings.retain(|finding| !finding.message.ends_with("geometry too large"));
    assert_eq!(findings, []);
}

/// Lets qemu begin with an image that holds one block: in one without, it puts its first block over our batmap.
fn round_trip(directory: &Path, oracle: &mut Oracle, ours: &[&[Write]], theirs: &[Write]) {
    let path = directory.join("a.vhd");
    for ours in ours {
        oracle.write_to(&path, ours);
        oracle.check(&judge::flat_by_qemu(directory, "a.vhd"), "written by us, read by qemu");
        oracle.check_image(&path, "written and read by us");
        check_sound(&path);
        if Image::open(&path).unwrap().bat().is_ok_and(|bat| bat.allocated_blocks() == 0) {
            continue;
        }
        write_with_qemu(oracle, directory, "a.vhd", theirs);
        oracle.check_image(&path, "written by qemu, read by us");
        check_sound(&path);
    }
}

#[test]
fn what_qemu_writes_over_our_batmap_reads_as_it_reads_it_and_stops_our_writers() {
    if !judge::has(&JUDGES) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vhd");
    create_image(&path, &request(16, Storage::Dynamic { max_bytes: None })).unwrap();
    judge::run(directory.path(), "qemu-io", ["-f", "vpc", "-c", "write -q -P 7 1M 4M", "a.vhd"]);
    // Its first block, whose bits it sets all, lies over our batmap and old footer too: a guest sees them.
    Oracle(judge::flat_by_qemu(directory.path(), "a.vhd")).check_image(&path, "damaged by qemu");
    assert!(flat(&path)[1 << 20..5 << 20].iter().all(|&byte| byte == 7));
    assert_eq!(Disk::open_rw(&path).unwrap_err().errno(), 22);
}

fn storages() -> impl Strategy<Value = Storage> {
    let room = prop_oneof![24..3000u64, Just(2 << 20)];
    let roomy = room.prop_map(|mib| Storage::Dynamic { max_bytes: Some(mib << 20) });
    prop_oneof![2 => Just(Storage::Dynamic { max_bytes: None }), 1 => roomy, 1 => Just(Storage::Fixed)]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn images_that_we_make_survive_both_writers(
        storage in storages(),
        (blocks, ours, more, theirs) in (1..12u64).prop_flat_map(|blocks| {
            let writes = |count| writes(usize::try_from(blocks).unwrap() << 12, count);
            (Just(blocks), writes(1..8), writes(0..8), writes(0..8))
        }),
    ) {
        if judge::has(&JUDGES) {
            let directory = tempfile::tempdir().unwrap();
            let request = Request { size_bytes: blocks << 21, ..request(0, storage) };
            create_image(&directory.path().join("a.vhd"), &request).unwrap();
            let mut oracle = Oracle::zeros(usize::try_from(blocks << 12).unwrap());
            round_trip(directory.path(), &mut oracle, &[&ours, &more], &theirs);
        }
    }

    #[test]
    fn images_that_qemu_makes_survive_both_writers(
        kind in prop_oneof![Just(DiskKind::Dynamic), Just(DiskKind::Fixed)],
        is_exact: bool,
        (sectors, theirs, ours, more) in (2048..45_000usize).prop_flat_map(|sectors| {
            let writes = |count| writes(sectors, count);
            (Just(sectors), writes(1..8), writes(0..8), writes(0..8))
        }),
    ) {
        if judge::has(&JUDGES) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("a.vhd");
            create_with_qemu(directory.path(), "a.vhd", kind, sectors, is_exact);
            let size = Disk::open(&path).unwrap().size_bytes();
            let wanted = (sectors * SECTOR) as u64;
            prop_assert!(size == wanted || !is_exact && size > wanted, "{}", size);
            let mut oracle = Oracle::zeros(usize::try_from(size).unwrap() / SECTOR);
            write_with_qemu(&mut oracle, directory.path(), "a.vhd", &theirs);
            oracle.check_image(&path, "made and written by qemu, read by us");
            round_trip(directory.path(), &mut oracle, &[&ours, &more], &theirs);
        }
    }
}
