//! A disk as a guest sees it: an image on top of its chain of parents, or a raw file alone.

mod holes;
mod lazy;
mod lend;
mod status;
mod unlock;

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use crate::base::Base;
use crate::chain::{self, MAX_CHAIN_DEPTH, OpenParent};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::layer::{Layer, bad_block};
use crate::layer_write::Write;
use crate::map::{Place, Run};
use crate::medium::{Medium, Part};
use crate::open::Open;
use crate::owners::Owners;
use crate::units::{MAX_CHAIN_ENTRIES, SECTOR_BYTES, in_memory};
use crate::write_plan::Content;

pub use lazy::LazyDisk;
pub use status::Stretch;

/// Bytes that one plan writes at most: its steps hold them in memory.
const MAX_PLAN_BYTES: usize = 16 << 20;
/// Bytes of the disk whose runs are held in memory at most.
const MAX_MAP_BYTES: u64 = 64 << 20;

/// An open disk. Positions and lengths are bytes; what is written is whole sectors of 512.
///
/// ```no_run
/// # fn main() -> vhd::Result<()> {
/// let mut disk = vhd::Disk::open_rw("leaf.vhd".as_ref())?;
/// let mut sector = [0; 512];
/// disk.read_at(0, &mut sector)?;
/// sector[0] = 1;
/// disk.write_at(0, &sector)?;
/// disk.flush()
/// # }
/// ```
#[derive(Debug)]
pub struct Disk<M: Medium = ImageFile> {
    /// The image itself first, then its parents.
    layers: Vec<Layer<M>>,
    /// The raw file at the end of the chain, or all of a raw disk.
    base: Option<Base<M>>,
    owners: Owners,
}

impl Disk<ImageFile> {
    /// Opens an image and its parents for reading.
    ///
    /// # Errors
    ///
    /// Besides those of opening: a chain that comes back to itself ([`ErrorKind::ChainLoop`]), a parent that cannot be
    /// found or is another image than the child wants, and any image in the middle of a resize
    /// ([`ErrorKind::Corrupt`]).
    pub fn open(path: &Path) -> Result<Self> {
        Disk::on(Image::open(path)?.not_poisoned()?)
    }

    /// Opens a raw file or device, which is its own data, for reading.
    pub fn open_raw(path: &Path) -> Result<Self> {
        Disk::open_raw_with(path, &Open::default())
    }

    /// The same past the page cache or through it.
    pub fn open_raw_with(path: &Path, how: &Open) -> Result<Self> {
        let file = ImageFile::open_with(path, how)?;
        if how.is_writable { Disk::of_raw_rw(file) } else { Disk::of_raw(file) }
    }

    /// Opens a raw file or device for reading and writing: its whole sectors are the disk. A write changes nothing but
    /// data. After a sync has failed every write and flush fails, with `EIO`; reads go on.
    pub fn open_raw_rw(path: &Path) -> Result<Self> {
        Disk::open_raw_with(path, &Open { is_writable: true, ..Open::default() })
    }

    /// Opens an image for reading and writing, its parents for reading.
    pub fn open_rw(path: &Path) -> Result<Self> {
        Disk::open_with(path, &Open { is_writable: true, ..Open::default() })
    }

    /// Opens an image and its parents, past the page cache or through it.
    pub fn open_with(path: &Path, how: &Open) -> Result<Self> {
        let image = Image::on(ImageFile::open_with(path, how)?)?;
        if how.is_writable { Disk::walk(Layer::writer(image)?) } else { Disk::on(image.not_poisoned()?) }
    }

    /// Files of the chain that were to be opened past the page cache and are not: [`ImageFile::lacks_direct`].
    pub fn without_direct(&self) -> impl Iterator<Item = &Path> {
        let files = self.images().map(Image::file).chain(self.base());
        files.filter(|file| file.lacks_direct()).map(ImageFile::path)
    }

    /// The disk of an open image and its parents, for reading. The image may be in the middle of a resize, its parents
    /// may not.
    pub fn on(image: Image) -> Result<Self> {
        Disk::walk(Layer::reader(image)?)
    }

