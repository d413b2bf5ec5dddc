//! Making a disk larger. Nothing of the image changes before a journal of it is durable and the image is marked; it is
//! unmarked when all is durable. So after a crash at any point the image is whole, or marked with a journal that brings
//! it back ([`crate::revert`]).

use rustix::io::Errno;

use crate::bat::Bat;
use crate::batmap::{Batmap, RawBatmapHeader};
use crate::copy;
use crate::create::whole_blocks;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{DiskKind, FOOTER_BYTES, Footer, RawFooter};
use crate::footer_copies;
use crate::geometry::Geometry;
use crate::header::Header;
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::journal::Kind;
use crate::journal_writer::{self, Held};
use crate::layout::Layout;
use crate::medium::Medium;
use crate::plan::{Plan, Step, Target};
use crate::resize_plan::{self, Growth, Move, Now};
use crate::revert::put_footers;
use crate::units::{Extent, in_memory};

const FOOTER_LEN: u64 = FOOTER_BYTES as u64;

/// An image that can be resized: all that a resize touches was read and is right.
#[derive(Debug)]
pub struct Subject<'a, M: Medium = ImageFile> {
    image: &'a Image<M>,
    /// The footer at the end, which must be right: what a journal brings back must be an image.
    primary: Footer,
    footer_offset: u64,
    sparse: Option<Sparse<'a>>,
}

#[derive(Debug)]
struct Sparse<'a> {
    header: &'a Header,
    bat: Bat,
    batmap: Option<(RawBatmapHeader, Batmap)>,
    layout: Layout,
}

impl<'a, M: Medium> Subject<'a, M> {
    /// An error when the image is damaged, marked, or not one of blktap's.
    pub fn of(image: &'a Image<M>) -> Result<Self> {
        Subject::read(image).map_err(|error| error.within(format!("cannot resize `{}`", image.file().path().display())))
    }

    fn read(image: &'a Image<M>) -> Result<Self> {
        let file = image.file();
        if !image.footer().creator.is_tap() {
            return Err(Error::new(ErrorKind::InvalidInput, "it was not created by blktap"));
        }
        let footer_at = |what, offset| {
            let footer = file.read(what, offset, FOOTER_BYTES).map(|bytes| RawFooter::from_prefix(&bytes));
            let footer = footer.and_then(|raw| Footer::try_from(&raw));
            footer.and_then(|footer| match footer.is_poisoned || footer.uuid != image.footer().uuid {
                true => Err(Error::corrupt(format!("{what} is of another image, or the image is being resized"))),
                false => Ok(footer),
            })
        };
        let footer_offset = file.len_bytes().saturating_sub(FOOTER_LEN);
        let primary = footer_at("footer", footer_offset)?;
        if !footer_offset.is_multiple_of(FOOTER_LEN) {
            return Err(Error::corrupt(format!("footer is on no sector: {footer_offset}")));
        }
        let sparse = match primary.kind {
            DiskKind::Dynamic | DiskKind::Differencing => {
                footer_at("footer copy", 0)?;
                let (header, bat, batmap) = (image.header()?, image.bat()?, image.batmap()?);
                let layout = Layout::of(&primary, header, batmap.as_ref().map(Batmap::header), footer_offset)?;
                let batmap = image.raw_batmap_header()?.zip(batmap);
                Some(Sparse { header, bat, batmap, layout })
            }
            DiskKind::Fixed if primary.current_bytes <= footer_offset => None,
            DiskKind::Fixed => return Err(Error::corrupt("file is shorter than the disk")),
            DiskKind::Other(number) => {
                return Err(Error::corrupt(format!("{number} is no disk type of this format")));
            }
        };
        Ok(Subject { image, primary, footer_offset, sparse })
    }

    /// Size of the disk now.
    pub fn size_bytes(&self) -> u64 {
        self.primary.current_bytes
    }

    /// Plans to make the disk larger: a fixed one to this size, others to whole blocks of 2 MiB.
    pub fn grow(self, size_bytes: u64) -> Result<Resize<'a, M>> {
        let file = self.image.file();
        if size_bytes < self.size_bytes() {
            let message = format!("disk has {} bytes, it cannot shrink to {size_bytes}", self.size_bytes());
            return Err(Error::new(ErrorKind::Unsupported, message).with_errno(Errno::NOSYS));
        }
        let growth = match &self.sparse {
            Some(sparse) => {
                let now = Now {
                    footer: self.image.footer(),
                    header: sparse.header,
                    bat: &sparse.bat,
                    batmap: sparse.batmap.as_ref().map(|(raw, batmap)| (raw, batmap)),
                    layout: &sparse.layout,
                    footer_offset: self.footer_offset,
                    target: file.target(),
                };
                resize_plan::grow(&now, whole_blocks(size_bytes)?)
            }
            None => grow_fixed(&self.primary, self.footer_offset, size_bytes, file.target()),
        };
        let growth = growth.map_err(|error| {
            error.within(format!("cannot make `{}` as large as {size_bytes} bytes", file.path().display()))
        })?;
        let marked = RawFooter::from(&Footer { is_poisoned: true, ..self.primary });
        let is_sparse = self.sparse.is_some();
        Ok(Resize { image: self.image, footer_offset: self.footer_offset, marked, is_sparse, growth })
    }
}

