//! A disk of any images, read and written anywhere: what was written is read back, nothing else changes, and the image
//! opens again and reads the same. Input: [`How`], lengths of the leaf and a parent, operations, images.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use vhd::bat::Bat;
use vhd::compact::Compact;
use vhd::map::Place;
use vhd::{Disk, ErrorKind, Image};

use super::input::{How, Range, cut};
use super::sound;
use crate::sparse_disk::SparseDisk;

const SECTOR: usize = 512;
/// Operations that are done.
const MAX_OPS: usize = 24;
/// Disks of so many sectors are compared as a whole, others around what was done.
const MAX_WATCHED: u64 = 1024;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    how: How,
    /// Of leaf and parent. What follows is the last image: the parent's parent, or with `is_raw` a raw file.
    lens: [u16; 2],
    is_raw: bool,
    ops: Vec<Op>,
    images: &'a [u8],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Op {
    kind: u8,
    range: Range,
    value: u8,
}

/// The target.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let images = cut(input.images, &input.lens);
    let mut media: Vec<SparseDisk> = Vec::new();
    for (depth, image) in images.iter().enumerate().filter(|(_, image)| !image.is_empty()) {
        let is_base = input.is_raw && depth == images.len() - 1;
        media.push(if is_base { SparseDisk::file(image) } else { input.how.disk(image) });
    }
    let base = input.is_raw.then(|| if images.last()?.is_empty() { None } else { media.pop() }).flatten();
    let open = || -> vhd::Result<Disk<SparseDisk>> {
        let (leaf, parents) = media.split_first().expect("there is a leaf");
        let parents: vhd::Result<Vec<_>> = parents.iter().map(|medium| Image::on(medium.clone())).collect();
        Disk::of(Image::on(leaf.clone())?, parents?, base.clone())
    };
    if media.is_empty() {
        return;
    }
    let Some(disk) = sound(open()) else { return };
    let mut session = Session { model: Model::of(&disk, &input.ops), disk };
    for op in input.ops.iter().take(MAX_OPS) {
        let is_compacting = op.kind % 8 >= 6;
        if is_compacting {
            compact(&media, base.as_ref(), op.kind % 8 == 6);
        }
        if is_compacting || session.does(*op).is_err() {
            // Here somebody else changed the image, or the medium failed.
            session.disk = open().expect("an image that could be written opens again");
        }
    }
    session.model.check(&session.disk);
    if let Err(error) = session.disk.flush() {
        assert!(is_failed(&error), "{error:?}");
    }
    session.model.check(&open().expect("an image that was written opens again"));
}

/// Gives back blocks of zeros.
fn compact(media: &[SparseDisk], base: Option<&SparseDisk>, moves: bool) {
    let open = |medium: &SparseDisk| Image::on(medium.clone()).expect("an image that could be written opens again");
    let (leaf, parents) = media.split_first().expect("there is a leaf");
    leaf.forget_writes();
    let done = Compact::of(open(leaf), parents.iter().map(open).collect(), base.cloned())
        .and_then(|compact| Ok((compact.find(|_| ())?, compact)))
        .map_err(|error| assert!(leaf.writes() == 0 && ![5, 11].contains(&error.job_errno()), "{error:?}"));
    if let Ok((found, compact)) = done
        && let Err(error) = compact.run(&found, moves, |_| ())
    {
        assert!(is_failed(&error) || error.kind() == ErrorKind::NoSpace, "{error:?}");
    }
}

struct Session {
    disk: Disk<SparseDisk>,
    model: Model,
}

