//! The file or device that holds an image: opens it safely, moves bytes to and from it.
//! Knows bytes and offsets, nothing of the format.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use crate::aligned::{AlignedBuffer, aligned_range};
use crate::error::{Error, ErrorKind, Result};
use crate::medium::Medium;
use crate::plan::{Plan, Target};

/// How bytes travel between us and the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Through the page cache: regular files, which the kernel keeps coherent from open to open, on NFS too.
    Cached,
    /// Past it, in aligned pieces. Invariant: no byte of a block device is ever served from the page cache, because
    /// other hosts write to it.
    Direct,
}

/// An open image file: a regular file or a block device, nothing else.
#[derive(Debug)]
pub struct ImageFile {
    file: File,
    path: PathBuf,
    /// Grows with writes.
    len_bytes: AtomicU64,
    mode: Mode,
    /// Device and inode, to tell that two paths are one image.
    identity: (u64, u64),
}

impl ImageFile {
    /// Opens for reading. Neither a FIFO nor a slow device can make this wait.
    pub fn open(path: &Path) -> Result<Self> {
        ImageFile::open_with(path, options().read(true))
    }

    fn open_with(path: &Path, options: &OpenOptions) -> Result<Self> {
        let doing = || format!("cannot open `{}`", path.display());
        let file = options.open(path).map_err(|source| Error::io(doing(), source))?;
        ImageFile::checked(file, path).map_err(|error| error.within(doing()))
    }

    /// Opens for reading and writing what is there already.
    pub fn open_rw(path: &Path) -> Result<Self> {
        let doing = || format!("cannot open `{}` for writing", path.display());
        let file = options().read(true).write(true).open(path).map_err(|source| Error::io(doing(), source))?;
        ImageFile::checked(file, path).map_err(|error| error.within(doing()))
    }

    fn checked(file: File, path: &Path) -> Result<Self> {
        let metadata = file.metadata().map_err(|source| Error::io("cannot stat", source))?;
        let (mode, len_bytes) = if metadata.file_type().is_block_device() {
            rustix::fs::fcntl_setfl(&file, OFlags::DIRECT)
                .map_err(|errno| Error::io("cannot set O_DIRECT", errno.into()))?;
            let end = rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0));
            (Mode::Direct, end.map_err(|errno| Error::io("cannot find the device's size", errno.into()))?)
        } else if metadata.is_file() {
            (Mode::Cached, metadata.len())
        } else {
            let errno = if metadata.is_dir() { Errno::ISDIR } else { Errno::INVAL };
            return Err(Error::new(ErrorKind::InvalidInput, "not a regular file or block device").with_errno(errno));
        };
        Ok(ImageFile {
            file,
            path: path.to_owned(),
            len_bytes: AtomicU64::new(len_bytes),
            mode,
            identity: identity(&metadata),
        })
    }

    /// Device and inode: equal for two paths of one image.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// When it was last written; for a device, when its node was.
    pub(crate) fn modified(&self) -> io::Result<SystemTime> {
        self.file.metadata()?.modified()
    }

    /// Ends the file here.
    pub(crate) fn cut(&self, len_bytes: u64) -> Result<()> {
        let cut = self.file.set_len(len_bytes).and_then(|()| self.file.sync_all());
        cut.map_err(|source| Error::io(format!("cannot cut `{}` at {len_bytes}", self.path.display()), source))?;
        self.len_bytes.store(len_bytes, Ordering::Relaxed);
        Ok(())
    }

    fn read_direct(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let (buffer, skip) = self.read_around(offset, bytes.len())?;
        bytes.copy_from_slice(&buffer.bytes()[skip..][..bytes.len()]);
        Ok(())
    }

    /// The aligned piece of the device around a range, and where the range begins in it.
    fn read_around(&self, offset: u64, len: usize) -> io::Result<(AlignedBuffer, usize)> {
        let range = aligned_range(offset, len as u64, self.len_bytes());
        let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut buffer = AlignedBuffer::zeroed(len);
        self.file.read_exact_at(buffer.bytes_mut(), range.start)?;
        Ok((buffer, usize::try_from(offset - range.start).map_err(io::Error::other)?))
    }
}

