//! What crashes leave behind while a disk is made larger, and while that is taken back. Image and journal are two disks
//! with one log, so that each crash hits both at the same moment.

use vhd::revert::{InDoubt, Reverted, revert};
use vhd::{Disk, Image, Medium, Result};

use crate::resize::{ROOM, grow};
use crate::sim_disk::SimDisk;
use crate::small::{BLOCK_SECTORS, DISK_SECTORS, Kind, Place, SECTOR, empty, open, parent, place_in};

/// Which sectors arrive that were not synced. A new coin for each disk.
#[derive(Clone, Copy, Debug)]
enum Coin {
    All,
    None,
    Random(u64),
}

impl Coin {
    fn toss(self) -> impl FnMut() -> bool {
        let mut random = if let Coin::Random(seed) = self { seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 } else { 0 };
        move || match self {
            Coin::All => true,
            Coin::None => false,
            Coin::Random(_) => {
                // xorshift
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random & 1 == 0
            }
        }
    }
}

const RANDOMS: u64 = 4;

fn coins() -> impl Iterator<Item = Coin> {
    [Coin::All, Coin::None].into_iter().chain((0..RANDOMS).map(Coin::Random))
}

/// Size of the disk, and what it reads: the old part and some of the new one.
fn read(disk: &Disk<SimDisk>) -> (u64, Vec<u8>) {
    let len = usize::try_from(disk.size_bytes()).unwrap().min(2 * DISK_SECTORS * SECTOR);
    let mut bytes = vec![1; len];
    disk.read_at(0, &mut bytes).unwrap();
    (disk.size_bytes(), bytes)
}

/// An image before and after.
struct Story {
    kind: Kind,
    parent: SimDisk,
    old: Vec<u8>,
    /// Where its data ended: what is behind it on a device is nobody's.
    old_end: usize,
    old_data: (u64, Vec<u8>),
    new_data: (u64, Vec<u8>),
    image: SimDisk,
    journal: SimDisk,
    /// Events before the resize.
    from: usize,
}

impl Story {
    fn new(kind: Kind, at: Place, size_bytes: u64) -> Self {
        let parent = parent();
        let room = if matches!(kind, Kind::Fixed) { usize::try_from(size_bytes).unwrap() } else { ROOM };
        let first = place_in(empty(kind), at, room);
        let mut disk = open(&first, kind, &parent);
        for sector in [0, 1, 2 * BLOCK_SECTORS, DISK_SECTORS - 1] {
            disk.write_at((sector * SECTOR) as u64, &[1 + u8::try_from(sector).unwrap(); SECTOR]).unwrap();
        }
        let old = first.bytes();
        let old_end = match Image::on(first.clone()).unwrap().bat() {
            Ok(bat) => usize::try_from(bat.end_of_data().unwrap()).unwrap(),
            Err(_) => DISK_SECTORS * SECTOR,
        };
        let image = first.crashed(first.log_len(), || true);
        let old_data = read(&open(&image, kind, &parent));
        let (journal, from) = (image.file_beside(), image.log_len());
        grow(&image, &journal, size_bytes).unwrap();
        let new_data = read(&open(&image, kind, &parent));
        Story { kind, parent, old, old_end, old_data, new_data, image, journal, from }
    }

    /// The image has every byte that it had.
    fn is_old(&self, image: &SimDisk) -> bool {
        let (found, footer) = (image.bytes(), self.old.len() - SECTOR);
        match image.target() {
            vhd::plan::Target::File => found == self.old,
            vhd::plan::Target::BlockDevice { .. } => {
                found[..self.old_end] == self.old[..self.old_end] && found[footer..] == self.old[footer..]
            }
        }
    }

    fn is_new(&self, image: &SimDisk) -> bool {
        read(&open(image, self.kind, &self.parent)) == self.new_data
    }

    /// What opens without being reverted is whole.
    fn check_unmarked(&self, image: &SimDisk) {
        if let Ok(disk) = self.try_open(image) {
            let data = read(&disk);
            assert!(data == self.old_data || data == self.new_data, "an image opens, and is neither old nor new");
        }
    }

