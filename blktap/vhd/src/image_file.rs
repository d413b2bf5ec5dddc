//! The file or device that holds an image: opens it safely, moves bytes to and from it.
//! Knows bytes and offsets, nothing of the format.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustix::fs::{Advice, FallocateFlags, OFlags, SeekFrom, XattrFlags};
use rustix::io::Errno;

use crate::aligned::ALIGN_BYTES;
use crate::direct::{self, Direct};
use crate::directory;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::gate::Gate;
use crate::medium::{self, Medium, Part};
use crate::open::{self, Cache, Open, Past, descriptor_path, flags, options};
use crate::plan::{Plan, Target};

/// What is written past the page cache, where that is asked for: shorter writes are quicker through it.
const LONG_BYTES: usize = 64 << 10;

/// An open image file: a regular file or a block device, nothing else.
#[derive(Debug)]
pub struct ImageFile {
    file: Arc<File>,
    path: PathBuf,
    is_device: bool,
    /// The way past the page cache where that is the way to go. Invariant: no byte of a block device is ever served from the
    /// page cache, because other hosts write to it; and no sector is written beside those that change, because a daemon that
    /// has the image open may be writing it (where units of the device or file are longer than sectors, that cannot be
    /// helped).
    direct: Option<Direct>,
    /// It was to be opened past the page cache.
    lacks_direct: bool,
    /// Device and inode, to tell that two paths are one image.
    identity: (u64, u64),
    /// How it was opened, and its parents will be.
    how: Open,
    /// Of a file that goes through the page cache: the same file for long writes past it.
    long_writes: Option<File>,
    /// Whether a write says when the file system is full, not only a sync.
    tells_full: OnceLock<bool>,
}

impl ImageFile {
    /// Opens for reading. Neither a FIFO nor a slow device can make this wait.
    pub fn open(path: &Path) -> Result<Self> {
        ImageFile::open_with(path, &Open::default())
    }

    /// Opens for reading and writing what is there already.
    pub fn open_rw(path: &Path) -> Result<Self> {
        ImageFile::open_with(path, &Open { is_writable: true, ..Open::default() })
    }

    /// The same where others, on other hosts too, may be writing beside what is written here. Each write waits for the disk,
    /// and takes nothing along: NFS clients write whole pages of files that are open in another way.
    pub fn open_live(path: &Path) -> Result<Self> {
        let how = Open { is_writable: true, ..Open::default() };
        ImageFile::open_options(path, &flags(OFlags::NONBLOCK | OFlags::DSYNC), &how)
    }

    /// Opens what is there already.
    pub fn open_with(path: &Path, how: &Open) -> Result<Self> {
        ImageFile::open_options(path, &options(), how)
    }

    fn open_options(path: &Path, options: &OpenOptions, how: &Open) -> Result<Self> {
        let doing = || format!("cannot open `{}`{}", path.display(), if how.is_writable { " for writing" } else { "" });
        let file = options.clone().read(true).write(how.is_writable).open(path);
        let file = file.map_err(|source| Error::io(doing(), source))?;
        ImageFile::opened(file, path, how).map_err(|error| error.within(doing()))
    }

    /// The same file; its parents open through this gate.
    #[must_use]
    pub fn through(mut self, gate: &Gate) -> Self {
        self.how.gate = gate.clone();
        self
    }

    /// Where its parents may be.
    pub(crate) fn gate(&self) -> &Gate {
        &self.how.gate
    }

    /// Opens a parent for reading, if the gate lets it through; so do its own parents.
    pub(crate) fn open_parent(&self, path: &Path) -> Result<Self> {
        self.open_parent_with(path, OFlags::RDONLY)
    }

    /// The same for writing.
    pub(crate) fn open_parent_rw(&self, path: &Path) -> Result<Self> {
        self.open_parent_with(path, OFlags::RDWR)
    }

    fn open_parent_with(&self, path: &Path, access: OFlags) -> Result<Self> {
        let doing = || format!("cannot open parent `{}`", path.display());
        let file = self.gate().open(path, access | OFlags::NONBLOCK | OFlags::CLOEXEC);
        let how = self.how.of_parent(access == OFlags::RDWR);
        file.and_then(|file| ImageFile::opened(file, path, &how)).map_err(|error| error.within(doing()))
    }

