//! Moving what an image holds down into its parent, so that the image can go. Copies; does not delete, relink or resize.
//!
//! Running it again is resuming it: sectors of the child stay where they are, so a parent that has some of them already
//! reads the same through the child. Nothing is kept outside the parent, and it is a valid image after a crash at any
//! point, because its writes are those of `write_plan`. Memory is bounded: a batch of runs and the bitmaps
//! of the blocks that they cover.

use std::ops::Range;

use rustix::io::Errno;

use crate::chain::{self, Parent};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::layer::Layer;
use crate::layer_write::Write;
use crate::medium::Medium;
use crate::units::SECTOR_BYTES;
use crate::write_plan::Content;

/// Runs that go to the disk together, and share its barriers; whole blocks of the parent that they cover. Of each block
/// a bitmap is in memory.
const MAX_BATCH: usize = 4096;
/// Bytes that do, so that a kill costs little.
const MAX_BATCH_BYTES: u64 = 256 << 20;

/// An image and its parent, which is open for writing.
#[derive(Debug)]
pub struct Coalesce<M: Medium = ImageFile> {
    child: Layer<M>,
    onto: Onto<M>,
}

#[derive(Debug)]
enum Onto<M: Medium> {
    Vhd(Box<Layer<M>>),
    Raw(M),
}

impl Coalesce<ImageFile> {
    /// Opens the parent that [`chain::parent`] found.
    ///
    /// # Errors
    ///
    /// Those of opening; [`ErrorKind::Corrupt`] for a parent that is not the image that the child was made on, or for one
    /// of them that is in the middle of a resize.
    pub fn open(child: Image, parent: &Parent) -> Result<Self> {
        let child = child.not_poisoned()?;
        let file = child.file().open_parent_rw(parent.path())?;
        if file.identity() == child.file().identity() {
            let message = format!("`{}` is its own parent", parent.path().display());
            return Err(Error::new(ErrorKind::ChainLoop, message));
        }
        let onto = match parent {
            Parent::Raw(_) => Onto::Raw(file),
            Parent::Vhd(_) => {
                let parent = Image::on(file)?;
                chain::check_parent(&child, &parent)?;
                Onto::Vhd(Box::new(Layer::writer(parent)?))
            }
        };
        Ok(Coalesce { child: Layer::reader(child)?, onto })
    }
}

impl<M: Medium> Coalesce<M> {
    /// Of images that are open already, the parent for writing. Whether they belong together is not looked at.
    pub fn of(child: Image<M>, parent: Image<M>) -> Result<Self> {
        Ok(Coalesce { child: Layer::reader(child)?, onto: Onto::Vhd(Box::new(Layer::writer(parent)?)) })
    }

    /// Copies every sector that the child holds, and returns how many those were once all are durable in the parent.
    /// Calls `progress` with the number of blocks that are done and of all blocks.
    ///
    /// # Errors
    ///
    /// `ERANGE` where the child holds something past the parent's end: make the parent larger first.
    pub fn run(mut self, mut progress: impl FnMut(u64, u64)) -> Result<u64> {
        let (block_bytes, blocks) = self.child.block_geometry().unwrap_or((SECTOR_BYTES, 0));
        let size = self.child.size_bytes();
        let held: Vec<u64> = self.child.held().map(|range| range.start / block_bytes).collect();
        let max_bytes = self.max_batch_bytes();
        let (mut batch, mut batch_bytes, mut sectors) = (Vec::new(), 0, 0);
        let mut next = 0;
        for block in held {
            (next..=block).for_each(|block| progress(block, blocks as u64));
            next = block + 1;
            let mut at = block * block_bytes;
            for run in self.child.map(at..(at + block_bytes).min(size), &mut None)? {
                if let Some(from) = run.offset {
                    self.check_room(at..at + run.len_bytes)?;
                    self.child.check_end(from, run.len_bytes)?;
                    let mut done = 0;
                    while done < run.len_bytes {
                        if batch.len() >= MAX_BATCH || batch_bytes >= max_bytes {
                            self.write(&batch)?;
                            batch.clear();
                            batch_bytes = 0;
                        }
                        let len_bytes = (run.len_bytes - done).min(max_bytes - batch_bytes);
                        batch.push(Write {
                            offset: at + done,
                            len_bytes,
                            content: Content::Copy { from: from + done },
                        });
                        done += len_bytes;
                        batch_bytes += len_bytes;
                    }
                    sectors += run.len_bytes / SECTOR_BYTES;
                }
                at += run.len_bytes;
            }
        }
        self.write(&batch)?;
        match &self.onto {
            Onto::Vhd(parent) => parent.flush()?,
            Onto::Raw(file) => file.flush()?,
        }
        (next..blocks as u64).for_each(|block| progress(block, blocks as u64));
        Ok(sectors)
    }

    fn max_batch_bytes(&self) -> u64 {
        let block_bytes = match &self.onto {
            Onto::Vhd(parent) => parent.block_geometry().map(|(block_bytes, _)| block_bytes),
            Onto::Raw(_) => None,
        };
        block_bytes.map_or(MAX_BATCH_BYTES, |block_bytes| MAX_BATCH_BYTES.min(block_bytes * MAX_BATCH as u64))
    }

    fn check_room(&self, range: Range<u64>) -> Result<()> {
        match &self.onto {
            Onto::Vhd(parent) if range.end > parent.size_bytes() => {
                let (child, size) = (self.child.image().file().path().display(), parent.size_bytes());
                let message = format!("`{child}` holds bytes up to {}, its parent ends at {size}", range.end);
                Err(Error::new(ErrorKind::InvalidInput, message).with_errno(Errno::RANGE))
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, batch: &[Write<'_>]) -> Result<()> {
        let source = self.child.image().file();
        match &mut self.onto {
            Onto::Vhd(parent) => parent.write(batch, Some(source)),
            Onto::Raw(file) => batch.iter().try_for_each(|write| {
                let &Write { offset, len_bytes, content: Content::Copy { from } } = write else { return Ok(()) };
                file.copy_from(source, from, offset, len_bytes).map_err(|source| {
                    let path = file.path().display();
                    Error::io(format!("cannot write data ({len_bytes} bytes at {offset}) of `{path}`"), source)
                })
            }),
        }
    }
}
