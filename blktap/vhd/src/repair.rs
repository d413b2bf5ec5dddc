//! Writing both footers anew: the primary one where the data ends, the backup at offset 0. Nothing else is touched; what
//! lies behind the new end is cut off, as blktap's tool does it.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::footer::{DiskKind, FOOTER_BYTES, Footer, RawFooter};
use crate::footer_copies;
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::medium::Medium;
use crate::plan::{Plan, Step, Target};

/// Which footer says what the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The one that opening finds: primary, else backup.
    Any,
    /// The copy at offset 0.
    Backup,
}

/// An image whose footers can be written.
#[derive(Debug)]
pub struct Repair<M: Medium = ImageFile>(Image<M>);

impl Repair {
    /// Opens for writing. An error when the footer or header is gone, or a resize journal holds the truth.
    pub fn open(path: &Path, source: Source) -> Result<Self> {
        Repair::on(ImageFile::open_rw(path)?, source)
    }
}

impl<M: Medium> Repair<M> {
    /// The same for what is open for writing already.
    pub fn on(file: M, source: Source) -> Result<Self> {
        let image = match source {
            Source::Any => Image::on(file)?,
            Source::Backup => Image::on_by_backup(file)?,
        };
        let path = image.file().path().display();
        if image.footer().is_poisoned {
            return Err(Error::corrupt(format!("`{path}` is under a resize journal: revert it first")));
        }
        if image.footer().kind == DiskKind::Fixed && image.primary_offset().is_none() {
            return Err(Error::corrupt(format!("`{path}` is a fixed disk without a footer at its end")));
        }
        Ok(Repair(image))
    }

    /// Writes the footers. At every moment one of them is whole: the file keeps its old end until both are on disk.
    pub fn write(&self) -> Result<()> {
        let file = self.0.file();
        let end = match file.target() {
            // In front of a short footer stands data.
            Target::File if self.0.footer().kind == DiskKind::Fixed => {
                footer_copies::fixed_data_end(file.len_bytes()) + FOOTER_BYTES as u64
            }
            Target::File => self.0.physical_bytes()?,
            Target::BlockDevice { len_bytes } => fits(&self.0, len_bytes)?,
        };
        for plan in plan(self.0.footer(), end) {
            file.perform(&plan)?;
            file.flush()?;
        }
        match file.target() {
            Target::File => file.cut(end),
            Target::BlockDevice { .. } => Ok(()),
        }
    }
}

fn fits(image: &Image<impl Medium>, len_bytes: u64) -> Result<u64> {
    let needed = image.physical_bytes()?;
    if needed > len_bytes {
        let message = format!("device has {len_bytes} bytes, the image needs {needed}");
        return Err(Error::new(ErrorKind::NoSpace, message));
    }
    Ok(len_bytes)
}

/// The writes, each to be on disk before the next: the primary footer as the last bytes before `end`, then the backup.
fn plan(footer: &Footer, end: u64) -> Vec<Plan> {
    let bytes = RawFooter::from(footer).bytes().to_vec();
    let write = |what, offset| Plan { steps: vec![Step::Write { what, offset, bytes: bytes.clone() }] };
    let mut plans = vec![write("footer", end.saturating_sub(FOOTER_BYTES as u64))];
    if footer.kind.is_sparse() {
        plans.push(write("footer copy", 0));
    }
    plans
}