    /// Whether the file was to be read and written past the page cache, and the file system does not do that. Then writes
    /// wait for the disk, but what is read may be older than what another host wrote.
    pub fn lacks_direct(&self) -> bool {
        self.lacks_direct
    }

    pub(crate) fn is_cached(&self) -> bool {
        self.direct.is_none()
    }

    fn engine(&self) -> Option<&dyn Engine> {
        self.how.engine.as_deref()
    }

    /// Makes a file that must not be there yet.
    pub(crate) fn create_new(path: &Path) -> Result<Self> {
        let doing = || format!("cannot create `{}`", path.display());
        let file = options().read(true).write(true).create_new(true).mode(0o644).open(path);
        ImageFile::checked(file.map_err(|source| Error::io(doing(), source))?, path)
    }

    pub(crate) fn checked(file: File, path: &Path) -> Result<Self> {
        ImageFile::opened(file, path, &Open::default())
    }

    fn opened(file: File, path: &Path, how: &Open) -> Result<Self> {
        let metadata = file.metadata().map_err(|source| Error::io("cannot stat", source))?;
        let mut file = Arc::new(file);
        let (mut direct, mut lacks_direct) = (None, false);
        let is_device = metadata.file_type().is_block_device();
        if is_device {
            rustix::fs::fcntl_setfl(&file, OFlags::DIRECT)
                .map_err(|errno| Error::io("cannot set O_DIRECT", errno.into()))?;
            rustix::fs::seek(&file, SeekFrom::End(0))
                .map_err(|errno| Error::io("cannot find the device's size", errno.into()))?;
            let alignment = open::alignment_of_device(&file)
                .map_err(|source| Error::io("cannot find the device's sector size", source))?;
            direct = Some(Direct::new(Arc::clone(&file), alignment, None));
        } else if !metadata.is_file() {
            let errno = if metadata.is_dir() { Errno::ISDIR } else { Errno::INVAL };
            return Err(Error::new(ErrorKind::InvalidInput, "not a regular file or block device").with_errno(errno));
        } else if how.cache == Cache::Direct {
            let past = open::past_cache(&file, how.is_writable);
            match past.map_err(|source| Error::io("cannot open it past the page cache", source))? {
                Past::Direct(again, past) => (file, direct) = (again, Some(past)),
                Past::Synced(synced) => (file, lacks_direct) = (Arc::new(synced), true),
            }
        }
        Ok(ImageFile {
            file,
            path: path.to_owned(),
            is_device,
            direct,
            lacks_direct,
            identity: identity(&metadata),
            how: how.clone(),
            long_writes: None,
            tells_full: OnceLock::new(),
        })
    }

    /// Opens a block device for reading and writing, and keeps others that want it for themselves away. One that is
    /// mounted or otherwise in use is refused.
    pub(crate) fn claim(path: &Path) -> Result<Self> {
        let doing = || format!("cannot open `{}` for writing", path.display());
        let file = flags(OFlags::NONBLOCK | OFlags::EXCL).read(true).write(true).open(path);
        let file = ImageFile::checked(file.map_err(|source| Error::io(doing(), source))?, path)?;
        match file.is_device {
            true => Ok(file),
            false => Err(Error::new(ErrorKind::InvalidInput, "not a block device").within(doing())),
        }
    }

    /// From now on long writes that are aligned go past the page cache, where the file system has that: they reach the
    /// disk at once instead of when they are synced.
    pub(crate) fn write_through(&mut self) {
        let direct = flags(OFlags::DIRECT).read(true).write(true).open(descriptor_path(&self.file));
        self.long_writes = direct.ok();
    }

    pub(crate) fn descriptor(&self) -> &File {
        &self.file
    }

    /// Device and inode: equal for two paths of one image.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// When it was last written; for a device, when its node was.
    pub(crate) fn modified(&self) -> io::Result<SystemTime> {
        self.file.metadata()?.modified()
    }

