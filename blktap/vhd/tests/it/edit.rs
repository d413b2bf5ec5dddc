//! Changes of metadata: what every crash in the middle of one leaves behind.

use std::fs;
use std::path::Path;

use uuid::Uuid;
use vhd::header::Header;
use vhd::parent_name::ParentName;
use vhd::relink::Until;
use vhd::{Disk, Image, ParentLink, Result, Timestamp, edit, relink};

use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers, edit_header};
use crate::sim_disk::SimDisk;

/// Changes an image with one block, and looks at what a crash leaves after each write with any sectors lost, or torn.
fn check(change: impl Fn(&Image<SimDisk>) -> Result<()>, see: impl Fn(&Image<SimDisk>) -> (u64, u64, u64)) {
    let mut image = dynamic(64);
    // There is room for more in the sector of the BAT.
    edit_header(&mut image, |header| header.max_bat_entries = 128);
    let start = SimDisk::file(image);
    Disk::of(Image::on(start.clone()).unwrap(), vec![], None).unwrap().write_at(0, &[5; 512]).unwrap();
    let sim = start.crashed(start.log_len(), || true);
    let old = see(&Image::on(sim.clone()).unwrap());
    change(&Image::on(sim.clone()).unwrap()).unwrap();
    let new = see(&Image::on(sim.clone()).unwrap());
    assert_ne!(old, new);
    let check_crashed = |crashed, events| {
        let found = see(&Image::on(crashed).unwrap());
        assert!(found == old || found == new, "{found:?} after {events} events");
    };
    for events in 0..=sim.log_len() {
        for bits in 0..64u32 {
            let mut at = 0;
            let coin = || {
                at += 1;
                bits >> (at % 6) & 1 == 0
            };
            check_crashed(sim.crashed(events, coin), events);
        }
        // Inside a footer: behind the size of the disk, in front of the checksum.
        for kept in [4, 56, 256] {
            check_crashed(sim.torn(events, kept), events);
        }
    }
}

#[test]
fn a_crash_leaves_old_or_new_flags() {
    let see = |image: &Image<SimDisk>| {
        (image.footer().hidden.into(), image.marker().unwrap().into(), image.bat().unwrap().allocated_blocks() as u64)
    };
    check(|image| edit::set_hidden(image, 1), see);
    check(|image| edit::set_marker(image, 9), see);
    check(edit::kill_data, see);
}

#[test]
fn a_crash_leaves_the_footer_at_the_old_end_or_the_new_one() {
    let see = |image: &Image<SimDisk>| {
        assert_eq!(image.footer().uuid, BASE_UUID);
        (vhd::Medium::len_bytes(image.file()), 0, 0)
    };
    check(|image| edit::set_physical_size(image, 8 << 20), see);
}

#[test]
fn without_space_for_the_footer_the_copy_at_least_is_hidden() {
    let mut image = dynamic(64);
    image.truncate(image.len() - 512);
    for (hidden, expected) in [(1, Ok(())), (0, Err(28))] {
        let sim = SimDisk::file(image.clone());
        sim.fail_in(2);
        let done = edit::set_hidden(&Image::on(sim.clone()).unwrap(), hidden).map_err(|error| error.errno());
        assert_eq!((done, Image::on(sim).unwrap().footer().hidden), (expected, hidden));
    }
}

#[test]
fn blocks_of_an_image_without_bat_are_not_dropped() {
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.creator.app = *b"vpc ");
    edit_header(&mut image, |header| header.table_offset = 1 << 20);
    let sim = SimDisk::file(image);
    let done = edit::kill_data(&Image::on(sim.clone()).unwrap()).map_err(|error| error.errno());
    assert_eq!((done, sim.log_len()), (Err(32), 0));
}

#[test]
fn no_footer_is_put_past_the_end_of_a_device() {
    let sim = SimDisk::device(dynamic(64));
    let done = edit::set_physical_size(&Image::on(sim.clone()).unwrap(), 8 << 20).map_err(|error| error.errno());
    assert_eq!((done, sim.log_len()), (Err(28), 0));
}

#[test]
fn a_disk_does_not_grow_over_what_lies_in_the_room_of_its_bat() {
    let mut image = child("./old.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    edit_footers(&mut image, |footer| footer.creator.app = *b"vpc ");
    // Room for 1536 more bytes than are used, with paths in it.
    edit_header(&mut image, |header| header.max_bat_entries = 512);
    image[1536 + 128..3072].fill(0xff);
    let sim = SimDisk::file(image);
    let grow = |blocks: u64| edit::grow(&Image::on(sim.clone()).unwrap(), blocks << 21).map_err(|error| error.errno());
    let before = sim.log_len();
    assert_eq!((grow(400), sim.log_len()), (Err(22), before));
    assert_eq!(grow(384), Ok(()));
}

#[test]
fn bytes_of_a_batmap_without_meaning_stay() {
    let mut image = dynamic(64);
    // The hash of a key that there is not, and reserved bytes.
    image[2048 + 40] = 7;
    image[2048 + 511] = 8;
    for edit in [|image: &Image<SimDisk>| edit::set_marker(image, 9), edit::kill_data] {
        let sim = SimDisk::file(image.clone());
        edit(&Image::on(sim.clone()).unwrap()).unwrap();
        assert!(sim.bytes()[2048 + 29..2560] == image[2048 + 29..2560]);
    }
}

/// A directory with the parents `old.vhd` and `new/new.vhd`, which read as 1 and 2.
fn parents() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("new")).unwrap();
    for (name, uuid, value) in [("old.vhd", BASE_UUID, 1), ("new/new.vhd", Uuid::from_u128(77), 2)] {
        let path = directory.path().join(name);
        let mut image = dynamic(64);
        edit_footers(&mut image, |footer| footer.uuid = uuid);
        fs::write(&path, image).unwrap();
        Disk::open_rw(&path).unwrap().write_at(0, &[value; 512]).unwrap();
    }
    directory
}

