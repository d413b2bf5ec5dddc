//! Reading and writing disks: against a byte vector, and on what every crash leaves behind.

use std::ops::Range;

use proptest::prelude::*;
use vhd::plan::Target;
use vhd::{Disk, Image, Medium};

use crate::sample::{BASE_UUID, edit_footers, edit_header};
use crate::sim_disk::SimDisk;
use crate::small::{
    BLOCK_SECTORS, BLOCKS, DISK_SECTORS, Kind, Place, SECTOR, empty, kinds, open, parent, place, places,
};
use crate::sparse_disk::SparseDisk;

const BLOCK_BYTES: u64 = (BLOCK_SECTORS * SECTOR) as u64;

#[derive(Clone, Debug)]
enum Op {
    Write {
        first: usize,
        sectors: usize,
    },
    /// Both ends of a range, together.
    Ends {
        first: usize,
        sectors: usize,
    },
    Zero {
        first: usize,
        sectors: usize,
    },
    /// Gives blocks a place; the disk reads as before.
    Place {
        first: usize,
        blocks: usize,
    },
    Flush,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let range = || {
        let range = (0..DISK_SECTORS, 1..2 * BLOCK_SECTORS + 2);
        range.prop_map(|(first, sectors)| (first, sectors.min(DISK_SECTORS - first)))
    };
    let write = range().prop_map(|(first, sectors)| Op::Write { first, sectors });
    let ends = range().prop_map(|(first, sectors)| Op::Ends { first, sectors });
    let zero = range().prop_map(|(first, sectors)| Op::Zero { first, sectors });
    let place =
        (0..BLOCKS, 0..BLOCKS).prop_map(|(first, blocks)| Op::Place { first, blocks: blocks.min(BLOCKS - first) });
    prop::collection::vec(prop_oneof![4 => write, 2 => ends, 1 => zero, 1 => place, 1 => Just(Op::Flush)], 1..12)
}

fn ahead() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (0..5u64).prop_map(Some)]
}

/// The first and the last third of a range.
fn ends(first: usize, sectors: usize) -> [Range<usize>; 2] {
    let third = sectors.div_ceil(3).min(sectors / 2);
    [first..first + third, first + sectors - third..first + sectors]
}

/// One byte per sector, which all of the sector has.
fn read(disk: &Disk<SimDisk>) -> Vec<u8> {
    let mut bytes = vec![1; DISK_SECTORS * SECTOR];
    disk.read_at(0, &mut bytes).unwrap();
    bytes
        .chunks(SECTOR)
        .map(|sector| {
            assert!(sector.iter().all(|&byte| byte == sector[0]), "torn sector");
            sector[0]
        })
        .collect()
}

fn start(kind: Kind) -> Vec<u8> {
    let of_parent = |sector: usize| if sector.is_multiple_of(3) { 0xaa } else { 0 };
    match kind {
        Kind::Differencing => (0..DISK_SECTORS).map(of_parent).collect(),
        Kind::Dynamic | Kind::Fixed => vec![0; DISK_SECTORS],
    }
}

/// What was done, and how many events the log had before and after.
struct Done {
    op: Op,
    value: u8,
    from: usize,
    to: usize,
}

