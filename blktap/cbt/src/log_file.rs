//! The file or device that holds a log: opens it safely, moves bytes to and from it. Knows bytes and offsets, nothing of
//! logs. Everything goes through the page cache, which a tapdisk that maps the log shares.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};

/// Bytes per read or write of a long run.
pub(crate) const CHUNK_BYTES: u64 = 1 << 20;

/// An open log file: a regular file or a block device, nothing else.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    path: PathBuf,
    /// Size of the device; `None` for a regular file, whose length may change.
    device_bytes: Option<u64>,
}

impl LogFile {
    /// Opens for reading.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        LogFile::checked(options().open(path), path)
    }

    /// Opens for reading and writing what is there already.
    pub(crate) fn open_rw(path: &Path) -> Result<Self> {
        LogFile::checked(options().write(true).open(path), path)
    }

    /// Opens what is there, or makes an empty file, and has `fill` fill it. A file that was not there before is removed
    /// again when that fails.
    pub(crate) fn create(path: &Path, fill: impl FnOnce(&LogFile) -> Result<()>) -> Result<()> {
        let made = options().write(true).create_new(true).open(path);
        match made {
            // `create` once more: the path may be a symbolic link to what is not there.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fill(&LogFile::checked(options().write(true).create(true).open(path), path)?)
            }
            made => {
                let file = LogFile::checked(made, path)?;
                let done = fill(&file).and_then(|()| {
                    sync_name(path).map_err(|source| Error::io(file.cannot("sync the directory of"), source))
                });
                // The first error is the one to report; a file that cannot be removed changes nothing about it.
                done.inspect_err(|_| drop(fs::remove_file(path)))
            }
        }
    }

    fn checked(opened: io::Result<File>, path: &Path) -> Result<Self> {
        let doing = || format!("cannot open `{}`", path.display());
        let file = opened.map_err(|source| Error::io(doing(), source))?;
        let metadata = file.metadata().map_err(|source| Error::io(doing(), source))?;
        let device_bytes = match metadata.file_type() {
            kind if kind.is_file() => None,
            kind if kind.is_block_device() => {
                let end = rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0));
                Some(end.map_err(|errno| Error::io(doing(), errno.into()))?)
            }
            kind if kind.is_dir() => return Err(Error::io(doing(), Errno::ISDIR.into())),
            _ => {
                let message = format!("`{}` is not a regular file or block device", path.display());
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        };
        Ok(LogFile { file, path: path.to_owned(), device_bytes })
    }

    /// What it is called in messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its size now.
    pub(crate) fn len_bytes(&self) -> Result<u64> {
        match self.device_bytes {
            Some(len_bytes) => Ok(len_bytes),
            None => {
                let metadata = self.file.metadata();
                Ok(metadata.map_err(|source| Error::io(self.cannot("stat"), source))?.len())
            }
        }
    }

    /// Fills `bytes` from this position, which must lie before the end.
    pub(crate) fn read(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(bytes, offset).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                let message = format!("`{}` ended while it was read at {offset}", self.path.display());
                Error::new(ErrorKind::Corrupt, message)
            }
            _ => Error::io(self.cannot("read"), source),
        })
    }

    /// Writes all of `bytes`.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|source| Error::io(self.cannot("write"), source))
    }

    /// Writes zeros up to `end`.
    pub(crate) fn zero(&self, mut offset: u64, end: u64) -> Result<()> {
        while offset < end {
            let len = chunk(offset, end);
            self.write(&vec![0; len], offset)?;
            offset += len as u64;
        }
        Ok(())
    }

    /// Makes sure that everything before `end` can be written: tapdisk maps the log, and a full disk would kill it.
    /// On failure the file is as it was.
    pub(crate) fn reserve(&self, end: u64) -> Result<()> {
        let len_bytes = self.len_bytes()?;
        let (path, growth) = (self.path.display(), end.saturating_sub(len_bytes));
        let no_space = |message: String| Err(Error::new(ErrorKind::NoSpace, message));
        if growth == 0 {
            return Ok(());
        }
        if self.device_bytes.is_some() {
            return no_space(format!("`{path}` has {len_bytes} bytes, the log needs {end}"));
        }
        // A size that is nonsense must not take all the space there is before it is refused.
        let space = rustix::fs::fstatvfs(&self.file).map_err(|errno| Error::io(self.cannot("stat"), errno.into()))?;
        let free_bytes = space.f_bfree.saturating_mul(space.f_frsize);
        if free_bytes < growth {
            return no_space(format!("file system of `{path}` has {free_bytes} bytes left, the log needs {growth}"));
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, end) {
            // The zeros that follow take the space.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(errno) => {
                // The first error is the one to report.
                drop(self.file.set_len(len_bytes));
                Err(Error::io(format!("cannot reserve {end} bytes for `{path}`"), errno.into()))
            }
        }
    }

    /// Ends a regular file here.
    pub(crate) fn cut(&self, end: u64) -> Result<()> {
        match self.device_bytes {
            Some(_) => Ok(()),
            None => self.file.set_len(end).map_err(|source| Error::io(self.cannot("cut"), source)),
        }
    }

    /// Returns when everything written is durable, and the size with it.
    pub(crate) fn flush(&self) -> Result<()> {
        self.file.sync_data().map_err(|source| Error::io(self.cannot("sync"), source))
    }

    fn cannot(&self, what: &str) -> String {
        format!("cannot {what} `{}`", self.path.display())
    }
}

/// Makes the name of a new file durable: syncing the file does not.
fn sync_name(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// How much of the rest is moved at once.
pub(crate) fn chunk(offset: u64, end: u64) -> usize {
    usize::try_from((end - offset).min(CHUNK_BYTES)).expect("a chunk fits in memory")
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // O_NONBLOCK: opening a FIFO must not wait for its other end. Regular files and block devices ignore it.
    options.read(true).custom_flags(i32::from_ne_bytes(OFlags::NONBLOCK.bits().to_ne_bytes()));
    options
}