impl Medium for ImageFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes.load(Ordering::Relaxed)
    }

    fn target(&self) -> Target {
        match self.mode {
            Mode::Cached => Target::File,
            Mode::Direct => Target::BlockDevice { len_bytes: self.len_bytes() },
        }
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        match self.mode {
            Mode::Cached => self.file.read_exact_at(bytes, offset),
            Mode::Direct => self.read_direct(bytes, offset),
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.mode {
            Mode::Cached => {
                self.file.write_all_at(bytes, offset)?;
                self.len_bytes.fetch_max(offset.saturating_add(bytes.len() as u64), Ordering::Relaxed);
                Ok(())
            }
            Mode::Direct => {
                let (mut buffer, skip) = self.read_around(offset, bytes.len())?;
                buffer.bytes_mut()[skip..][..bytes.len()].copy_from_slice(bytes);
                self.file.write_all_at(buffer.bytes(), offset - skip as u64)
            }
        }
    }

    fn reserve(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        if len_bytes == 0 {
            return Ok(());
        }
        if self.mode == Mode::Cached {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, len_bytes) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                done => {
                    done?;
                    self.len_bytes.fetch_max(offset.saturating_add(len_bytes), Ordering::Relaxed);
                    return Ok(());
                }
            }
        }
        self.fill(0, offset, len_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Creates the file, or takes over what stands at `path`, and performs the plan that `planner` makes for it. A file
/// that was not there before is removed again when anything fails.
pub(crate) fn create(path: &Path, planner: impl FnOnce(Target) -> Result<Plan>) -> Result<()> {
    let doing = || format!("cannot create `{}`", path.display());
    let was_there = fs::metadata(path).is_ok();
    let file = options()
        .read(true)
        .write(true)
        .create(true)
        .mode(0o644)
        .open(path)
        .map_err(|source| Error::io(doing(), source))?;
    let made = file.metadata().map(|metadata| identity(&metadata));
    let done = write_new(file, path, planner).map_err(|error| error.within(doing()));
    if let (Err(_), false, Ok(made)) = (&done, was_there, made) {
        remove_ours(path, made);
    }
    done
}

fn write_new(file: File, path: &Path, planner: impl FnOnce(Target) -> Result<Plan>) -> Result<()> {
    let image = ImageFile::checked(file, path)?;
    let target = image.target();
    let plan = planner(target)?;
    if target == Target::File {
        // Only now: a request that cannot be planned leaves an older file as it was.
        image.file.set_len(0).map_err(|source| Error::io("cannot truncate", source))?;
        image.len_bytes.store(0, Ordering::Relaxed);
    }
    image.perform(&plan)?;
    image.file.sync_all().map_err(|source| Error::io("cannot sync", source))
}

/// Removes what we made, unless someone has put another file there. Through a dangling symbolic link we made its target.
fn remove_ours(path: &Path, made: (u64, u64)) {
    if let Ok(real) = fs::canonicalize(path)
        && fs::metadata(&real).is_ok_and(|metadata| identity(&metadata) == made)
    {
        // The first error is the one to report; a file that cannot be removed changes nothing about it.
        drop(fs::remove_file(real));
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // O_NONBLOCK: opening a FIFO must not wait for its other end. Regular files and block devices ignore it.
    options.custom_flags(i32::from_ne_bytes(OFlags::NONBLOCK.bits().to_ne_bytes()));
    options
}

/// A block device is known by its number, whatever node leads to it.
fn identity(metadata: &Metadata) -> (u64, u64) {
    if metadata.file_type().is_block_device() { (u64::MAX, metadata.rdev()) } else { (metadata.dev(), metadata.ino()) }
}
