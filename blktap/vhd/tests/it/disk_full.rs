//! Disks in file systems that fill up, and the space that blocks give back there. Small file systems stand in; mounting
//! them needs root.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use vhd::create::Storage;
use vhd::snapshot::{self, Base};
use vhd::{Disk, Image, Timestamp, check, create_image};

use crate::judge;
use crate::oracle::{Oracle, SECTOR, Write};
use crate::sample::request;

const DYNAMIC: Storage = Storage::Dynamic { max_bytes: None };
const MIB: usize = 1 << 20;
const BLOCK_SECTORS: usize = 4096;

/// A small file system that the kernel takes away with its last open file, however this process ends.
struct Mounted {
    root: File,
}

impl Mounted {
    fn new(directory: &Path, arguments: &[&str]) -> Result<Self, String> {
        let at = directory.join("mounted");
        fs::create_dir(&at).unwrap();
        run(Command::new("mount").args(arguments).arg(&at))?;
        let root = File::open(&at);
        run(Command::new("umount").arg("--lazy").arg(&at))?;
        Ok(Mounted { root: root.unwrap() })
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.root.as_raw_fd()))
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()) }
}

fn tmpfs(directory: &Path) -> Result<Mounted, String> {
    Mounted::new(directory, &["-t", "tmpfs", "-o", "size=12m", "none"])
}

fn ext4(directory: &Path) -> Result<Mounted, String> {
    let image = directory.join("ext4.img");
    File::create(&image).unwrap().set_len(16 << 20).unwrap();
    run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-O", "^has_journal"]).arg(&image))?;
    Mounted::new(directory, &["-o", "loop", image.to_str().unwrap()])
}

fn check_valid(path: &Path) {
    let options = check::Options { check_bitmaps: true, now: Timestamp(u32::MAX), ..check::Options::default() };
    let report = check::check(path, &options).unwrap();
    assert!(report.is_valid(), "{:?}", report.findings);
}

/// Writes until there is no space; what is written again then finds some that was freed.
fn check_full(make: impl Fn(&Path) -> Result<Mounted, String>, has_parent: bool, ahead_bytes: Option<u64>) {
    let directory = tempfile::tempdir().unwrap();
    let mounted = match make(directory.path()) {
        Ok(mounted) => mounted,
        Err(why) => return judge::skip(&format!("nothing can be mounted here (it needs root): {why}")),
    };
    let (made, parent) = (directory.path().join("disk.vhd"), directory.path().join("parent.vhd"));
    let mut oracle = Oracle::zeros(16 * BLOCK_SECTORS);
    let mut parents = vec![];
    if has_parent {
        create_image(&parent, &request(32, DYNAMIC)).unwrap();
        oracle.write_to(&parent, &[Write::new(0, 100, 3), Write::new(5 * BLOCK_SECTORS, 2 * BLOCK_SECTORS, 4)]);
        snapshot::create(&made, &request(32, DYNAMIC), &Base::vhd(&parent).unwrap()).unwrap();
        parents.push(Image::open(&parent).unwrap());
    } else {
        create_image(&made, &request(32, DYNAMIC)).unwrap();
    }
    let (path, ballast) = (mounted.path("disk.vhd"), mounted.path("ballast"));
    // Nothing leads from a file system that is mounted nowhere to the parent, so both are moved about.
    fs::copy(&made, &path).unwrap();
    fs::write(&ballast, vec![1; 6 * MIB]).unwrap();
    let mut disk = Disk::of(Image::open_rw(&path).unwrap(), parents, None).unwrap();
    if let Some(ahead_bytes) = ahead_bytes {
        disk.write_back(ahead_bytes).unwrap();
    }
    // Stretches of all blocks in turn, over their borders; together they take more than there is.
    let writes = (0..16 * 6).map(|turn| {
        let first = (turn % 16 * BLOCK_SECTORS + turn / 16 * 500 + 4000) % (16 * BLOCK_SECTORS - 200);
        Write::new(first, 200, u8::try_from(turn % 250).unwrap() + 1)
    });
    let (mut failed, mut is_freed) = (0, false);
    for write in writes {
        let done = disk.write_at(write.offset() as u64, &write.bytes());
        if let Err(error) = done {
            assert!(error.is_want_of_space() && error.errno() == 28, "{error}");
            assert!(!is_freed, "there is space");
            failed += 1;
            // What is there is read, and written where that takes nothing.
            let mut found = oracle.0.clone();
            disk.read_at(0, &mut found).unwrap();
            let range = write.offset()..write.offset() + write.sectors * SECTOR;
            found[range.clone()].copy_from_slice(&oracle.0[range]);
            oracle.check(&found, "full");
            let again = Write::new(4000, 96, u8::try_from(failed).unwrap());
            disk.write_at(again.offset() as u64, &again.bytes()).unwrap();
            oracle.write(&again);
            disk.write_at(write.offset() as u64, &write.bytes()).unwrap_err();
            if failed == 3 {
                is_freed = true;
                fs::remove_file(&ballast).unwrap();
            } else {
                // Space for a few more.
                File::options()
                    .write(true)
                    .open(&ballast)
                    .unwrap()
                    .set_len(6 * MIB as u64 - failed * 256 * 1024)
                    .unwrap();
            }
            disk.write_at(write.offset() as u64, &write.bytes()).unwrap();
        }
        oracle.write(&write);
    }
    assert_eq!(failed, 3);
    disk.flush().unwrap();
    fs::copy(&path, &made).unwrap();
    oracle.check_image(&made, "flushed");
    disk.close().unwrap();
    fs::copy(&path, &made).unwrap();
    oracle.check_image(&made, "closed");
    check_valid(&made);
}

