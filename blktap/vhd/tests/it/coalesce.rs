//! Coalescing: the parent reads what the chain read, whatever is killed on the way, and for whoever reads it meanwhile.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use vhd::coalesce::Coalesce;
use vhd::create::{Request, Storage};
use vhd::snapshot::{self, Base};
use vhd::{Disk, Image, Timestamp, chain};

use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers, edit_header, request};
use crate::sim_chain::{Layer, SECTOR, build, layers};
use crate::sim_disk::SimDisk;

fn image(file: &SimDisk) -> Image<SimDisk> {
    Image::on(file.clone()).unwrap()
}

fn read(disk: &Disk<SimDisk>) -> Vec<u8> {
    let mut bytes = vec![0xee; usize::try_from(disk.size_bytes()).unwrap()];
    disk.read_at(0, &mut bytes).unwrap();
    bytes
}

/// The files of a chain's first two images.
fn two(disk: &Disk<SimDisk>) -> (SimDisk, SimDisk) {
    let files: Vec<SimDisk> = disk.images().map(|image| image.file().clone()).collect();
    (files[0].clone(), files[1].clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_while_coalescing_changes_nothing_that_is_read(mut layers in layers(), seed: u64) {
        layers.push(layers[0].clone());
        layers.truncate(2);
        layers[0].sectors = layers[1].sectors;
        let (disk, oracle) = build(&layers, None);
        let (child, parent) = two(&disk);
        let before = parent.log_len();
        let held = Coalesce::of(image(&child), image(&parent)).unwrap().run(|_, _| ()).unwrap();
        let own = disk.map(0, disk.size_bytes()).unwrap().into_iter();
        let own = own.filter(|run| matches!(run.place, vhd::map::Place::Layer { depth: 0, .. }));
        prop_assert_eq!(held, own.map(|run| run.len_bytes / 512).sum::<u64>());
        let alone = |parent: &SimDisk| read(&Disk::of(image(parent), vec![], None).unwrap());
        prop_assert!(alone(&parent) == oracle);
        let mut random = seed | 1;
        for events in before..=parent.log_len() {
            for keeps_all in [true, false] {
                let coin = || {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    keeps_all || random & 1 == 0
                };
                let crashed = parent.crashed(events, coin);
                prop_assert!(read(&Disk::of(image(&child), vec![image(&crashed)], None).unwrap()) == oracle);
                Coalesce::of(image(&child), image(&crashed)).unwrap().run(|_, _| ()).unwrap();
                prop_assert!(alone(&crashed) == oracle);
            }
        }
    }
}

/// `a.vhd`, `b.vhd` on it and `c.vhd` on that, each with a block and a few sectors of its own; and what `c.vhd` reads.
fn three(directory: &Path) -> Vec<u8> {
    fs::write(directory.join("a.vhd"), dynamic(64)).unwrap();
    let mut oracle = vec![0; 8 << 20];
    for (number, name) in (0u8..).zip(["a.vhd", "b.vhd", "c.vhd"]) {
        let path = directory.join(name);
        if number > 0 {
            let base = Base::vhd(&directory.join(["a.vhd", "b.vhd"][usize::from(number) - 1])).unwrap();
            let request = Request {
                uuid: uuid::Uuid::from_u128(number.into()),
                ..request(64, Storage::Dynamic { max_bytes: None })
            };
            snapshot::create(&path, &request, &base).unwrap();
        }
        let mut disk = Disk::open_rw(&path).unwrap();
        for (offset, len) in [(usize::from(number) << 21, 2 << 20), (7 << 20 | usize::from(number) << 10, 3 * SECTOR)] {
            disk.write_at(offset as u64, &vec![number + 1; len]).unwrap();
            oracle[offset..][..len].fill(number + 1);
        }
    }
    oracle
}

fn check(disk: &Disk, oracle: &[u8]) {
    let mut bytes = vec![0xee; oracle.len()];
    disk.read_at(0, &mut bytes).unwrap();
    assert!(bytes == oracle);
}

#[test]
fn readers_that_hold_the_chain_open_see_no_difference() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let oracle = three(directory);
    let (early, late) = (Disk::open(&directory.join("c.vhd")).unwrap(), Disk::open(&directory.join("c.vhd")).unwrap());
    check(&early, &oracle);
    let middle = Image::open(&directory.join("b.vhd")).unwrap();
    let parent = chain::parent(&middle).unwrap().unwrap();
    let coalesce = Coalesce::open(middle, &parent).unwrap();
    coalesce
        .run(|done, blocks| {
            if done * 4 % blocks == 0 {
                check(&early, &oracle);
            }
        })
        .unwrap();
    check(&early, &oracle);
    // What it has never read before is as it was, too.
    check(&late, &oracle);
    // The live leaf gets the new parent while both are open; the old one goes.
    let leaf = Image::open_rw(&directory.join("c.vhd")).unwrap();
    vhd::relink::relink(&leaf, &Base::vhd(&directory.join("a.vhd")).unwrap(), vhd::relink::Until::End).unwrap();
    fs::remove_file(directory.join("b.vhd")).unwrap();
    check(&early, &oracle);
    check(&late, &oracle);
    check(&Disk::open(&directory.join("c.vhd")).unwrap(), &oracle);
}

