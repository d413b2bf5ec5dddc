//! Giving back the space of blocks that make no difference: what they hold is zeros, and so is what they hide of the
//! parents. Nobody else may have the image open: blocks lose their places and move.
//!
//! The image is valid and reads the same after a crash at any point, and running it again is resuming it. The order:
//! dropped blocks are taken out of the batmap, then out of the BAT; blocks move down into what became free; the footer is
//! written where the file shall end, and the file is cut there; what is still free becomes holes.

mod arrangement;

use std::ops::Range;
use std::path::Path;

use crate::bat::{Bat, UNUSED};
use crate::batmap::{BATMAP_HEADER_BYTES, Batmap, BatmapHeader, RawBatmapHeader};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{FOOTER_BYTES, Footer, RawFooter};
use crate::header::{HEADER_BYTES, Header};
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::medium::Medium;
use crate::plan::{Plan, Step};
use crate::space::Space;
use crate::units::{Extent, MAX_BAT_ENTRIES, SECTOR_BYTES, in_memory, sum};
use arrangement::{Arrangement, Move};

const FOOTER_LEN: u64 = FOOTER_BYTES as u64;
/// Bytes of blocks that move together and share barriers, so that a kill costs little.
const MAX_BATCH_BYTES: u64 = 64 << 20;
/// The room of a batmap whose BAT has as many entries as any that is read, and a sector that libvhd may declare besides.
const MAX_MAP_BYTES: u64 = MAX_BAT_ENTRIES as u64 / 8 + SECTOR_BYTES;
/// What stays free behind a batmap that is not at its usual place: blktap's tool puts paths of a new parent there.
const LOCATOR_BYTES: u64 = 32 << 10;

/// An image that is to become smaller.
#[derive(Debug)]
pub struct Compact<M: Medium = ImageFile> {
    disk: Disk<M>,
}

/// Blocks that make no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Blocks that have a place.
    pub blocks: usize,
    /// Those of them that can be dropped, in ascending order.
    pub droppable: Vec<u32>,
    /// Bytes that a block takes in the file.
    pub block_bytes: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Blocks that have no place any more.
    pub dropped: usize,
    /// Blocks that have another place.
    pub moved: usize,
    /// Length of the file or device.
    pub file_bytes: u64,
}

impl Compact<ImageFile> {
    /// Opens an image for writing and its parents for reading.
    ///
    /// # Errors
    ///
    /// Besides those of opening: [`ErrorKind::InvalidInput`] for a fixed disk, [`ErrorKind::Unsupported`] for an encrypted one, [`ErrorKind::Corrupt`] for an image with any
    /// fault in its tables, and for one whose footers differ: somebody has it open, or did not close it.
    pub fn open(path: &Path) -> Result<Self> {
        let disk = Disk::open_rw(path)?;
        Compact { disk }.checked()
    }
}

impl<M: Medium> Compact<M> {
    /// Of an image that is open for writing already, and its parents.
    pub fn of(image: Image<M>, parents: Vec<Image<M>>, base: Option<M>) -> Result<Self> {
        Compact { disk: Disk::of(image, parents, base)? }.checked()
    }

    fn checked(self) -> Result<Self> {
        self.arrangement()?;
        Ok(self)
    }

    fn image(&self) -> Result<&Image<M>> {
        self.disk.images().next().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a raw disk has no blocks"))
    }

    /// The image as it is now, if it has no fault.
    fn arrangement(&self) -> Result<Now> {
        let image = self.image()?;
        let doing = || format!("cannot compact `{}`", image.file().path().display());
        now(image).map_err(|error| error.within(doing()))
    }

    /// Looks for blocks that make no difference. Reads the beginning of every block, and all of those that are zeros.
    /// Calls `progress` with the bytes of the disk that are done.
    pub fn find(&self, mut progress: impl FnMut(u64)) -> Result<Found> {
        let block_size = self.image()?.header()?.block_size;
        let mut found = Found {
            blocks: 0,
            droppable: vec![],
            block_bytes: block_size.bytes() + block_size.bitmap_sectors() * SECTOR_BYTES,
        };
        for (index, entry) in (0u32..).zip(self.image()?.bat()?.entries()) {
            let start = u64::from(index) * block_size.bytes();
            progress(start);
            if *entry == UNUSED {
                continue;
            }
            found.blocks += 1;
            let end = (start + block_size.bytes()).min(self.disk.size_bytes());
            if self.disk.adds_nothing(start.min(end)..end)? {
                found.droppable.push(index);
            }
        }
        Ok(found)
    }

