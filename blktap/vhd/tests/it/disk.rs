//! Reading and writing disks: what is refused, and what never happens to whom. The proof against crashes is `disk_crash`.

use vhd::{Disk, Image};

use crate::sample::{BASE_UUID, dynamic, edit_footers, edit_header};
use crate::sim_disk::SimDisk;
use crate::small::{BLOCK_SECTORS, BLOCKS, DISK_SECTORS, Kind, Place, SECTOR, empty, open, parent, place, read, start};
use crate::sparse_disk::SparseDisk;

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
fn zeroing_and_discarding_come_in_parts_that_end_with_a_block() {
    const MIB: u64 = 1 << 20;
    let mut disk = Disk::of(Image::on(SparseDisk::file(&dynamic(256))).unwrap(), vec![], None).unwrap();
    for block in 0..128 {
        disk.write_at(block * 2 * MIB + 512, &[1; SECTOR]).unwrap();
    }
    let used = |disk: &Disk<SparseDisk>| disk.images().next().unwrap().bat().unwrap().allocated_blocks();
    assert_eq!(disk.discard_part(MIB, 255 * MIB).unwrap(), 63 * MIB);
    assert_eq!(used(&disk), 128 - 31);
    assert_eq!(disk.write_zeroes_part(64 * MIB, 192 * MIB).unwrap(), 64 * MIB);
    assert_eq!(used(&disk), 128 - 31 - 32);
    disk.write_zeroes(0, 256 * MIB).unwrap();
    assert_eq!((used(&disk), disk.discard_part(0, 0).unwrap()), (0, 0));
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
fn what_a_write_without_space_left_behind_is_nobodys() {
    // As far as the block's data, and as far as its bitmap, of a file that grows or has grown ahead.
    for (ahead, is_first) in [(None, true), (None, false), (Some(2), true), (Some(2), false)] {
        for events in 0..6 {
            let (sim, parent) = (place(empty(Kind::Dynamic), Place::File), parent());
            let mut disk = open(&sim, Kind::Dynamic, &parent);
            if let Some(blocks) = ahead {
                disk.write_back(blocks * (BLOCK_SECTORS * SECTOR) as u64).unwrap();
            }
            if !is_first {
                disk.write_at(40 * 512, &[1; SECTOR]).unwrap();
            }
            sim.fail_in(events);
            let Err(error) = disk.write_at(0, &[2; BLOCK_SECTORS * SECTOR]) else { continue };
            if error.errno() == 5 {
                continue;
            }
            let found = read(&disk);
            disk.write_at(11 * 512, &[3; SECTOR]).unwrap();
            let expected: Vec<u8> = (0..).zip(found).map(|(at, value)| if at == 11 { 3 } else { value }).collect();
            assert_eq!(read(&disk), expected, "{ahead:?} {is_first} {events}");
            disk.flush().unwrap();
            assert_eq!(read(&open(&sim, Kind::Dynamic, &parent)), expected, "{ahead:?} {is_first} {events}");
        }
    }
}

#[test]
fn a_place_that_a_killed_writer_freed_waits_for_a_sync() {
    let (sim, parent) = (place(empty(Kind::Dynamic), Place::File), parent());
    let block = |index: u64| index * (BLOCK_SECTORS * SECTOR) as u64;
    let entries = || Image::on(sim.clone()).unwrap().bat().unwrap().entries().to_vec();
    let mut disk = open(&sim, Kind::Dynamic, &parent);
    disk.write_many(&[(block(0), &[1; SECTOR]), (block(1), &[1; SECTOR])]).unwrap();
    disk.flush().unwrap();
    let freed = entries()[0];
    disk.discard(block(0), block(1)).unwrap();
    let mut disk = open(&sim, Kind::Dynamic, &parent);
    disk.write_at(block(3), &[2; SECTOR]).unwrap();
    assert!(!entries().contains(&freed));
    disk.flush().unwrap();
    disk.write_at(block(4), &[2; SECTOR]).unwrap();
    assert_eq!(entries()[4], freed);
}

#[test]
fn holes_of_writes_without_space_are_not_taken_for_durable_ones() {
    let (sim, parent) = (place(empty(Kind::Dynamic), Place::File), parent());
    let block = |index: u64| index * (BLOCK_SECTORS * SECTOR) as u64;
    let mut disk = open(&sim, Kind::Dynamic, &parent);
    disk.write_back(block(2)).unwrap();
    disk.write_at(block(0), &[1; BLOCK_SECTORS * SECTOR]).unwrap();
    disk.flush().unwrap();
    disk.discard(block(0), block(1)).unwrap();
    disk.flush().unwrap();
    // The first one leaves data at the free place, the second one a hole, which a crash may take away again.
    for (offset, len) in [(block(1), 4 * SECTOR), (block(2) + 6 * 512, SECTOR)] {
        sim.fail_in(1);
        assert_eq!(disk.write_at(offset, &vec![2; len]).unwrap_err().errno(), 28);
    }
    disk.write_at(block(3) + 7 * 512, &[3; SECTOR]).unwrap();
    let mut random = 1u32;
    for _ in 0..256 {
        let coin = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random >> 31 == 0
        };
        let found = read(&open(&sim.crashed(sim.log_len(), coin), Kind::Dynamic, &parent));
        assert_eq!(found[..4 * BLOCK_SECTORS - 1], [0; 4 * BLOCK_SECTORS - 1]);
    }
}

