//! A disk as a guest sees it: an image on top of its chain of parents, or a raw file alone.

mod holes;
mod lazy;
mod lend;
mod open;
mod status;
mod unlock;
mod write;

use std::ops::Range;
use std::path::Path;

use crate::base::Base;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::layer::{Layer, bad_block};
use crate::map::{Place, Run};
use crate::medium::{Medium, Part};
use crate::owners::Owners;
use crate::units::{SECTOR_BYTES, in_memory};

pub use lazy::LazyDisk;
pub use status::Stretch;

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
