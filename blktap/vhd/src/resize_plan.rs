//! Planning the growth of a sparse image: which blocks are in the way of its tables, where everything goes, and what a
//! journal must hold to bring it all back. Decides only.

use crate::bat::{Bat, ENTRY_BYTES, UNUSED};
use crate::batmap::{Batmap, BatmapHeader, RawBatmapHeader};
use crate::copy::CHUNK_BYTES;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{FOOTER_BYTES, Footer};
use crate::footer_copies;
use crate::geometry::Geometry;
use crate::header::{Header, RawHeader};
use crate::journal::Kind;
use crate::layout::Layout;
use crate::plan::{Plan, Step, Target};
use crate::space::Space;
use crate::units::{Extent, MAX_BAT_ENTRIES, SECTOR_BYTES, in_memory, sum};

const FOOTER_LEN: u64 = FOOTER_BYTES as u64;

/// An image as it is.
#[derive(Debug)]
pub(crate) struct Now<'a> {
    pub(crate) footer: &'a Footer,
    pub(crate) header: &'a Header,
    pub(crate) bat: &'a Bat,
    /// With its header as it lies on disk.
    pub(crate) batmap: Option<(&'a RawBatmapHeader, &'a Batmap)>,
    pub(crate) layout: &'a Layout,
    /// Where its primary footer is: the last sector.
    pub(crate) footer_offset: u64,
    pub(crate) target: Target,
}

/// A run that goes elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: Extent,
    pub(crate) to: u64,
}

/// What to do, in this order but for the footers.
#[derive(Clone, Debug)]
pub(crate) struct Growth {
    /// What the journal holds, in libvhd's order.
    pub(crate) held: Vec<(Kind, Extent)>,
    pub(crate) blocks: Vec<Move>,
    /// Paths of parents: to be read before any is written.
    pub(crate) locators: Vec<Move>,
    /// Whether the tables take more sectors than they did.
    pub(crate) is_larger: bool,
    pub(crate) tables: Plan,
    /// The footer when all is done.
    pub(crate) footer: Footer,
    pub(crate) footer_offset: u64,
}

/// Plans the growth to whole blocks.
pub(crate) fn grow(now: &Now<'_>, size_bytes: u64) -> Result<Growth> {
    let blocks = size_bytes / now.header.block_size.bytes();
    let entries = u32::try_from(blocks).ok().filter(|&blocks| blocks <= MAX_BAT_ENTRIES);
    let entries = entries.filter(|_| now.header.max_bat_entries <= MAX_BAT_ENTRIES).ok_or_else(|| {
        Error::new(ErrorKind::TooLarge, format!("a BAT cannot have {blocks} entries, at most {MAX_BAT_ENTRIES}"))
    })?;
    let entries = entries.max(now.header.max_bat_entries);
    let layout = now.layout.grown(entries)?;
    let mut placed = check_blocks(now)?;
    let space = Space {
        block_size: now.header.block_size,
        table_offset: now.header.table_offset,
        end: 0,
        target: now.target,
        medium_bytes: now.footer_offset + FOOTER_LEN,
        footer: &[],
        write_back: None,
    };
    let data_end = placed.last().map_or(0, |&(entry, _)| space.block_end(entry));
    let mut end = layout.end().max(data_end);
    let (mut bat, mut moves) = (now.bat.clone(), Vec::new());
    placed.retain(|&(entry, _)| byte(entry) < layout.end());
    for (entry, index) in placed {
        let to = space.place(end)?;
        end = space.block_end(to);
        // The last block of a file may be shorter than a block.
        let len_bytes = (space.block_end(entry) - byte(entry)).min(now.footer_offset - byte(entry));
        moves.push(Move { from: Extent { offset: byte(entry), len_bytes }, to: byte(to) });
        bat.set(index, to);
    }
    let footer = Footer {
        is_poisoned: false,
        current_bytes: size_bytes,
        geometry: Geometry::for_size(size_bytes),
        ..now.footer.clone()
    };
    let mut tables = tables(now, &layout, &footer, &bat, entries)?;
    if data_end > now.footer_offset {
        // It was in the middle of a block.
        tables.push(Step::Fill { what: "old footer", offset: now.footer_offset, len_bytes: FOOTER_LEN, byte: 0 });
    }
    Ok(Growth {
        held: held(now, layout.end())?,
        blocks: moves,
        locators: moved_locators(now.layout, &layout),
        is_larger: layout.end() > now.layout.end(),
        tables: Plan { steps: tables },
        footer,
        footer_offset: footer_copies::primary_offset(now.target, now.footer_offset + FOOTER_LEN, end)?,
    })
}

