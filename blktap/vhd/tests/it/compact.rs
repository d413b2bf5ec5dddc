//! Compacting images: against a byte vector, and on what every crash leaves behind.

use std::fs;

use proptest::prelude::*;
use vhd::batmap::{BatmapHeader, RawBatmapHeader};
use vhd::check::{self, Place};
use vhd::compact::{Compact, Compacted, Found};
use vhd::{Disk, Image, Medium, Timestamp};

use crate::sample::{dynamic, edit_footers};
use crate::sim_chain::{Layer, SECTOR, build, layers};
use crate::sim_disk::SimDisk;

/// Where images of these tests have their batmaps.
const BATMAP_HEADER_AT: u64 = 2048;
const MAP_AT: u64 = 2560;

/// A chain, leaf first, and what it reads.
struct Chain {
    images: Vec<SimDisk>,
    base: Option<Vec<u8>>,
    oracle: Vec<u8>,
    directory: tempfile::TempDir,
}

impl Chain {
    fn parents(&self) -> Vec<Image<SimDisk>> {
        self.images[1..].iter().map(|file| Image::on(file.clone()).unwrap()).collect()
    }

    fn disk(&self, leaf: &SimDisk) -> Disk<SimDisk> {
        let base = self.base.clone().map(SimDisk::file);
        Disk::of(Image::on(leaf.clone()).unwrap(), self.parents(), base).unwrap()
    }

    fn compact(&self, leaf: &SimDisk) -> vhd::Result<Compact<SimDisk>> {
        Compact::of(Image::on(leaf.clone())?, self.parents(), self.base.clone().map(SimDisk::file))
    }

    fn run(&self, leaf: &SimDisk, moves: bool) -> (Found, Compacted) {
        let compact = self.compact(leaf).unwrap();
        let found = compact.find(|_| ()).unwrap();
        let done = compact.run(&found, moves, |_| ()).unwrap();
        (found, done)
    }

    /// That the image reads the same, and has no fault.
    fn check(&self, leaf: &SimDisk) {
        let mut bytes = vec![0xee; self.oracle.len()];
        self.disk(leaf).read_at(0, &mut bytes).unwrap();
        assert!(bytes == self.oracle, "something else is read");
        let path = self.directory.path().join("x.vhd");
        fs::write(&path, leaf.bytes()).unwrap();
        let options = check::Options { check_bitmaps: true, now: Timestamp(u32::MAX), ..check::Options::default() };
        let mut findings = check::check(&path, &options).unwrap().findings;
        // The parent is in memory.
        findings.retain(|finding| !matches!(finding.place, Place::Parent | Place::Locator));
        assert!(findings.is_empty(), "{findings:?}");
    }
}

/// A chain of which the leaf has blocks of zeros and a batmap, in a file or on a device with room behind it.
fn chain(layers: &[Layer], base: Option<usize>, zeros: &[(usize, usize)], full: u64, room: Option<usize>) -> Chain {
    let (mut disk, mut oracle) = build(layers, base);
    for &(first, sectors) in zeros {
        let size = oracle.len() / SECTOR;
        let (first, end) = (first.min(size), (first + sectors).min(size));
        disk.write_at((first * SECTOR) as u64, &vec![0; (end - first) * SECTOR]).unwrap();
        oracle[first * SECTOR..end * SECTOR].fill(0);
    }
    let mut images: Vec<SimDisk> = disk.images().map(|image| image.file().clone()).collect();
    set_full(&images[0], full);
    let mut leaf = images[0].bytes();
    images[0] = match room {
        None => SimDisk::file(leaf),
        Some(room) => {
            let footer = leaf.split_off(leaf.len() - SECTOR);
            leaf.resize(leaf.len() + room * SECTOR, 0x77);
            SimDisk::device([leaf, footer].concat())
        }
    };
    let directory = tempfile::tempdir().unwrap();
    Chain { images, base: base.map(|bytes| vec![0xba; bytes]), oracle, directory }
}

