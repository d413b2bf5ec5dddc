//! The file or device that holds an image: opens it safely, reads within its bounds, performs plans.
//! Knows bytes and offsets, nothing of the format.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind as IoKind};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use crate::aligned::{ALIGN_BYTES, AlignedBuffer, aligned_range};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Plan, Step, Target};
use crate::units::{Extent, in_memory};

/// Bytes per write of a long run.
const CHUNK_BYTES: u64 = 1 << 20;

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
    len_bytes: u64,
    mode: Mode,
    /// Device and inode, to tell that two paths are one image.
    identity: (u64, u64),
}

impl ImageFile {
    /// Opens for reading. Neither a FIFO nor a slow device can make this wait.
    pub fn open(path: &Path) -> Result<Self> {
        let doing = || format!("cannot open `{}`", path.display());
        let file = options().read(true).open(path).map_err(|source| Error::io(doing(), source))?;
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
        Ok(ImageFile { file, path: path.to_owned(), len_bytes, mode, identity: identity(&metadata) })
    }

    /// Size when it was opened.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode: equal for two paths of one image.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Reads `len` bytes. An error, before any memory is taken, where the file ends earlier.
    pub(crate) fn read(&self, what: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let end = offset.checked_add(len as u64).filter(|&end| end <= self.len_bytes);
        if end.is_none() {
            return Err(Error::new(
                ErrorKind::Truncated,
                format!("{what} is {len} bytes at {offset}, `{}` has {}", self.path.display(), self.len_bytes),
            ));
        }
        let mut bytes = vec![0; len];
        let read = match self.mode {
            Mode::Cached => self.file.read_exact_at(&mut bytes, offset),
            Mode::Direct => self.read_direct(&mut bytes, offset),
        };
        match read {
            Ok(()) => Ok(bytes),
            Err(source) if source.kind() == IoKind::UnexpectedEof => Err(Error::new(
                ErrorKind::Truncated,
                format!("`{}` became shorter while {what} was read at {offset}", self.path.display()),
            )),
            Err(source) => {
                Err(Error::io(format!("cannot read {what} at {offset} of `{}`", self.path.display()), source))
            }
        }
    }

    /// Reads a run that the format promises. Its length is bounded by whoever made the extent.
    pub(crate) fn read_extent(&self, what: &str, extent: Extent) -> Result<Vec<u8>> {
        self.read(what, extent.offset, in_memory(what, extent.len_bytes)?)
    }

    fn read_direct(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let (buffer, skip) = self.read_around(offset, bytes.len())?;
        bytes.copy_from_slice(&buffer.bytes()[skip..][..bytes.len()]);
        Ok(())
    }

    /// The aligned piece of the device around a range, and where the range begins in it.
    fn read_around(&self, offset: u64, len: usize) -> io::Result<(AlignedBuffer, usize)> {
        let range = aligned_range(offset, len as u64, self.len_bytes);
        let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut buffer = AlignedBuffer::zeroed(len);
        self.file.read_exact_at(buffer.bytes_mut(), range.start)?;
        Ok((buffer, usize::try_from(offset - range.start).map_err(io::Error::other)?))
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.mode {
            Mode::Cached => self.file.write_all_at(bytes, offset),
            Mode::Direct => {
                let (mut buffer, skip) = self.read_around(offset, bytes.len())?;
                buffer.bytes_mut()[skip..][..bytes.len()].copy_from_slice(bytes);
                self.file.write_all_at(buffer.bytes(), offset - skip as u64)
            }
        }
    }

    fn fill(&self, byte: u8, offset: u64, len_bytes: u64) -> io::Result<()> {
        let end = offset + len_bytes;
        let mut at = offset;
        while at < end {
            // Later pieces start on the alignment of direct writes, so only the ends are read first.
            let next = ((at / ALIGN_BYTES + 1) * ALIGN_BYTES + CHUNK_BYTES).min(end);
            let len = usize::try_from(next - at).map_err(io::Error::other)?;
            self.write(&vec![byte; len], at)?;
            at = next;
        }
        Ok(())
    }

    fn reserve(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        if len_bytes == 0 {
            return Ok(());
        }
        if self.mode == Mode::Cached {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, len_bytes) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                done => return Ok(done?),
            }
        }
        self.fill(0, offset, len_bytes)
    }

    fn perform(&self, plan: &Plan) -> Result<()> {
        for step in &plan.steps {
            let done = match step {
                Step::Write { offset, bytes, .. } => self.write(bytes, *offset),
                Step::Fill { offset, len_bytes, byte, .. } => self.fill(*byte, *offset, *len_bytes),
                Step::Reserve { offset, len_bytes, .. } => self.reserve(*offset, *len_bytes),
            };
            let (offset, len_bytes) = step.range();
            done.map_err(|source| {
                let what = step.what();
                Error::io(
                    format!("cannot write {what} ({len_bytes} bytes at {offset}) of `{}`", self.path.display()),
                    source,
                )
            })?;
        }
        self.file.sync_all().map_err(|source| Error::io(format!("cannot sync `{}`", self.path.display()), source))
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
    let target = match image.mode {
        Mode::Cached => Target::File,
        Mode::Direct => Target::BlockDevice { len_bytes: image.len_bytes },
    };
    let plan = planner(target)?;
    if target == Target::File {
        // Only now: a request that cannot be planned leaves an older file as it was.
        image.file.set_len(0).map_err(|source| Error::io("cannot truncate", source))?;
    }
    image.perform(&plan)
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
