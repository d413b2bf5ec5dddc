//! Room of a file behind its last block: made ahead of need for a writer that asks for durability by flushes only, and
//! given back at the end.

use crate::error::{Error, Result};
use crate::footer::FOOTER_BYTES;
use crate::layer::Layer;
use crate::medium::Medium;
use crate::plan::{Plan, Step, Target};
use crate::units::{SECTOR_BYTES, in_memory, sum};

const FOOTER_LEN: u64 = FOOTER_BYTES as u64;
/// Holes of files begin and end on these.
const PAGE_BYTES: u64 = 4096;

/// How far ahead of its need a file grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    pub(crate) blocks: usize,
    /// From there on the file is ours and a hole, but for footers; once it has grown.
    pub(crate) zero_from: Option<u64>,
}

impl<M: Medium> Layer<M> {
    /// From now on a file grows by so many bytes at a time, and new blocks without anything below them do not wait for the
    /// disk. Room that an earlier writer was killed with is given back first.
    pub(crate) fn write_back(&mut self, ahead_bytes: u64) -> Result<()> {
        let Some(block_bytes) = self.block_geometry().map(|(bytes, _)| bytes) else { return Ok(()) };
        if self.image.file().target() == Target::File && self.is_hole_behind()? {
            self.give_back()?;
        }
        let blocks = in_memory("blocks", ahead_bytes / block_bytes)?;
        if let Some(writable) = &mut self.writable {
            writable.ahead = Some(Ahead { blocks, zero_from: None });
        }
        Ok(())
    }

    /// Whether the file goes on behind the last block, with nothing but a hole and its footer.
    fn is_hole_behind(&self) -> Result<bool> {
        let (writable, file) = (self.writable()?, self.image.file());
        // The page behind the end may hold an older footer.
        let behind =
            (writable.end + FOOTER_LEN).next_multiple_of(PAGE_BYTES)..file.len_bytes().saturating_sub(FOOTER_LEN);
        if behind.is_empty() || self.image.primary_offset() != Some(behind.end) {
            return Ok(false);
        }
        let held = file.first_data(behind);
        Ok(held.map_err(|source| Error::io("cannot look for a hole", source).within(self.cannot_write()))?.is_none())
    }

    /// Ends the file behind its last block again.
    fn give_back(&self) -> Result<()> {
        self.catch_up(true)?;
        let (writable, file) = (self.writable()?, self.image.file());
        let offset = writable.end.next_multiple_of(SECTOR_BYTES);
        let end = sum("footer", &[offset, FOOTER_LEN])?;
        if end >= file.len_bytes() {
            return Ok(());
        }
        let footer = Step::Write { what: "footer", offset, bytes: writable.footer.bytes().to_vec() };
        writable.note(file.perform(&Plan { steps: vec![footer] }))?;
        self.sync()?;
        // It syncs.
        self.synced(file.cut(end))
    }

    /// Makes everything durable, and gives back what the file has ahead of its need or behind the last block that is left.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.flush()?;
        let last = self.writable()?.places.last_used();
        let last_end = last.zip(self.blocks.as_ref()).map(|(entry, blocks)| blocks.end_of(entry));
        let Some(writable) = &mut self.writable else { return Ok(()) };
        let end = writable.metadata_end.max(last_end.unwrap_or(0));
        let has_slack = writable.places.cut(end / SECTOR_BYTES) || writable.has_slack;
        if self.image.file().target() == Target::File && has_slack {
            writable.end = end;
            self.give_back()?;
        }
        Ok(())
    }
}