/// Says in the batmap that blocks are full, those of them that are.
fn set_full(file: &SimDisk, choice: u64) {
    let image = Image::on(file.clone()).unwrap();
    let bitmap_bytes = usize::try_from(image.header().unwrap().block_size.sectors() / 8).unwrap();
    let mut map = [0; SECTOR];
    for (block, &entry) in image.bat().unwrap().entries().iter().enumerate().filter(|&(_, &entry)| entry != u32::MAX) {
        let mut bitmap = vec![0; bitmap_bytes];
        file.read_exact_at(&mut bitmap, u64::from(entry) * 512).unwrap();
        if bitmap.iter().all(|&byte| byte == 0xff) && choice >> (block % 64) & 1 == 1 {
            map[block / 8] |= 0x80 >> (block % 8);
        }
    }
    let batmap = image.batmap().unwrap().unwrap();
    let header = BatmapHeader { checksum: batmap.header().computed_checksum(&map), ..batmap.header().clone() };
    file.write_all_at(RawBatmapHeader::from(&header).bytes(), BATMAP_HEADER_AT).unwrap();
    file.write_all_at(&map, MAP_AT).unwrap();
    assert!(Image::on(file.clone()).unwrap().batmap().is_ok());
}

fn small_layers() -> impl Strategy<Value = Vec<Layer>> {
    layers().prop_map(|mut layers| {
        layers.truncate(2);
        layers
    })
}

fn zeros() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..200usize, 1..70usize), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn an_image_reads_the_same_afterwards_and_has_nothing_left_to_give(
        layers in small_layers(), base in prop::option::of(0..100_000usize), zeros in zeros(), full: u64, moves: bool,
        room in prop::option::of(200..400usize),
    ) {
        let chain = chain(&layers, base, &zeros, full, room);
        let leaf = &chain.images[0];
        chain.check(leaf);
        let (found, done) = chain.run(leaf, moves);
        chain.check(leaf);
        let bat = Image::on(leaf.clone()).unwrap().bat().unwrap();
        prop_assert_eq!(bat.allocated_blocks(), found.blocks - found.droppable.len());
        prop_assert_eq!((done.dropped, done.file_bytes), (found.droppable.len(), leaf.len_bytes()));
        // Whatever could be dropped was: a block that holds something holds what matters.
        let block_bytes = usize::try_from(Image::on(leaf.clone()).unwrap().header().unwrap().block_size.bytes()).unwrap();
        if chain.images.len() == 1 && base.is_none() {
            let data = chain.oracle.chunks(block_bytes).filter(|block| block.iter().any(|&byte| byte != 0)).count();
            prop_assert_eq!(bat.allocated_blocks(), data);
        }
        if room.is_none() {
            let end = bat.end_of_data().unwrap_or(0).max(3072);
            prop_assert!(leaf.len_bytes() <= end + 4096 + 512, "the file ends behind its last block");
        }
        if moves {
            // Blocks of one size, each on a page: they lie side by side.
            let mut entries: Vec<u32> = bat.entries().iter().copied().filter(|&entry| entry != u32::MAX).collect();
            entries.sort_unstable();
            let pitch = (u32::try_from(block_bytes / SECTOR).unwrap() + 1).next_multiple_of(8);
            prop_assert!(entries.windows(2).all(|pair| pair[1] - pair[0] == pitch), "{:?}", entries);
        }
        let before = leaf.bytes();
        prop_assert_eq!(chain.run(leaf, moves).1, Compacted { dropped: 0, moved: 0, ..done });
        prop_assert!(leaf.bytes() == before, "nothing is left to do");
    }
}

