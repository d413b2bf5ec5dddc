//! A log that is open: its header, its bitmap, and the orders of writes that change them. Knows what a log is; how bytes
//! get to the disk is `log_file`'s.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::header::{HEADER_BYTES, Header};
use crate::log_file::{LogFile, chunk};

const HEADER_LEN: u64 = HEADER_BYTES as u64;

/// A log that is open.
#[derive(Debug)]
pub struct Log(LogFile);

impl Log {
    /// Opens a log to read it. Neither a FIFO nor a slow device can make this wait.
    pub fn open(path: &Path) -> Result<Self> {
        LogFile::open(path).map(Log)
    }

    /// The same, to be written as well.
    pub fn open_rw(path: &Path) -> Result<Self> {
        LogFile::open_rw(path).map(Log)
    }

    /// Creates the log of a disk on which nothing has changed. What stands at `path` becomes that log, but for the bytes
    /// of a block device after its end; a file that was not there before is removed again when anything fails.
    pub fn create(path: &Path, header: &Header) -> Result<()> {
        LogFile::create(path, |file| {
            file.reserve(header.end())?;
            // The header first: without it, a kill could leave an older log consistent, but without its bits.
            file.write(&header.to_bytes(), 0)?;
            file.flush()?;
            file.zero(HEADER_LEN, header.end())?;
            file.cut(header.end())?;
            file.flush()
        })
    }

    /// Reads the header.
    pub fn header(&self) -> Result<Header> {
        let len_bytes = self.0.len_bytes()?;
        if len_bytes < HEADER_LEN {
            let path = self.0.path().display();
            let message = format!("`{path}` has {len_bytes} bytes, the header of a log has {HEADER_BYTES}");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let mut bytes = [0; HEADER_BYTES];
        self.0.read(&mut bytes, 0)?;
        Ok(Header::from_bytes(&bytes))
    }

    /// Writes the header, in one piece. Where its size is larger than before, the bitmap must have grown already.
    pub fn write_header(&self, header: &Header) -> Result<()> {
        self.0.write(&header.to_bytes(), 0)?;
        self.0.flush()
    }

    /// The bitmap that a header promises, a piece at a time. An error when the file is shorter, or there is none.
    pub fn bitmap(&self, header: &Header) -> Result<Chunks<'_>> {
        let (path, end, len_bytes) = (self.0.path().display(), header.end(), self.0.len_bytes()?);
        if header.size_bytes == 0 {
            let message = format!("`{path}` has no bitmap: it says that its disk has 0 bytes");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        if len_bytes < end {
            let message =
                format!("`{path}` has {len_bytes} bytes, the log of a disk of {} bytes has {end}", header.size_bytes);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(Chunks { file: &self.0, offset: HEADER_LEN, end })
    }

    /// Makes the bitmap long enough for a larger disk, of which nothing new has changed. The header stays: a kill leaves
    /// the old log with some zeros after its end.
    pub fn grow_bitmap(&self, old: &Header, new: &Header) -> Result<()> {
        if new.size_bytes < old.size_bytes {
            let (path, new, old) = (self.0.path().display(), new.size_bytes, old.size_bytes);
            let message = format!("the log `{path}` cannot shrink: its disk has {old} bytes, more than {new}");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let Chunks { end, .. } = self.bitmap(old)?;
        self.0.reserve(new.end())?;
        self.0.zero(end, new.end())?;
        self.0.flush()
    }

    /// Adds the blocks of `parent` to this log, which comes after it. A kill leaves some of them added; doing it again
    /// adds the rest. An error when this bitmap is the shorter one.
    pub fn coalesce(&self, parent: &Log) -> Result<()> {
        let (header, parent_header) = (self.header()?, parent.header()?);
        if parent_header.bitmap_bytes() > header.bitmap_bytes() {
            let message = format!(
                "the bitmap of `{}` has {} bytes, more than the {} of `{}`",
                parent.0.path().display(),
                parent_header.bitmap_bytes(),
                header.bitmap_bytes(),
                self.0.path().display()
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        // Both are whole before anything is written.
        let theirs = parent.bitmap(&parent_header)?;
        for (theirs, ours) in theirs.zip(self.bitmap(&header)?) {
            let ((offset, ours), (_, theirs)) = (ours?, theirs?);
            let both: Vec<u8> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours | theirs).collect();
            if both[..] != ours[..both.len()] {
                self.0.write(&both, offset)?;
            }
        }
        self.0.flush()
    }
}

/// A bitmap, a piece of bounded length at a time: where it lies in the file, and its bytes.
#[derive(Debug)]
pub struct Chunks<'a> {
    file: &'a LogFile,
    offset: u64,
    end: u64,
}

impl Iterator for Chunks<'_> {
    type Item = Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.end {
            return None;
        }
        let offset = self.offset;
        let mut bytes = vec![0; chunk(offset, self.end)];
        let read = self.file.read(&mut bytes, offset);
        // After an error there is no more.
        self.offset = if read.is_ok() { offset + bytes.len() as u64 } else { self.end };
        Some(read.map(|()| (offset, bytes)))
    }
}