/// With `ahead`, as a writer that asks for durability by flushes only, and grows by so many blocks at a time.
fn run(sim: &SimDisk, kind: Kind, parent: &SimDisk, ops: &[Op], ahead: Option<u64>) -> Vec<Done> {
    let mut disk = open(sim, kind, parent);
    if let Some(blocks) = ahead {
        disk.write_back(blocks * BLOCK_BYTES).unwrap();
    }
    let mut oracle = start(kind);
    let done = ops.iter().enumerate().map(|(index, op)| {
        let (from, value) = (sim.log_len(), u8::try_from(index).unwrap() + 1);
        match *op {
            Op::Write { first, sectors } => {
                disk.write_at((first * SECTOR) as u64, &vec![value; sectors * SECTOR]).unwrap();
                oracle[first..][..sectors].fill(value);
            }
            Op::Ends { first, sectors } => {
                let bytes = vec![value; sectors * SECTOR];
                let ends = ends(first, sectors);
                let write = |end: &Range<usize>| ((end.start * SECTOR) as u64, &bytes[..end.len() * SECTOR]);
                disk.write_many(&ends.iter().rev().map(write).collect::<Vec<_>>()).unwrap();
                ends.into_iter().for_each(|end| oracle[end].fill(value));
            }
            Op::Zero { first, sectors } => {
                disk.write_zeroes((first * SECTOR) as u64, (sectors * SECTOR) as u64).unwrap();
                oracle[first..][..sectors].fill(0);
            }
            Op::Place { first, blocks } => match disk.unplaced(first..first + blocks) {
                Ok((unplaced, fitting)) => {
                    assert_eq!(fitting, unplaced.len());
                    disk.place(&unplaced).unwrap();
                    assert_eq!(disk.unplaced(first..first + blocks).unwrap(), (vec![], 0));
                }
                Err(error) => assert!(matches!(kind, Kind::Fixed) && error.errno() == 22),
            },
            Op::Flush => disk.flush().unwrap(),
        }
        assert_eq!(read(&disk), oracle);
        Done { op: op.clone(), value, from, to: sim.log_len() }
    });
    let done = done.collect();
    assert_eq!(read(&open(sim, kind, parent)), oracle, "opened again");
    if ahead.is_some() {
        disk.close().unwrap();
        assert_eq!(read(&open(sim, kind, parent)), oracle, "opened again after it was closed");
        let image = Image::on(sim.clone()).unwrap();
        assert!(!matches!(sim.target(), Target::File) || image.physical_bytes().unwrap() == sim.len_bytes());
    }
    done
}

/// The values that each sector may have after a crash: the last one flushed, and those written since.
fn allowed(kind: Kind, done: &[Done], events: usize) -> Vec<Vec<u8>> {
    let mut allowed: Vec<Vec<u8>> = start(kind).into_iter().map(|value| vec![value]).collect();
    for done in done.iter().filter(|done| done.from < events) {
        match done.op {
            Op::Write { first, sectors } => {
                allowed[first..][..sectors].iter_mut().for_each(|values| values.push(done.value));
            }
            Op::Ends { first, sectors } => {
                let sectors = ends(first, sectors).into_iter().flatten();
                sectors.for_each(|sector| allowed[sector].push(done.value));
            }
            Op::Zero { first, sectors } => allowed[first..][..sectors].iter_mut().for_each(|values| values.push(0)),
            Op::Flush if done.to <= events => {
                allowed.iter_mut().for_each(|values| values.drain(..values.len() - 1).for_each(drop));
            }
            Op::Place { .. } | Op::Flush => {}
        }
    }
    allowed
}

/// What a crash left opens, holds what was flushed, and can be written to.
fn check_crash(crashed: &SimDisk, kind: Kind, parent: &SimDisk, allowed: &[Vec<u8>], ahead: Option<u64>) {
    let mut disk = open(crashed, kind, parent);
    if let Some(blocks) = ahead {
        disk.write_back(blocks * BLOCK_BYTES).unwrap();
    }
    let mut found = read(&disk);
    for (sector, (value, allowed)) in found.iter().zip(allowed).enumerate() {
        assert!(allowed.contains(value), "sector {sector} is {value}, not one of {allowed:?}");
    }
    for sector in [BLOCK_SECTORS - 1, 2 * BLOCK_SECTORS, DISK_SECTORS - 1] {
        disk.write_at((sector * SECTOR) as u64, &[0xbb; SECTOR]).unwrap();
        found[sector] = 0xbb;
    }
    assert_eq!(read(&disk), found, "written to after the crash");
    assert_eq!(read(&open(crashed, kind, parent)), found, "opened again after that");
}

#[test]
fn places_that_a_device_has_no_room_for_change_nothing() {
    let image = empty(Kind::Dynamic);
    let (end, footer) = (image.len() - SECTOR, image[image.len() - SECTOR..].to_vec());
    // Room for two blocks with their bitmaps, wherever data begins, and no more.
    let room = vec![0xff; 2 * (BLOCK_SECTORS + 8) * SECTOR];
    let sim = SimDisk::device([&image[..end], &room, &footer].concat());
    let mut disk = Disk::of(Image::on(sim.clone()).unwrap(), vec![], None).unwrap();
    assert_eq!(disk.place(&[0, 1, 2, 3]).unwrap_err().errno(), 28);
    assert_eq!(sim.log_len(), 0);
    disk.place(&[1, 4]).unwrap();
    assert_eq!(disk.unplaced(0..BLOCKS).unwrap().0, [0, 2, 3, 5]);
    assert_eq!(read(&disk), start(Kind::Dynamic));
}

