//! An image on disk with its parents, found and checked one after the other; a raw file alone.

use std::collections::HashSet;
use std::path::Path;

use super::Disk;
use crate::base::Base;
use crate::chain::{self, MAX_CHAIN_DEPTH, OpenParent};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::layer::Layer;
use crate::medium::Medium;
use crate::open::Open;
use crate::units::MAX_CHAIN_ENTRIES;

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
pub(super) fn below(layers: &[Layer], passed: &mut HashSet<(u64, u64)>) -> Result<Option<OpenParent>> {
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
