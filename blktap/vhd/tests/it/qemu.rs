//! qemu-img as an independent judge of what we write, and as another writer of what we read.

use std::path::Path;
use std::process::{Command, Stdio};

use vhd::create::Storage;
use vhd::footer::DiskKind;
use vhd::{Disk, Image, chain, create_image};

use crate::sample::request;

/// Runs qemu-img; `None`, and said loudly, where there is none.
fn qemu_img(arguments: &[&str], path: &Path) -> Option<String> {
    let output = match Command::new("qemu-img").args(arguments).arg(path).stderr(Stdio::inherit()).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: qemu-img cannot be run ({error}): install qemu-utils to have an independent judge");
            return None;
        }
    };
    assert!(output.status.success(), "qemu-img {arguments:?} {}: {}", path.display(), output.status);
    Some(String::from_utf8(output.stdout).unwrap())
}

fn check(size_mib: u64, storage: Storage) {
    let directory = tempfile::tempdir().unwrap();
    let (path, raw) = (directory.path().join("a.vhd"), directory.path().join("a.raw"));
    create_image(&path, &request(size_mib, storage)).unwrap();
    let Some(info) = qemu_img(&["info", "-f", "vpc", "--output=json"], &path) else { return };
    assert!(info.contains(&format!("\"virtual-size\": {}", size_mib << 20)), "{info}");
    let file = std::fs::File::create(&raw).unwrap();
    file.set_len(size_mib << 20).unwrap();
    let compared = qemu_img(&["compare", "-f", "vpc", "-F", "raw", path.to_str().unwrap()], &raw).unwrap();
    assert!(compared.contains("Images are identical"), "{compared}");
}

#[test]
fn qemu_reads_zeros_of_the_right_size_from_what_we_create() {
    check(64, Storage::Dynamic { max_bytes: None });
    check(10_000, Storage::Dynamic { max_bytes: Some(2 << 40) });
    check(2_088_960, Storage::Dynamic { max_bytes: None });
    check(4, Storage::Fixed);
}

fn check_foreign(subformat: &str, kind: DiskKind) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("q.vhd");
    let option = format!("subformat={subformat},force_size=on");
    let made =
        Command::new("qemu-img").args(["create", "-q", "-f", "vpc", "-o", &option]).arg(&path).arg("64M").status();
    match made {
        Ok(status) => assert!(status.success(), "{status}"),
        Err(error) => {
            return eprintln!("SKIPPED: qemu-img cannot be run ({error}): install qemu-utils to have another writer");
        }
    }
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
    check_foreign("dynamic", DiskKind::Dynamic);
    check_foreign("fixed", DiskKind::Fixed);
}

#[test]
fn blocks_that_qemu_writes_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (raw, path) = (directory.path().join("a.raw"), directory.path().join("a.vhd"));
    let mut bytes = vec![0; 64 << 20];
    bytes[0] = 1;
    bytes[10 << 20] = 1;
    std::fs::write(&raw, bytes).unwrap();
    let arguments =
        ["convert", "-f", "raw", "-O", "vpc", "-o", "subformat=dynamic,force_size=on", raw.to_str().unwrap()];
    if qemu_img(&arguments, &path).is_some() {
        let image = Image::open(&path).unwrap();
        assert_eq!(image.bat().unwrap().allocated_blocks(), 2);
    }
}

fn check_written(storage: Storage) {
    let directory = tempfile::tempdir().unwrap();
    let (path, raw) = (directory.path().join("a.vhd"), directory.path().join("a.raw"));
    create_image(&path, &request(16, storage)).unwrap();
    let mut oracle = vec![0; 16 << 20];
    let mut disk = Disk::open_rw(&path).unwrap();
    for (offset, len) in [(0, 512), (9 << 20, 4096), ((4 << 20) - 512, 3 << 20), (512, 1024), ((16 << 20) - 512, 512)] {
        let bytes: Vec<u8> = (0..len).map(|at| u8::try_from((at / 512 + offset / 512) % 251).unwrap()).collect();
        disk.write_at(offset as u64, &bytes).unwrap();
        oracle[offset..][..len].copy_from_slice(&bytes);
    }
    disk.flush().unwrap();
    std::fs::write(&raw, &oracle).unwrap();
    let compared = qemu_img(&["compare", "-f", "vpc", "-F", "raw", path.to_str().unwrap()], &raw);
    if let Some(compared) = compared {
        assert!(compared.contains("Images are identical"), "{compared}");
    }
    let mut bytes = vec![1; 16 << 20];
    Disk::open(&path).unwrap().read_at(0, &mut bytes).unwrap();
    assert!(bytes == oracle);
}

#[test]
fn qemu_reads_what_we_write() {
    check_written(Storage::Dynamic { max_bytes: None });
    check_written(Storage::Dynamic { max_bytes: Some(2 << 40) });
    check_written(Storage::Fixed);
}
