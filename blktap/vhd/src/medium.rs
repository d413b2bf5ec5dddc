//! Where an image's bytes lie: a file, a block device, or a disk that a test simulates. Reads within bounds, performs
//! plans. Knows bytes and offsets, nothing of the format.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

use rustix::io::Errno;

use crate::aligned::{ALIGN_BYTES, AlignedBuffer, aligned_range};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Plan, Step, Target};
use crate::units::{Extent, in_memory};

/// Bytes per write of a long run.
const CHUNK_BYTES: u64 = 1 << 20;
/// Bytes per read and write of a copy.
const COPY_BYTES: u64 = 2 << 20;

/// Steps of a plan that are held back to be done together.
const MAX_BATCH: usize = 1024;

/// A range of a medium that is to be read.
#[derive(Debug)]
pub struct Part<'a, M> {
    /// Where it lies.
    pub medium: &'a M,
    /// Byte position there.
    pub offset: u64,
    /// Where it goes.
    pub bytes: &'a mut [u8],
}

/// Something that holds an image. Methods take `&self`: one request at a time is the caller's business.
pub trait Medium: fmt::Debug {
    /// What it is called in messages.
    fn path(&self) -> &Path;

    /// Its size now.
    fn len_bytes(&self) -> u64;

    /// Whether it grows as it is written.
    fn target(&self) -> Target;

