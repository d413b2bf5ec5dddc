//! Planning a new image: the layout of libvhd, byte for byte. Decides only; `image_file` writes.

use uuid::Uuid;

use crate::bat::{Bat, ENTRY_BYTES, UNUSED};
use crate::batmap::{BatmapHeader, RawBatmapHeader};
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{Creator, DiskKind, FEATURES_RESERVED, FOOTER_BYTES, Footer, NO_HEADER, RawFooter};
use crate::geometry::Geometry;
use crate::header::{BlockSize, HEADER_BYTES, Header, RawHeader};
use crate::parent_link::{ParentLink, Placed};
use crate::parent_name::ParentName;
use crate::plan::{Plan, Step, Target};
use crate::timestamp::Timestamp;
use crate::units::{BLOCK_BYTES, Extent, MAX_BAT_ENTRIES, SECTOR_BYTES, Sectors, in_memory};
use crate::version::Version;

const FOOTER_LEN: u64 = FOOTER_BYTES as u64;
const HEADER_OFFSET: u64 = FOOTER_LEN;
const TABLE_OFFSET: u64 = HEADER_OFFSET + HEADER_BYTES as u64;

/// How a new disk stores its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// All space is reserved at once.
    Fixed,
    /// Blocks are allocated on demand.
    Dynamic {
        /// Size in bytes that the tables have room for, so that a later resize need not move data; at least the
        /// disk's own size.
        max_bytes: Option<u64>,
    },
}

/// A new disk. Identity and time come from the caller, so that a plan is a pure function of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// How it stores its data.
    pub storage: Storage,
    /// Size in bytes; rounded up to whole blocks of 2 MiB, unless the disk goes on top of another.
    pub size_bytes: u64,
    /// Identity of the image.
    pub uuid: Uuid,
    /// Time of creation.
    pub timestamp: Timestamp,
}

/// The writes that create the image. The primary footer comes last: what a killed writer leaves behind in a file has
/// no valid footer at its end.
pub fn plan(request: &Request, target: Target) -> Result<Plan> {
    plan_over(request, Content::Empty, target)
}

/// Where the data of a disk lies that is written before the image around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    /// Of a dynamic disk: its blocks, all of whose sectors are present.
    pub(crate) entries: &'a [u32],
    /// The byte position after all data.
    pub(crate) end: u64,
}

/// The writes that make an image of data that is written already. They, and they alone, make it valid.
pub(crate) fn plan_around(request: &Request, written: Written<'_>, target: Target) -> Result<Plan> {
    plan_over(request, Content::Written(written), target)
}

/// The byte position after the tables of a dynamic disk, where blocks can begin.
pub(crate) fn tables_end(request: &Request) -> Result<u64> {
    match request.storage {
        Storage::Fixed => Ok(0),
        Storage::Dynamic { max_bytes } => Tables::of(whole_blocks(max_bytes.unwrap_or(request.size_bytes))?)?.end(),
    }
}

/// What a new image holds.
enum Content<'a> {
    Empty,
    Written(Written<'a>),
    /// What its parent holds.
    Over(&'a ParentLink),
}

/// The writes that create the image as a child of another: what it lacks is read from there. A fixed disk has no
/// parent.
pub fn plan_child(request: &Request, link: &ParentLink, target: Target) -> Result<Plan> {
    plan_over(request, Content::Over(link), target)
}

fn plan_over(request: &Request, content: Content<'_>, target: Target) -> Result<Plan> {
    // A child is as large as its parent, whose maker may have counted otherwise.
    let is_child = matches!(content, Content::Over(_));
    let size_bytes = if is_child { request.size_bytes } else { whole_blocks(request.size_bytes)? };
    match request.storage {
        Storage::Fixed => fixed(&footer(request, DiskKind::Fixed, size_bytes), &content, target),
        Storage::Dynamic { max_bytes } => {
            let max_bytes = whole_blocks(max_bytes.unwrap_or(size_bytes))?;
            if max_bytes < size_bytes {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!("room for {max_bytes} bytes cannot hold a disk of {size_bytes}"),
                ));
            }
            let kind = if is_child { DiskKind::Differencing } else { DiskKind::Dynamic };
            dynamic(&footer(request, kind, size_bytes), max_bytes, &content, target)
        }
    }
}