    fn walk(leaf: Layer) -> Result<Self> {
        let mut passed = HashSet::from([leaf.image().file().identity()]);
        let mut layers = vec![leaf];
        loop {
            match below(&layers, &mut passed)? {
                None => return Disk::of_layers(layers, None),
                Some(OpenParent::Raw(file)) => return Disk::of_layers(layers, Some(Base::reader(file))),
                Some(OpenParent::Vhd(parent)) => layers.push(Layer::reader(*parent)?),
            }
        }
    }
}

/// Opens the parent of the last of these images, the first of which is the leaf. An error where it is not the right one.
fn below(layers: &[Layer], passed: &mut HashSet<(u64, u64)>) -> Result<Option<OpenParent>> {
    let (Some(leaf), Some(child)) = (layers.first(), layers.last().map(Layer::image)) else { return Ok(None) };
    let found = chain::open_parent(child)?;
    let Some(OpenParent::Vhd(parent)) = &found else { return Ok(found) };
    let path = leaf.image().file().path().display();
    let looped = |why| Error::new(ErrorKind::ChainLoop, format!("chain of `{path}` {why}"));
    if !passed.insert(parent.file().identity()) {
        return Err(looped("comes back to an image it has passed"));
    }
    if passed.len() > MAX_CHAIN_DEPTH as usize {
        return Err(looped("is too long"));
    }
    let entries: usize = layers.iter().filter_map(Layer::block_geometry).map(|(_, blocks)| blocks).sum();
    if entries > MAX_CHAIN_ENTRIES {
        let message = format!("chain of `{path}` has more than {MAX_CHAIN_ENTRIES} BAT entries");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    chain::check_parent(child, parent)?;
    Ok(found)
}

impl<M: Medium> Disk<M> {
    /// A disk of images that are open already: the one that is written first, then its parents, and the raw end of the
    /// chain. Whether they belong together is not looked at.
    pub fn of(leaf: Image<M>, parents: Vec<Image<M>>, base: Option<M>) -> Result<Self> {
        let mut layers = vec![Layer::writer(leaf)?];
        for parent in parents {
            layers.push(Layer::reader(parent)?);
        }
        Disk::of_layers(layers, base.map(Base::reader))
    }

    /// The same of one image without its parents, for reading.
    pub fn of_reader(image: Image<M>) -> Result<Self> {
        Disk::of_layers(vec![Layer::reader(image)?], None)
    }

    /// A disk that is a raw file and nothing else, for reading.
    pub fn of_raw(base: M) -> Result<Self> {
        Disk::of_layers(vec![], Some(Base::reader(base)))
    }

    /// The same for writing, as [`Disk::open_raw_rw`].
    pub fn of_raw_rw(base: M) -> Result<Self> {
        Disk::of_layers(vec![], Some(Base::writer(base)))
    }

    fn of_layers(layers: Vec<Layer<M>>, base: Option<Base<M>>) -> Result<Self> {
        let owners = Owners::of(&layers)?;
        Ok(Disk { layers, base, owners })
    }

    /// Its size.
    pub fn size_bytes(&self) -> u64 {
        self.layers.first().map_or_else(|| self.base_bytes(), Layer::size_bytes)
    }

    /// The images of the chain, leaf first: what [`Place::Layer`] counts.
    pub fn images(&self) -> impl Iterator<Item = &Image<M>> {
        self.layers.iter().map(Layer::image)
    }

    /// The raw file at the end of the chain, or the disk itself.
    pub fn raw_path(&self) -> Option<&Path> {
        self.base().map(Medium::path)
    }

    /// The raw file at the end of the chain.
    pub(crate) fn base(&self) -> Option<&M> {
        self.base.as_ref().map(Base::file)
    }

    /// The file of a place that is not zeros, and the position there.
    pub(crate) fn source(&self, place: Place) -> Option<(&M, u64)> {
        match place {
            Place::Zero => None,
            Place::Base { offset } => self.base().map(|base| (base, offset)),
            Place::Layer { depth, offset } => self.layers.get(depth).map(|layer| (layer.image().file(), offset)),
        }
    }

    /// Where a range of whole sectors lies. Neighbouring runs cannot be joined. At most some thousand runs come per block
    /// of the image, so whoever asks for less at a time needs less memory.
    pub fn map(&self, offset: u64, len_bytes: u64) -> Result<Vec<Run>> {
        self.check("map", offset, len_bytes)?;
        self.runs(offset..offset + len_bytes)
    }

    fn runs(&self, range: Range<u64>) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        self.owners.map(&self.layers, self.base_bytes(), range, &mut runs)?;
        Ok(runs)
    }

    fn base_bytes(&self) -> u64 {
        self.base.as_ref().map_or(0, Base::size_bytes)
    }

    /// Reads from the first image of the chain that holds each sector; what none holds is zero. Any alignment.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let end = self.check_inside("read", offset, bytes.len() as u64)?;
        let start = offset - offset % SECTOR_BYTES;
        let (mut at, mut rest) = (start, bytes);
        for Run { len_bytes, place } in self.runs(start..end.next_multiple_of(SECTOR_BYTES))? {
            let (from, to) = (at.max(offset), (at + len_bytes).min(end));
            let (bytes, after) = rest.split_at_mut(in_memory("read", to - from)?);
            self.read_place(from, place.plus(from - at), bytes)?;
            (at, rest) = (at + len_bytes, after);
        }
        Ok(())
    }

    /// Several reads of [`Disk::read_at`], all at once where an engine does that; what became of each.
    pub fn read_many(&self, reads: &mut [(u64, &mut [u8])]) -> Vec<Result<()>> {
        let (mut done, mut parts, mut whose) = (Vec::with_capacity(reads.len()), vec![], vec![]);
        for (index, (offset, bytes)) in reads.iter_mut().enumerate() {
            let prepared = self.prepare(*offset, bytes, index, &mut parts, &mut whose);
            done.push(prepared);
        }
        let read = M::read_each(&mut parts);
        for ((part, (index, at, depth)), read) in parts.into_iter().zip(whose).zip(read) {
            let Part { medium, offset, bytes } = part;
            match read {
                Ok(()) => {
                    if let Some(layer) = depth.and_then(|depth| self.layers.get(depth)) {
                        layer.open_sectors(at, bytes);
                    }
                }
                Err(source) => done[index] = Err(bad_block(medium.cannot_read("data", offset, bytes.len(), source))),
            }
        }
        done
    }

    /// Fills what of a read is zeros, and adds what of it lies in files: whose it is, where on the disk, how deep.
    fn prepare<'a>(
        &'a self,
        offset: u64,
        bytes: &'a mut [u8],
        index: usize,
        parts: &mut Vec<Part<'a, M>>,
        whose: &mut Vec<(usize, u64, Option<usize>)>,
    ) -> Result<()> {
        let end = self.check_inside("read", offset, bytes.len() as u64)?;
        let (mut at, mut rest) = (offset - offset % SECTOR_BYTES, bytes);
        for Run { len_bytes, place } in self.runs(at..end.next_multiple_of(SECTOR_BYTES))? {
            let (from, to) = (at.max(offset), (at + len_bytes).min(end));
            let (bytes, after) = rest.split_at_mut(in_memory("read", to - from)?);
            (at, rest) = (at + len_bytes, after);
            let is_whole = from.is_multiple_of(SECTOR_BYTES) && to.is_multiple_of(SECTOR_BYTES);
            let place = place.plus(from - (at - len_bytes));
            let (held, depth) = match (place, &self.base) {
                // Whole sectors are decrypted.
                (Place::Layer { depth, .. }, _) if is_whole || !self.is_encrypted(depth) => (bytes.len(), Some(depth)),
                (Place::Base { offset }, Some(base)) => (base.held(offset, bytes.len()), None),
                _ => {
                    self.read_place(from, place, bytes)?;
                    continue;
                }
            };
            let (bytes, past) = bytes.split_at_mut(held);
            past.fill(0);
            if let Some((medium, offset)) = self.source(place).filter(|_| !bytes.is_empty()) {
                parts.push(Part { medium, offset, bytes });
                whose.push((index, from, depth));
            }
        }
        Ok(())
    }

    /// Reads bytes that are at `at` on the disk and lie side by side there.
    pub(crate) fn read_place(&self, at: u64, place: Place, bytes: &mut [u8]) -> Result<()> {
        match place {
            Place::Zero => bytes.fill(0),
            Place::Base { offset } => match &self.base {
                Some(base) => base.read(offset, bytes)?,
                None => bytes.fill(0),
            },
            Place::Layer { depth, offset } => match self.layers.get(depth) {
                Some(layer) => layer.read_run(at, offset, bytes)?,
                None => bytes.fill(0),
            },
        }
        Ok(())
    }

    /// Writes. Everything is durable after the next [`Disk::flush`]; until then each sector reads old or new, also
    /// after a crash. When the medium fails, this and every later write or flush is an error: open the image again. Want of
    /// space ends nothing ([`crate::Error::is_want_of_space`]): each sector is old or new then, and the write can be tried
    /// again.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check("write", offset, bytes.len() as u64)?;
        let mut at = offset;
        for bytes in bytes.chunks(MAX_PLAN_BYTES) {
            let len_bytes = bytes.len() as u64;
            if let Some(done) = self.write_over(at, bytes) {
                done?;
                at += len_bytes;
                continue;
            }
            self.write(Write { offset: at, len_bytes, content: Content::Bytes(bytes) })?;
            at += len_bytes;
        }
        Ok(())
    }

    /// Several writes as one: they wait for the disk together, which is most of what a write to a new place costs. They lie
    /// apart from each other and hold at most 16 MiB. After an error any of them may be there.
    pub fn write_many(&mut self, writes: &[(u64, &[u8])]) -> Result<()> {
        let mut ascending = writes.to_vec();
        ascending.sort_unstable_by_key(|&(offset, _)| offset);
        let mut end = 0;
        for &(offset, bytes) in &ascending {
            self.check("write", offset, bytes.len() as u64)?;
            if offset < end {
                return Err(self.refused("write", offset, bytes.len() as u64, "over another write in"));
            }
            end = offset + bytes.len() as u64;
        }
        let writes = ascending.into_iter().map(|(offset, bytes)| {
            let len_bytes = bytes.len() as u64;
            Write { offset, len_bytes, content: Content::Bytes(bytes) }
        });
        self.perform(&writes.collect::<Vec<_>>())
    }

    /// [`Disk::write_at`] where that changes nothing but data, as far as this has seen the image; others may read and write
    /// in the same way meanwhile. `None`, and nothing written, where it changes more.
    pub fn write_over(&self, offset: u64, bytes: &[u8]) -> Option<Result<()>> {
        self.write_over_many(&[(offset, bytes)]).pop().flatten()
    }

    /// Several of [`Disk::write_over`], all at once where an engine does that; what became of each. Where they lie over each
    /// other the later one counts.
    pub fn write_over_many(&self, writes: &[(u64, &[u8])]) -> Vec<Option<Result<()>>> {
        let is_right = |&(offset, bytes): &(u64, &[u8])| self.check("write", offset, bytes.len() as u64).is_ok();
        match (self.layers.first(), &self.base) {
            (Some(leaf), _) => leaf.write_over(writes, is_right),
            (None, Some(base)) if base.is_writable() => base.write_each(writes, is_right),
            (None, _) => writes.iter().map(|_| None).collect(),
        }
    }

    /// Makes a range read as zeros, with the promises of [`Disk::write_at`]. What reads as zeros for want of any block is
    /// left alone. Blocks of an image without a parent that lie in it wholly lose their places; what else the image holds of
    /// it stays the image's, so that the parent never shows, and becomes a hole of a file. Later writes may need space.
    pub fn write_zeroes(&mut self, offset: u64, len_bytes: u64) -> Result<()> {
        self.in_parts(offset, len_bytes, Disk::write_zeroes_part)
    }

    /// The beginning of [`Disk::write_zeroes`], for who lets others in between: how many bytes are done, some of them at
    /// least.
    pub fn write_zeroes_part(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        self.check("write", offset, len_bytes)?;
        self.clear_part(offset, len_bytes, |disk, at, Run { len_bytes, place }| match place {
            Place::Zero => Ok(()),
            _ => disk.write_zero_run(at, len_bytes),
        })
    }

    fn write_zero_run(&mut self, offset: u64, len_bytes: u64) -> Result<()> {
        // Those of an encrypted disk are in memory.
        let max_bytes = if self.is_encrypted(0) { MAX_PLAN_BYTES as u64 } else { len_bytes };
        let (mut at, end) = (offset, offset + len_bytes);
        while at < end {
            let len_bytes = max_bytes.min(end - at);
            self.write(Write { offset: at, len_bytes, content: Content::Zeros })?;
            at += len_bytes;
        }
        Ok(())
    }

    /// Says that nobody needs these bytes any more: the image gives their space back where it can, as in
    /// [`Disk::write_zeroes`]. They then read as zeros, or as before, and never as the parent's. Takes no space, ever.
    /// On a raw disk that is a device it does nothing unless [`Disk::pass_discards`] was called.
    pub fn discard(&mut self, offset: u64, len_bytes: u64) -> Result<()> {
        self.in_parts(offset, len_bytes, Disk::discard_part)
    }

    /// The beginning of [`Disk::discard`]: how many bytes are done, some of them at least.
    pub fn discard_part(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        self.check("discard", offset, len_bytes)?;
        self.clear_part(offset, len_bytes, |disk, at, Run { len_bytes, place }| match (place, disk.layers.first()) {
            (Place::Layer { depth: 0, .. }, Some(leaf)) => leaf.discard(at..at + len_bytes),
            (Place::Base { offset }, None) => disk.base.as_ref().map_or(Ok(()), |base| base.discard(offset, len_bytes)),
            _ => Ok(()),
        })
    }

    /// From now on discards reach a raw disk that is a device too, for an owner who wants its space back in the pool that the
    /// device is part of. Files give theirs back anyway, and what an image holds is the image's.
    pub fn pass_discards(&mut self) {
        if let (true, Some(base)) = (self.layers.is_empty(), &mut self.base) {
            base.pass_discards();
        }
    }

    fn in_parts(
        &mut self,
        offset: u64,
        len_bytes: u64,
        part: impl Fn(&mut Self, u64, u64) -> Result<u64>,
    ) -> Result<()> {
        let mut done = part(self, offset, len_bytes)?;
        while done < len_bytes {
            done += part(self, offset + done, len_bytes - done)?;
        }
        Ok(())
    }

    /// Frees the blocks in the first part of a range, and calls with the runs that it then has, and their positions on the
    /// disk. A part ends where a block does, and is as much as runs are looked up for at a time.
    fn clear_part(
        &mut self,
        offset: u64,
        len_bytes: u64,
        mut each: impl FnMut(&mut Self, u64, Run) -> Result<()>,
    ) -> Result<u64> {
        let end = (offset + len_bytes).min((offset / MAX_MAP_BYTES + 1) * MAX_MAP_BYTES);
        if let (&mut [ref mut leaf], None) = (self.layers.as_mut_slice(), &self.base) {
            let freed = leaf.free(offset..end);
            self.owners.written(offset..end);
            freed?;
        }
        let mut at = offset;
        for run in self.runs(offset..end)? {
            each(self, at, run)?;
            at += run.len_bytes;
        }
        Ok(end - offset)
    }

    fn write(&mut self, write: Write<'_>) -> Result<()> {
        self.perform(&[write])
    }

    /// In ascending order, apart from each other.
    fn perform(&mut self, writes: &[Write<'_>]) -> Result<()> {
        let Some(leaf) = self.layers.first_mut() else {
            return writes.iter().try_for_each(|write| self.write_raw(write));
        };
        let written = leaf.write(writes, None);
        // Also of what failed some may be there.
        for write in writes {
            self.owners.written(write.offset..write.offset + write.len_bytes);
        }
        written
    }

    fn write_raw(&self, write: &Write<'_>) -> Result<()> {
        match (&self.base, write.content) {
            (Some(base), Content::Bytes(bytes)) => base.write(write.offset, bytes),
            (Some(base), Content::Zeros) => base.zero(write.offset, write.len_bytes),
            (Some(_), Content::Copy { .. }) | (None, _) => {
                Err(self.refused("write", write.offset, write.len_bytes, "copies have no place on"))
            }
        }
    }

    /// Those of these blocks of the first image that have no place, and how many of them, from the first on, can have
    /// one: a BAT cannot name places beyond 2 TiB. An error where the image has no blocks.
    pub fn unplaced(&self, blocks: Range<usize>) -> Result<(Vec<usize>, usize)> {
        self.layers.first().map_or(Ok((vec![], 0)), |leaf| leaf.unplaced(blocks))
    }

    /// Gives these blocks, which have none, a place without writing data; the disk reads as before. An error, and no
    /// change, where the device has no room for all of them.
    pub fn place(&mut self, blocks: &[usize]) -> Result<()> {
        let Some(leaf) = self.layers.first_mut() else { return Ok(()) };
        let placed = leaf.place(blocks);
        let block_bytes = leaf.block_geometry().map_or(0, |(block_bytes, _)| block_bytes);
        for &block in blocks {
            let start = block as u64 * block_bytes;
            self.owners.written(start..start + block_bytes);
        }
        placed
    }

    /// From now on only [`Disk::flush`] waits for the disk, where that can be: a file grows by up to so many bytes at a time, as
    /// a hole, and a new block of an image without a parent is not waited for. After a crash a sector still reads old or
    /// new, and what was flushed is there. [`Disk::close`] gives the room back; after a kill, the next call of this does.
    ///
    /// Past the page cache ([`Cache::Direct`](crate::Cache)) this is as safe: a write into a hole is zeros until all of it is on
    /// disk, because the file system marks the new extent as unwritten until then; the file's size comes after what is in it;
    /// and a flush makes both durable. Of an image without a parent a block may then be pointed to before its data is
    /// there; what is not there reads as zeros, as it did before.
    ///
    /// # Errors
    ///
    /// Those of a write: what a killed writer left could not be given back.
    pub fn write_back(&mut self, ahead_bytes: u64) -> Result<()> {
        self.layers.first_mut().map_or(Ok(()), |leaf| leaf.write_back(ahead_bytes))
    }

    /// Makes everything written durable, and leaves no room behind the last block that [`Disk::write_back`] made or that
    /// blocks had.
    pub fn close(mut self) -> Result<()> {
        match self.layers.first_mut() {
            Some(leaf) => leaf.close(),
            None => self.flush(),
        }
    }

    /// Makes everything written durable. It can lack space where an earlier write did, and be tried again then; a failed
    /// sync is final, with EIO.
    pub fn flush(&self) -> Result<()> {
        match (self.layers.first(), &self.base) {
            (Some(leaf), _) => leaf.flush(),
            (None, Some(base)) => base.flush(),
            (None, None) => Ok(()),
        }
    }

    /// Whole sectors inside the disk.
    fn check(&self, what: &str, offset: u64, len_bytes: u64) -> Result<()> {
        let end = self.check_inside(what, offset, len_bytes)?;
        if offset.is_multiple_of(SECTOR_BYTES) && end.is_multiple_of(SECTOR_BYTES) {
            return Ok(());
        }
        Err(self.refused(what, offset, len_bytes, "not whole sectors of"))
    }

    /// The end of a range inside the disk.
    fn check_inside(&self, what: &str, offset: u64, len_bytes: u64) -> Result<u64> {
        let end = offset.checked_add(len_bytes).filter(|&end| end <= self.size_bytes());
        end.ok_or_else(|| self.refused(what, offset, len_bytes, "not inside"))
    }

    fn refused(&self, what: &str, offset: u64, len_bytes: u64, why: &str) -> Error {
        let size = self.size_bytes();
        let message = format!("cannot {what} {len_bytes} bytes at {offset}: {why} a disk of {size} bytes");
        Error::new(ErrorKind::InvalidInput, message)
    }
}
