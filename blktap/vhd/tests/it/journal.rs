//! Journals that are hostile, of libvhd, or half written.

use proptest::prelude::*;
use vhd::resize::Subject;
use vhd::revert::{InDoubt, Reverted, revert};
use vhd::{Disk, Image, Medium};

use crate::sample::edit_footers;
use crate::sim_disk::SimDisk;
use crate::small::{DISK_SECTORS, Kind, SECTOR, empty, open, parent};

/// Where the entries of a child's journal begin.
const FOOTER: usize = 512;
const FOOTER_COPY: usize = 1056;
const HEADER: usize = 1600;
const LOCATOR: usize = 2656;
const BAT: usize = 4288;
const BATMAP_HEADER: usize = 4832;
const BATMAP: usize = 5376;
const DATA: usize = 5920;
const ENTRY: usize = 32;
/// Where our mark stands, which libvhd does not have.
const STRICT: usize = 64;

/// An image before a resize, in the middle of it, and the journal.
struct Interrupted {
    before: Vec<u8>,
    image: Vec<u8>,
    journal: Vec<u8>,
}

fn interrupted(kind: Kind) -> Interrupted {
    let sim = SimDisk::file(empty(kind));
    open(&sim, kind, &parent()).write_at(0, &[1; DISK_SECTORS * SECTOR]).unwrap();
    let (before, journal) = (sim.bytes(), SimDisk::file(vec![]));
    let image = Image::on(sim.clone()).unwrap();
    let resize = Subject::of(&image).unwrap().grow(8 << 20).unwrap();
    resize.write_journal(&journal).unwrap();
    resize.begin().unwrap();
    for stage in resize.stages() {
        resize.perform(stage).unwrap();
    }
    Interrupted { before, image: sim.bytes(), journal: journal.bytes() }
}

/// Reverts with a journal that was changed. A refusal leaves the image alone.
fn check(story: &Interrupted, change: impl FnOnce(&mut Vec<u8>), expected: Result<Reverted, i32>) {
    let mut journal = story.journal.clone();
    change(&mut journal);
    let image = SimDisk::file(story.image.clone());
    let found = revert(image.clone(), &SimDisk::file(journal), InDoubt::Refuse).map_err(|error| error.errno());
    assert_eq!(found, expected);
    match found {
        Err(_) => assert_eq!(image.log_len(), 0, "written to before it was refused"),
        Ok(_) => assert!(image.bytes() == story.before),
    }
}

/// Makes the checksum of an entry right.
fn sum(journal: &mut [u8], entry: usize) {
    let len = u32::from_be_bytes(journal[entry + 12..][..4].try_into().unwrap());
    journal[entry + 24..][..4].fill(0);
    let end = (entry + ENTRY + usize::try_from(len).unwrap()).min(journal.len());
    let sum = journal[entry..end].iter().fold(0u32, |sum, &byte| sum.wrapping_add(byte.into()));
    journal[entry + 24..][..4].copy_from_slice(&(!sum).to_be_bytes());
}

/// Bytes, at this place of an entry's header or of what follows it, with a right checksum.
fn put(entry: usize, at: usize, bytes: &[u8]) -> impl FnOnce(&mut Vec<u8>) {
    let bytes = bytes.to_vec();
    move |journal| {
        journal[entry + at..][..bytes.len()].copy_from_slice(&bytes);
        sum(journal, entry);
    }
}

#[test]
fn an_interrupted_resize_is_taken_back() {
    for kind in [Kind::Dynamic, Kind::Differencing, Kind::Fixed] {
        check(&interrupted(kind), |_| (), Ok(Reverted::Restored));
    }
}

