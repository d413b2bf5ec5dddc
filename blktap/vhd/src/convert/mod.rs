//! Converting a disk: all that it reads, parents included, goes into a new raw disk or a new VHD without parent. What
//! reads as zeros takes no space there.
//!
//! A new file has no name until it is whole. On a device, what makes it valid comes last: the footers of an image, the
//! first sectors of a raw disk. Memory is bounded: a block for each of a few threads, and the tables.

mod pieces;
mod workers;

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::io::Errno;
use uuid::Uuid;

use crate::aligned::ALIGN_BYTES;
use crate::bat::UNUSED;
use crate::create::{self, Storage, Written, whole_blocks};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::FOOTER_BYTES;
use crate::image_file::ImageFile;
use crate::medium::Medium;
use crate::new_file::NewFile;
use crate::plan::{Plan, Step, Target};
use crate::timestamp::Timestamp;
use crate::units::{BLOCK_BYTES, SECTOR_BYTES};

/// What a disk becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Its bytes and nothing else.
    Raw,
    /// A VHD, of whole blocks of 2 MiB: the rest of the last one is zeros.
    Vhd(Storage),
}

/// A conversion. Identity and time come from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the disk becomes.
    pub format: Format,
    /// Identity of a new VHD.
    pub uuid: Uuid,
    /// Its time of creation.
    pub timestamp: Timestamp,
    /// Own all space that the disk can ever need; of a dynamic disk every block has its place.
    pub is_preallocated: bool,
    /// Take the place of a file, or the content of a device.
    pub replaces: bool,
    /// Return when everything is on disk.
    pub is_durable: bool,
}

/// What became of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Its size.
    pub size_bytes: u64,
    /// Bytes of it that were written or shared.
    pub data_bytes: u64,
    /// Blocks that have a place, of a dynamic disk.
    pub blocks: Option<usize>,
    /// Length of the file that it makes; on a device, what of it is used.
    pub file_bytes: u64,
}

/// Converts a disk into a new file, or onto a block device. Calls `progress` with the bytes of the disk that are done.
///
/// # Errors
///
/// `EEXIST` where something is at `path` that may not be replaced; [`ErrorKind::InvalidInput`] where it is part of the disk
/// itself, or where the disk is encrypted; [`ErrorKind::NoSpace`] for a device that is too small.
pub fn convert(disk: &Disk, path: &Path, request: &Request, progress: impl FnMut(u64)) -> Result<Converted> {
    let doing = |error: Error| error.within(format!("cannot convert to `{}`", path.display()));
    match fs::metadata(path) {
        Ok(found) if found.file_type().is_block_device() => {
            check_apart(disk, &ImageFile::open(path)?, path).map_err(doing)?;
            check_replaces(request, "it is a block device").map_err(doing)?;
            write(disk, &ImageFile::claim(path)?, request, progress).map_err(doing)
        }
        Ok(_) => {
            check_apart(disk, &ImageFile::open(path)?, path).map_err(doing)?;
            check_replaces(request, "it exists").map_err(doing)?;
            to_file(disk, path, request, progress).map_err(doing)
        }
        Err(_) => to_file(disk, path, request, progress).map_err(doing),
    }
}

fn to_file(disk: &Disk, path: &Path, request: &Request, progress: impl FnMut(u64)) -> Result<Converted> {
    let mut new = NewFile::create(path, request.replaces)?;
    let file = new.image();
    if request.is_durable {
        file.write_through();
    }
    if request.format == Format::Raw {
        let set = file.descriptor().set_len(disk.size_bytes());
        set.map_err(|source| Error::io(format!("cannot make it {} bytes long", disk.size_bytes()), source))?;
    }
    let converted = write(disk, file, request, progress)?;
    new.keep(request.is_durable)?;
    Ok(converted)
}

fn check_replaces(request: &Request, why: &str) -> Result<()> {
    match request.replaces {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::InvalidInput, why).with_errno(Errno::EXIST)),
    }
}

/// A disk that is written over while it is read is lost.
fn check_apart(disk: &Disk, target: &ImageFile, path: &Path) -> Result<()> {
    let mut files = disk.images().map(|image| image.file()).chain(disk.base());
    match files.find(|file| file.identity() == target.identity()) {
        None => Ok(()),
        Some(file) => {
            let (path, source) = (path.display(), file.path().display());
            let message = format!("`{path}` is `{source}`, which is part of what is converted");
            Err(Error::new(ErrorKind::InvalidInput, message))
        }
    }
}

