//! What of a disk is told to be zeros without being read: never data, and all holes of files.

use std::fs::File;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use vhd::{Disk, Image, Medium};

use crate::sample::dynamic;
use crate::sim_chain::{SECTOR, build, layers};
use crate::sim_disk::SimDisk;
use crate::small::{Kind, empty};
use crate::sparse_disk::SparseDisk;

const PAGE: u64 = 4096;

/// Whether each of these bytes is zero, by as many calls as it takes.
fn zeros<M: Medium>(disk: &Disk<M>, from: u64, to: u64, max: usize) -> Vec<bool> {
    let (mut zeros, mut at) = (Vec::new(), from);
    while at < to {
        let found = disk.status(at, to - at, max).unwrap();
        assert!((1..=max).contains(&found.len()), "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0].is_zero != pair[1].is_zero), "{found:?}");
        for stretch in found {
            assert!(stretch.len_bytes > 0);
            at += stretch.len_bytes;
            zeros.resize(usize::try_from(at - from).unwrap(), stretch.is_zero);
        }
    }
    assert_eq!(at, to);
    zeros
}

/// The pages that are no zeros, of a range that begins on one.
fn data_pages<M: Medium>(disk: &Disk<M>, from: u64, to: u64) -> Vec<usize> {
    let zeros = zeros(disk, from, to, 1000);
    let pages = zeros.chunks(4096).enumerate().filter(|(_, page)| !page.iter().all(|&is_zero| is_zero));
    pages.map(|(page, _)| page).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_nothing_holds_is_zero_and_no_data_is(
        layers in layers(),
        base in prop::option::of(1..90_000usize),
        range in (0..100_000usize, 0..100_000usize),
        max in 1..5usize,
    ) {
        let (disk, oracle) = build(&layers, base);
        let (from, to) = (range.0.min(oracle.len()), (range.0 + range.1).min(oracle.len()));
        let found = zeros(&disk, from as u64, to as u64, max);
        for (at, is_zero) in (from..to).zip(found) {
            let sector = at - at % SECTOR;
            prop_assert_eq!(is_zero, oracle[sector..][..SECTOR].iter().all(|&byte| byte == 0), "byte {}", at);
        }
    }
}

#[test]
fn holes_of_raw_files_are_zero() {
    let sparse = SparseDisk::file(&[]);
    sparse.resize(100 * PAGE + 100);
    for page in [3, 4, 60] {
        sparse.write_all_at(&[1; SECTOR], page * PAGE + 1024).unwrap();
    }
    let read = Disk::of_raw(sparse.clone()).unwrap();
    assert_eq!(data_pages(&read, 0, read.size_bytes()), [3, 4, 60]);
    let written = Disk::of_raw_rw(sparse.clone()).unwrap();
    assert_eq!(data_pages(&written, 0, written.size_bytes()), [3, 4, 60]);
    // What a file has lost since is an error to read: nobody may think that it is zeros.
    sparse.resize(100 * PAGE);
    sparse.resize(99 * PAGE);
    assert_eq!(
        written.status(98 * PAGE, 2 * PAGE, 9).unwrap().iter().map(|it| it.is_zero).collect::<Vec<_>>(),
        [false]
    );
}

#[test]
fn holes_inside_blocks_are_zero() {
    let sparse = SparseDisk::file(&dynamic(4));
    let mut disk = Disk::of(Image::on(sparse.clone()).unwrap(), vec![], None).unwrap();
    disk.place(&[1]).unwrap();
    disk.write_at((2 << 20) + 5 * PAGE, &[1; SECTOR]).unwrap();
    assert_eq!(disk.map(0, 4 << 20).unwrap().len(), 2);
    assert_eq!(data_pages(&disk, 0, 4 << 20), [512 + 5]);
    // A block that points past the end of the file is an error to read.
    sparse.write_all_at(&(1u32 << 30).to_be_bytes(), 1536).unwrap();
    disk = Disk::of(Image::on(sparse.clone()).unwrap(), vec![], None).unwrap();
    assert_eq!(disk.status(0, PAGE, 9).unwrap_err().errno(), 5);
}

#[test]
fn what_the_file_of_a_fixed_disk_lacks_is_not_zero() {
    let mut image = empty(Kind::Fixed);
    let footer = image.split_off(image.len() - SECTOR);
    image.truncate(8 * SECTOR);
    let disk = Disk::of(Image::on(SimDisk::file([image, footer].concat())).unwrap(), vec![], None).unwrap();
    assert_eq!(zeros(&disk, 0, PAGE, 9), [true; 4096]);
    assert_eq!(zeros(&disk, 0, 2 * PAGE, 9), [false; 8192]);
}

#[test]
fn a_call_does_so_much_and_no_more() {
    let sparse = SparseDisk::file(&[]);
    let pages = 24_000;
    sparse.resize(pages * PAGE);
    (0..pages).step_by(2).for_each(|page| sparse.write_all_at(&[1], page * PAGE).unwrap());
    let disk = Disk::of_raw(sparse).unwrap();
    let found = disk.status(0, pages * PAGE, usize::MAX).unwrap();
    assert!((10_000..24_000).contains(&found.len()), "{}", found.len());
    assert_eq!(data_pages(&disk, 0, pages * PAGE).len(), 12_000);
    assert_eq!(disk.status(0, 0, 9).unwrap(), []);
    assert_eq!(disk.status(1, pages * PAGE, 9).unwrap_err().errno(), 22);
    let huge = SparseDisk::file(&[]);
    huge.resize(1 << 40);
    let found = Disk::of_raw(huge).unwrap().status(0, 1 << 40, 9).unwrap();
    assert_eq!(found.iter().map(|it| (it.len_bytes, it.is_zero)).collect::<Vec<_>>(), [(32 << 30, true)]);
}

#[test]
fn holes_of_files_of_the_kernel_are_zero() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.img");
    let file = File::create(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(&[1; 4096], 8 << 20).unwrap();
    let is_sparse = vhd::ImageFile::open(&path).unwrap().first_data(0..8 << 20).unwrap().is_none();
    if !is_sparse {
        println!("SKIPPED holes_of_files_of_the_kernel_are_zero: the file system has no holes");
        return;
    }
    let disk = Disk::open_raw_rw(&path).unwrap();
    let found = disk.status(4096, (64 << 20) - 4096, 9).unwrap();
    let shape: Vec<_> = found.iter().map(|it| it.is_zero).collect();
    assert_eq!(shape, [true, false, true]);
    assert_eq!(found[0].len_bytes, (8 << 20) - 4096);
}