    fn try_open(&self, image: &SimDisk) -> Result<Disk<SimDisk>> {
        let parents = match self.kind {
            Kind::Differencing => vec![Image::on(self.parent.clone())?],
            _ => vec![],
        };
        Disk::of(Image::on(image.clone())?, parents, None)
    }

    /// After a crash: taken back, or whole; and the same again after a second crash in the middle of that.
    fn check_crash(&self, events: usize, coin: Coin, is_crashing_again: bool) {
        let crashed = || (self.image.crashed(events, coin.toss()), self.journal.crashed(events, coin.toss()));
        let (image, journal) = crashed();
        self.check_unmarked(&image);
        let before = image.log_len();
        match revert(image.clone(), &journal, InDoubt::Refuse) {
            Ok(Reverted::Restored) => assert!(self.is_old(&image), "not as it was"),
            Ok(Reverted::WasWhole) => assert!(self.is_old(&image) || self.is_new(&image), "not whole"),
            Err(error) => panic!("cannot revert: {error:?}"),
        }
        self.check_unmarked(&image);
        if is_crashing_again {
            for events in before..=image.log_len() {
                for coin in coins() {
                    let again = image.crashed(events, coin.toss());
                    self.check_unmarked(&again);
                    revert(again.clone(), &journal, InDoubt::Refuse).unwrap();
                    assert!(self.is_old(&again) || self.is_new(&again), "not as it was after a second crash");
                }
            }
        }
    }
}

fn check(kind: Kind, at: Place, size_bytes: u64) {
    let story = Story::new(kind, at, size_bytes);
    let last = story.image.log_len();
    assert!(story.is_new(&story.image) && last > story.from + 10);
    for events in story.from..=last {
        for coin in coins() {
            story.check_crash(events, coin, matches!(coin, Coin::Random(0)));
        }
    }
}

#[test]
fn a_crash_leaves_the_old_disk_or_the_new_one() {
    for at in [Place::File, Place::Device(0xff)] {
        for kind in [Kind::Dynamic, Kind::Differencing] {
            // One block in the way of the tables, or three.
            check(kind, at, 2 << 20);
            check(kind, at, 16 << 20);
        }
        check(Kind::Fixed, at, 1 << 20);
    }
}

#[test]
fn an_image_that_was_used_since_is_not_taken_back() {
    // A crash before the image was marked, or after it was unmarked: the journal is still there, and the disk in use.
    for events_of_all in [false, true] {
        let story = Story::new(Kind::Dynamic, Place::File, 16 << 20);
        let events = if events_of_all { story.image.log_len() } else { story.from };
        let (image, journal) =
            (story.image.crashed(events, || true), story.journal.crashed(story.image.log_len(), || true));
        open(&image, story.kind, &story.parent).write_at(0, &[0x77; DISK_SECTORS * SECTOR]).unwrap();
        let used = image.bytes();
        assert_eq!(revert(image.clone(), &journal, InDoubt::Refuse).unwrap(), Reverted::WasWhole);
        assert!(image.bytes() == used);
    }
}

#[test]
fn a_footer_that_a_crash_tore_is_taken_back() {
    for (kind, size_bytes) in [(Kind::Dynamic, 4 << 20), (Kind::Fixed, 1 << 20)] {
        for at in [Place::File, Place::Device(1)] {
            let story = Story::new(kind, at, size_bytes);
            for events in story.from..=story.image.log_len() {
                for kept in [4, 56, 256] {
                    let (image, journal) = (story.image.torn(events, kept), story.journal.crashed(events, || true));
                    story.check_unmarked(&image);
                    let at = format!("{kind:?} {at:?}, {kept} bytes after {events} events");
                    let done = revert(image.clone(), &journal, InDoubt::Refuse);
                    assert!(done.is_ok(), "{at}: {done:?}");
                    let data = read(&open(&image, kind, &story.parent));
                    assert!(data == story.old_data || data == story.new_data, "{at}");
                }
            }
        }
    }
}
