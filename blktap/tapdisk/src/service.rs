//! The disk as clients see it: any alignment over an image's whole sectors.

use std::path::Path;

use cbt::Tracker;
use nbd::Extent;

use crate::failure::Result;
use crate::pipe::Loan;
use crate::store::{Link, SECTOR_BYTES, Store, Stretch, ZEROS};

const SECTOR: usize = 512;
/// Bytes of a disk whose places are looked up at a time.
const MAP_BYTES: u64 = 64 << 20;
/// Extents of one answer.
const MAX_EXTENTS: usize = 8192;
/// Bytes of a disk of one answer, which keeps others waiting.
const MAX_STATUS_BYTES: u64 = 32 << 30;

/// A length that is less than a sector's or a buffer's.
fn short(len_bytes: u64) -> usize {
    usize::try_from(len_bytes).expect("lengths within a buffer are lengths in memory")
}

/// An open disk. Ranges were checked to lie in it.
#[derive(Debug)]
pub(crate) struct Service {
    store: Box<dyn Store>,
    /// Where changed blocks are noted.
    log: Option<Tracker>,
}

impl Service {
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Service { store, log: None }
    }

    /// Notes every block in this log from now on, before it changes.
    pub(crate) fn set_log(&mut self, path: &Path) -> Result<()> {
        self.log = Some(Tracker::open(path, self.store.size_bytes())?);
        Ok(())
    }

    fn mark(&self, offset: u64, len_bytes: u64) -> Result<()> {
        match &self.log {
            Some(log) => Ok(log.mark(offset..offset + len_bytes)?),
            None => Ok(()),
        }
    }

    fn mark_all(&self, writes: &[(u64, &[u8])]) -> Result<()> {
        writes.iter().try_for_each(|(offset, bytes)| self.mark(*offset, bytes.len() as u64))
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.store.size_bytes()
    }

    /// The chain for people.
    pub(crate) fn description(&self) -> String {
        let paths: Vec<_> = self.chain().into_iter().map(|link| link.path.display().to_string()).collect();
        paths.join(" on ")
    }

    /// The chain, leaf first.
    pub(crate) fn chain(&self) -> Vec<Link> {
        let log = self.log.iter().map(|log| Link { kind: "log", path: log.path().to_owned() });
        log.chain(self.store.links()).collect()
    }

    /// All of them, or nothing is known of any.
    pub(crate) fn read_many(&self, reads: &mut [(u64, &mut [u8])]) -> Result<()> {
        self.store.read_many(reads)
    }

    /// The range as bytes of files, if all of it is there as it is on the disk.
    pub(crate) fn lend(&self, offset: u64, len_bytes: u64) -> Option<Vec<Loan<'_>>> {
        self.store.lend(offset, len_bytes)
    }

    /// Whether it wants to know what was read.
    pub(crate) fn absorbs(&self) -> bool {
        self.store.absorbs()
    }

    /// Keeps what was read from elsewhere.
    pub(crate) fn absorb(&mut self, offset: u64, len_bytes: u64) {
        self.store.absorb(offset, len_bytes);
    }

    /// Whether a range is known to be zeros without being read.
    pub(crate) fn is_zero(&self, offset: u64, len_bytes: u64) -> bool {
        let (start, end) = (offset - offset % SECTOR_BYTES, (offset + len_bytes).next_multiple_of(SECTOR_BYTES));
        let first = self.store.stretches(start, end - start, 1);
        first.is_ok_and(|first| first.iter().all(|it| it.is_zero && it.len_bytes == end - start))
    }

    /// Writes where that changes nothing but data; `None`, and nothing written, where it changes more.
    pub(crate) fn write_over(&self, offset: u64, bytes: &[u8]) -> Option<Result<()>> {
        if let Err(failed) = self.mark(offset, bytes.len() as u64) {
            return Some(Err(failed));
        }
        self.store.write_over(offset, bytes)
    }

    /// The same of several.
    pub(crate) fn write_over_many(&self, writes: &[(u64, &[u8])]) -> Vec<Option<Result<()>>> {
        match self.mark_all(writes) {
            Ok(()) => self.store.write_over_many(writes),
            Err(failed) => vec![Some(Err(failed)); writes.len()],
        }
    }

    /// Writes whole sectors, several at a time where that can be; what became of each.
    pub(crate) fn write_many(&mut self, writes: &[(u64, &[u8])]) -> Vec<Result<()>> {
        match self.mark_all(writes) {
            Ok(()) => self.store.write_many(writes),
            Err(failed) => vec![Err(failed); writes.len()],
        }
    }

    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.mark(offset, bytes.len() as u64)?;
        let head = (offset.next_multiple_of(SECTOR_BYTES) - offset).min(bytes.len() as u64);
        let (head, rest) = bytes.split_at(short(head));
        let (middle, tail) = rest.split_at(rest.len() / SECTOR * SECTOR);
        self.write_part(offset, head)?;
        let at = offset + head.len() as u64;
        if !middle.is_empty() {
            self.store.write(at, middle)?;
        }
        self.write_part(at + middle.len() as u64, tail)
    }

    /// Writes less than a sector.
    fn write_part(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let skip = offset % SECTOR_BYTES;
        let mut sector = [0; SECTOR];
        self.store.read(offset - skip, &mut sector)?;
        sector[short(skip)..][..bytes.len()].copy_from_slice(bytes);
        self.store.write(offset - skip, &sector)
    }

    /// Makes the beginning of a range zeros. With `takes_space` later writes there cannot run out of it. How many bytes are
    /// done, some of them at least.
    pub(crate) fn zero(&mut self, offset: u64, len_bytes: u64, takes_space: bool) -> Result<u64> {
        let end = offset + len_bytes;
        let to_sector = offset.next_multiple_of(SECTOR_BYTES) - offset;
        let whole = (end - end % SECTOR_BYTES).saturating_sub(offset);
        if takes_space || to_sector > 0 || whole == 0 {
            let len = match to_sector {
                0 => len_bytes.min(ZEROS.len() as u64),
                to_sector => len_bytes.min(to_sector),
            };
            self.write(offset, &ZEROS[..short(len)])?;
            return Ok(len);
        }
        self.mark(offset, whole)?;
        self.store.write_zeroes(offset, whole)
    }

    /// Gives space of the beginning of a range back where that can be done. How many bytes are done, some of them at least.
    pub(crate) fn trim(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        let end = offset + len_bytes;
        let (first, last) = (offset.next_multiple_of(SECTOR_BYTES), end - end % SECTOR_BYTES);
        if first >= last {
            return Ok(len_bytes);
        }
        self.mark(first, last - first)?;
        let done = first - offset + self.store.discard(first, last - first)?;
        // What is left at the end is less than a sector.
        Ok(if offset + done == last { len_bytes } else { done })
    }

    pub(crate) fn flush(&self) -> Result<()> {
        if let Some(log) = &self.log {
            log.sync()?;
        }
        self.store.flush()
    }

    /// Ends the service of the disk.
    pub(crate) fn close(self) -> Result<()> {
        let noted = self.log.as_ref().map_or(Ok(()), |log| Ok(log.sync()?));
        self.store.close().and(noted)
    }

    /// The extents of a range from its start on, or of its first part; of neighbours that are alike, one.
    pub(crate) fn status(&self, offset: u64, len_bytes: u64, is_one: bool) -> Result<Vec<Extent>> {
        let len_bytes = len_bytes.min(MAX_STATUS_BYTES);
        let mut extents: Vec<Extent> = Vec::new();
        let (mut at, end) = (offset, offset + len_bytes);
        while at < end && extents.len() < MAX_EXTENTS {
            let skip = at % SECTOR_BYTES;
            let until = (at + MAP_BYTES).min(end).next_multiple_of(SECTOR_BYTES);
            let mut run_at = at - skip;
            for Stretch { len_bytes, is_zero } in self.store.stretches(run_at, until - run_at, MAX_EXTENTS)? {
                let run_end = run_at + len_bytes;
                let len_bytes = run_end.min(end) - run_at.max(at);
                match extents.last_mut() {
                    Some(last) if last.is_zero == is_zero => last.len_bytes += len_bytes,
                    Some(_) if is_one => return Ok(extents),
                    _ => extents.push(Extent { len_bytes, is_hole: is_zero, is_zero }),
                }
                run_at = run_end;
            }
            at = run_at.min(end);
        }
        Ok(extents)
    }
}