    /// Has the kernel copy, which shares blocks instead where the file system can. Returns how many bytes it took over.
    fn copy_in_kernel(&self, source: &Self, from: u64, offset: u64, len_bytes: u64) -> io::Result<u64> {
        let (mut from, mut to) = (from, offset);
        let end = offset + len_bytes;
        while to < end {
            let len = usize::try_from(end - to).map_err(io::Error::other)?;
            match rustix::fs::copy_file_range(&source.file, Some(&mut from), &self.file, Some(&mut to), len) {
                // The end of the source, which reading tells; or a file system that cannot.
                Ok(0) | Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => {}
            }
        }
        Ok(to - offset)
    }

    /// Has the disk start on what was written there while we go on, so that the sync to come finds less to wait for:
    /// `coalesce` takes half as long.
    fn begin_writeback(&self, offset: u64, len_bytes: u64) {
        // Pages that are not on disk yet stay, and the kernel begins to write them. Advice: nothing depends on it.
        if let Some(len_bytes) = NonZeroU64::new(len_bytes) {
            let _ = rustix::fs::fadvise(&self.file, offset, Some(len_bytes), Advice::DontNeed);
        }
    }

    /// Writes through the page cache, but for long writes that are aligned and have another way.
    fn write_cached(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let is_aligned =
            [bytes.as_ptr().addr() as u64, offset, bytes.len() as u64].iter().all(|it| it.is_multiple_of(ALIGN_BYTES));
        if let Some(direct) = self.long_writes.as_ref().filter(|_| is_aligned && bytes.len() >= LONG_BYTES) {
            match direct.write_all_at(bytes, offset) {
                // It wants another alignment.
                Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {}
                done => return done,
            }
        }
        self.file.write_all_at(bytes, offset)
    }
}

