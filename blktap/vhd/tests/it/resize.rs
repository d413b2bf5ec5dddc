//! Making disks larger: what they read before and after, against a byte vector, and what is refused.

use proptest::prelude::*;
use vhd::footer::Creator;
use vhd::resize::{Stage, Subject};
use vhd::revert::{InDoubt, Reverted, revert};
use vhd::{Disk, Image, Medium, Result, edit};

use crate::sample::{edit_footers, edit_header};
use crate::sim_disk::SimDisk;
use crate::small::{BLOCK_SECTORS, DISK_SECTORS, Kind, Place, SECTOR, empty, kinds, open, parent, place_in, places};

pub(crate) const DISK_BYTES: u64 = (DISK_SECTORS * SECTOR) as u64;
/// What a device has more than the image needs.
pub(crate) const ROOM: usize = 256 << 10;

/// Room on a device for a disk of this size.
fn room(kind: Kind, size_bytes: u64) -> usize {
    match kind {
        Kind::Fixed => usize::try_from(size_bytes).unwrap(),
        _ => ROOM,
    }
}

/// Resizes the whole way.
pub(crate) fn grow(sim: &SimDisk, journal: &SimDisk, size_bytes: u64) -> Result<()> {
    let image = Image::on(sim.clone())?;
    let resize = Subject::of(&image)?.grow(size_bytes)?;
    resize.write_journal(journal)?;
    resize.begin()?;
    for stage in resize.stages() {
        resize.perform(stage)?;
    }
    resize.commit()
}