#[test]
fn a_full_file_system_ends_nothing() {
    for make in [tmpfs, ext4] {
        for has_parent in [false, true] {
            for ahead_bytes in [None, Some(4 << 20)] {
                check_full(make, has_parent, ahead_bytes);
            }
        }
    }
}

fn taken_bytes(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

#[test]
fn blocks_that_are_discarded_give_their_space_and_places_back() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("disk.vhd");
    create_image(&path, &request(32, DYNAMIC)).unwrap();
    let mut oracle = Oracle::zeros(16 * BLOCK_SECTORS);
    let mut disk = Disk::open_rw(&path).unwrap();
    oracle.write_on(&mut disk, &[Write::new(0, 8 * BLOCK_SECTORS, 1)]);
    let (full, len) = (taken_bytes(&path), fs::metadata(&path).unwrap().len());
    // All of five blocks, and parts of two, which stay.
    let (first, sectors) = (BLOCK_SECTORS - 8, 5 * BLOCK_SECTORS + 16);
    disk.discard((first * SECTOR) as u64, (sectors * SECTOR) as u64).unwrap();
    oracle.0[first * SECTOR..][..sectors * SECTOR].fill(0);
    disk.flush().unwrap();
    assert_eq!(Image::open(&path).unwrap().bat().unwrap().allocated_blocks(), 3);
    if taken_bytes(&path) == full {
        return judge::skip("this file system has no holes");
    }
    assert!(taken_bytes(&path) <= full - 10 * MIB as u64);
    // Others go there, with nothing of what was there.
    let others = [Write::new(9 * BLOCK_SECTORS + 5, 1, 2), Write::new(12 * BLOCK_SECTORS, 2 * BLOCK_SECTORS, 3)];
    oracle.write_on(&mut disk, &others);
    assert_eq!(fs::metadata(&path).unwrap().len(), len);
    oracle.check_image(&path, "in places of others");
    disk.close().unwrap();
    check_valid(&path);
    // Two places are still free, which another writer finds; it knows that they are so for good after a flush.
    let mut disk = Disk::open_rw(&path).unwrap();
    disk.flush().unwrap();
    oracle.write_on(&mut disk, &[Write::new(15 * BLOCK_SECTORS, 9, 4), Write::new(11 * BLOCK_SECTORS, 9, 5)]);
    assert_eq!(fs::metadata(&path).unwrap().len(), len);
    check_valid(&path);
    // Of the blocks at the end nothing is left when the disk is closed.
    disk.write_zeroes(0, (16 * BLOCK_SECTORS * SECTOR) as u64).unwrap();
    disk.close().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 3584);
    Oracle::zeros(16 * BLOCK_SECTORS).check_image(&path, "empty again");
    check_valid(&path);
}