impl Session {
    /// An error when the medium is full, and nothing can be written any more.
    fn does(&mut self, op: Op) -> Result<(), ()> {
        let Session { disk, model } = self;
        let (disk_sectors, block_sectors) = geometry(disk);
        let (first, len) = op.range.sectors(disk_sectors, block_sectors, 64);
        let (large_first, large_len) = op.range.sectors(disk_sectors, block_sectors, 2048);
        let is_inside = first + len <= disk_sectors;
        let large = || (large_first * SECTOR as u64, large_len * SECTOR as u64);
        let done = match op.kind % 8 {
            0 => return read(disk, first, len, op.value),
            1 => return map(disk, large_first, large_len),
            2 => {
                let bytes: Vec<u8> = (first..first + len).flat_map(|sector| content(sector, op.value)).collect();
                let done = disk.write_at(first * SECTOR as u64, &bytes);
                model.note(first, len, &done, |sector, _| Known::Bytes(content(sector, op.value)));
                assert!(is_inside || done.is_err(), "a write past the end");
                done
            }
            3 => {
                let (offset, len_bytes) = large();
                let done = disk.write_zeroes(offset, len_bytes);
                model.note(large_first, large_len, &done, |_, _| Known::Bytes(vec![0; SECTOR]));
                done
            }
            4 => {
                let (offset, len_bytes) = large();
                let done = disk.discard(offset, len_bytes);
                model.note(large_first, large_len, &done, |_, old| match old {
                    Known::Bytes(old) => Known::OrZeros(old.clone()),
                    other => other.clone(),
                });
                done
            }
            _ => disk.flush(),
        };
        match done {
            Err(error) if is_failed(&error) => Err(()),
            Err(error) => {
                // A damaged block is EIO for a guest, and EINVAL for whoever runs a job.
                assert!(![5, 11].contains(&error.job_errno()), "{error:?}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Whether the medium is full, or the image too large for it.
fn is_failed(error: &vhd::Error) -> bool {
    error.kind() == ErrorKind::Io
}

/// Sectors of the disk, and of a block.
fn geometry(disk: &Disk<SparseDisk>) -> (u64, u64) {
    let leaf = disk.images().next().unwrap();
    (disk.size_bytes() / SECTOR as u64, leaf.header().map_or(1, |header| header.block_size.sectors()))
}

/// Where the metadata of the leaf ends; 0 for a fixed disk.
fn metadata_end(disk: &Disk<SparseDisk>) -> Option<u64> {
    let leaf = disk.images().next()?;
    let Ok(header) = leaf.header() else { return Some(0) };
    let batmap = leaf.batmap().ok()?.map_or(0, |batmap| batmap.header().map_room().end("batmap").unwrap_or(u64::MAX));
    let paths = header.locators.iter().filter(|locator| locator.is_used()).map(|locator| locator.end().ok());
    let paths: Option<Vec<u64>> = paths.collect();
    [leaf.footer().data_offset + 1024, Bat::room(header).ok()?.end("BAT").ok()?, batmap].into_iter().chain(paths?).max()
}

fn content(sector: u64, value: u8) -> Vec<u8> {
    let mut bytes = vec![value; SECTOR];
    bytes[..8].copy_from_slice(&sector.to_le_bytes());
    bytes
}

/// Reads at any alignment, as sectors and as one.
fn read(disk: &Disk<SparseDisk>, first: u64, len: u64, shift: u8) -> Result<(), ()> {
    let mut whole = vec![0xee; usize::try_from(len).unwrap() * SECTOR];
    if disk.read_at(first * SECTOR as u64, &mut whole).is_ok() {
        let shift = usize::from(shift).min(whole.len());
        let mut part = vec![0xdd; whole.len() - shift];
        disk.read_at(first * SECTOR as u64 + shift as u64, &mut part).unwrap();
        assert!(part == whole[shift..], "bytes depend on where a read begins");
    }
    Ok(())
}

/// Runs fill the range, and neighbours differ.
fn map(disk: &Disk<SparseDisk>, first: u64, len: u64) -> Result<(), ()> {
    let Ok(runs) = disk.map(first * SECTOR as u64, len * SECTOR as u64) else { return Ok(()) };
    assert_eq!(runs.iter().map(|run| run.len_bytes).sum::<u64>(), len * SECTOR as u64);
    assert!(runs.iter().all(|run| run.len_bytes > 0));
    for pair in runs.windows(2) {
        let is_joined = match (pair[0].place, pair[1].place) {
            (Place::Zero, Place::Zero) => true,
            (Place::Base { offset }, Place::Base { offset: next }) => offset + pair[0].len_bytes == next,
            (Place::Layer { depth, offset }, Place::Layer { depth: below, offset: next }) => {
                depth == below && offset + pair[0].len_bytes == next
            }
            _ => false,
        };
        assert!(!is_joined, "{pair:?}");
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Known {
    /// It cannot be read, or a write of it failed.
    Nothing,
    Bytes(Vec<u8>),
    /// It was discarded.
    OrZeros(Vec<u8>),
}

/// What sectors must hold.
struct Model(BTreeMap<u64, Known>);

impl Model {
    /// The sectors that are watched: all of a small disk, else those around what is going to be done.
    fn of(disk: &Disk<SparseDisk>, ops: &[Op]) -> Self {
        let (disk_sectors, block_sectors) = geometry(disk);
        let mut watched: BTreeSet<u64> = BTreeSet::new();
        if disk_sectors <= MAX_WATCHED {
            watched.extend(0..disk_sectors);
        } else {
            for op in ops.iter().take(MAX_OPS) {
                let unit = if op.kind % 8 == 2 { 64 } else { 2048 };
                let (first, len) = op.range.sectors(disk_sectors, block_sectors, unit);
                for edge in [first, first + len / 2, first + len, first.next_multiple_of(block_sectors)] {
                    watched.extend(edge.saturating_sub(2)..(edge + 2).min(disk_sectors));
                }
            }
        }
        let metadata_end = metadata_end(disk).unwrap_or(u64::MAX);
        let known = watched.into_iter().map(|sector| {
            let mut bytes = vec![0xee; SECTOR];
            let at = sector * SECTOR as u64;
            // Blocks that lie over metadata, which changes, can be read, as libvhd reads them.
            let is_metadata = |place| matches!(place, Place::Layer { depth: 0, offset } if offset < metadata_end);
            let is_known = disk.read_at(at, &mut bytes).is_ok()
                && !disk.map(at, SECTOR as u64).unwrap().iter().any(|run| is_metadata(run.place));
            (sector, if is_known { Known::Bytes(bytes) } else { Known::Nothing })
        });
        Model(known.collect())
    }

    /// What was done to a range, or may be, if it failed.
    fn note(&mut self, first: u64, len: u64, done: &vhd::Result<()>, now: impl Fn(u64, &Known) -> Known) {
        for (&sector, known) in self.0.range_mut(first..first + len) {
            *known = if done.is_ok() { now(sector, known) } else { Known::Nothing };
        }
    }

    fn check(&self, disk: &Disk<SparseDisk>) {
        for (sector, known) in &self.0 {
            let mut found = vec![0xee; SECTOR];
            let read = disk.read_at(sector * SECTOR as u64, &mut found);
            let is_right = match known {
                Known::Nothing => true,
                Known::Bytes(bytes) => read.is_ok() && found == *bytes,
                Known::OrZeros(bytes) => read.is_ok() && (found == *bytes || found.iter().all(|&byte| byte == 0)),
            };
            assert!(is_right, "sector {sector} is {:?} {:?}, not {known:?}", read.err(), &found[..16]);
        }
    }
}