/// Compacts, and looks at what crashes after each event leave, with any of the unflushed sectors lost.
fn check_crashes(chain: &Chain, moves: bool, seed: u64) {
    let leaf = &chain.images[0];
    let (found, _) = chain.run(leaf, moves);
    let mut random = seed | 1;
    for events in 0..=leaf.log_len() {
        for keeps_all in [true, false, false] {
            let coin = || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                keeps_all || random & 1 == 0
            };
            let crashed = leaf.crashed(events, coin);
            chain.check(&crashed);
            // Again, from there.
            chain.run(&crashed, moves);
            chain.check(&crashed);
            let left = Image::on(crashed).unwrap().bat().unwrap().allocated_blocks();
            assert_eq!(left, found.blocks - found.droppable.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_changes_nothing_that_is_read(
        layers in small_layers(), zeros in zeros(), full: u64, moves: bool, seed: u64, on_device: bool,
    ) {
        check_crashes(&chain(&layers, None, &zeros, full, on_device.then_some(300)), moves, seed);
    }
}

#[test]
fn a_crash_while_full_blocks_go_and_others_move_changes_nothing() {
    for seed in 0..4 {
        // Blocks in the order of their numbers; the second, half of the third and the last are zeros.
        let layer = Layer { block_sectors: 8, sectors: 64, writes: vec![(0, 40), (40, 24)] };
        for moves in [false, true] {
            check_crashes(
                &chain(std::slice::from_ref(&layer), None, &[(8, 12), (50, 14)], u64::MAX, None),
                moves,
                seed,
            );
        }
    }
}

/// A disk of four blocks, the second and third of zeros.
fn sample() -> Chain {
    let layer = Layer { block_sectors: 8, sectors: 32, writes: vec![(0, 1), (8, 24)] };
    chain(&[layer], None, &[(8, 16)], u64::MAX, None)
}

#[test]
fn a_failed_write_leaves_the_image_as_it_read() {
    for moves in [false, true] {
        for events in 0.. {
            let chain = sample();
            let leaf = &chain.images[0];
            let compact = chain.compact(leaf).unwrap();
            let found = compact.find(|_| ()).unwrap();
            leaf.fail_in(events);
            match compact.run(&found, moves, |_| ()) {
                Err(error) => assert_eq!(error.errno(), 28),
                Ok(done) => {
                    assert_eq!(done.dropped, 2);
                    break;
                }
            }
            chain.check(leaf);
            let done = chain.run(leaf, moves).1;
            assert!(!moves || done.file_bytes == 16_896, "two blocks: {done:?}");
            chain.check(leaf);
        }
    }
}

#[test]
fn images_with_faults_or_in_use_are_left_alone() {
    let refused = |edit: &dyn Fn(&mut Vec<u8>)| {
        let chain = sample();
        let mut bytes = chain.images[0].bytes();
        edit(&mut bytes);
        let leaf = SimDisk::file(bytes);
        let refused = chain.compact(&leaf).map(|_| ()).map_err(|error| error.job_errno());
        assert_eq!((refused, leaf.log_len()), (Err(22), 0));
    };
    let entry = |bytes: &mut Vec<u8>, block: usize, entry: u32| {
        bytes[1536 + 4 * block..][..4].copy_from_slice(&entry.to_be_bytes());
    };
    refused(&|bytes| entry(bytes, 1, 7));
    refused(&|bytes| entry(bytes, 1, 8));
    refused(&|bytes| entry(bytes, 1, 5));
    refused(&|bytes| entry(bytes, 1, 1 << 20));
    refused(&|bytes| entry(bytes, 1, u32::MAX - 1));
    refused(&|bytes| edit_footers(bytes, |footer| footer.is_poisoned = true));
    refused(&|bytes| bytes[20] ^= 1);
    refused(&|bytes| bytes.truncate(bytes.len() - 512));
    refused(&|bytes| bytes[2600] ^= 1);
    // A block that the batmap calls full loses its place.
    refused(&|bytes| entry(bytes, 2, u32::MAX));
    // As blktap's tapdisk leaves it while it writes.
    refused(&|bytes| {
        let end = bytes.len();
        bytes[end - 512..].fill(0xc7);
    });
    let mut fixed = dynamic(64)[..512].to_vec();
    edit_footers(&mut fixed, |footer| {
        (footer.kind, footer.data_offset, footer.current_bytes) = (vhd::footer::DiskKind::Fixed, u64::MAX, 0);
    });
    let fixed = Image::on(SimDisk::file(fixed)).unwrap();
    assert_eq!(Compact::of(fixed, vec![], None).unwrap_err().errno(), 22);
}

#[test]
fn on_a_full_device_nothing_happens_that_needs_room() {
    let chain =
        chain(&[Layer { block_sectors: 8, sectors: 16, writes: vec![(0, 8)] }], None, &[(8, 8)], u64::MAX, Some(0));
    let leaf = &chain.images[0];
    let compact = chain.compact(leaf).unwrap();
    let found = compact.find(|_| ()).unwrap();
    assert_eq!(compact.run(&found, true, |_| ()).unwrap_err().errno(), 28);
    assert_eq!(leaf.log_len(), 0);
}

#[test]
fn bytes_of_others_in_the_header_of_the_batmap_stay() {
    let chain =
        chain(&[Layer { block_sectors: 8, sectors: 64, writes: vec![(0, 16)] }], None, &[(0, 8)], u64::MAX, None);
    let file = &chain.images[0];
    // The hash of a key that there is not, and reserved bytes.
    let at = BATMAP_HEADER_AT + 29;
    let others: Vec<u8> = (0..BATMAP_HEADER_AT + 512 - at).map(|byte| u8::try_from(byte % 250).unwrap() & !1).collect();
    file.write_all_at(&others, at).unwrap();
    let (found, _) = chain.run(file, true);
    assert_eq!(found.droppable, [0]);
    let start = usize::try_from(at).unwrap();
    assert!(file.bytes()[start..][..others.len()] == others);
}
