//! The file or device that holds a journal: made, found and removed in ways that outlast a crash.

use std::fs;
use std::path::Path;

use rustix::io::Errno;

use crate::directory;
use crate::error::{Error, ErrorKind, Result};
use crate::image_file::ImageFile;
use crate::journal_writer;
use crate::medium::Medium;
use crate::plan::Target;

/// An open journal.
#[derive(Debug)]
pub struct JournalFile(ImageFile);

impl JournalFile {
    /// Makes the file, which must not be there yet, or takes a block device. Not the one that `image` is.
    pub fn create(path: &Path, image: &ImageFile) -> Result<Self> {
        let doing = || format!("cannot create journal `{}`", path.display());
        match ImageFile::create_new(path) {
            Ok(file) => {
                directory::sync(path).map_err(|source| Error::io(doing(), source))?;
                Ok(JournalFile(file))
            }
            Err(error) if error.errno() == Errno::EXIST.raw_os_error() => {
                let taken = ImageFile::open_rw(path).ok();
                let taken = taken.filter(|taken| taken.target() != Target::File);
                let taken = taken.ok_or_else(|| error.within(doing()))?;
                JournalFile(taken).beside(image)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens a journal of `image`.
    pub fn open(path: &Path, image: &ImageFile) -> Result<Self> {
        JournalFile(ImageFile::open_rw(path)?).beside(image)
    }

    fn beside(self, image: &ImageFile) -> Result<Self> {
        if self.0.identity() == image.identity() {
            let message = format!("`{}` is the image itself, not its journal", self.0.path().display());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(self)
    }

    /// The medium that it is on.
    pub fn medium(&self) -> &ImageFile {
        &self.0
    }

    /// Removes it, or on a device makes it a journal that does nothing.
    pub fn remove(self) -> Result<()> {
        if self.0.target() != Target::File {
            return journal_writer::clear(&self.0);
        }
        let path = self.0.path();
        let removed = fs::remove_file(path).and_then(|()| directory::sync(path));
        removed.map_err(|source| Error::io(format!("cannot remove journal `{}`", path.display()), source))
    }
}
