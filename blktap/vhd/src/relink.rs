//! Giving a child another parent. The paths are written over the old ones, where libvhd's daemon, which may hold the
//! image open, never puts blocks; the header changes in three writes, so that after a crash it names old paths with the
//! old identity, or new ones with the new. Each of the three is two sectors under one checksum, of which the format keeps
//! no copy: a power cut that lets only one of them through leaves a header that cannot be read.

use std::path::Path;

use rustix::io::Errno;

use crate::bat::{Bat, UNUSED};
use crate::batmap::BatmapHeader;
use crate::edit;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::FOOTER_BYTES;
use crate::header::{HEADER_BYTES, Header, LOCATOR_SLOTS, RawHeader};
use crate::image::Image;
use crate::locator::Locator;
use crate::medium::Medium;
use crate::parent_link::ParentLink;
use crate::plan::Step;
use crate::snapshot::Base;
use crate::units::{Extent, SECTOR_BYTES, in_memory, sum};

/// An error where the image has no parent that could be another.
pub fn check<M: Medium>(image: &Image<M>) -> Result<()> {
    if image.has_parent() {
        return Ok(());
    }
    let message = format!("`{}` has no parent that could be another", image.file().path().display());
    Err(Error::new(ErrorKind::InvalidInput, message))
}

/// How far to go, for tests of what an interruption leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The paths are written; the header that has all of them is not.
    Paths,
    /// Everything is done.
    End,
}

/// Makes `base` the parent of the image. Its data is not looked at: it must be what the old parent's was.
pub fn relink(image: &Image, base: &Base, until: Until) -> Result<()> {
    let child: &Path = image.file().path();
    if base.has_in_chain(child)? {
        let message = format!("`{}` would be its own parent", child.display());
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    apply(image, &base.link(child)?, until)
}

/// Makes `link` the link of an image that has a parent.
pub fn apply<M: Medium>(image: &Image<M>, link: &ParentLink, until: Until) -> Result<()> {
    check(image)?;
    let mut steps = plan(image, link)?;
    if until == Until::Paths {
        steps.pop();
    }
    edit::perform(image, steps)
}

/// A slot with its new path.
struct Slot {
    index: usize,
    locator: Locator,
    path: Step,
}

fn plan<M: Medium>(image: &Image<M>, link: &ParentLink) -> Result<Vec<Step>> {
    let old = image.header()?;
    let slots = slots(image, link)?;
    let (last, first) = slots.split_last().ok_or_else(|| {
        Error::corrupt(format!("`{}` has no parent locator that could be written", image.file().path().display()))
    })?;
    let new =
        Header { parent_uuid: link.uuid, parent_timestamp: link.timestamp, parent_name: link.name, ..old.clone() };
    let header = |fields: &Header, kept: &[(usize, Locator)]| {
        let mut locators = [Locator::default(); LOCATOR_SLOTS];
        for &(index, locator) in kept {
            locators[index] = locator;
        }
        let raw = RawHeader::from(&Header { locators, ..fields.clone() });
        Step::Write { what: "header", offset: image.footer().data_offset, bytes: raw.bytes().to_vec() }
    };
    let now = |slots: &[Slot]| slots.iter().map(|slot| (slot.index, slot.locator)).collect::<Vec<_>>();
    let mut steps = Vec::new();
    if !first.is_empty() {
        steps.extend([header(old, &[(last.index, old.locators[last.index])]), Step::Barrier]);
        steps.extend(first.iter().map(|slot| slot.path.clone()));
        steps.extend([Step::Barrier, header(&new, &now(first)), Step::Barrier]);
    }
    steps.extend([last.path.clone(), Step::Barrier, header(&new, &now(&slots))]);
    Ok(steps)
}

/// The slots that have an encoding of ours, each with its new path in the room that it has.
fn slots<M: Medium>(image: &Image<M>, link: &ParentLink) -> Result<Vec<Slot>> {
    let header = image.header()?;
    let (mut slots, tables, mut end) = (Vec::new(), tables(image, header)?, FOOTER_BYTES as u64);
    let end_of_room = image.primary_offset().unwrap_or(image.file().len_bytes());
    let limit = image.bat()?.entries().iter().filter(|&&entry| entry != UNUSED).min().copied();
    let limit = limit.map_or(u64::MAX, |entry| u64::from(entry) * SECTOR_BYTES).min(end_of_room);
    let encoded = link.encoded()?;
    let mut used: Vec<_> = header.locators.iter().enumerate().filter(|(_, locator)| locator.is_used()).collect();
    used.sort_by_key(|(_, locator)| locator.offset);
    for (index, &locator) in used {
        let Some((_, bytes)) = encoded.iter().find(|(code, _)| *code == locator.code) else { continue };
        let room_bytes = locator.space.bytes()?;
        // Hostile images: a path must not go over tables, blocks or another path.
        let room_end = sum("parent locator", &[locator.offset, room_bytes])?;
        let room = Extent { offset: locator.offset, len_bytes: room_bytes };
        let is_free = locator.offset >= end && room_end <= limit && !tables.iter().any(|table| room.overlaps(*table));
        if !is_free || !locator.offset.is_multiple_of(SECTOR_BYTES) {
            let place = locator.offset;
            return Err(Error::corrupt(format!("room of parent locator {index} at {place} lies over something else")));
        }
        end = room_end;
        let len_bytes = u32::try_from(bytes.len()).ok().filter(|&len| u64::from(len) <= room_bytes);
        let len_bytes = len_bytes.ok_or_else(|| {
            let message = format!("path to the parent takes {} bytes, there is room for {room_bytes}", bytes.len());
            Error::new(ErrorKind::InvalidInput, message).with_errno(Errno::NAMETOOLONG)
        })?;
        let mut bytes = bytes.clone();
        let padded_bytes = u64::from(len_bytes).next_multiple_of(SECTOR_BYTES).min(room_bytes);
        bytes.resize(in_memory("parent locator", padded_bytes)?, 0);
        let path = Step::Write { what: "parent locator", offset: locator.offset, bytes };
        slots.push(Slot { index, locator: Locator { len_bytes, ..locator }, path });
    }
    slots.sort_by_key(|slot| slot.index);
    Ok(slots)
}

fn tables<M: Medium>(image: &Image<M>, header: &Header) -> Result<Vec<Extent>> {
    let mut tables =
        vec![Extent { offset: image.footer().data_offset, len_bytes: HEADER_BYTES as u64 }, Bat::room(header)?];
    if let Some(batmap) = image.batmap()? {
        tables.extend([Bat::room(header).and_then(BatmapHeader::extent)?, batmap.header().map_room()]);
    }
    Ok(tables)
}