/// Writes one sector of block 0, or of block 1 behind it, whose BAT entries are these; an error number if it fails.
fn check_hostile(entries: [u32; 2], sector: u64, expected: Result<(), i32>) {
    let mut image = empty(Kind::Dynamic);
    let footer = image.split_off(image.len() - SECTOR);
    for (index, entry) in entries.iter().enumerate() {
        image[1536 + 4 * index..][..4].copy_from_slice(&entry.to_be_bytes());
    }
    image.resize(16 << 10, 0);
    let sim = SimDisk::file([image, footer].concat());
    let mut disk = Disk::of(Image::on(sim.clone()).unwrap(), vec![], None).unwrap();
    let written = disk.write_at(sector * 512, &[1; SECTOR]).map_err(|error| error.errno());
    assert_eq!(written, expected, "{entries:?}");
    if written.is_err() {
        assert_eq!(sim.log_len(), 0, "a refused write leaves the image alone");
    }
}

#[test]
fn an_entry_into_metadata_or_over_another_block_fails_the_write() {
    check_hostile([7, 16], 0, Ok(()));
    check_hostile([7, 16], 8, Ok(()));
    check_hostile([5, 16], 0, Err(5));
    check_hostile([0, 16], 8, Ok(()));
    for (entries, sector) in [([7, 7], 0), ([7, 7], 8), ([7, 15], 0), ([7, 15], 8), ([15, 7], 0)] {
        check_hostile(entries, sector, Err(5));
    }
}

#[test]
fn an_entry_past_the_end_fails_where_it_is_used() {
    check_hostile([1 << 20, u32::MAX], 0, Err(5));
    check_hostile([1 << 20, 7], 8, Ok(()));
    check_hostile([u32::MAX - 1, u32::MAX], 0, Err(5));
    // A new block goes behind all others, which must be within 2 TiB.
    check_hostile([u32::MAX - 1, u32::MAX], 8, Err(28));
}

#[test]
fn the_footer_outlives_a_discard_of_the_block_it_stands_in() {
    for place in [SparseDisk::file, SparseDisk::device] {
        let mut image = empty(Kind::Dynamic);
        image[1536..1540].copy_from_slice(&7u32.to_be_bytes());
        // The file ends inside the block.
        let footer = image.split_off(image.len() - SECTOR);
        image.resize(10 * SECTOR, 0xff);
        let sim = place(&[image, footer.clone()].concat());
        let mut disk = Disk::of(Image::on(sim.clone()).unwrap(), vec![], None).unwrap();
        drop(disk.discard(0, (BLOCK_SECTORS * SECTOR) as u64));
        let mut found = [0; SECTOR];
        vhd::Medium::read_exact_at(&sim, &mut found, 10 * SECTOR as u64).unwrap();
        assert!(found[..] == footer);
    }
}

#[test]
fn a_write_never_goes_over_the_footer_of_a_device() {
    let mut image = empty(Kind::Dynamic);
    image[1536..1540].copy_from_slice(&7u32.to_be_bytes());
    let footer = image.split_off(image.len() - SECTOR);
    image.resize((7 + BLOCK_SECTORS) * SECTOR, 0);
    let sim = SimDisk::device([image, footer].concat());
    let mut disk = open(&sim, Kind::Dynamic, &sim);
    assert_eq!(disk.write_at(((BLOCK_SECTORS - 1) * SECTOR) as u64, &[1; SECTOR]).unwrap_err().errno(), 5);
    assert_eq!(sim.log_len(), 0);
}

#[test]
fn tables_over_other_metadata_are_not_written() {
    for table_offset in [0, 512, 1024] {
        let mut image = empty(Kind::Dynamic);
        edit_footers(&mut image, |footer| footer.creator.app = *b"vpc ");
        edit_header(&mut image, |header| header.table_offset = table_offset);
        let opened = Image::on(SimDisk::file(image)).unwrap();
        assert_eq!(Disk::of(opened, vec![], None).unwrap_err().errno(), 22);
    }
}

