//! Creating images: what stands on disk afterwards, and what does not when it fails.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use vhd::create::{Request, Storage};
use vhd::footer::DiskKind;
use vhd::snapshot::{self, Base};
use vhd::{ErrorKind, Image, create_image, create_raw};

use crate::sample::{dynamic, request};

const DYNAMIC: Storage = Storage::Dynamic { max_bytes: None };

fn check(size_mib: u64, storage: Storage, kind: DiskKind, file_bytes: u64) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vhd");
    create_image(&path, &request(size_mib, storage)).unwrap();
    let image = Image::open(&path).unwrap();
    assert_eq!(image.footer().current_bytes, size_mib << 20);
    assert_eq!(image.footer().kind, kind);
    assert_eq!(image.physical_bytes().unwrap(), file_bytes);
    assert_eq!(fs::metadata(&path).unwrap().len(), file_bytes);
}

#[test]
fn what_is_created_opens() {
    check(64, DYNAMIC, DiskKind::Dynamic, 3584);
    check(64, Storage::Dynamic { max_bytes: Some(2 << 40) }, DiskKind::Dynamic, 4_327_936);
    check(4, Storage::Fixed, DiskKind::Fixed, (4 << 20) + 512);
}

#[test]
fn a_child_has_its_parents_size_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    let (raw, child) = (directory.path().join("raw"), directory.path().join("a.vhd"));
    for size_bytes in [0, 512, 5 << 20, 5_000_000] {
        fs::write(&raw, vec![7; size_bytes]).unwrap();
        let base = Base::raw(&raw).unwrap();
        let request = Request { size_bytes: base.size_bytes(), ..request(0, DYNAMIC) };
        snapshot::create(&child, &request, &base).unwrap();
        let image = Image::open(&child).unwrap();
        assert_eq!(image.footer().current_bytes, size_bytes as u64);
        assert_eq!(image.bat().unwrap().entries().len(), size_bytes.div_ceil(2 << 20));
    }
}

#[test]
fn a_raw_disk_is_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("raw");
    fs::write(&path, b"older").unwrap();
    for size_bytes in [0, 1, 3 << 20] {
        create_raw(&path, size_bytes).unwrap();
        assert!(fs::read(&path).unwrap() == vec![0; usize::try_from(size_bytes).unwrap()]);
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= size_bytes);
    }
    let error = create_raw(&directory.path().join("new"), 1 << 63).unwrap_err();
    assert_eq!((error.kind(), directory.path().join("new").exists()), (ErrorKind::TooLarge, false));
}

#[test]
fn tables_are_empty_and_leave_room_to_grow() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vhd");
    create_image(&path, &request(64, Storage::Dynamic { max_bytes: Some(100 << 20) })).unwrap();
    let image = Image::open(&path).unwrap();
    assert_eq!((image.bat().unwrap().entries().len(), image.bat().unwrap().allocated_blocks()), (32, 0));
    assert_eq!(image.max_virtual_bytes().unwrap(), 100 << 20);
    assert_eq!((image.marker().unwrap(), image.batmap().unwrap().unwrap().is_full(0)), (0, false));
}

#[test]
fn a_fixed_disk_owns_its_space() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vhd");
    create_image(&path, &request(4, Storage::Fixed)).unwrap();
    assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 4 << 20);
    assert!(fs::read(&path).unwrap()[..4 << 20].iter().all(|&byte| byte == 0));
}

#[test]
fn an_older_file_is_emptied_and_keeps_its_mode() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vhd");
    fs::write(&path, vec![7; 100_000]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    create_image(&path, &request(64, DYNAMIC)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(&path).unwrap(), dynamic(64));
}

fn check_failure(path: &Path, size_mib: u64, kind: ErrorKind) {
    assert_eq!(create_image(path, &request(size_mib, DYNAMIC)).unwrap_err().kind(), kind);
}

#[test]
fn a_failure_leaves_no_new_file_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (path, link) = (directory.path().join("a.vhd"), directory.path().join("link"));
    symlink(&path, &link).unwrap();
    check_failure(&path, 33 << 20, ErrorKind::TooLarge);
    check_failure(&link, 33 << 20, ErrorKind::TooLarge);
    assert!(!path.exists() && link.is_symlink());
}

#[test]
fn a_failure_leaves_an_older_file_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vhd");
    fs::write(&path, b"older").unwrap();
    check_failure(&path, 33 << 20, ErrorKind::TooLarge);
    assert_eq!(fs::read(&path).unwrap(), b"older");
}

#[test]
fn what_is_neither_file_nor_block_device_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    check_failure(directory.path(), 64, ErrorKind::Io);
    let fifo = directory.path().join("fifo");
    make_fifo(&fifo);
    check_failure(&fifo, 64, ErrorKind::InvalidInput);
    assert!(fifo.exists(), "what was there before must stay");
    assert_eq!(Image::open(directory.path()).unwrap_err().errno(), 21);
    assert_eq!(Image::open(Path::new("/dev/zero")).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn opening_a_fifo_does_not_wait() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    make_fifo(&path);
    assert_eq!(Image::open(&path).unwrap_err().kind(), ErrorKind::InvalidInput);
}

fn make_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo is part of coreutils");
    assert!(made.success());
}