/// With this failure after so many steps of a write and a flush; what came of them, and the disk.
fn fail(kind: Kind, events: usize, errno: i32) -> (vhd::Result<()>, SimDisk, Disk<SimDisk>, SimDisk) {
    let (sim, parent) = (place(empty(kind), Place::File), parent());
    open(&sim, kind, &parent).write_at(20 * 512, &[1; SECTOR]).unwrap();
    let mut disk = open(&sim, kind, &parent);
    sim.fail_in_with(events, errno);
    // Two stretches of new blocks around the one that is there.
    let done = disk.write_at(0, &[2; DISK_SECTORS * SECTOR]).and_then(|()| disk.flush());
    (done, sim, disk, parent)
}

#[test]
fn after_a_failure_nothing_is_written_until_the_image_is_opened_again() {
    for kind in [Kind::Dynamic, Kind::Differencing, Kind::Fixed] {
        for events in 0.. {
            let (done, sim, mut disk, parent) = fail(kind, events, 5);
            let Err(error) = done else { break };
            assert_eq!(error.errno(), 5);
            let log_len = sim.log_len();
            assert_eq!(disk.write_at(0, &[3; SECTOR]).unwrap_err().errno(), 5);
            assert_eq!(disk.write_zeroes(0, 512).unwrap_err().errno(), 5);
            assert_eq!(disk.flush().unwrap_err().errno(), 5);
            assert_eq!(sim.log_len(), log_len);
            let read_on = read(&disk);
            assert!(read_on.iter().zip(start(kind)).all(|(&found, old)| [old, 1, 2].contains(&found)));
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
fn want_of_space_ends_nothing_unless_a_sync_finds_it() {
    for (errno, turn) in [(28, 0), (28, 1), (122, 0), (27, 1)] {
        for kind in [Kind::Dynamic, Kind::Differencing, Kind::Fixed] {
            let mut ends = 0;
            for events in 0.. {
                let (done, sim, mut disk, parent) = fail(kind, events, errno);
                let Err(error) = done else { break };
                if error.errno() == 5 {
                    ends += 1;
                    assert_eq!(disk.write_at(0, &[3; SECTOR]).unwrap_err().errno(), 5);
                    continue;
                }
                assert_eq!(error.errno(), errno);
                if events % 2 == turn {
                    // Another block than that whose entry the disk may have is the next.
                    disk.write_at(44 * 512, &[4; SECTOR]).unwrap();
                    disk.flush().unwrap();
                    assert_eq!(read(&disk), read(&open(&sim, kind, &parent)), "{kind:?} {events}");
                }
                // Whether it was killed after that or not.
                disk.write_at(0, &[5; BLOCK_SECTORS * SECTOR]).unwrap();
                assert_eq!(read(&open(&sim, kind, &parent))[..BLOCK_SECTORS], [5; BLOCK_SECTORS], "{kind:?} {events}");
                disk.write_at(0, &[3; DISK_SECTORS * SECTOR]).unwrap();
                assert_eq!(read(&open(&sim, kind, &parent)), [3; DISK_SECTORS], "{kind:?} {events}");
                disk.flush().unwrap();
                assert_eq!(read(&disk), [3; DISK_SECTORS]);
            }
            // Of a file that grows: the footer's, the data's, the flush.
            assert_eq!(ends, if matches!(kind, Kind::Fixed) { 1 } else { 3 }, "{kind:?}");
        }
    }
}

#[test]
fn where_only_a_sync_finds_want_of_space_every_write_is_synced() {
    for kind in [Kind::Dynamic, Kind::Differencing, Kind::Fixed] {
        let (sim, parent) = (SimDisk::unsure_file(empty(kind)), parent());
        let mut disk = open(&sim, kind, &parent);
        let mut check = |first: usize, sectors: usize, value: u8| {
            disk.write_at((first * SECTOR) as u64, &vec![value; sectors * SECTOR]).unwrap();
            let crashed = read(&open(&sim.crashed(sim.log_len(), || false), kind, &parent));
            assert_eq!(crashed[first..][..sectors], vec![value; sectors], "{kind:?}");
        };
        // New blocks, and one that is written over.
        check(0, DISK_SECTORS, 1);
        check(2, 3, 2);
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