#[test]
fn headers_that_cannot_be_are_refused() {
    let story = interrupted(Kind::Differencing);
    let refused = |at: usize, bytes: &[u8]| {
        check(&story, |journal| journal[at..][..bytes.len()].copy_from_slice(bytes), Err(22));
    };
    refused(0, b"x");
    refused(8, &[9; 16]);
    for offset in [0u64, 1, 512, u64::MAX - 511, u64::MAX] {
        refused(24, &offset.to_be_bytes());
    }
    for at in [32, 36] {
        for entries in [0u32, 7, 100, 1 << 16, u32::MAX] {
            refused(at, &entries.to_be_bytes());
        }
    }
    for at in [40, 48] {
        for offset in [0u64, 511, 1 << 40, u64::MAX] {
            refused(at, &offset.to_be_bytes());
        }
    }
    // Empty, as libvhd's is when all is done, and ours never is while the image is marked.
    refused(32, &[0; 24]);
    refused(56, &[0; 8]);
    refused(56, &[0xff; 8]);
}

#[test]
fn entries_that_cannot_be_are_refused() {
    let story = interrupted(Kind::Differencing);
    let refused = |entry: usize, at: usize, bytes: &[u8]| check(&story, put(entry, at, bytes), Err(22));
    for entry in [FOOTER, FOOTER_COPY, HEADER, LOCATOR, BAT, BATMAP_HEADER, BATMAP, DATA] {
        refused(entry, 0, &[0]);
        for kind in [0u32, 9, u32::MAX] {
            refused(entry, 8, &kind.to_be_bytes());
        }
        for len in [0u32, 511, 1 << 20, u32::MAX - 511, u32::MAX] {
            refused(entry, 12, &len.to_be_bytes());
        }
        for offset in [0u64, 1, 512, 1 << 40, u64::MAX - 511, u64::MAX] {
            if (entry, offset) != (FOOTER_COPY, 0) && (entry, offset) != (HEADER, 512) {
                refused(entry, 16, &offset.to_be_bytes());
            }
        }
        check(&story, |journal| journal[entry + ENTRY + 100] ^= 1, Err(22));
        check(&story, |journal| journal[entry + 24] ^= 1, Err(22));
    }
}

#[test]
fn pieces_that_cannot_be_are_refused() {
    let story = interrupted(Kind::Differencing);
    let refused = |entry: usize, at: usize, bytes: &[u8]| check(&story, put(entry, ENTRY + at, bytes), Err(22));
    refused(FOOTER, 0, b"x");
    refused(FOOTER_COPY, 0, b"x");
    refused(HEADER, 0, b"x");
    refused(BATMAP_HEADER, 0, b"x");
    refused(BATMAP_HEADER, 24, &[1]);
    refused(BATMAP, 1, &[1]);
    // A footer that is right, and of another disk, or marked; blocks that are not in the image.
    let foreign = |edit: &dyn Fn(&mut vhd::footer::Footer)| {
        let change = |journal: &mut Vec<u8>| {
            edit_footers(&mut journal[FOOTER + ENTRY..][..512], edit);
            sum(journal, FOOTER);
        };
        check(&story, change, Err(22));
    };
    foreign(&|footer| footer.uuid = uuid::Uuid::from_u128(9));
    foreign(&|footer| footer.is_poisoned = true);
    foreign(&|footer| footer.kind = vhd::footer::DiskKind::Other(7));
    foreign(&|footer| footer.kind = vhd::footer::DiskKind::Dynamic);
    foreign(&|footer| footer.kind = vhd::footer::DiskKind::Fixed);
    foreign(&|footer| footer.current_bytes = u64::MAX);
    foreign(&|footer| footer.data_offset = u64::MAX - 511);
    let header = |edit: &dyn Fn(&mut vhd::header::Header)| {
        let change = |journal: &mut Vec<u8>| {
            let raw = vhd::header::RawHeader::from_prefix(&journal[HEADER + ENTRY..]);
            let mut header = vhd::header::Header::try_from(&raw).unwrap();
            edit(&mut header);
            let raw = vhd::header::RawHeader::from(&header);
            journal[HEADER + ENTRY..][..1024].copy_from_slice(raw.bytes());
            sum(journal, HEADER);
        };
        check(&story, change, Err(22));
    };
    header(&|header| header.max_bat_entries = u32::MAX);
    header(&|header| header.max_bat_entries = 1);
    header(&|header| header.table_offset = 1 << 40);
    header(&|header| header.locators[0] = Default::default());
    header(&|header| header.locators[3] = header.locators[2]);
    header(&|header| header.locators[0].offset = u64::MAX - 511);
}