/// Rounded up to blocks of 2 MiB, as libvhd counts them.
pub(crate) fn whole_blocks(len_bytes: u64) -> Result<u64> {
    len_bytes
        .checked_next_multiple_of(BLOCK_BYTES)
        .ok_or_else(|| Error::new(ErrorKind::TooLarge, format!("size is beyond 64 bits: {len_bytes} bytes")))
}

/// The writes that create a raw disk: nothing but its data, which has its space and reads as zeros.
pub(crate) fn plan_raw(size_bytes: u64, target: Target) -> Result<Plan> {
    match target {
        Target::BlockDevice { len_bytes } if len_bytes < size_bytes => {
            Err(Error::new(ErrorKind::NoSpace, format!("device has {len_bytes} bytes, the disk needs {size_bytes}")))
        }
        Target::File if i64::try_from(size_bytes).is_err() => {
            Err(Error::new(ErrorKind::TooLarge, format!("no file can have {size_bytes} bytes")))
        }
        Target::File | Target::BlockDevice { .. } => {
            Ok(Plan { steps: vec![Step::Reserve { what: "data", offset: 0, len_bytes: size_bytes }] })
        }
    }
}

fn footer(request: &Request, kind: DiskKind, size_bytes: u64) -> Footer {
    Footer {
        is_poisoned: false,
        features: FEATURES_RESERVED,
        format_version: Version::new(1, 0),
        data_offset: if kind.is_sparse() { HEADER_OFFSET } else { NO_HEADER },
        timestamp: request.timestamp,
        creator: Creator::TAP,
        original_bytes: size_bytes,
        current_bytes: size_bytes,
        geometry: Geometry::for_size(size_bytes),
        kind,
        uuid: request.uuid,
        saved: 0,
        hidden: 0,
        reserved: [0; 426],
    }
}

fn fixed(footer: &Footer, content: &Content<'_>, target: Target) -> Result<Plan> {
    let footer_offset = place_footer(footer.current_bytes, target)?;
    let mut steps = match content {
        Content::Empty => vec![Step::Reserve { what: "data", offset: 0, len_bytes: footer.current_bytes }],
        Content::Written(_) if target == Target::File => vec![],
        Content::Written(_) => vec![Step::Barrier],
        Content::Over(_) => {
            return Err(Error::new(ErrorKind::InvalidInput, "a disk on top of another cannot be fixed"));
        }
    };
    steps.push(write("footer", footer_offset, RawFooter::from(footer).bytes()));
    Ok(Plan { steps })
}

/// Where the tables of a dynamic disk lie.
struct Tables {
    entries: u32,
    bat: Extent,
    map_header: Extent,
    map: Extent,
}

impl Tables {
    /// With room for a disk of this size.
    fn of(max_bytes: u64) -> Result<Self> {
        let entries = u32::try_from(max_bytes / BLOCK_BYTES)
            .ok()
            .filter(|&entries| entries <= MAX_BAT_ENTRIES)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::TooLarge,
                    format!("a BAT cannot have room for {max_bytes} bytes: at most {MAX_BAT_ENTRIES} blocks"),
                )
            })?;
        let bat = Extent { offset: TABLE_OFFSET, len_bytes: Bat::room_bytes(entries) };
        let map_header = BatmapHeader::extent(bat)?;
        // On sizes a few blocks past a multiple of 8 GiB libvhd declares a sector more than it writes, so that the footer
        // lies inside the map and its own `check` refuses the image. Here the map is written whole, which `check` accepts.
        let map_bytes = Sectors::holding(u64::from(entries).div_ceil(8)).0.max(1) * SECTOR_BYTES;
        let map = Extent { offset: map_header.end("batmap header")?, len_bytes: map_bytes };
        Ok(Tables { entries, bat, map_header, map })
    }

    fn end(&self) -> Result<u64> {
        self.map.end("batmap")
    }
}