pub(crate) fn read(disk: &Disk<SimDisk>) -> Vec<u8> {
    let mut bytes = vec![1; usize::try_from(disk.size_bytes()).unwrap()];
    disk.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Writes these sectors, resizes, and looks at every byte. The new part reads as zeros and can be written.
fn check(kind: Kind, at: Place, sectors: &[(usize, u8)], size_bytes: u64) {
    let (sim, parent) = (place_in(empty(kind), at, room(kind, size_bytes)), parent());
    let mut disk = open(&sim, kind, &parent);
    for &(sector, value) in sectors {
        disk.write_at((sector * SECTOR) as u64, &[value; SECTOR]).unwrap();
    }
    let mut oracle = read(&disk);
    grow(&sim, &sim.file_beside(), size_bytes).unwrap();

    let mut disk = open(&sim, kind, &parent);
    let whole = if matches!(kind, Kind::Fixed) { size_bytes } else { size_bytes.next_multiple_of(2 << 20) };
    assert_eq!(disk.size_bytes(), whole);
    oracle.resize(usize::try_from(whole).unwrap(), 0);
    assert!(read(&disk) == oracle, "resized");
    let last = oracle.len() / SECTOR - 1;
    for sector in [0, BLOCK_SECTORS, DISK_SECTORS.min(last), last] {
        disk.write_at((sector * SECTOR) as u64, &[0xee; SECTOR]).unwrap();
        oracle[sector * SECTOR..][..SECTOR].fill(0xee);
    }
    assert!(read(&open(&sim, kind, &parent)) == oracle, "written to");
    if !matches!(kind, Kind::Fixed) {
        check_tables(&sim);
    }
}

/// Both footers are the same, the batmap is right, and no two things overlap.
fn check_tables(sim: &SimDisk) {
    let (image, bytes) = (Image::on(sim.clone()).unwrap(), sim.bytes());
    assert_eq!(bytes[..512], bytes[bytes.len() - 512..]);
    assert!(image.batmap().unwrap().is_some());
    let mut entries: Vec<u32> = image.bat().unwrap().entries().iter().copied().filter(|&at| at != u32::MAX).collect();
    entries.sort_unstable();
    assert!(entries.windows(2).all(|pair| pair[0] + 9 <= pair[1]), "{entries:?}");
    let size = image.footer().current_bytes;
    assert!(Subject::of(&image).unwrap().grow(size).is_ok());
}

#[test]
fn data_stays_and_the_new_part_is_zero() {
    let all: Vec<(usize, u8)> = (0..DISK_SECTORS).map(|sector| (sector, 1)).collect();
    let ends = [(0, 1), (DISK_SECTORS - 1, 2)];
    for kind in [Kind::Dynamic, Kind::Differencing, Kind::Fixed] {
        for at in [Place::File, Place::Device(0xff)] {
            for sectors in [&[][..], &ends, &all] {
                for size_bytes in [DISK_BYTES, DISK_BYTES + 1024, 2 << 20, (8 << 20) - 512] {
                    check(kind, at, sectors, size_bytes);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn disks_of_any_content_grow(
        kind in kinds(),
        at in places(),
        sectors in prop::collection::vec((0..DISK_SECTORS, 1u8..255), 0..24),
        mib in 1u64..20,
    ) {
        check(kind, at, &sectors, mib << 20);
    }
}

#[test]
fn blocks_are_moved_only_if_they_are_in_the_way() {
    let stages = |sectors: &[usize], size_bytes| {
        let sim = SimDisk::file(empty(Kind::Dynamic));
        for &sector in sectors {
            open(&sim, Kind::Dynamic, &sim).write_at((sector * SECTOR) as u64, &[1; SECTOR]).unwrap();
        }
        let image = Image::on(sim).unwrap();
        Subject::of(&image).unwrap().grow(size_bytes).unwrap().stages()
    };
    // Two MiB are 512 blocks here: a BAT of four sectors instead of one.
    assert_eq!(stages(&[], 2 << 20), [Stage::Locators, Stage::Tables]);
    assert_eq!(stages(&[0], 2 << 20), [Stage::Blocks, Stage::Locators, Stage::Tables]);
    let sim = SimDisk::file(empty(Kind::Fixed));
    let image = Image::on(sim).unwrap();
    assert_eq!(Subject::of(&image).unwrap().grow(2 << 20).unwrap().stages(), [Stage::Tables]);
}

#[test]
fn a_disk_with_room_in_its_tables_gets_the_size_it_was_asked_for() {
    // libvhd adds what is asked for to what there is room for.
    let mut bytes = empty(Kind::Dynamic);
    let footer = bytes.split_off(bytes.len() - SECTOR);
    bytes.truncate(1536);
    bytes.resize(1536 + 4096, 0xff);
    let mut batmap = empty(Kind::Dynamic)[2048..2560].to_vec();
    batmap[8..16].copy_from_slice(&(1536u64 + 4096 + 512).to_be_bytes());
    bytes.extend([batmap, vec![0; 512], footer].concat());
    edit_header(&mut bytes, |header| header.max_bat_entries = 1024);
    for is_fast in [false, true] {
        let sim = SimDisk::file(bytes.clone());
        open(&sim, Kind::Dynamic, &sim).write_at(0, &[7; SECTOR]).unwrap();
        let len = sim.bytes().len();
        if is_fast {
            edit::grow(&Image::on(sim.clone()).unwrap(), (2 << 20) - 1).unwrap();
        } else {
            grow(&sim, &sim.file_beside(), (2 << 20) - 1).unwrap();
        }
        let disk = open(&sim, Kind::Dynamic, &sim);
        assert_eq!((disk.size_bytes(), read(&disk)[0], sim.bytes().len()), (2 << 20, 7, len));
        let image = Image::on(sim.clone()).unwrap();
        assert_eq!(image.max_virtual_bytes().unwrap(), 4 << 20);
        assert_eq!(edit::grow(&image, (4 << 20) + 1).unwrap_err().errno(), 22);
        check_tables(&sim);
    }
}

#[test]
fn growing_quickly_believes_no_table_behind_the_end() {
    let mut bytes = empty(Kind::Dynamic);
    edit_header(&mut bytes, |header| header.max_bat_entries = 128);
    // 128 blocks are half a MiB, which is rounded to more: make blocks larger.
    edit_header(&mut bytes, |header| header.block_size = (64u32 << 10).try_into().unwrap());
    bytes[1536..2048].fill(0);
    bytes[1536..1540].fill(0xff);
    let sim = SimDisk::file(bytes.clone());
    edit::grow(&Image::on(sim.clone()).unwrap(), 4 << 20).unwrap();
    assert_eq!(Image::on(sim).unwrap().bat().unwrap().allocated_blocks(), 0);
    // The map says that block 1 is full.
    bytes[2560] = 0x40;
    bytes[2048 + 24..][..4].copy_from_slice(&(!0x40u32).to_be_bytes());
    let sim = SimDisk::file(bytes);
    assert_eq!(edit::grow(&Image::on(sim.clone()).unwrap(), 4 << 20).unwrap_err().errno(), 22);
    assert_eq!(sim.log_len(), 0);
}

#[test]
fn marker_and_bytes_of_others_move_with_the_batmap() {
    let mut bytes = empty(Kind::Dynamic);
    bytes[2048 + 28..2560].fill(0x5a);
    let (sim, others) = (SimDisk::file(bytes.clone()), bytes[2048 + 28..2560].to_vec());
    grow(&sim, &sim.file_beside(), 2 << 20).unwrap();
    assert_eq!(Image::on(sim.clone()).unwrap().marker().unwrap(), 0x5a);
    assert!(sim.bytes()[1536 + 2048 + 28..][..others.len()] == others);
}

#[test]
fn a_last_block_that_ends_early_keeps_its_data() {
    // libvhd extends a file only as far as it writes; the footer is then where the block's other sectors would be.
    for blocks in [1, 2] {
        let sim = SimDisk::file(empty(Kind::Dynamic));
        for block in 0..blocks {
            let at = (block * BLOCK_SECTORS * SECTOR) as u64;
            open(&sim, Kind::Dynamic, &sim).write_at(at, &[7; 2 * SECTOR]).unwrap();
        }
        let mut bytes = sim.bytes();
        let footer = bytes.split_off(bytes.len() - SECTOR);
        bytes.truncate(bytes.len() - 5 * SECTOR);
        bytes.extend(footer);
        let (sim, old) = (SimDisk::file(bytes.clone()), bytes);
        let mut oracle = read(&open(&sim, Kind::Dynamic, &sim));
        // The first block is in the way of the tables, the second one is not.
        grow(&sim, &sim.file_beside(), 2 << 20).unwrap();
        oracle.resize(2 << 20, 0);
        assert!(read(&open(&sim, Kind::Dynamic, &sim)) == oracle);
        check_tables(&sim);
        let entries = Image::on(sim.clone()).unwrap().bat().unwrap().entries()[..blocks].to_vec();
        for entry in entries {
            // Where nothing was written there are zeros, for readers that look at no bitmap.
            let rest = usize::try_from(entry).unwrap() * SECTOR + 3 * SECTOR;
            assert!(sim.bytes()[rest..rest + 6 * SECTOR].iter().all(|&byte| byte == 0), "{entry}");
        }
        let (sim, journal) = (SimDisk::file(old.clone()), SimDisk::file(vec![]));
        let image = Image::on(sim.clone()).unwrap();
        let resize = Subject::of(&image).unwrap().grow(2 << 20).unwrap();
        resize.write_journal(&journal).unwrap();
        resize.begin().unwrap();
        resize.stages().into_iter().for_each(|stage| resize.perform(stage).unwrap());
        revert(sim.clone(), &journal, InDoubt::Refuse).unwrap();
        assert!(sim.bytes() == old);
    }
}

/// A resize that must fail before anything is written.
fn check_refused(bytes: Vec<u8>, is_device: bool, size_bytes: u64, errno: i32) {
    let sim = if is_device { SimDisk::device(bytes) } else { SimDisk::file(bytes) };
    let refused = grow(&sim, &sim.file_beside(), size_bytes).map_err(|error| error.errno());
    assert_eq!((refused, sim.log_len()), (Err(errno), 0));
}

#[test]
fn disks_do_not_shrink() {
    for kind in [Kind::Dynamic, Kind::Differencing, Kind::Fixed] {
        check_refused(empty(kind), false, DISK_BYTES - 512, 38);
        check_refused(empty(kind), false, 0, 38);
    }
}

#[test]
fn what_has_no_room_is_refused() {
    check_refused(empty(Kind::Dynamic), true, 2 << 20, 28);
    check_refused(empty(Kind::Fixed), true, DISK_BYTES + 512, 28);
    check_refused(empty(Kind::Dynamic), false, 1 << 50, 27);
    check_refused(empty(Kind::Dynamic), false, u64::MAX, 27);
    check_refused(empty(Kind::Fixed), false, u64::MAX, 22);
}

#[test]
fn damaged_images_are_refused() {
    let refused = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = empty(Kind::Differencing);
        let footer = bytes.split_off(bytes.len() - SECTOR);
        bytes.resize(64 << 10, 0);
        bytes.extend(footer);
        edit(&mut bytes);
        check_refused(bytes, false, 2 << 20, 22);
    };
    let entry = |bytes: &mut Vec<u8>, block: usize, entry: u32| {
        bytes[1536 + 4 * block..][..4].copy_from_slice(&entry.to_be_bytes());
    };
    refused(&|bytes| edit_footers(bytes, |footer| footer.is_poisoned = true));
    refused(&|bytes| edit_footers(bytes, |footer| footer.creator = Creator { app: *b"vpc ", ..Creator::TAP }));
    refused(&|bytes| bytes[0] = 0);
    refused(&|bytes| bytes.truncate(bytes.len() - 1));
    refused(&|bytes| bytes.truncate(bytes.len() - 512));
    refused(&|bytes| entry(bytes, 0, 0));
    refused(&|bytes| entry(bytes, 0, 8));
    refused(&|bytes| entry(bytes, 0, 1 << 20));
    refused(&|bytes| (0..2).for_each(|block| entry(bytes, block, 16)));
    refused(&|bytes| (0..2u32).for_each(|block| entry(bytes, block as usize, 16 + block)));
    refused(&|bytes| bytes[2048 + 24] ^= 1);
    refused(&|bytes| edit_header(bytes, |header| header.locators[0].offset = 1536));
    refused(&|bytes| edit_header(bytes, |header| header.locators[0].offset = 1 << 40));
    refused(&|bytes| edit_header(bytes, |header| header.locators[0].space = vhd::locator::DataSpace(513)));
    refused(&|bytes| edit_header(bytes, |header| header.locators[1].offset = header.locators[0].offset));
    refused(&|bytes| edit_header(bytes, |header| header.table_offset = 512));
}

#[test]
fn a_failed_resize_is_taken_back() {
    for kind in [Kind::Dynamic, Kind::Differencing, Kind::Fixed] {
        for events in 0.. {
            let (sim, parent) = (SimDisk::file(empty(kind)), parent());
            open(&sim, kind, &parent).write_at(0, &[1; DISK_SECTORS * SECTOR]).unwrap();
            let (old, journal) = (sim.bytes(), sim.file_beside());
            sim.fail_in(events);
            let Err(error) = grow(&sim, &journal, 8 << 20) else {
                assert!(events > 10);
                break;
            };
            assert_eq!(error.errno(), 28);
            revert(sim.clone(), &journal, InDoubt::Refuse).unwrap();
            assert!(sim.bytes() == old, "{kind:?} after {events} events");
            assert_eq!(revert(sim.clone(), &journal, InDoubt::Refuse).unwrap(), Reverted::WasWhole);
            assert!(sim.bytes() == old && sim.len_bytes() == old.len() as u64);
        }
    }
}
