//! A disk whose parents are opened when a read first needs them.

use std::collections::HashSet;

use super::Disk;
use super::open::below;
use crate::base::Base;
use crate::chain::OpenParent;
use crate::error::Result;
use crate::image::Image;
use crate::layer::Layer;
use crate::map::{Place, Run};
use crate::units::SECTOR_BYTES;

/// A disk for reading whose parents are opened when a read first needs them: what the first images hold can be read
/// where others are lost.
#[derive(Debug)]
pub struct LazyDisk {
    disk: Disk,
    passed: HashSet<(u64, u64)>,
    is_whole: bool,
}

impl LazyDisk {
    /// The disk that an open image is the first of. As with [`Disk::on`] it may be in the middle of a resize.
    pub fn on(leaf: Image) -> Result<Self> {
        let passed = HashSet::from([leaf.file().identity()]);
        let disk = Disk::of_layers(vec![Layer::reader(leaf)?], None)?;
        Ok(LazyDisk { disk, passed, is_whole: false })
    }

    /// As [`Disk::read_at`].
    pub fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let end = self.disk.check_inside("read", offset, bytes.len() as u64)?;
        let sectors = offset - offset % SECTOR_BYTES..end.next_multiple_of(SECTOR_BYTES);
        let is_zero = |run: &Run| run.place == Place::Zero;
        while !self.is_whole && self.disk.runs(sectors.clone())?.iter().any(is_zero) {
            self.descend()?;
        }
        self.disk.read_at(offset, bytes)
    }

    fn descend(&mut self) -> Result<()> {
        match below(&self.disk.layers, &mut self.passed)? {
            None => self.is_whole = true,
            Some(OpenParent::Raw(file)) => {
                (self.disk.base, self.is_whole) = (Some(Base::reader(file)), true);
                self.disk.owners.forget_seen();
            }
            Some(OpenParent::Vhd(parent)) => {
                let parent = Layer::reader(*parent)?;
                self.disk.owners.push(&self.disk.layers, &parent)?;
                self.disk.layers.push(parent);
            }
        }
        Ok(())
    }
}