fn dynamic(footer: &Footer, max_bytes: u64, content: &Content<'_>, target: Target) -> Result<Plan> {
    let (link, written) = match *content {
        Content::Empty => (None, Written { entries: &[], end: 0 }),
        Content::Written(written) => (None, written),
        Content::Over(link) => (Some(link), Written { entries: &[], end: 0 }),
    };
    let tables = Tables::of(max_bytes)?;
    let placed = link.map_or_else(|| Ok(Placed::none(tables.end()?)), |link| link.place(tables.end()?))?;
    let footer_offset = place_footer(placed.end.max(written.end), target)?;

    let header = Header {
        table_offset: tables.bat.offset,
        max_bat_entries: tables.entries,
        block_size: BlockSize::DEFAULT,
        parent_uuid: link.map_or(Uuid::nil(), |link| link.uuid),
        parent_timestamp: link.map_or(Timestamp::default(), |link| link.timestamp),
        reserved1: 0,
        parent_name: link.map_or(ParentName::default(), |link| link.name),
        locators: placed.locators,
        reserved2: [0; 256],
    };
    let [unused_byte, ..] = UNUSED.to_be_bytes();
    let footer_bytes = RawFooter::from(footer);
    let key_hash = link.and_then(|link| link.key_hash);
    let mut batmap = BatmapHeader { key_hash, ..BatmapHeader::empty(tables.map)? };
    let map = full_blocks(&batmap, footer, written.entries)?;
    batmap.checksum = batmap.computed_checksum(&map);
    let (map_len, bat_len) = (map.len() as u64, written.entries.len() as u64 * ENTRY_BYTES);
    let bat: Vec<u8> = written.entries.iter().flat_map(|entry| entry.to_be_bytes()).collect();
    let used_bytes = u64::from(tables.entries) * ENTRY_BYTES;
    let fill = |what, extent: Extent, from: u64, to: u64, byte| Step::Fill {
        what,
        offset: extent.offset + from,
        len_bytes: to - from,
        byte,
    };
    let mut steps = placed.paths;
    steps.extend([
        Step::Write { what: "batmap", offset: tables.map.offset, bytes: map },
        fill("batmap", tables.map, map_len, tables.map.len_bytes, 0),
        write("batmap header", tables.map_header.offset, RawBatmapHeader::from(&batmap).bytes()),
        Step::Write { what: "BAT", offset: tables.bat.offset, bytes: bat },
        fill("BAT", tables.bat, bat_len, used_bytes, unused_byte),
        fill("end of BAT", tables.bat, used_bytes, tables.bat.len_bytes, 0),
        write("header", HEADER_OFFSET, RawHeader::from(&header).bytes()),
    ]);
    steps.retain(|step| step.range().1 > 0);
    if matches!(target, Target::BlockDevice { .. }) {
        // A device has no name that could come last: its footers make it an image.
        steps.push(Step::Barrier);
    }
    steps.push(write("footer copy", 0, footer_bytes.bytes()));
    steps.push(write("footer", footer_offset, footer_bytes.bytes()));
    Ok(Plan { steps })
}

/// The map in which these blocks are full, as much of it as is read; empty without any.
fn full_blocks(batmap: &BatmapHeader, footer: &Footer, entries: &[u32]) -> Result<Vec<u8>> {
    if entries.is_empty() {
        return Ok(vec![]);
    }
    let mut map = vec![0; in_memory("batmap", batmap.map_extent(footer)?.len_bytes)?];
    for (index, _) in entries.iter().enumerate().filter(|&(_, &entry)| entry != UNUSED) {
        if let Some(byte) = map.get_mut(index / 8) {
            *byte |= 0x80 >> (index % 8);
        }
    }
    Ok(map)
}

/// Where the primary footer goes when everything else ends at `end`.
fn place_footer(end: u64, target: Target) -> Result<u64> {
    match target {
        Target::File => Ok(end),
        Target::BlockDevice { len_bytes } => {
            let last = len_bytes.checked_sub(FOOTER_LEN).filter(|&last| last >= end);
            last.ok_or_else(|| {
                let needed = end.saturating_add(FOOTER_LEN);
                Error::new(ErrorKind::NoSpace, format!("device has {len_bytes} bytes, the image needs {needed}"))
            })
        }
    }
}