#[test]
fn a_file_that_ends_inside_a_batmap_header_is_not_written() {
    // It has no batmap until it is longer; then what is there of one would keep it from being opened.
    let mut image = empty(Kind::Dynamic);
    edit_footers(&mut image, |footer| footer.creator.version = vhd::Version::new(1, 1));
    image.truncate(2048 + 100);
    let opened = Image::on(SimDisk::file(image)).unwrap();
    assert!(opened.batmap().unwrap().is_none());
    assert_eq!(Disk::of(opened, vec![], None).unwrap_err().errno(), 22);
}

#[test]
fn a_guest_cannot_forge_the_footer_with_a_crash() {
    let image = empty(Kind::Dynamic);
    let mut forged = image[..SECTOR].to_vec();
    edit_footers(&mut forged, |footer| footer.uuid = uuid::Uuid::from_u128(666));
    let sim = SimDisk::file(image);
    let mut disk = open(&sim, Kind::Dynamic, &sim);
    disk.write_at(0, &forged.repeat(DISK_SECTORS)).unwrap();
    for events in 0..=sim.log_len() {
        for bits in 0..256u32 {
            let mut at = 0;
            let coin = || {
                at += 1;
                bits.wrapping_mul(0x9e37_79b9).rotate_left(at * 7) & 1 == 0
            };
            let crashed = Image::on(sim.crashed(events, coin)).unwrap();
            assert_eq!(crashed.footer().uuid, BASE_UUID);
        }
    }
}

