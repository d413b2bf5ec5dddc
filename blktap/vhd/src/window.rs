//! A stretch of a medium as a medium of its own, to be read: a logical volume on the device that it lies on. Knows bytes
//! and offsets, nothing of the format.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::Result;
use crate::image_file::ImageFile;
use crate::medium::Medium;
use crate::plan::Target;

/// The stretch. It may end past the end of its medium; what is there cannot be read.
#[derive(Debug)]
pub struct Window<M: Medium = ImageFile> {
    medium: M,
    name: PathBuf,
    offset: u64,
    len_bytes: u64,
}

impl<M: Medium> Window<M> {
    /// The bytes of `medium` from `offset` on, called `name`. An error where they lie beyond 64 bits.
    pub fn of(medium: M, name: impl Into<PathBuf>, offset: u64, len_bytes: u64) -> Result<Self> {
        crate::units::sum("window", &[offset, len_bytes])?;
        Ok(Window { medium, name: name.into(), offset, len_bytes })
    }
}

impl<M: Medium> Medium for Window<M> {
    fn path(&self) -> &Path {
        &self.name
    }

    fn len_bytes(&self) -> u64 {
        self.medium.len_bytes().saturating_sub(self.offset).min(self.len_bytes)
    }

    fn target(&self) -> Target {
        Target::BlockDevice { len_bytes: self.len_bytes() }
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        match offset.checked_add(bytes.len() as u64) {
            Some(end) if end <= self.len_bytes() => self.medium.read_exact_at(bytes, self.offset + offset),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(len_bytes: u64, offset: u64, len: usize, expected: Option<&[u8]>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), (0..100).collect::<Vec<u8>>()).unwrap();
        let window = Window::of(ImageFile::open(file.path()).unwrap(), "name", 90, len_bytes).unwrap();
        assert_eq!(window.read("bytes", offset, len).ok().as_deref(), expected, "{len_bytes} {offset} {len}");
    }

    #[test]
    fn reads_end_with_the_window_and_with_its_medium() {
        check(4, 0, 4, Some(&[90, 91, 92, 93]));
        check(4, 1, 4, None);
        check(50, 8, 2, Some(&[98, 99]));
        check(50, 8, 3, None);
        check(50, u64::MAX, 1, None);
    }

    #[test]
    fn nothing_is_written_through_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let window = Window::of(ImageFile::open(file.path()).unwrap(), "name", 0, 9).unwrap();
        assert_eq!(window.write_all_at(b"x", 0).unwrap_err().raw_os_error(), Some(30));
        assert!(Window::of(window, "name", u64::MAX, 1).is_err());
    }
}