    /// Fills `bytes` from this position; `UnexpectedEof` past the end.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes`. What lies between an earlier end and `offset` reads as zeros.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills ranges of several media, all at once where that can be, and says what became of each.
    fn read_each(reads: &mut [Part<'_, Self>]) -> Vec<io::Result<()>>
    where
        Self: Sized,
    {
        reads.iter_mut().map(|read| read.medium.read_exact_at(read.bytes, read.offset)).collect()
    }

    /// Writes, all at once where that can be, in any order, and says what became of each. Where they lie over each other the
    /// later one counts.
    fn write_each(&self, writes: &[(u64, &[u8])]) -> Vec<io::Result<()>> {
        writes.iter().map(|&(offset, bytes)| self.write_all_at(bytes, offset)).collect()
    }

    /// What a write takes is widened to multiples of this: what is written beside it is read first, and written back.
    fn unit_bytes(&self) -> u64 {
        1
    }

    /// Returns when everything written is durable, and the size with it.
    fn sync(&self) -> io::Result<()>;

    /// Ends a file here, durably. A device keeps its size.
    fn truncate(&self, len_bytes: u64) -> io::Result<()>;

    /// Reads an extended attribute; how long it is, `None` where there is none. An error when it is longer than `bytes`.
    fn attribute(&self, _name: &str, _bytes: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(None)
    }

    /// Sets an extended attribute; it is durable when this returns.
    fn set_attribute(&self, _name: &str, _bytes: &[u8]) -> io::Result<()> {
        Err(Errno::OPNOTSUPP.into())
    }

    /// Sees to it that what is written there does not lack space later, when it is synced. Whether that is sure.
    fn take_space(&self, _offset: u64, _len_bytes: u64) -> io::Result<bool> {
        Ok(true)
    }

    /// Makes the range, which lies at the end or past it, read as zeros and own its space.
    fn reserve(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.fill(0, offset, len_bytes)
    }

    /// Writes one byte value many times.
    fn fill(&self, byte: u8, offset: u64, len_bytes: u64) -> io::Result<()> {
        let end = offset.checked_add(len_bytes).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut at = offset;
        while at < end {
            // Later pieces start on the alignment of direct writes, so only the ends are read first.
            let next = ((at / ALIGN_BYTES + 1) * ALIGN_BYTES).saturating_add(CHUNK_BYTES).min(end);
            let len = usize::try_from(next - at).map_err(io::Error::other)?;
            self.write_all_at(&vec![byte; len], at)?;
            at = next;
        }
        Ok(())
    }

    /// Makes the range, which lies before the end, read as zeros.
    fn zero(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.fill(0, offset, len_bytes)
    }

    /// Gives the space of the range, which lies before the end, back where that can be done. It then reads as zeros, or
    /// as before.
    fn discard(&self, _offset: u64, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    /// Makes the range, which lies before the end, read as zeros, and gives its space back where that can be done.
    fn punch(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.zero(offset, len_bytes)
    }

    /// The first stretch of a range, which lies before the end, that may hold something else than zeros.
    fn first_data(&self, range: Range<u64>) -> io::Result<Option<Range<u64>>> {
        Ok(Some(range).filter(|range| !range.is_empty()))
    }

    /// Whether [`Medium::copy_from`] can let both share the space of what it copies.
    fn shares_with(&self, _source: &Self) -> bool {
        false
    }

    /// Copies bytes of `source` that start at `from`.
    fn copy_from(&self, source: &Self, from: u64, offset: u64, len_bytes: u64) -> io::Result<()> {
        copy_in_chunks(source, from, self, offset, len_bytes)
    }

    /// Reads `len` bytes. An error, before any memory is taken, where the medium ends earlier.
    fn read(&self, what: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.check_end(what, offset, len)?;
        let mut bytes = vec![0; len];
        self.read_into(what, offset, &mut bytes)?;
        Ok(bytes)
    }

    /// An error where the medium ends before the end of a range.
    fn check_end(&self, what: &str, offset: u64, len: usize) -> Result<()> {
        let len_bytes = self.len_bytes();
        if offset.checked_add(len as u64).is_some_and(|end| end <= len_bytes) {
            return Ok(());
        }
        let path = self.path().display();
        Err(Error::new(ErrorKind::Truncated, format!("{what} is {len} bytes at {offset}, `{path}` has {len_bytes}")))
    }

    /// Fills `bytes`, or says what could not be read. Where the medium ends is asked only when it does: this is what each
    /// read of a disk comes to.
    fn read_into(&self, what: &str, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.read_exact_at(bytes, offset).map_err(|source| self.cannot_read(what, offset, bytes.len(), source))
    }

    /// The error of a read.
    fn cannot_read(&self, what: &str, offset: u64, len: usize, source: io::Error) -> Error {
        let path = self.path().display();
        if source.kind() != io::ErrorKind::UnexpectedEof {
            return Error::io(format!("cannot read {what} at {offset} of `{path}`"), source);
        }
        let message = || format!("`{path}` became shorter while {what} was read at {offset}");
        let ended = self.check_end(what, offset, len);
        ended.err().unwrap_or_else(|| Error::new(ErrorKind::Truncated, message()))
    }

    /// Reads a run that the format promises. Its length is bounded by whoever made the extent.
    fn read_extent(&self, what: &str, extent: Extent) -> Result<Vec<u8>> {
        self.read(what, extent.offset, in_memory(what, extent.len_bytes)?)
    }

    /// Performs the steps of a plan that copies nothing, in their order. The last ones are durable only after
    /// [`Medium::flush`].
    fn perform(&self, plan: &Plan) -> Result<()> {
        self.perform_from(self, plan)
    }

    /// [`Medium::perform`] of a plan that copies from `source`. Writes between two barriers are done together; nothing is
    /// begun behind a barrier before it is passed.
    fn perform_from(&self, source: &Self, plan: &Plan) -> Result<()> {
        let mut batch = Vec::new();
        for step in &plan.steps {
            if batch.len() == MAX_BATCH || batch.iter().any(|&write| must_wait(self, step, write)) {
                self.write_batch(&mut batch)?;
            }
            let done = match step {
                Step::Write { .. } => {
                    batch.push(step);
                    continue;
                }
                Step::Fill { offset, len_bytes, byte, .. } => self.fill(*byte, *offset, *len_bytes),
                Step::Reserve { offset, len_bytes, .. } => self.reserve(*offset, *len_bytes),
                Step::Copy { from, offset, len_bytes, .. } => self.copy_from(source, *from, *offset, *len_bytes),
                Step::Zero { offset, len_bytes, .. } => self.zero(*offset, *len_bytes),
                Step::Punch { offset, len_bytes, .. } => self.punch(*offset, *len_bytes),
                Step::Barrier => {
                    self.flush()?;
                    continue;
                }
            };
            done.map_err(|source| cannot_write(self, step, source))?;
        }
        self.write_batch(&mut batch)
    }

    /// Performs steps that write bytes, and forgets them.
    fn write_batch(&self, batch: &mut Vec<&Step>) -> Result<()> {
        let writes = batch.iter().filter_map(|step| match step {
            Step::Write { offset, bytes, .. } => Some((*offset, bytes.as_slice())),
            _ => None,
        });
        let done = self.write_each(&writes.collect::<Vec<_>>());
        let done =
            batch.drain(..).zip(done).map(|(step, done)| done.map_err(|source| cannot_write(self, step, source)));
        done.collect()
    }

    /// [`Medium::truncate`] with an error that names the medium.
    fn cut(&self, len_bytes: u64) -> Result<()> {
        let cut = self.truncate(len_bytes);
        cut.map_err(|source| Error::io(format!("cannot cut `{}` at {len_bytes}", self.path().display()), source))
    }

    /// [`Medium::sync`] with an error that names the medium.
    fn flush(&self) -> Result<()> {
        self.sync().map_err(|source| Error::io(format!("cannot sync `{}`", self.path().display()), source))
    }
}

/// Whether a write that was held back must be done before this step.
fn must_wait<M: Medium + ?Sized>(medium: &M, step: &Step, write: &Step) -> bool {
    let units = |step: &Step| {
        let (offset, len_bytes) = step.range();
        aligned_range(offset, len_bytes, medium.unit_bytes())
    };
    match step {
        Step::Write { .. } => false,
        // A copy may read what is written.
        Step::Barrier | Step::Copy { .. } => true,
        Step::Fill { .. } | Step::Reserve { .. } | Step::Zero { .. } | Step::Punch { .. } => {
            let (step, write) = (units(step), units(write));
            step.start < write.end && write.start < step.end
        }
    }
}

fn cannot_write<M: Medium + ?Sized>(medium: &M, step: &Step, source: io::Error) -> Error {
    let ((offset, len_bytes), what, path) = (step.range(), step.what(), medium.path().display());
    Error::io(format!("cannot write {what} ({len_bytes} bytes at {offset}) of `{path}`"), source)
}

/// Copies by reading and writing.
pub(crate) fn copy_in_chunks<M: Medium + ?Sized>(
    source: &M,
    from: u64,
    target: &M,
    offset: u64,
    len_bytes: u64,
) -> io::Result<()> {
    let chunk_bytes = len_bytes.min(COPY_BYTES);
    let mut buffer = AlignedBuffer::zeroed(usize::try_from(chunk_bytes).map_err(io::Error::other)?);
    let mut done = 0;
    while done < len_bytes {
        let len = usize::try_from(chunk_bytes.min(len_bytes - done)).map_err(io::Error::other)?;
        let bytes = &mut buffer.bytes_mut()[..len];
        source.read_exact_at(bytes, from + done)?;
        target.write_all_at(bytes, offset + done)?;
        done += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::image_file::ImageFile;

    fn check(steps: &[Step], expected: &[u8]) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 4]).unwrap();
        let image = ImageFile::open_rw(file.path()).unwrap();
        image.perform(&Plan { steps: steps.to_vec() }).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), expected, "{steps:?}");
    }

    #[test]
    fn what_lies_over_each_other_is_done_in_order() {
        let what = "test";
        let write = |offset, byte| Step::Write { what, offset, bytes: vec![byte; 2] };
        let fill = Step::Fill { what, offset: 1, len_bytes: 2, byte: 5 };
        let copy = Step::Copy { what, from: 0, offset: 2, len_bytes: 2 };
        check(&[write(0, 1), fill.clone()], &[1, 5, 5, 7]);
        check(&[fill, write(0, 1)], &[1, 1, 5, 7]);
        check(&[write(0, 1), write(1, 2)], &[1, 2, 2, 7]);
        check(&[write(0, 1), copy.clone()], &[1, 1, 1, 1]);
        check(&[copy, write(0, 1)], &[1, 1, 7, 7]);
    }
}