fn link() -> ParentLink {
    ParentLink {
        uuid: Uuid::from_u128(77),
        timestamp: Timestamp(1),
        name: ParentName::encode("new.vhd").unwrap(),
        path: "./new/new.vhd".into(),
        key_hash: None,
    }
}

fn sector(directory: &Path, image: &SimDisk) -> u8 {
    let path = directory.join("child.vhd");
    fs::write(&path, image.bytes()).unwrap();
    let mut bytes = [9; 512];
    Disk::open(&path).unwrap().read_at(0, &mut bytes).unwrap();
    bytes[0]
}

#[test]
fn a_crash_while_relinking_leaves_the_old_parent_or_the_new_one() {
    let directory = parents();
    for codes in [&LIBVHD_CODES[..], &LIBVHD_CODES[1..]] {
        let sim = SimDisk::file(child("./old.vhd".as_ref(), BASE_UUID, codes));
        relink::apply(&Image::on(sim.clone()).unwrap(), &link(), Until::End).unwrap();
        // Whole writes: a header is two sectors with one checksum, and has no copy that could bridge a torn one.
        let found: Vec<u8> = (0..=sim.log_len())
            .map(|events| {
                let crashed = sim.crashed(events, || true);
                let found = sector(directory.path(), &crashed);
                // And again, from there.
                relink::apply(&Image::on(crashed.clone()).unwrap(), &link(), Until::End).unwrap();
                assert_eq!(sector(directory.path(), &crashed), 2);
                found
            })
            .collect();
        assert!(found.is_sorted() && found[0] == 1 && found[found.len() - 1] == 2, "{found:?}");
    }
}

#[test]
fn a_batmap_behind_the_paths_is_in_nobodys_way() {
    // Where a killed compact leaves it.
    let directory = parents();
    let mut image = child("./old.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    let footer = image.split_off(4608);
    image[2048 + 8..][..8].copy_from_slice(&4608u64.to_be_bytes());
    let sim = SimDisk::file([image, vec![0; 512], footer].concat());
    assert_eq!(Image::on(sim.clone()).unwrap().batmap().unwrap().unwrap().header().map_offset, 4608);
    relink::apply(&Image::on(sim.clone()).unwrap(), &link(), Until::End).unwrap();
    assert_eq!(sector(directory.path(), &sim), 2);
}

#[test]
fn paths_are_not_written_over_anything_else() {
    let refused = |edit: &dyn Fn(&mut Header)| {
        let mut image = child("./old.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
        edit_header(&mut image, edit);
        let sim = SimDisk::file(image);
        let done = relink::apply(&Image::on(sim.clone()).unwrap(), &link(), Until::End);
        assert_eq!((done.map_err(|error| error.errno()), sim.log_len()), (Err(22), 0));
    };
    refused(&|header| header.locators[0].offset = 0);
    refused(&|header| header.locators[0].offset = 1536);
    refused(&|header| header.locators[1].offset = header.locators[0].offset);
    refused(&|header| header.locators[2].offset = u64::MAX - 511);
    refused(&|header| header.locators[2].offset = 1 << 30);
    // The footer.
    refused(&|header| header.locators[2].offset = 4608);
    refused(&|header| header.locators = Default::default());
}

#[test]
fn a_crash_leaves_the_old_size_or_the_new_one() {
    let see = |image: &Image<SimDisk>| (image.footer().current_bytes, 0, 0);
    check(|image| edit::grow(image, 256 << 20), see);
}

/// On NFS, writes through the cache of a host take the rest of their page along, unless each waits for the server.
#[test]
fn what_a_guest_may_be_writing_is_opened_for_synchronous_writes() {
    const O_DSYNC: u32 = 0o10000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vhd");
    fs::write(&path, dynamic(8)).unwrap();
    let open_files = || fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let flags = || -> Vec<u32> {
        let ours = open_files().filter(|link| fs::read_link(link).is_ok_and(|held| held == path));
        let number = ours.map(|link| link.file_name().unwrap().to_owned());
        let text = number.map(|number| fs::read_to_string(Path::new("/proc/self/fdinfo").join(number)).unwrap());
        let flags =
            text.map(|text| text.lines().find_map(|line| line.strip_prefix("flags:").map(str::to_owned)).unwrap());
        flags.map(|flags| u32::from_str_radix(flags.trim(), 8).unwrap()).collect()
    };
    let image = Image::open_live(&path).unwrap();
    assert!(matches!(flags()[..], [flags] if flags & O_DSYNC != 0));
    drop(image);
    let image = Image::open_rw(&path).unwrap();
    assert!(matches!(flags()[..], [flags] if flags & O_DSYNC == 0));
    drop(image);
}
