//! Reading chains: where each byte comes from, against byte vectors, with blocks and disks of different sizes.

use std::fs;

use proptest::prelude::*;
use vhd::header::BlockSize;
use vhd::map::{Place, Run};
use vhd::{Disk, Image};

use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers, edit_header};
use crate::sim_disk::SimDisk;

const SECTOR: usize = 512;

/// An image of a chain, and what is written to it.
#[derive(Clone, Debug)]
struct Layer {
    block_sectors: u32,
    sectors: usize,
    /// First sector and how many; what is past the end is cut off.
    writes: Vec<(usize, usize)>,
}

fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let writes = prop::collection::vec((0..200usize, 1..20usize), 0..8);
    let layer = (prop_oneof![Just(8u32), Just(16), Just(64)], 50..200usize, writes);
    let layer = layer.prop_map(|(block_sectors, sectors, writes)| Layer { block_sectors, sectors, writes });
    prop::collection::vec(layer, 1..6)
}

fn image(layer: &Layer, is_child: bool) -> Image<SimDisk> {
    let mut image = match is_child {
        true => child("./a.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES),
        false => dynamic(64),
    };
    edit_header(&mut image, |header| {
        header.block_size = BlockSize::try_from(layer.block_sectors * 512).unwrap();
    });
    edit_footers(&mut image, |footer| footer.current_bytes = (layer.sectors * SECTOR) as u64);
    Image::on(SimDisk::file(image)).unwrap()
}

/// The disk of a chain, base first, and the bytes that it must read.
fn build(layers: &[Layer], base: Option<usize>) -> (Disk<SimDisk>, Vec<u8>) {
    let base_bytes = base.map(|bytes| vec![0xba; bytes]);
    let mut oracle = base_bytes.clone().unwrap_or_default();
    let mut images: Vec<SimDisk> = vec![];
    let mut disk = None;
    for (number, layer) in layers.iter().enumerate() {
        let leaf = image(layer, base.is_some() || !images.is_empty());
        let file = leaf.file().clone();
        let parents = images.iter().rev().map(|file| Image::on(file.clone()).unwrap()).collect();
        let mut made = Disk::of(leaf, parents, base_bytes.clone().map(SimDisk::file)).unwrap();
        oracle.resize(layer.sectors * SECTOR, 0);
        for (step, &(first, sectors)) in layer.writes.iter().enumerate() {
            let (first, end) = (first.min(layer.sectors), (first + sectors).min(layer.sectors));
            let value = u8::try_from(number * 16 + step + 1).unwrap();
            made.write_at((first * SECTOR) as u64, &vec![value; (end - first) * SECTOR]).unwrap();
            oracle[first * SECTOR..end * SECTOR].fill(value);
        }
        images.push(file);
        disk = Some(made);
    }
    (disk.unwrap(), oracle)
}

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