#[test]
fn old_bytes_of_a_device_do_not_show_in_blocks() {
    // For readers that look at no bitmap, as qemu's.
    let sim = place(empty(Kind::Dynamic), Place::Device(0xff));
    open(&sim, Kind::Dynamic, &sim).write_at(512, &[5; 512]).unwrap();
    let entry = Image::on(sim.clone()).unwrap().bat().unwrap().entries()[0];
    let mut block = [1; (BLOCK_SECTORS + 1) * SECTOR];
    vhd::Medium::read_exact_at(&sim, &mut block, u64::from(entry) * 512).unwrap();
    let sectors: Vec<u8> = block.chunks(SECTOR).map(|sector| sector[0]).collect();
    assert_eq!(sectors, [0x40, 0, 5, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn after_a_failure_nothing_is_written_until_the_image_is_opened_again() {
    for kind in [Kind::Dynamic, Kind::Differencing, Kind::Fixed] {
        for events in 0.. {
            let (sim, parent) = (place(empty(kind), Place::File), parent());
            open(&sim, kind, &parent).write_at(20 * 512, &[1; SECTOR]).unwrap();
            let mut disk = open(&sim, kind, &parent);
            sim.fail_in(events);
            // Two stretches of new blocks around the one that is there.
            let done = disk.write_at(0, &[2; DISK_SECTORS * SECTOR]).and_then(|()| disk.flush());
            let Err(error) = done else { break };
            assert_eq!(error.errno(), 28);
            let log_len = sim.log_len();
            assert_eq!(disk.write_at(0, &[3; SECTOR]).unwrap_err().errno(), 5);
            assert_eq!(disk.flush().unwrap_err().errno(), 5);
            assert_eq!(sim.log_len(), log_len);
            let mut disk = open(&sim, kind, &parent);
            for sector in 0..DISK_SECTORS {
                disk.write_at((sector * SECTOR) as u64, &[u8::try_from(sector).unwrap(); SECTOR]).unwrap();
            }
            let expected: Vec<u8> = (0..DISK_SECTORS).map(|sector| u8::try_from(sector).unwrap()).collect();
            assert_eq!(read(&open(&sim, kind, &parent)), expected, "{kind:?} {events}");
        }
    }
}

#[test]
fn a_fixed_disk_whose_footer_is_not_at_its_end_is_not_written() {
    // What looks like a footer at offset 0 is data, which a write would replace.
    let mut image = empty(Kind::Fixed);
    let footer = image[image.len() - SECTOR..].to_vec();
    image[..SECTOR].copy_from_slice(&footer);
    let end = image.len();
    image[end - SECTOR..].fill(0);
    let opened = Image::on(SimDisk::file(image)).unwrap();
    assert_eq!(Disk::of(opened, vec![], None).unwrap_err().errno(), 22);
}

#[test]
fn a_fixed_disk_larger_than_its_file_keeps_its_footer() {
    let mut image = empty(Kind::Fixed);
    let footer = image.split_off(image.len() - SECTOR);
    image.truncate(4 * SECTOR);
    let sim = SimDisk::file([image, footer].concat());
    let mut disk = open(&sim, Kind::Fixed, &sim);
    assert!(disk.write_at(3 * 512, &[1; SECTOR]).is_ok());
    assert_eq!(disk.write_at(4 * 512, &[1; SECTOR]).unwrap_err().errno(), 5);
    assert_eq!(disk.write_at(3 * 512, &[1; 2 * SECTOR]).unwrap_err().errno(), 5);
    assert_eq!(disk.read_at(5 * 512, &mut [0; SECTOR]).unwrap_err().errno(), 5);
}

#[test]
fn past_the_end_of_a_raw_parent_is_zero() {
    // Its last sector is not whole.
    let base = SimDisk::file(vec![7; 2 * SECTOR + 100]);
    let leaf = Image::on(place(empty(Kind::Differencing), Place::File)).unwrap();
    let disk = Disk::of(leaf, vec![], Some(base)).unwrap();
    for (sector, sevens) in [(0, SECTOR), (2, 100), (3, 0), (4, 0), (DISK_SECTORS - 1, 0)] {
        let mut bytes = [1; SECTOR];
        disk.read_at((sector * SECTOR) as u64, &mut bytes).unwrap();
        let expected = [vec![7; sevens], vec![0; SECTOR - sevens]].concat();
        assert!(bytes[..] == expected, "sector {sector}");
    }
}

#[test]
fn only_whole_sectors_inside_the_disk_are_written_or_mapped() {
    let sim = place(empty(Kind::Dynamic), Place::File);
    let mut disk = open(&sim, Kind::Dynamic, &sim);
    for (offset, len) in [(1, 512), (0, 511), ((DISK_SECTORS * SECTOR) as u64, 512), (u64::MAX - 511, 512)] {
        assert_eq!(disk.write_at(offset, &vec![0; len]).unwrap_err().errno(), 22);
        let len_bytes = len as u64;
        assert_eq!(disk.write_zeroes(offset, len_bytes).unwrap_err().errno(), 22);
        assert_eq!(disk.discard(offset, len_bytes).unwrap_err().errno(), 22);
        assert_eq!(disk.map(offset, len_bytes).unwrap_err().errno(), 22);
    }
    for (offset, len) in [(DISK_SECTORS as u64 * 512, 1), (u64::MAX, 1), (1, DISK_SECTORS * 512)] {
        assert_eq!(disk.read_at(offset, &mut vec![0; len]).unwrap_err().errno(), 22);
    }
    assert!(disk.read_at(1, &mut vec![0; DISK_SECTORS * 512 - 1]).is_ok());
}

#[test]
fn an_image_under_a_journal_is_not_written() {
    let mut image = empty(Kind::Dynamic);
    edit_footers(&mut image, |footer| footer.is_poisoned = true);
    assert_eq!(Disk::of(Image::on(SimDisk::file(image)).unwrap(), vec![], None).unwrap_err().errno(), 22);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn disks_read_what_was_written(ops in ops(), kind in kinds(), at in places(), ahead in ahead()) {
        run(&place(empty(kind), at), kind, &parent(), &ops, ahead);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_keeps_what_was_flushed(ops in ops(), kind in kinds(), at in places(), ahead in ahead(), seed: u64) {
        let (sim, parent) = (place(empty(kind), at), parent());
        let done = run(&sim, kind, &parent, &ops, ahead);
        let mut random = seed | 1;
        for events in 0..=sim.log_len() {
            let allowed = allowed(kind, &done, events);
            check_crash(&sim.crashed(events, || true), kind, &parent, &allowed, ahead);
            for _ in 0..3 {
                // xorshift: which sectors arrive out of order.
                let coin = || {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    random & 1 == 0
                };
                check_crash(&sim.crashed(events, coin), kind, &parent, &allowed, ahead);
            }
            // Nor do torn sectors take what was flushed: in metadata between entries, and inside a footer.
            for kept in [4, 56, 256] {
                let disk = open(&sim.torn(events, kept), kind, &parent);
                for (sector, allowed) in allowed.iter().enumerate().filter(|(_, allowed)| allowed.len() == 1) {
                    let mut bytes = [0xee; SECTOR];
                    disk.read_at((sector * SECTOR) as u64, &mut bytes).unwrap();
                    assert!(bytes == [allowed[0]; SECTOR], "sector {sector} after {events} events");
                }
            }
        }
    }
}