#[test]
fn a_journal_that_ends_early_is_refused() {
    let story = interrupted(Kind::Differencing);
    for len in (0..story.journal.len()).step_by(100).chain([511, 512, 513, DATA, story.journal.len() - 1]) {
        check(&story, |journal| journal.truncate(len), Err(22));
    }
}

#[test]
fn a_journal_of_another_image_or_another_time_is_refused() {
    let story = interrupted(Kind::Differencing);
    let refused = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut image = story.image.clone();
        edit(&mut image);
        check(&Interrupted { image, before: vec![], journal: story.journal.clone() }, |_| (), Err(22));
    };
    refused(&|image| edit_footers(image, |footer| footer.uuid = uuid::Uuid::from_u128(9)));
    // Marked by another resize, when the disk had another size.
    refused(&|image| edit_footers(image, |footer| footer.current_bytes += 512));
    refused(&|image| image.truncate(2048));
    refused(&|image| *image = vec![]);
    check(&Interrupted { image: empty(Kind::Fixed), ..interrupted(Kind::Differencing) }, |_| (), Err(22));
}

#[test]
fn a_journal_that_was_not_finished_leaves_the_image_alone() {
    let story = interrupted(Kind::Dynamic);
    let empty_journal = |journal: &mut Vec<u8>| {
        journal[32..56].fill(0);
        journal.truncate(512);
    };
    check(&story, empty_journal, Err(22));
    let unmarked =
        || Interrupted { image: story.before.clone(), before: story.before.clone(), ..interrupted(Kind::Dynamic) };
    check(&unmarked(), Vec::clear, Ok(Reverted::WasWhole));
    check(&unmarked(), empty_journal, Ok(Reverted::WasWhole));
    check(&unmarked(), |_| (), Ok(Reverted::WasWhole));
    check(&unmarked(), |journal| journal[..512].fill(0), Err(22));
    // libvhd can be killed while it reverts, so half a journal of it says nothing.
    check(&unmarked(), |journal| journal[STRICT..][..8].fill(0), Ok(Reverted::WasWhole));
    let half = |journal: &mut Vec<u8>| {
        journal[STRICT..][..8].fill(0);
        journal.truncate(DATA);
    };
    check(&unmarked(), half, Err(22));
    check(&unmarked(), |journal| journal.truncate(DATA), Ok(Reverted::WasWhole));
}

#[test]
fn an_image_that_libvhd_reverted_by_half_is_told_from_one_that_was_used() {
    // libvhd makes the footers good first.
    let story = interrupted(Kind::Dynamic);
    let half = |range: std::ops::Range<usize>| {
        let mut image = story.before.clone();
        image[range.clone()].copy_from_slice(&story.image[range]);
        Interrupted { image, before: story.before.clone(), journal: story.journal.clone() }
    };
    check(&half(512..1536), |_| (), Ok(Reverted::Restored));
    check(&half(1536..2048), |_| (), Ok(Reverted::Restored));
    // A bitmap and data, which a guest could have written too.
    check(&half(3584..8192), |_| (), Err(22));
    check(&half(3584..8192), |journal| journal[STRICT..][..8].fill(0), Ok(Reverted::Restored));
    let (image, journal) = (SimDisk::file(half(3584..8192).image), SimDisk::file(story.journal.clone()));
    assert_eq!(revert(image.clone(), &journal, InDoubt::Restore).unwrap(), Reverted::Restored);
    assert!(image.bytes() == story.before);
}

