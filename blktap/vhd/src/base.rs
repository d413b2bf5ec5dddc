//! The raw file or device at the end of a chain. One that is a whole disk is written in place: a write changes nothing but
//! data, so none waits for another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};
use crate::layer::bad_block;
use crate::medium::Medium;
use crate::plan::Target;
use crate::units::SECTOR_BYTES;

/// A raw file or device.
#[derive(Debug)]
pub(crate) struct Base<M: Medium> {
    file: M,
    writable: Option<Writable>,
}

/// Of a disk that is written.
#[derive(Debug)]
struct Writable {
    /// Whole sectors of the file when it was opened.
    size_bytes: u64,
    passes_discards: bool,
    /// A sync failed: what the kernel had not written yet is lost, and no later sync tells.
    has_failed: AtomicBool,
    /// Held while somebody waits for the disk.
    syncing: Mutex<()>,
}

impl<M: Medium> Base<M> {
    pub(crate) fn reader(file: M) -> Self {
        Base { file, writable: None }
    }

    pub(crate) fn writer(file: M) -> Self {
        let size_bytes = file.len_bytes() / SECTOR_BYTES * SECTOR_BYTES;
        let passes_discards = file.target() == Target::File;
        let writable = Writable { size_bytes, passes_discards, has_failed: false.into(), syncing: Mutex::default() };
        Base { file, writable: Some(writable) }
    }

    pub(crate) fn file(&self) -> &M {
        &self.file
    }

    /// Its size as a disk. Of one that is only read, a last sector that is not whole counts: zeros are added to it.
    pub(crate) fn size_bytes(&self) -> u64 {
        let rounded_up = || self.file.len_bytes().next_multiple_of(SECTOR_BYTES);
        self.writable.as_ref().map_or_else(rounded_up, |writable| writable.size_bytes)
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.writable.is_some()
    }

    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        if self.is_writable() {
            // Whole sectors were there; a file that lost some since does not have zeros instead.
            return self.file.read_into("data", offset, bytes).map_err(bad_block);
        }
        let (held, past) = bytes.split_at_mut(self.held(offset, bytes.len()));
        past.fill(0);
        if held.is_empty() { Ok(()) } else { self.file.read_into("data", offset, held) }
    }

    /// How many of so many bytes the file is asked for; behind them there are zeros. Of a disk that is written, all: whole sectors
    /// were there, and a file that lost some since does not have zeros instead.
    pub(crate) fn held(&self, offset: u64, len: usize) -> usize {
        let held = || usize::try_from(self.file.len_bytes().saturating_sub(offset)).unwrap_or(usize::MAX);
        if self.is_writable() { len } else { held().min(len) }
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.write_each(&[(offset, bytes)], |_| true).into_iter().flatten().collect()
    }

    /// Those that `is_inside` refuses are not written.
    pub(crate) fn write_each(
        &self,
        writes: &[(u64, &[u8])],
        is_inside: impl Fn(&(u64, &[u8])) -> bool,
    ) -> Vec<Option<Result<()>>> {
        let inside: Vec<_> = writes.iter().copied().filter(&is_inside).collect();
        let written: Vec<Result<()>> = match self.writable() {
            Ok(_) => {
                let done = inside.iter().zip(self.file.write_each(&inside));
                let failed =
                    |&(offset, bytes): &(u64, &[u8]), source| self.failed("write", offset, bytes.len() as u64, source);
                done.map(|(write, done)| done.map_err(|source| failed(write, source))).collect()
            }
            Err(_) => inside.iter().map(|_| self.writable().map(drop)).collect(),
        };
        let mut written = written.into_iter();
        writes.iter().map(|write| if is_inside(write) { written.next() } else { None }).collect()
    }

    pub(crate) fn zero(&self, offset: u64, len_bytes: u64) -> Result<()> {
        self.writable()?;
        let done = self.file.zero(offset, len_bytes);
        done.map_err(|source| self.failed("zero", offset, len_bytes, source))
    }

    /// Gives space back where that can be done and is wanted.
    pub(crate) fn discard(&self, offset: u64, len_bytes: u64) -> Result<()> {
        if !self.writable()?.passes_discards || len_bytes == 0 {
            return Ok(());
        }
        let done = self.file.discard(offset, len_bytes);
        done.map_err(|source| self.failed("discard", offset, len_bytes, source))
    }

    /// From now on discards reach a device too.
    pub(crate) fn pass_discards(&mut self) {
        if let Some(writable) = &mut self.writable {
            writable.passes_discards = true;
        }
    }

    /// Makes everything durable. When that fails there are no more writes.
    pub(crate) fn flush(&self) -> Result<()> {
        // One at a time: the kernel tells of a failed write-back once, and whoever synced beside that would not know.
        let _alone = self.writable()?.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let writable = self.writable()?;
        let done = self.file.flush();
        done.map_err(|error| {
            writable.has_failed.store(true, Ordering::Relaxed);
            // Whatever its number, it is not one to wait for.
            error.with_errno(Errno::IO)
        })
    }

    fn writable(&self) -> Result<&Writable> {
        let refuse = |why, errno| {
            let message = format!("cannot write to `{}`", self.file.path().display());
            Err(Error::new(ErrorKind::Io, why).with_errno(errno).within(message))
        };
        match &self.writable {
            None => refuse("a raw disk is open for reading only", Errno::BADF),
            Some(writable) if writable.has_failed.load(Ordering::Relaxed) => {
                refuse("an earlier sync failed: open the disk again", Errno::IO)
            }
            Some(writable) => Ok(writable),
        }
    }

    fn failed(&self, what: &str, offset: u64, len_bytes: u64, source: std::io::Error) -> Error {
        let path = self.file.path().display();
        Error::io(format!("cannot {what} {len_bytes} bytes at {offset} of `{path}`"), source)
    }
}