#[test]
fn a_parent_with_another_identity_or_too_small_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    three(directory);
    let open = || {
        let child = Image::open(&directory.join("b.vhd")).unwrap();
        let parent = chain::parent(&child).unwrap().unwrap();
        Coalesce::open(child, &parent).map_err(|error| error.errno())
    };
    assert!(open().is_ok());
    let replace = |mib: u64, uuid| {
        let storage = Storage::Dynamic { max_bytes: None };
        let request = Request { storage, size_bytes: mib << 20, uuid, timestamp: Timestamp(1) };
        vhd::create_image(&directory.join("a.vhd"), &request).unwrap();
    };
    replace(64, uuid::Uuid::from_u128(9));
    assert_eq!(open().unwrap_err(), 22);
    replace(2, BASE_UUID);
    assert_eq!(open().unwrap().run(|_, _| ()).unwrap_err().errno(), 34);
}

#[test]
fn a_child_that_ends_inside_a_block_is_refused_before_anything_is_written() {
    let layer = Layer { block_sectors: 8, sectors: 64, writes: vec![(0, 8)] };
    let (disk, _) = build(&[layer.clone(), layer], None);
    let (child, parent) = two(&disk);
    let mut bytes = child.bytes();
    bytes.truncate(bytes.len() - 1024);
    let (child, before) = (SimDisk::file(bytes), parent.log_len());
    let done = Coalesce::of(image(&child), image(&parent)).unwrap().run(|_, _| ());
    assert_eq!((done.map_err(|error| error.job_errno()), parent.log_len()), (Err(22), before));
}

#[test]
fn a_parent_with_blocks_of_a_sector_gets_a_bounded_number_of_them_at_once() {
    // Room for 8192 blocks.
    let mut parent = dynamic(16 << 10);
    edit_header(&mut parent, |header| header.block_size = 512u32.try_into().unwrap());
    let mut child = child("./a.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    for image in [&mut parent, &mut child] {
        edit_footers(image, |footer| footer.current_bytes = 4 << 20);
    }
    let [parent, child] = [parent, child].map(SimDisk::file);
    let data = vec![7; 4 << 20];
    Disk::of(image(&child), vec![image(&parent)], None).unwrap().write_at(0, &data).unwrap();
    assert_eq!(Coalesce::of(image(&child), image(&parent)).unwrap().run(|_, _| ()).unwrap(), 8192);
    assert!(read(&Disk::of(image(&parent), vec![], None).unwrap()) == data);
    // Entries of the BAT, which are written together.
    assert!(parent.longest_write() <= 4 * 4096, "{}", parent.longest_write());
}
