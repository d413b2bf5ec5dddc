//! Setting bits of a log while its disk is written. A bit is in the file, so that a kill keeps it, before the write that
//! it stands for begins.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::header::{BLOCK_BYTES, HEADER_BYTES, Header};
use crate::log_file::{LogFile, chunk};

const HEADER_LEN: u64 = HEADER_BYTES as u64;

/// The log of a disk that is in use. Its header is others' to change meanwhile.
#[derive(Debug)]
pub struct Tracker {
    file: LogFile,
    size_bytes: u64,
    /// Bits that are known to be in the file, as they lie there.
    bits: Vec<AtomicU8>,
    /// Who sets bits in the file does it alone.
    setting: Mutex<()>,
    is_dirty: AtomicBool,
    /// Held while somebody waits for the disk. Whether a sync failed: the kernel tells of that once, and no later one makes up
    /// for it.
    syncing: Mutex<bool>,
}

impl Tracker {
    /// Opens the log of a disk of this size.
    ///
    /// # Errors
    ///
    /// Where the log is shorter than the disk needs.
    pub fn open(path: &Path, size_bytes: u64) -> Result<Self> {
        let file = LogFile::open_rw(path)?;
        let (needed, found) = (Header::new(size_bytes).end(), file.len_bytes()?);
        if found < needed {
            let message = format!(
                "the log `{}` has {found} bytes, a disk of {size_bytes} needs one of {needed}: cbt-util create -n {0} -s {size_bytes}",
                path.display()
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let mut bits = Vec::new();
        let mut at = HEADER_LEN;
        while at < needed {
            let mut bytes = vec![0; chunk(at, needed)];
            file.read(&mut bytes, at)?;
            bits.extend(bytes.iter().copied().map(AtomicU8::new));
            at += bytes.len() as u64;
        }
        Ok(Tracker {
            file,
            size_bytes,
            bits,
            setting: Mutex::new(()),
            is_dirty: AtomicBool::new(false),
            syncing: Mutex::default(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Notes that a range of the disk is about to change. When this returns, a kill loses nothing of that.
    ///
    /// # Errors
    ///
    /// It could not be noted: the disk must not be changed.
    pub fn mark(&self, range: Range<u64>) -> Result<()> {
        let range = range.start..range.end.min(self.size_bytes);
        if range.is_empty() || self.bytes_of(&range).all(|(byte, bits)| self.has(byte, bits)) {
            return Ok(());
        }
        let _setting = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        let blocks = range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES);
        let (mut at, end) = (blocks.start / 8, blocks.end.div_ceil(8));
        while at < end {
            // What is there now: another program may have added bits.
            let mut bytes = vec![0; chunk(at, end)];
            self.file.read(&mut bytes, HEADER_LEN + at)?;
            let before = bytes.clone();
            for (index, byte) in (at..).zip(&mut bytes) {
                *byte |= bits_of(index, &blocks);
            }
            if bytes != before {
                self.file.write(&bytes, HEADER_LEN + at)?;
                self.is_dirty.store(true, Ordering::Release);
            }
            for (index, byte) in (at..).zip(&bytes) {
                if let Some(bits) = usize::try_from(index).ok().and_then(|index| self.bits.get(index)) {
                    bits.store(*byte, Ordering::Release);
                }
            }
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Makes what was noted durable. When that fails once, it does for good.
    pub fn sync(&self) -> Result<()> {
        // One at a time: who finds nothing to do relies on what another one did.
        let mut has_failed = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if *has_failed {
            let message = format!("an earlier sync of `{}` failed", self.path().display());
            return Err(Error::io(message, rustix::io::Errno::IO.into()));
        }
        if self.is_dirty.swap(false, Ordering::AcqRel) {
            self.file.flush().inspect_err(|_| *has_failed = true)?;
        }
        Ok(())
    }

    fn has(&self, byte: u64, bits: u8) -> bool {
        let held = usize::try_from(byte).ok().and_then(|byte| self.bits.get(byte));
        held.is_some_and(|held| held.load(Ordering::Acquire) & bits == bits)
    }

    /// The bytes that hold the bits of a range, and which bits.
    fn bytes_of(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, u8)> + use<> {
        let blocks = range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES);
        (blocks.start / 8..blocks.end.div_ceil(8)).map(move |byte| (byte, bits_of(byte, &blocks)))
    }
}

/// The bits of these blocks in a byte of the bitmap. Lowest first: in memory of little-endian machines a word's bytes are in
/// that order too.
fn bits_of(byte: u64, blocks: &Range<u64>) -> u8 {
    (0..8).filter(|bit| blocks.contains(&(byte * 8 + bit))).fold(0, |bits, bit| bits | 1 << bit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;

    const SIZE: u64 = 100 * BLOCK_BYTES + 512;

    fn check(ranges: &[Range<u64>], blocks: &[u64]) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        Log::create(&path, &Header::new(SIZE)).unwrap();
        let tracker = Tracker::open(&path, SIZE).unwrap();
        for range in ranges {
            tracker.mark(range.clone()).unwrap();
        }
        // As a kill leaves it.
        let bytes = std::fs::read(&path).unwrap();
        let is_set = |block: u64| bytes[HEADER_BYTES + usize::try_from(block / 8).unwrap()] & 1 << (block % 8) != 0;
        let set: Vec<u64> = (0..101).filter(|&block| is_set(block)).collect();
        assert_eq!(set, blocks, "{ranges:?}");
        tracker.sync().unwrap();
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "a list of ranges, of which there may be one")]
    fn every_block_that_a_range_touches_is_marked() {
        check(&[], &[]);
        check(&[0..0], &[]);
        check(&[0..1], &[0]);
        check(&[BLOCK_BYTES - 1..BLOCK_BYTES + 1], &[0, 1]);
        check(&[7 * BLOCK_BYTES..9 * BLOCK_BYTES, 9 * BLOCK_BYTES..9 * BLOCK_BYTES + 512], &[7, 8, 9]);
        check(&[100 * BLOCK_BYTES..SIZE], &[100]);
        check(&[0..SIZE], &(0..101).collect::<Vec<_>>());
    }

    #[test]
    fn bits_that_others_added_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        Log::create(&path, &Header::new(SIZE)).unwrap();
        let (one, other) = (Tracker::open(&path, SIZE).unwrap(), Tracker::open(&path, SIZE).unwrap());
        one.mark(0..512).unwrap();
        other.mark(BLOCK_BYTES..BLOCK_BYTES + 512).unwrap();
        one.mark(2 * BLOCK_BYTES..2 * BLOCK_BYTES + 512).unwrap();
        assert_eq!(std::fs::read(&path).unwrap()[HEADER_BYTES], 0b111);
    }

    #[test]
    fn a_log_that_is_too_short_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        Log::create(&path, &Header::new(SIZE)).unwrap();
        assert_eq!(Tracker::open(&path, 2 * SIZE).unwrap_err().errno(), 22);
    }
}
