//! Raw files and devices as whole disks that are written. What they share with images is tested in `disk`.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use vhd::Disk;

use crate::sim_disk::SimDisk;

const SECTOR: usize = 512;

fn errno<T>(done: vhd::Result<T>) -> Option<i32> {
    done.err().map(|error| error.errno())
}

fn sector_0(disk: &Disk<SimDisk>) -> u8 {
    let mut bytes = [0xee; SECTOR];
    disk.read_at(0, &mut bytes).unwrap();
    bytes[0]
}

#[test]
fn the_whole_sectors_of_a_file_are_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.img");
    let tail = [9; 100];
    fs::write(&path, [&[1; 3 * SECTOR][..], &tail].concat()).unwrap();
    let mut disk = Disk::open_raw_rw(&path).unwrap();
    assert_eq!(disk.size_bytes(), 3 * 512);
    assert_eq!(errno(disk.write_at(3 * 512, &[2; SECTOR])), Some(22));
    disk.write_at(512, &[2; SECTOR]).unwrap();
    disk.write_zeroes(1024, 512).unwrap();
    disk.close().unwrap();
    assert!(fs::read(&path).unwrap() == [&[1; SECTOR][..], &[2; SECTOR], &[0; SECTOR], &tail].concat());
    fs::write(&path, [1; SECTOR - 1]).unwrap();
    assert_eq!(Disk::open_raw_rw(&path).unwrap().size_bytes(), 0);
}

#[test]
fn every_write_changes_nothing_but_data() {
    let sim = SimDisk::file(vec![0; 4 * SECTOR]);
    let disk = Disk::of_raw_rw(sim.clone()).unwrap();
    disk.write_over(1024, &[7; SECTOR]).unwrap().unwrap();
    assert!(sim.bytes() == [[0; SECTOR], [0; SECTOR], [7; SECTOR], [0; SECTOR]].concat());
    assert!(disk.write_over(1, &[7; SECTOR]).is_none() && disk.write_over(2048, &[7; SECTOR]).is_none());
}

#[test]
fn one_that_is_open_for_reading_is_not_written() {
    let sim = SimDisk::file(vec![1; 2 * SECTOR]);
    let mut disk = Disk::of_raw(sim.clone()).unwrap();
    assert!(disk.write_over(0, &[2; SECTOR]).is_none());
    let done = [disk.write_at(0, &[2; SECTOR]), disk.write_zeroes(0, 512), disk.discard(0, 512), disk.flush()];
    assert_eq!(done.map(errno), [Some(9); 4]);
    assert_eq!((sim.log_len(), sector_0(&disk)), (0, 1));
}

#[test]
fn after_a_failed_sync_nothing_is_written_and_reads_go_on() {
    let sim = SimDisk::file(vec![0; 2 * SECTOR]);
    let mut disk = Disk::of_raw_rw(sim.clone()).unwrap();
    disk.write_at(0, &[1; SECTOR]).unwrap();
    sim.fail_in(0);
    assert_eq!(errno(disk.flush()), Some(5));
    let log_len = sim.log_len();
    assert_eq!(errno(disk.write_over(0, &[2; SECTOR]).unwrap()), Some(5));
    let done = [disk.write_at(0, &[2; SECTOR]), disk.write_zeroes(0, 512), disk.discard(0, 512), disk.flush()];
    assert_eq!(done.map(errno), [Some(5); 4]);
    assert_eq!((sim.log_len(), sector_0(&disk)), (log_len, 1));
    assert_eq!(errno(disk.close()), Some(5));
}

#[test]
fn a_failed_write_is_not_final() {
    let sim = SimDisk::file(vec![0; 2 * SECTOR]);
    let mut disk = Disk::of_raw_rw(sim.clone()).unwrap();
    sim.fail_in(0);
    assert_eq!(errno(disk.write_at(0, &[1; SECTOR])), Some(28));
    disk.write_at(0, &[2; SECTOR]).unwrap();
    assert_eq!(sector_0(&disk), 2);
}

#[test]
fn a_device_keeps_what_is_discarded_unless_its_owner_wants_the_space() {
    let discard = |sim: SimDisk, is_wanted: bool| {
        let mut disk = Disk::of_raw_rw(sim).unwrap();
        if is_wanted {
            disk.pass_discards();
        }
        disk.discard(0, 512).unwrap();
        sector_0(&disk)
    };
    let bytes = || vec![1; 2 * SECTOR];
    assert_eq!(discard(SimDisk::file(bytes()), false), 0);
    assert_eq!(discard(SimDisk::device(bytes()), false), 1);
    assert_eq!(discard(SimDisk::device(bytes()), true), 0);
}

#[test]
fn a_file_that_lost_its_end_fails_reads_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.img");
    fs::write(&path, [1; 4 * SECTOR]).unwrap();
    let disk = Disk::open_raw_rw(&path).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1024).unwrap();
    assert_eq!(errno(disk.read_at(512, &mut [0; SECTOR])), None);
    assert_eq!(errno(disk.read_at(512, &mut [0; 2 * SECTOR])), Some(5));
}

#[test]
fn zeros_keep_space_and_discards_give_it_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.img");
    fs::write(&path, vec![1; 1 << 20]).unwrap();
    let mut disk = Disk::open_raw_rw(&path).unwrap();
    disk.flush().unwrap();
    let held = || fs::metadata(&path).unwrap().blocks() * 512;
    disk.write_zeroes(0, 1 << 20).unwrap();
    assert!(held() >= 1 << 20);
    disk.write_at(4096, &[0; 4096]).unwrap();
    disk.discard(0, 1 << 20).unwrap();
    assert!(held() < 1 << 20);
    disk.close().unwrap();
    assert!(fs::read(&path).unwrap() == vec![0; 1 << 20]);
}