/// Blocks by place. An error where one is not between metadata and footer, or over another.
fn check_blocks(now: &Now<'_>) -> Result<Vec<(u32, usize)>> {
    let entries = now.bat.entries().iter().enumerate();
    let mut placed: Vec<(u32, usize)> =
        entries.filter(|&(_, &entry)| entry != UNUSED).map(|(index, &entry)| (entry, index)).collect();
    placed.sort_unstable();
    let block_bytes = now.bat.block_sectors() * SECTOR_BYTES;
    let mut end = now.layout.end();
    for &(entry, index) in &placed {
        let refuse = |why| Err(Error::corrupt(format!("BAT entry {entry} of block {index} points {why}")));
        if byte(entry) < end {
            return refuse("into metadata or another block");
        }
        end = byte(entry) + block_bytes;
        let is_cut = matches!(now.target, Target::BlockDevice { .. }) && end > now.footer_offset;
        if byte(entry) >= now.footer_offset || is_cut {
            return refuse("behind the footer");
        }
    }
    Ok(placed)
}

fn moved_locators(old: &Layout, new: &Layout) -> Vec<Move> {
    let pairs = old.locators.iter().zip(&new.locators);
    let moves = pairs.map(|(&(_, from), &(_, to))| Move { from, to: to.offset });
    moves.filter(|moved| moved.from.offset != moved.to).collect()
}

fn tables(now: &Now<'_>, layout: &Layout, footer: &Footer, bat: &Bat, entries: u32) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    if let (Some((raw, old)), Some((at, room))) = (now.batmap, layout.batmap) {
        let mut map = old.map().to_vec();
        // No block of the new part is full yet.
        let blocks = now.bat.entries().len();
        map.truncate(blocks.div_ceil(8));
        if let (Some(last), used @ 1..) = (map.get_mut(blocks / 8), blocks % 8) {
            *last &= !(0xff >> used);
        }
        map.resize(in_memory("batmap", room.len_bytes)?, 0);
        let map_sectors = u32::try_from(room.len_bytes / SECTOR_BYTES);
        let map_sectors = map_sectors.map_err(|_| Error::corrupt("batmap has too many sectors"))?;
        let header = BatmapHeader { map_offset: room.offset, map_sectors, ..old.header().clone() };
        let summed = in_memory("batmap", header.map_extent(footer)?.len_bytes)?;
        let mut raw = *raw;
        raw.set_map(&BatmapHeader { checksum: header.computed_checksum(&map[..summed]), ..header });
        steps.push(write("batmap", room.offset, map));
        steps.push(write("batmap header", at.offset, raw.bytes().to_vec()));
    }
    let bytes = bat.encode();
    let used_end = sum("BAT", &[layout.bat.offset, bytes.len() as u64])?;
    let entries_end = sum("BAT", &[layout.bat.offset, u64::from(entries) * ENTRY_BYTES])?;
    let room_end = layout.bat.end("BAT")?;
    let [unused_byte, ..] = UNUSED.to_be_bytes();
    steps.push(write("BAT", layout.bat.offset, bytes));
    let fill = |what, offset, end, byte| Step::Fill { what, offset, len_bytes: end - offset, byte };
    steps.push(fill("BAT", used_end, entries_end, unused_byte));
    steps.push(fill("end of BAT", entries_end, room_end, 0));
    let mut header = Header { max_bat_entries: entries, ..now.header.clone() };
    for &(slot, room) in &layout.locators {
        header.locators[slot].offset = room.offset;
    }
    steps.push(write("header", layout.header.offset, RawHeader::from(&header).bytes().to_vec()));
    Ok(steps)
}

/// All that is overwritten: metadata as libvhd journals it, which its own `revert` insists on, and whatever else lies
/// before the new end of the tables. Blocks that move are not overwritten behind that, so it is much less than libvhd
/// writes, which journals whole blocks.
fn held(now: &Now<'_>, new_end: u64) -> Result<Vec<(Kind, Extent)>> {
    let footer = |offset| Extent { offset, len_bytes: FOOTER_LEN };
    let mut held = vec![
        (Kind::Footer, footer(now.footer_offset)),
        (Kind::FooterCopy, footer(0)),
        (Kind::Header, now.layout.header),
    ];
    held.extend(now.layout.locators.iter().map(|&(_, room)| (Kind::Locator, room)));
    held.push((Kind::Bat, now.layout.bat));
    let mut covered: Vec<Extent> = now.layout.locators.iter().map(|&(_, room)| room).chain([now.layout.bat]).collect();
    if let (Some((_, batmap)), Some((at, _))) = (now.batmap, now.layout.batmap) {
        held.push((Kind::BatmapHeader, at));
        held.push((Kind::Batmap, batmap.header().map_room()));
        // libvhd's `revert` brings back no more of the map than the checksum covers.
        covered.extend([at, batmap.header().map_extent(now.footer)?]);
    }
    covered.sort_by_key(|extent| extent.offset);
    let end = new_end.min(now.footer_offset);
    let mut at = now.layout.bat.offset;
    for covered in covered.into_iter().chain([footer(end)]) {
        let gap_end = covered.offset.min(end);
        while at < gap_end {
            let len_bytes = CHUNK_BYTES.min(gap_end - at);
            held.push((Kind::Data, Extent { offset: at, len_bytes }));
            at += len_bytes;
        }
        at = at.max(covered.end("metadata")?);
    }
    Ok(held)
}

fn byte(entry: u32) -> u64 {
    u64::from(entry) * SECTOR_BYTES
}

fn write(what: &'static str, offset: u64, bytes: Vec<u8>) -> Step {
    Step::Write { what, offset, bytes }
}
