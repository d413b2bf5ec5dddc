//! A disk as a guest sees it: an image on top of its chain of parents.

use std::collections::HashSet;
use std::path::Path;

use crate::chain::{self, MAX_CHAIN_DEPTH, Parent};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::layer::Layer;
use crate::medium::Medium;
use crate::units::{SECTOR_BYTES, in_memory};

/// Bytes that one plan writes at most: its steps hold them in memory.
const MAX_PLAN_BYTES: usize = 16 << 20;

/// An open disk. Positions and lengths are bytes, in whole sectors of 512.
#[derive(Debug)]
pub struct Disk<M: Medium = ImageFile> {
    /// The image itself first, then its parents.
    layers: Vec<Layer<M>>,
    /// The raw file at the end of the chain.
    base: Option<M>,
}

impl Disk<ImageFile> {
    /// Opens an image and its parents for reading.
    pub fn open(path: &Path) -> Result<Self> {
        Disk::walk(Layer::reader(Image::open(path)?)?)
    }

    /// Opens an image for reading and writing, its parents for reading.
    pub fn open_rw(path: &Path) -> Result<Self> {
        Disk::walk(Layer::writer(Image::open_rw(path)?)?)
    }

    fn walk(leaf: Layer) -> Result<Self> {
        let path = leaf.image().file().path().to_owned();
        let mut passed = HashSet::from([leaf.image().file().identity()]);
        let mut disk = Disk { layers: vec![leaf], base: None };
        loop {
            let child = disk.leaf_most_parent()?;
            let parent = match chain::parent(child)? {
                None => return Ok(disk),
                Some(Parent::Raw(path)) => {
                    disk.base = Some(ImageFile::open(&path)?);
                    return Ok(disk);
                }
                Some(Parent::Vhd(path)) => Image::open(&path)?,
            };
            let looped = |why| Error::new(ErrorKind::ChainLoop, format!("chain of `{}` {why}", path.display()));
            if !passed.insert(parent.file().identity()) {
                return Err(looped("comes back to an image it has passed"));
            }
            if passed.len() > MAX_CHAIN_DEPTH as usize {
                return Err(looped("is too long"));
            }
            let (wanted, found) = (child.header()?.parent_uuid, parent.footer().uuid);
            if wanted != found {
                let (child, parent) = (child.file().path().display(), parent.file().path().display());
                return Err(Error::corrupt(format!(
                    "parent of `{child}` has the identity {wanted}, `{parent}` is {found}"
                )));
            }
            disk.layers.push(Layer::reader(parent)?);
        }
    }

    fn leaf_most_parent(&self) -> Result<&Image> {
        self.layers.last().map(Layer::image).ok_or_else(|| Error::corrupt("chain has no image"))
    }
}

impl<M: Medium> Disk<M> {
    /// A disk of images that are open already: the one that is written first, then its parents, and the raw end of the
    /// chain. Whether they belong together is not looked at.
    pub fn of(leaf: Image<M>, parents: Vec<Image<M>>, base: Option<M>) -> Result<Self> {
        let mut layers = vec![Layer::writer(leaf)?];
        for parent in parents {
            layers.push(Layer::reader(parent)?);
        }
        Ok(Disk { layers, base })
    }

    /// Its size.
    pub fn size_bytes(&self) -> u64 {
        self.layers.first().map_or(0, Layer::size_bytes)
    }

    /// Reads from the first image of the chain that holds each sector; what none holds is zero.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.check("read", offset, bytes.len())?;
        bytes.fill(0);
        let mut wanted = vec![(0, offset, &mut *bytes)];
        while let Some((depth, offset, bytes)) = wanted.pop() {
            let Some(layer) = self.layers.get(depth) else {
                self.read_base(offset, bytes)?;
                continue;
            };
            // A parent may be smaller than its child: past its end everything is zero.
            let len_bytes = layer.size_bytes().saturating_sub(offset).min(bytes.len() as u64);
            let (bytes, _) = bytes.split_at_mut(in_memory("read", len_bytes)?);
            if bytes.is_empty() {
                continue;
            }
            let (mut at, mut rest) = (offset, bytes);
            for run in layer.map(offset..offset + len_bytes)? {
                let (bytes, after) = rest.split_at_mut(in_memory("read", run.len_bytes)?);
                match run.offset {
                    Some(offset) => layer.read_run(offset, bytes)?,
                    None => wanted.push((depth + 1, at, bytes)),
                }
                (at, rest) = (at + run.len_bytes, after);
            }
        }
        Ok(())
    }

    fn read_base(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let Some(base) = &self.base else { return Ok(()) };
        let len_bytes = base.len_bytes().saturating_sub(offset).min(bytes.len() as u64);
        let read = base.read("data", offset, in_memory("read", len_bytes)?)?;
        bytes[..read.len()].copy_from_slice(&read);
        Ok(())
    }

    /// Writes. Everything is durable after the next [`Disk::flush`]; until then each sector reads old or new, also
    /// after a crash. When the medium fails, this and every later write or flush is an error: open the image again.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check("write", offset, bytes.len())?;
        let Some(leaf) = self.layers.first_mut() else { return Ok(()) };
        let mut at = offset;
        for bytes in bytes.chunks(MAX_PLAN_BYTES) {
            leaf.write(at, bytes)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Makes everything written durable.
    pub fn flush(&self) -> Result<()> {
        self.layers.first().map_or(Ok(()), Layer::flush)
    }

    fn check(&self, what: &str, offset: u64, len: usize) -> Result<()> {
        let (len, size) = (len as u64, self.size_bytes());
        let is_inside = offset.checked_add(len).is_some_and(|end| end <= size);
        if is_inside && offset.is_multiple_of(SECTOR_BYTES) && len.is_multiple_of(SECTOR_BYTES) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidInput,
            format!("cannot {what} {len} bytes at {offset}: not whole sectors of a disk of {size} bytes"),
        ))
    }
}