/// The disk's new part is zero, and in a file owns its space.
fn grow_fixed(footer: &Footer, footer_offset: u64, size_bytes: u64, target: Target) -> Result<Growth> {
    let (old_end, len_bytes) = (footer.current_bytes, footer_offset + FOOTER_LEN);
    let zeroed_end = size_bytes.min(len_bytes);
    let zeros = Step::Fill { what: "new data", offset: old_end, len_bytes: zeroed_end - old_end, byte: 0 };
    let reserved = Step::Reserve { what: "new data", offset: zeroed_end, len_bytes: size_bytes - zeroed_end };
    Ok(Growth {
        held: vec![(Kind::Footer, Extent { offset: footer_offset, len_bytes: FOOTER_LEN })],
        blocks: vec![],
        locators: vec![],
        is_larger: false,
        tables: Plan { steps: vec![zeros, reserved] },
        footer_offset: footer_copies::primary_offset(target, len_bytes, size_bytes)?,
        footer: Footer { current_bytes: size_bytes, geometry: Geometry::for_size(size_bytes), ..footer.clone() },
    })
}

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Blocks in the way of the tables go to the end.
    Blocks,
    /// So do paths to the parent.
    Locators,
    /// Tables and headers are written; a fixed disk gets its space.
    Tables,
}

/// A resize that was planned: to be called in the order in which its methods stand here. After [`Resize::begin`], failed
/// or not, only [`Resize::commit`] or [`crate::revert::revert`] leave a whole image.
#[derive(Debug)]
pub struct Resize<'a, M: Medium = ImageFile> {
    image: &'a Image<M>,
    footer_offset: u64,
    marked: RawFooter,
    is_sparse: bool,
    growth: Growth,
}

impl<M: Medium> Resize<'_, M> {
    /// Writes the journal. The image is still as it was when this fails.
    pub fn write_journal(&self, journal: &impl Medium) -> Result<()> {
        let held = Held {
            uuid: self.image.footer().uuid,
            footer_offset: self.footer_offset,
            pieces: self.growth.held.clone(),
        };
        journal_writer::write(self.image.file(), journal, &held)
    }

    /// Marks the image, so that nobody uses it. The footer that counts comes first: while the copy is being marked, the
    /// image is marked already. A file that grows gets one at its new end, before anything else is there.
    pub fn begin(&self) -> Result<()> {
        self.mark("footer", self.footer_offset)?;
        if self.is_sparse {
            self.mark("footer copy", 0)?;
        }
        if self.growth.footer_offset != self.footer_offset {
            self.mark("footer", self.growth.footer_offset)?;
        }
        Ok(())
    }

    /// The work, in order.
    pub fn stages(&self) -> Vec<Stage> {
        let mut stages = Vec::new();
        if !self.growth.blocks.is_empty() {
            stages.push(Stage::Blocks);
        }
        if self.growth.is_larger {
            stages.push(Stage::Locators);
        }
        stages.push(Stage::Tables);
        stages
    }

    /// Does a part of it.
    pub fn perform(&self, stage: Stage) -> Result<()> {
        let file = self.image.file();
        match stage {
            Stage::Blocks => {
                for &Move { from, to } in &self.growth.blocks {
                    copy::copy("block", file, from, file, to)?;
                }
                Ok(())
            }
            Stage::Locators => {
                let mut steps = Vec::new();
                for &Move { from, to } in &self.growth.locators {
                    let bytes =
                        file.read("parent locator", from.offset, in_memory("parent locator", from.len_bytes)?)?;
                    steps.push(Step::Write { what: "parent locator", offset: to, bytes });
                }
                file.perform(&Plan { steps })
            }
            Stage::Tables => file.perform(&self.growth.tables),
        }
    }

    /// Makes the work durable and unmarks the image. When this returns, the journal can be removed.
    pub fn commit(&self) -> Result<()> {
        let file = self.image.file();
        file.flush()?;
        let footer = RawFooter::from(&self.growth.footer);
        put_footers(file, self.growth.footer_offset, &footer, self.is_sparse.then_some(&footer)).inspect_err(|_| {
            // Nobody knows whether the footer is on disk, so it must not look as if it were. Where this fails too, there
            // is nothing left to try.
            drop(self.mark("footer", self.growth.footer_offset));
        })
    }

    fn mark(&self, what: &'static str, offset: u64) -> Result<()> {
        let bytes = self.marked.bytes().to_vec();
        self.image.file().perform(&Plan { steps: vec![Step::Write { what, offset, bytes }] })?;
        self.image.file().flush()
    }
}
