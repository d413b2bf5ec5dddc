//! Reading chains: where each byte comes from, against byte vectors, with blocks and disks of different sizes.

use std::fs;

use proptest::prelude::*;
use vhd::create::{Request, Storage};
use vhd::map::{Place, Run};
use vhd::snapshot::{self, Base};
use vhd::{Disk, Image, LazyDisk};

use crate::sample::{dynamic, request};
use crate::sim_chain::{Layer, SECTOR, build, layers};
use crate::sim_disk::SimDisk;

fn check(disk: &Disk<SimDisk>, oracle: &[u8], from: usize, to: usize) {
    let mut bytes = vec![0xee; to - from];
    disk.read_at(from as u64, &mut bytes).unwrap();
    assert!(bytes == oracle[from..to], "{from}..{to}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn chains_read_what_was_written(
        layers in layers(),
        base in prop::option::of(1..90_000usize),
        ranges in prop::collection::vec((0..100_000usize, 0..5000usize), 1..6),
    ) {
        let (disk, oracle) = build(&layers, base);
        prop_assert_eq!(disk.size_bytes(), oracle.len() as u64);
        for (from, len) in ranges {
            let from = from.min(oracle.len());
            check(&disk, &oracle, from, (from + len).min(oracle.len()));
        }
        check(&disk, &oracle, 0, oracle.len());
        let runs = disk.map(0, disk.size_bytes()).unwrap();
        prop_assert_eq!(runs.iter().map(|run| run.len_bytes).sum::<u64>(), disk.size_bytes());
        let mut at = 0;
        for Run { len_bytes, place } in runs {
            let len = usize::try_from(len_bytes).unwrap();
            if place == Place::Zero {
                prop_assert!(oracle[at..][..len].iter().all(|&byte| byte == 0));
            }
            at += len;
        }
    }
}

#[test]
fn nothing_is_read_past_the_end_of_a_raw_parent() {
    let layer = Layer { block_sectors: 8, sectors: 50, writes: vec![] };
    let (disk, oracle) = build(&[layer], Some(17409));
    check(&disk, &oracle, 17410, 17410);
    check(&disk, &oracle, 17410, 17411);
}

#[test]
fn damage_of_a_block_fails_only_requests_that_touch_it() {
    let layer = |writes: &[(usize, usize)]| Layer { block_sectors: 8, sectors: 64, writes: writes.to_vec() };
    let (mut disk, _) = build(&[layer(&[(0, 64)]), layer(&[(0, 4), (16, 8)])], None);
    // The parent's second and third block, of which the child holds the third, point past the end of the file.
    let parent = disk.images().nth(1).unwrap().file().clone();
    for entry in [1, 2] {
        vhd::Medium::write_all_at(&parent, &(1u32 << 30).to_be_bytes(), 1536 + 4 * entry).unwrap();
    }
    let leaf = disk.images().next().unwrap().file().clone();
    disk = Disk::of(Image::on(leaf).unwrap(), vec![Image::on(parent).unwrap()], None).unwrap();
    let read = |first: u64, sectors: usize| {
        let done = disk.read_at(first * 512, &mut vec![0; sectors * SECTOR]);
        done.map_err(|error| error.errno())
    };
    assert_eq!(read(0, 8), Ok(()));
    assert_eq!(read(8, 1), Err(5));
    assert_eq!(read(16, 8), Ok(()));
    assert_eq!(read(24, 40), Ok(()));
    assert_eq!(read(0, 64), Err(5));
}

#[test]
fn a_discarded_range_reads_as_zeros_or_as_before_and_gives_space_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vhd");
    fs::write(&path, dynamic(64)).unwrap();
    let mut disk = Disk::open_rw(&path).unwrap();
    disk.write_at(0, &[7; 4 << 20]).unwrap();
    disk.flush().unwrap();
    disk.discard(512, (3 << 20) - 512).unwrap();
    disk.discard(32 << 20, 1 << 20).unwrap();
    let mut bytes = vec![1; 4 << 20];
    disk.read_at(0, &mut bytes).unwrap();
    let (gone, kept) = bytes.split_at(3 << 20);
    assert!(gone[512..].iter().all(|&byte| byte == 0 || byte == 7));
    assert!(gone[..512].iter().chain(kept).all(|&byte| byte == 7));
    assert_eq!(Disk::open(&path).unwrap().map(32 << 20, 1 << 20).unwrap()[0].place, Place::Zero);
}

#[test]
fn a_disk_whose_parents_are_opened_late_reads_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut oracle = vec![3; 4 << 20];
    fs::write(path("raw"), &oracle).unwrap();
    let mut base = Base::raw(&path("raw")).unwrap();
    for (number, name) in [(1, "a.vhd"), (2, "b.vhd")] {
        let storage = Storage::Dynamic { max_bytes: None };
        let request = Request { uuid: uuid::Uuid::from_u128(number.into()), ..request(4, storage) };
        snapshot::create(&path(name), &request, &base).unwrap();
        let at = usize::from(number) * 1024;
        Disk::open_rw(&path(name)).unwrap().write_at(at as u64, &[number + 5; 512]).unwrap();
        oracle[at..at + 512].fill(number + 5);
        base = Base::vhd(&path(name)).unwrap();
    }
    // All in one block: what the leaf holds of it, then its parent, then the raw disk.
    let mut disk = LazyDisk::on(Image::open(&path("b.vhd")).unwrap()).unwrap();
    for (from, to) in [(2048, 2560), (1024, 1536), (0, 4096), (0, oracle.len())] {
        let mut bytes = vec![0xee; to - from];
        disk.read_at(from as u64, &mut bytes).unwrap();
        assert!(bytes == oracle[from..to], "{from}..{to}");
    }
}