#[test]
fn libvhds_last_step_is_done_for_it() {
    // It empties the journal, then makes the footers good.
    let story = interrupted(Kind::Dynamic);
    let mut image = story.image.clone();
    edit_footers(&mut image, |footer| footer.current_bytes = 8 << 20);
    let sim = SimDisk::file(image);
    let mut journal = story.journal[..512].to_vec();
    journal[32..56].fill(0);
    journal[STRICT..][..8].fill(0);
    assert_eq!(revert(sim.clone(), &SimDisk::file(journal.clone()), InDoubt::Refuse).unwrap(), Reverted::WasWhole);
    let mut bytes = vec![9; DISK_SECTORS * SECTOR];
    open(&sim, Kind::Dynamic, &sim).read_at(0, &mut bytes).unwrap();
    assert!(bytes == [1; DISK_SECTORS * SECTOR] && sim.bytes()[..512] == sim.bytes()[sim.bytes().len() - 512..]);
    // Between its two footers.
    let mut bytes = sim.bytes();
    edit_footers(&mut bytes[..512], |footer| footer.is_poisoned = true);
    let sim = SimDisk::file(bytes);
    assert_eq!(revert(sim.clone(), &SimDisk::file(journal), InDoubt::Refuse).unwrap(), Reverted::WasWhole);
    assert_eq!(sim.bytes()[..512], sim.bytes()[sim.bytes().len() - 512..]);
}

/// A file as `golden/` has it: its length, then runs of bytes, in hexadecimal or as `byte * count`; the rest is zero.
fn golden(text: &str) -> Vec<u8> {
    let mut lines = text.lines().map(|line| line.split_once(' ').unwrap());
    let mut bytes = vec![0; lines.next().unwrap().1.parse().unwrap()];
    for (at, run) in lines {
        let hex = |text: &str| u8::from_str_radix(text, 16).unwrap();
        let run = match run.split_once(" * ") {
            Some((byte, count)) => vec![hex(byte); count.parse().unwrap()],
            None => (0..run.len()).step_by(2).map(|digit| hex(&run[digit..digit + 2])).collect(),
        };
        bytes[at.parse::<usize>().unwrap()..][..run.len()].copy_from_slice(&run);
    }
    bytes
}

/// What blktap's tool left behind when `VHD_UTIL_TEST_FAIL_RESIZE_END` stopped it is as before, but for the gap between
/// metadata and blocks, which holds nothing.
fn check_golden(before: &str, interrupted: &str, journal: &str, gap: std::ops::Range<usize>) {
    let (mut before, sim) = (golden(before), SimDisk::file(golden(interrupted)));
    assert!(Disk::of(Image::on(sim.clone()).unwrap(), vec![], None).is_err(), "it is marked");
    assert_eq!(revert(sim.clone(), &SimDisk::file(golden(journal)), InDoubt::Refuse).unwrap(), Reverted::Restored);
    let mut found = sim.bytes();
    for bytes in [&mut before, &mut found] {
        bytes[gap.clone()].fill(0);
    }
    assert_eq!(found.len(), before.len());
    let differs = found.iter().zip(&before).position(|(found, before)| found != before);
    assert_eq!(differs, None);
}

#[test]
fn journals_of_libvhd_are_reverted() {
    let (before, interrupted) = (include_str!("golden/child.before"), include_str!("golden/child.interrupted"));
    check_golden(before, interrupted, include_str!("golden/child.journal"), 4608..7680);
}

#[test]
fn journals_of_libvhd_that_it_cannot_read_itself_are_reverted() {
    let before = include_str!("golden/preallocated.before");
    let interrupted = include_str!("golden/preallocated.interrupted");
    check_golden(before, interrupted, include_str!("golden/preallocated.journal"), 4608..7680);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn damaged_journals_do_no_harm(
        kind in crate::small::kinds(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        is_summed: bool,
    ) {
        let story = interrupted(kind);
        let (image, mut journal) = (SimDisk::file(story.image), story.journal);
        for (at, byte) in damages {
            let at = at.index(journal.len());
            journal[at] = byte;
        }
        if is_summed {
            for entry in [FOOTER, FOOTER_COPY, HEADER, LOCATOR, BAT, BATMAP_HEADER, BATMAP, DATA] {
                if entry + ENTRY <= journal.len() {
                    sum(&mut journal, entry);
                }
            }
        }
        let len = image.len_bytes();
        match revert(image.clone(), &SimDisk::file(journal), InDoubt::Refuse) {
            Err(error) => {
                prop_assert_eq!(error.errno(), 22);
                prop_assert_eq!(image.log_len(), 0);
            }
            Ok(_) => prop_assert!(image.len_bytes() <= len),
        }
    }
}
