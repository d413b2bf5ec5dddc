//! How files are opened: for writing or not, through the page cache or past it, and what does their transfers. Opens; moves
//! no bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags, SeekFrom, StatxFlags};
use rustix::io::Errno;

use crate::aligned::{ALIGN_BYTES, AlignedBuffer};
use crate::direct::Direct;
use crate::engine::Engine;
use crate::gate::Gate;
use crate::gather::Alignment;
use crate::units::SECTOR_BYTES;

/// Units that are larger are not worth it.
const MAX_UNIT_BYTES: u64 = 64 << 10;
const BTRFS: u64 = 0x9123_683e;
const NFS: u64 = 0x6969;

/// Whether bytes of regular files go through the page cache. Those of block devices never do: other hosts write to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// Past it: a write has reached the disk when it is done, and a read sees what other hosts wrote. Where the file system
    /// refuses that, writes go through the page cache and wait for the disk, and reads are served from it; see
    /// [`crate::ImageFile::lacks_direct`].
    Direct,
    /// Through it.
    #[default]
    Cached,
}

/// How a chain is opened. The rest of it opens like its first image, except for reading.
#[derive(Clone, Debug)]
pub struct Open {
    /// For writing too.
    pub is_writable: bool,
    /// The first image.
    pub cache: Cache,
    /// Its parents.
    pub parents: Cache,
    /// Where those may be.
    pub gate: Gate,
    /// What does several transfers past the page cache at once; without it they are done one after the other.
    pub engine: Option<Arc<dyn Engine>>,
}

impl Default for Open {
    fn default() -> Self {
        Open {
            is_writable: false,
            cache: Cache::Cached,
            parents: Cache::Cached,
            gate: Gate::of_process(),
            engine: None,
        }
    }
}

impl Open {
    /// The same for its parents.
    pub(crate) fn of_parent(&self, is_writable: bool) -> Self {
        Open { is_writable, cache: self.parents, ..self.clone() }
    }
}

/// A way past the page cache; the flag that had to do instead where there is none.
pub(crate) enum Past {
    Direct(Arc<File>, Direct),
    Synced(File),
}

/// Opens a regular file again, past the page cache.
pub(crate) fn past_cache(file: &File, is_writable: bool) -> io::Result<Past> {
    let again = |flag| flags(flag).read(true).write(is_writable).open(descriptor_path(file));
    let direct = match again(OFlags::DIRECT) {
        Ok(direct) => alignment_of_file(&direct)?.map(|alignment| (direct, alignment)),
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => None,
        Err(error) => return Err(error),
    };
    let synced = || again(OFlags::DSYNC);
    Ok(match direct {
        Some((direct, alignment)) => {
            let tail = if is_writable { Some(synced()?) } else { None };
            let direct = Arc::new(direct);
            Past::Direct(Arc::clone(&direct), Direct::new(direct, alignment, tail))
        }
        None => Past::Synced(synced()?),
    })
}

/// What a block device wants that is open with `O_DIRECT`.
pub(crate) fn alignment_of_device(file: &File) -> io::Result<Alignment> {
    let unit_bytes = rustix::fs::ioctl_blksszget(file)?.into();
    let memory_bytes = told(file).map(|(memory_bytes, _)| u64::from(memory_bytes));
    let memory_bytes = memory_bytes.filter(|bytes| bytes.is_power_of_two() && *bytes <= ALIGN_BYTES);
    Ok(Alignment { unit_bytes, memory_bytes: memory_bytes.unwrap_or(ALIGN_BYTES) })
}

/// What a regular file wants that is open with `O_DIRECT`; `None` where the flag changes nothing, or what it wants is too much.
fn alignment_of_file(file: &File) -> io::Result<Option<Alignment>> {
    let (memory_bytes, unit_bytes) = match told(file) {
        Some((memory_bytes, unit_bytes)) => (memory_bytes.into(), unit_bytes.into()),
        None => (ALIGN_BYTES, tried(file)?),
    };
    // Nothing of ours is smaller than a sector.
    let unit_bytes = if unit_bytes == 0 { 0 } else { unit_bytes.max(SECTOR_BYTES) };
    let is_usable = unit_bytes.is_power_of_two()
        && unit_bytes <= MAX_UNIT_BYTES
        && memory_bytes.is_power_of_two()
        && memory_bytes <= ALIGN_BYTES;
    Ok(is_usable.then_some(Alignment { unit_bytes, memory_bytes }))
}

/// What the system says it wants, of memory and of positions; zeros where it has no way past the page cache. `None` where it
/// does not say: before Linux 6.1, and on many file systems.
fn told(file: &File) -> Option<(u32, u32)> {
    let found = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
    let is_told = found.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
    is_told.then_some((found.stx_dio_mem_align, found.stx_dio_offset_align))
}

/// The unit where the system does not say. The smaller the better: programs that give an image another parent write its
/// header while we have it open, and it may be in a page with the BAT.
fn tried(file: &File) -> io::Result<u64> {
    let kind = rustix::fs::fstatfs(file)?.f_type;
    match u64::try_from(kind) {
        // It takes everything.
        Ok(NFS) => return Ok(SECTOR_BYTES),
        // It takes everything too, but through the page cache.
        Ok(BTRFS) => return Ok(ALIGN_BYTES),
        _ => {}
    }
    // A hole tells nothing.
    let has_data = rustix::fs::seek(file, SeekFrom::Data(0)) == Ok(0);
    let mut sector = AlignedBuffer::zeroed(512);
    Ok(match has_data.then(|| file.read_at(sector.bytes_mut(), 0)) {
        Some(Ok(512)) => SECTOR_BYTES,
        _ => ALIGN_BYTES,
    })
}

/// For opening what is there: neither a FIFO nor a slow device makes us wait, regular files and block devices ignore it.
pub(crate) fn options() -> OpenOptions {
    flags(OFlags::NONBLOCK)
}

pub(crate) fn flags(flags: OFlags) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(i32::from_ne_bytes(flags.bits().to_ne_bytes()));
    options
}

/// A path to whatever file is open here, whether it has a name or not.
pub(crate) fn descriptor_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