    /// Drops the blocks that were found. With `moves` the others close up. Calls `progress` with the bytes that were
    /// moved.
    pub fn run(self, found: &Found, moves: bool, mut progress: impl FnMut(u64)) -> Result<Compacted> {
        let now = self.arrangement()?;
        let file = self.image()?.file();
        let space = now.space(file, now.footer.bytes());
        let data_end = file.len_bytes() - FOOTER_LEN;
        let arrangement = Arrangement::of(space, now.metadata_end, data_end, now.bat.entries())?;
        let mut blocks = Blocks { file, arrangement };
        let mut displaced = 0;
        if let Some(batmap) = &now.batmap
            && found.droppable.iter().any(|&block| batmap.is_full(block))
        {
            displaced = blocks.clear_full(&now, batmap, |block| {
                let entry = usize::try_from(block).ok().and_then(|block| now.bat.entries().get(block));
                let is_placed = entry.is_some_and(|&entry| entry != UNUSED);
                is_placed && found.droppable.binary_search(&block).is_err()
            })?;
        }
        let mut done = Compacted { dropped: found.droppable.len(), ..Compacted::default() };
        if !found.droppable.is_empty() {
            file.perform(&blocks.arrangement.drop_blocks(&found.droppable))?;
        }
        // Without moves only those go down again that had to make room.
        let mut left = if moves { usize::MAX } else { displaced };
        let mut moved_bytes = 0;
        let batch = in_memory("batch", (MAX_BATCH_BYTES / found.block_bytes).max(1))?;
        while left > 0 {
            let moves = blocks.arrangement.move_down(left.min(batch));
            if moves.is_empty() {
                break;
            }
            blocks.perform(&moves)?;
            left -= moves.len();
            moved_bytes += moves.len() as u64 * found.block_bytes;
            progress(moved_bytes);
        }
        done.moved = blocks.arrangement.count_moved(now.bat.entries());
        blocks.finish()?;
        done.file_bytes = file.len_bytes();
        Ok(done)
    }
}

/// What an image without faults says about itself.
struct Now {
    footer: RawFooter,
    header: Header,
    header_at: u64,
    bat: Bat,
    batmap: Option<Batmap>,
    metadata_end: u64,
    map_header_at: u64,
}

fn now<M: Medium>(image: &Image<M>) -> Result<Now> {
    if !image.footer().kind.is_sparse() {
        let message = "it has no blocks, only a dynamic or differencing disk does";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    if image.key_hash()?.is_some() {
        return Err(Error::new(ErrorKind::Unsupported, "it is encrypted: zeros in it are no zeros of the disk"));
    }
    let (file, header) = (image.file(), image.header()?.clone());
    let data_end = file.len_bytes().saturating_sub(FOOTER_LEN);
    let footer = |offset| file.read("footer", offset, FOOTER_BYTES).map(|bytes| RawFooter::from_prefix(&bytes));
    let (primary, backup) = (footer(data_end)?, footer(0)?);
    if Footer::try_from(&primary).is_err() || primary != backup {
        let message = "its footers differ: somebody has it open, or did not close it (`vhd-util repair` writes both)";
        return Err(Error::corrupt(message));
    }
    let (bat, metadata_end) = (image.bat()?, image.metadata_end()?);
    let map_header_at = BatmapHeader::extent(Bat::room(&header)?)?.offset;
    let header_at = image.footer().data_offset;
    let now = Now { footer: primary, batmap: image.batmap()?, header, header_at, bat, metadata_end, map_header_at };
    Arrangement::of(now.space(file, &[]), metadata_end, data_end, now.bat.entries())?;
    if let Some(batmap) = &now.batmap {
        now.check_batmap(batmap)?;
    }
    Ok(now)
}

impl Now {
    fn space<'a>(&self, file: &impl Medium, footer: &'a [u8]) -> Space<'a> {
        Space {
            block_size: self.header.block_size,
            table_offset: self.header.table_offset,
            end: 0,
            target: file.target(),
            medium_bytes: file.len_bytes(),
            footer,
            write_back: None,
        }
    }

    fn check_batmap(&self, batmap: &Batmap) -> Result<()> {
        let mut entries = (0u32..).zip(self.bat.entries());
        if let Some((block, _)) = entries.find(|&(block, &entry)| entry == UNUSED && batmap.is_full(block)) {
            return Err(Error::corrupt(format!("batmap shows block {block} full, which has no place")));
        }
        let room = batmap.header().map_room().len_bytes;
        if room > MAX_MAP_BYTES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("batmap has room for {room} bytes, no disk needs that"),
            ));
        }
        Ok(())
    }

    /// Whether a range behind the BAT holds neither header nor map nor paths of parents.
    fn is_free(&self, range: &Range<u64>) -> Result<bool> {
        let mut used = vec![(self.header_at, sum("header", &[self.header_at, HEADER_BYTES as u64])?)];
        if let Some(batmap) = &self.batmap {
            let room = batmap.header().map_room();
            used.push((room.offset, room.end("batmap")?));
        }
        for locator in self.header.locators.iter().filter(|locator| locator.is_used()) {
            used.push((locator.offset, locator.end()?));
        }
        Ok(used.iter().all(|&(start, end)| end <= range.start || start >= range.end))
    }
}