/// Converts a disk onto a medium that is open for writing: a file that is empty, or for a raw disk as long as the disk, or
/// a device. Nothing else may write either meanwhile.
pub fn write<M: Medium + Sync>(
    disk: &Disk<M>,
    target: &M,
    request: &Request,
    progress: impl FnMut(u64),
) -> Result<Converted> {
    check_source(disk)?;
    let size_bytes = match request.format {
        Format::Raw => disk.size_bytes(),
        Format::Vhd(_) => whole_blocks(disk.size_bytes())?,
    };
    let blocks = match request.format {
        Format::Vhd(storage @ Storage::Dynamic { .. }) => Some(create_request(request, storage, size_bytes)),
        Format::Vhd(Storage::Fixed) | Format::Raw => None,
    };
    if let Format::Vhd(storage) = request.format {
        // All that makes the image impossible is known now.
        let written = Written { entries: &[], end: size_bytes * u64::from(blocks.is_none()) };
        create::plan_around(&create_request(request, storage, size_bytes), written, target.target())?;
    }
    check_room(target.target(), if blocks.is_none() { size_bytes } else { 0 })?;
    if let Target::BlockDevice { len_bytes } = target.target() {
        blank_ends(target, len_bytes)?;
    }
    let tables_end = blocks.as_ref().map(create::tables_end).transpose()?;
    let data = workers::Copying::new(disk, target, size_bytes, tables_end, request.is_preallocated)?;
    let copied = data.run(progress)?;
    let mut file_bytes = copied.end;
    if let Format::Vhd(storage) = request.format {
        let written = Written { entries: &copied.entries, end: copied.end };
        let plan = create::plan_around(&create_request(request, storage, size_bytes), written, target.target())?;
        target.perform(&plan)?;
        let footer_bytes = FOOTER_BYTES as u64;
        file_bytes += footer_bytes;
    }
    if matches!(target.target(), Target::BlockDevice { .. }) {
        target.flush()?;
    }
    Ok(Converted {
        size_bytes,
        data_bytes: copied.data_bytes,
        blocks: blocks.map(|_| copied.entries.iter().filter(|&&entry| entry != UNUSED).count()),
        file_bytes,
    })
}

fn create_request(request: &Request, storage: Storage, size_bytes: u64) -> create::Request {
    create::Request { storage, size_bytes, uuid: request.uuid, timestamp: request.timestamp }
}

/// Nobody could read the data of an encrypted disk without its key hash, and only with the sectors where they were.
fn check_source<M: Medium>(disk: &Disk<M>) -> Result<()> {
    for image in disk.images() {
        image.check_not_poisoned()?;
        if image.key_hash()?.is_some() {
            let path = image.file().path().display();
            return Err(Error::new(ErrorKind::Unsupported, format!("`{path}` is encrypted")));
        }
    }
    Ok(())
}

fn check_room(target: Target, needed: u64) -> Result<()> {
    match target {
        Target::BlockDevice { len_bytes } if len_bytes < needed => {
            let message = format!("device has {len_bytes} bytes, the disk needs {needed}");
            Err(Error::new(ErrorKind::NoSpace, message))
        }
        Target::BlockDevice { .. } | Target::File => Ok(()),
    }
}

/// Takes away what could make anyone believe a device that is half written: old footers, headers, partition tables.
fn blank_ends<M: Medium>(target: &M, len_bytes: u64) -> Result<()> {
    let zero = |offset, end: u64| Step::Zero { what: "old content", offset, len_bytes: end - offset };
    let first = ALIGN_BYTES.min(len_bytes);
    let mut steps = vec![zero(0, first), zero(first.max(len_bytes.saturating_sub(ALIGN_BYTES)), len_bytes)];
    steps.retain(|step| step.range().1 > 0);
    steps.push(Step::Barrier);
    target.perform(&Plan { steps })
}

/// Bytes of a piece of work: what a block of a dynamic disk holds.
const PIECE_BYTES: u64 = BLOCK_BYTES;
const _: () = assert!(PIECE_BYTES.is_multiple_of(ALIGN_BYTES) && ALIGN_BYTES.is_multiple_of(SECTOR_BYTES));