fn write(what: &'static str, offset: u64, bytes: &[u8]) -> Step {
    Step::Write { what, offset, bytes: bytes.to_vec() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(size_mib: u64, storage: Storage) -> Request {
        Request { storage, size_bytes: size_mib << 20, uuid: Uuid::from_u128(1), timestamp: Timestamp(7) }
    }

    /// Plans for a file and compares the file's length; `None` where the plan must be refused.
    fn check(size_mib: u64, storage: Storage, file_bytes: Option<u64>) {
        let end = |plan: Plan| plan.steps.iter().map(Step::range).map(|(offset, len_bytes)| offset + len_bytes).max();
        let planned = plan(&request(size_mib, storage), Target::File).ok().and_then(end);
        assert_eq!(planned, file_bytes, "{size_mib} MiB {storage:?}");
    }

    const DYNAMIC: Storage = Storage::Dynamic { max_bytes: None };

    #[test]
    fn dynamic_disks_have_the_length_of_libvhd() {
        check(0, DYNAMIC, Some(3584));
        check(1, DYNAMIC, Some(3584));
        check(64, DYNAMIC, Some(3584));
        check(256, DYNAMIC, Some(3584));
        check(258, DYNAMIC, Some(4096));
        check(8192, DYNAMIC, Some(19456));
        check(2_088_960, DYNAMIC, Some(4_311_040));
        check(2 << 20, DYNAMIC, Some(4_327_936));
    }

    #[test]
    fn a_batmap_is_written_as_long_as_it_is_declared() {
        check(8194, DYNAMIC, Some(20480));
        check(8206, DYNAMIC, Some(20480));
        check(8208, DYNAMIC, Some(20480));
    }

    #[test]
    fn tables_grow_with_the_size_they_make_room_for() {
        let room = |mib: u64| Storage::Dynamic { max_bytes: Some(mib << 20) };
        check(64, room(300), Some(4096));
        check(64, room(2 << 20), Some(4_327_936));
        check(64, room(62), None);
        check(64, room(32 << 20), Some(1536 + (64 << 20) + 512 + (2 << 20) + 512));
        check(64, room((32 << 20) + 2), None);
    }

    #[test]
    fn fixed_disks_are_data_and_footer() {
        check(3, Storage::Fixed, Some((4 << 20) + 512));
        check(0, Storage::Fixed, Some(512));
    }

    #[test]
    fn a_disk_has_no_more_blocks_than_a_bat_in_memory() {
        check((32 << 20) + 1, DYNAMIC, None);
        check(u64::MAX >> 20, DYNAMIC, None);
        // A fixed disk has none.
        check(4 << 20, Storage::Fixed, Some((4 << 40) + 512));
    }

    #[test]
    fn on_a_device_the_footer_is_the_last_sector() {
        let planned = |len_bytes| plan(&request(64, DYNAMIC), Target::BlockDevice { len_bytes });
        assert_eq!(planned(8 << 20).unwrap().steps.last().unwrap().range(), ((8 << 20) - 512, 512));
        assert_eq!(planned(3583).unwrap_err().errno(), 28);
        assert!(planned(3584).is_ok());
    }

    #[test]
    fn a_raw_disk_has_to_fit() {
        let planned = |size_bytes, target| plan_raw(size_bytes, target).map(|plan| plan.steps[0].range());
        let device = Target::BlockDevice { len_bytes: 8 << 20 };
        assert_eq!(planned(8 << 20, device).unwrap(), (0, 8 << 20));
        assert_eq!(planned((8 << 20) + 1, device).unwrap_err().errno(), 28);
        assert_eq!(planned(1 << 63, Target::File).unwrap_err().errno(), 27);
    }

    proptest! {
        #[test]
        fn steps_never_overlap_and_leave_no_gap(size_mib in 0..3_000_000u64, room_mib in proptest::option::of(0..40_000_000u64)) {
            let storage = Storage::Dynamic { max_bytes: room_mib.map(|mib| mib << 20) };
            if let Ok(planned) = plan(&request(size_mib, storage), Target::File) {
                let mut ranges: Vec<_> = planned.steps.iter().map(Step::range).collect();
                ranges.sort_unstable();
                let end = ranges.iter().try_fold(0, |end, &(offset, len_bytes)| (offset == end).then_some(end + len_bytes));
                prop_assert!(end.is_some(), "{ranges:?}");
            }
        }
    }
}