impl Medium for ImageFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len_bytes(&self) -> u64 {
        // Asked anew each time: another program may make a device or file longer while we hold it open. It was asked
        // when the file was opened, so it does not fail here; nothing can be read of a file of 0 bytes.
        rustix::fs::seek(&self.file, SeekFrom::End(0)).unwrap_or(0)
    }

    fn target(&self) -> Target {
        if self.is_device { Target::BlockDevice { len_bytes: self.len_bytes() } } else { Target::File }
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.direct {
            None => self.file.read_exact_at(bytes, offset),
            Some(direct) => direct.read_exact_at(bytes, offset),
        }
    }

    fn read_each(reads: &mut [Part<'_, Self>]) -> Vec<io::Result<()>> {
        let engine = reads.iter().find_map(|read| read.medium.engine());
        let mut done: Vec<io::Result<()>> = Vec::with_capacity(reads.len());
        let (mut ours, mut whose) = (vec![], vec![]);
        for (index, Part { medium, offset, bytes }) in reads.iter_mut().enumerate() {
            let offset = *offset;
            done.push(match &medium.direct {
                None => medium.read_exact_at(bytes, offset),
                Some(direct) => {
                    ours.push(direct::Read { direct, offset, bytes });
                    whose.push(index);
                    Ok(())
                }
            });
        }
        for (index, result) in whose.into_iter().zip(direct::read_each(engine, ours)) {
            done[index] = result;
        }
        done
    }

    fn unit_bytes(&self) -> u64 {
        self.direct.as_ref().map_or(1, Direct::unit_bytes)
    }

    fn write_each(&self, writes: &[(u64, &[u8])]) -> Vec<io::Result<()>> {
        match &self.direct {
            None => writes.iter().map(|&(offset, bytes)| self.write_cached(bytes, offset)).collect(),
            Some(direct) => direct.write_each(self.engine(), writes),
        }
    }

    fn first_data(&self, range: Range<u64>) -> io::Result<Option<Range<u64>>> {
        let all = Some(range.clone()).filter(|range| !range.is_empty());
        if self.is_device {
            return Ok(all);
        }
        let start = match rustix::fs::seek(&self.file, SeekFrom::Data(range.start)) {
            Ok(start) => start,
            // A hole up to the end.
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(all),
            Err(errno) => return Err(errno.into()),
        };
        if start >= range.end {
            return Ok(None);
        }
        let end = rustix::fs::seek(&self.file, SeekFrom::Hole(start))?;
        Ok(Some(start..end.min(range.end)))
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match &self.direct {
            None => self.write_cached(bytes, offset),
            Some(direct) => direct.write_all_at(bytes, offset),
        }
    }

    fn take_space(&self, offset: u64, len_bytes: u64) -> io::Result<bool> {
        // So does every write that waits for the disk.
        let waits = !self.is_cached() || self.lacks_direct;
        if waits || *self.tells_full.get_or_init(|| tells_full(&self.file)) || len_bytes == 0 {
            return Ok(true);
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, offset, len_bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }

    fn reserve(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        if len_bytes == 0 {
            return Ok(());
        }
        if !self.is_device {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, len_bytes) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                done => return Ok(done?),
            }
        }
        self.fill(0, offset, len_bytes)
    }

    fn zero(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        let zeroed = rustix::fs::fallocate(
            &self.file,
            FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE,
            offset,
            len_bytes,
        );
        match zeroed {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.fill(0, offset, len_bytes),
            done => Ok(done?),
        }
    }

    fn discard(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, offset, len_bytes) {
            // Advice that nobody can take.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            done => Ok(done?),
        }
    }

    fn punch(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, offset, len_bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.zero(offset, len_bytes),
            done => Ok(done?),
        }
    }

    fn shares_with(&self, source: &Self) -> bool {
        // These copy on their own: btrfs and XFS share blocks, NFS spares the network.
        const BTRFS: u64 = 0x9123_683e;
        const XFS: u64 = 0x5846_5342;
        const NFS: u64 = 0x6969;
        let is_known = |kind| u64::try_from(kind).is_ok_and(|kind| [BTRFS, XFS, NFS].contains(&kind));
        self.is_cached()
            && source.is_cached()
            && self.identity.0 == source.identity.0
            && rustix::fs::fstatfs(&self.file).is_ok_and(|found| is_known(found.f_type))
    }

    fn copy_from(&self, source: &Self, from: u64, offset: u64, len_bytes: u64) -> io::Result<()> {
        let mut done = 0;
        // The kernel copies through the page cache.
        if self.is_cached() && source.is_cached() {
            done = self.copy_in_kernel(source, from, offset, len_bytes)?;
        }
        self.begin_writeback(offset, done);
        medium::copy_in_chunks(source, from + done, self, offset + done, len_bytes - done)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)?;
        self.file.sync_all()
    }

    fn attribute(&self, name: &str, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::fs::fgetxattr(&self.file, name, bytes) {
            Ok(len) => Ok(Some(len)),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn set_attribute(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        rustix::fs::fsetxattr(&self.file, name, bytes, XattrFlags::empty())?;
        self.file.sync_all()
    }
}

/// Whether it is of a file system that keeps space for what it has in memory.
fn tells_full(file: &File) -> bool {
    const EXT4: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    const TMPFS: u64 = 0x0102_1994;
    let found = rustix::fs::fstatfs(file).ok().and_then(|found| u64::try_from(found.f_type).ok());
    found.is_some_and(|kind| [EXT4, XFS, BTRFS, TMPFS].contains(&kind))
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
    let done = write_new(file, path, planner).and_then(|()| match was_there {
        true => Ok(()),
        false => sync_name(path).map_err(|source| Error::io("cannot sync its directory", source)),
    });
    let done = done.map_err(|error| error.within(doing()));
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
    }
    image.perform(&plan)?;
    image.file.sync_all().map_err(|source| Error::io("cannot sync", source))
}

/// Makes the name durable. Through a symbolic link that led nowhere we made its target.
fn sync_name(path: &Path) -> io::Result<()> {
    directory::sync(&fs::canonicalize(path)?)
}

/// Removes what we made, unless someone has put another file there.
fn remove_ours(path: &Path, made: (u64, u64)) {
    if let Ok(real) = fs::canonicalize(path)
        && fs::metadata(&real).is_ok_and(|metadata| identity(&metadata) == made)
    {
        // The first error is the one to report; a file that cannot be removed changes nothing about it.
        drop(fs::remove_file(real));
    }
}

/// A block device is known by its number, whatever node leads to it.
fn identity(metadata: &Metadata) -> (u64, u64) {
    if metadata.file_type().is_block_device() { (u64::MAX, metadata.rdev()) } else { (metadata.dev(), metadata.ino()) }
}