/// Blocks in a file that is written.
struct Blocks<'a, M: Medium> {
    file: &'a M,
    arrangement: Arrangement<'a>,
}

impl<M: Medium> Blocks<'_, M> {
    fn perform(&mut self, moves: &[Move]) -> Result<()> {
        let plan = self.arrangement.plan_moves(moves, |range| data(self.file, range))?;
        self.file.perform(&plan)
    }

    /// Takes blocks that are not `kept` out of the batmap; how many blocks had to make room for that.
    ///
    /// The map has a checksum in its header, which is another sector, so it cannot be changed where it is: a crash could
    /// leave one without the other, and blktap opens no such image. The new map is written where nobody looks, and then
    /// the header, one sector, leads there.
    fn clear_full(&mut self, now: &Now, old: &Batmap, kept: impl Fn(u32) -> bool) -> Result<usize> {
        let mut map = old.map().to_vec();
        for (byte, bits) in (0u32..).zip(&mut map) {
            *bits &= (0..8).filter(|bit| kept(byte * 8 + bit)).fold(0, |mask, bit| mask | 0x80 >> bit);
        }
        let used = map.len();
        // The room of the map may be larger than what is read of it today.
        map.resize(in_memory("batmap", old.header().map_room().len_bytes)?.max(used), 0);
        let usual = Extent { offset: sum("batmap", &[now.map_header_at, SECTOR_BYTES])?, len_bytes: map.len() as u64 };
        let is_there = old.header().map_offset == usual.offset;
        let usual_range = usual.offset..usual.end("batmap")?;
        if !is_there && self.arrangement.is_free(&usual_range) && now.is_free(&usual_range)? {
            self.write_map(old.header(), now.map_header_at, usual.offset, &map, used)?;
            return Ok(0);
        }
        let aside = self.arrangement.metadata_end();
        let end = sum("batmap", &[aside, usual.len_bytes])?;
        // Something lies behind this afterwards, the blocks that are dropped at least, so the file is long enough.
        let moves = self.arrangement.move_up(sum("batmap", &[end, LOCATOR_BYTES])?)?;
        if !moves.is_empty() {
            self.perform(&moves)?;
        }
        self.write_map(old.header(), now.map_header_at, aside, &map, used)?;
        match is_there {
            true => self.write_map(old.header(), now.map_header_at, usual.offset, &map, used)?,
            false => self.arrangement.set_metadata_end(end),
        }
        Ok(moves.len())
    }

    fn write_map(&self, old: &BatmapHeader, header_at: u64, offset: u64, map: &[u8], used: usize) -> Result<()> {
        let checksum = old.computed_checksum(&map[..used]);
        // With whatever others put into it.
        let mut header =
            RawBatmapHeader::from_prefix(&self.file.read("batmap header", header_at, BATMAP_HEADER_BYTES)?);
        header.set_map(&BatmapHeader { map_offset: offset, checksum, ..old.clone() });
        let write = |what, offset, bytes: &[u8]| Step::Write { what, offset, bytes: bytes.to_vec() };
        let steps = vec![
            write("batmap", offset, map),
            Step::Barrier,
            write("batmap header", header_at, header.bytes()),
            Step::Barrier,
        ];
        self.file.perform(&Plan { steps })
    }

    /// Ends the file behind the last block, and gives back what belongs to nobody.
    fn finish(&mut self) -> Result<()> {
        if let Some((plan, len_bytes)) = self.arrangement.close_up()? {
            self.file.perform(&plan)?;
            self.file.cut(len_bytes)?;
            self.arrangement.set_medium_bytes(len_bytes);
        }
        for range in self.arrangement.left_over() {
            let done = self.file.discard(range.start, range.end - range.start);
            done.map_err(|source| {
                Error::io(format!("cannot give back {range:?} of `{}`", self.file.path().display()), source)
            })?;
        }
        self.file.flush()
    }
}

/// What of a range of the file is no hole.
fn data<M: Medium>(file: &M, range: Range<u64>) -> Result<Vec<Range<u64>>> {
    let mut data = Vec::new();
    let mut left = range;
    while let Some(held) = file.first_data(left.clone()).map_err(|source| {
        Error::io(format!("cannot look for holes at {} of `{}`", left.start, file.path().display()), source)
    })? {
        left.start = held.end;
        data.push(held);
    }
    Ok(data)
}
