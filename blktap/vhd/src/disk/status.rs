//! What of a disk is in use, for whoever wants to leave zeros out. Reads no data.

use std::ops::Range;

use super::{Disk, MAX_MAP_BYTES};
use crate::error::Result;
use crate::map::{Place, Run};
use crate::medium::Medium;
use crate::units::SECTOR_BYTES;

/// Bytes of a disk that one call looks at.
const MAX_STATUS_BYTES: u64 = 32 << 30;
/// Runs, and questions to files where their holes are, of one call.
const MAX_STEPS: usize = 8 << 10;
/// Shorter stretches of a file are no holes of their own.
const PAGE_BYTES: u64 = 4096;

/// A stretch of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Length in bytes.
    pub len_bytes: u64,
    /// Whether it is known to read as zeros: no image holds it, or the file that does has a hole there.
    pub is_zero: bool,
}

/// The first stretches of a range.
struct Stretches {
    found: Vec<Stretch>,
    at: u64,
    end: u64,
    max: usize,
    steps: usize,
}

impl Stretches {
    /// The next one ends here. Neighbours that are alike become one.
    fn add(&mut self, until: u64, is_zero: bool) {
        let until = until.min(self.end);
        if until <= self.at {
            return;
        }
        let len_bytes = until - self.at;
        let is_full = self.found.len() == self.max;
        match self.found.last_mut() {
            Some(last) if last.is_zero == is_zero => last.len_bytes += len_bytes,
            _ if is_full => {
                self.end = self.at;
                return;
            }
            _ => self.found.push(Stretch { len_bytes, is_zero }),
        }
        self.at = until;
    }

    fn is_done(&self) -> bool {
        self.at >= self.end || self.steps >= MAX_STEPS
    }
}

impl<M: Medium> Disk<M> {
    /// The first stretches of a range, at most `max` and at least one; neighbours differ. Together they may end before the
    /// range does: the work of one call is bounded. Any alignment.
    pub fn status(&self, offset: u64, len_bytes: u64, max: usize) -> Result<Vec<Stretch>> {
        let end = self.check_inside("look at", offset, len_bytes)?.min(offset.saturating_add(MAX_STATUS_BYTES));
        let mut stretches = Stretches { found: vec![], at: offset, end, max: max.max(1), steps: 0 };
        while !stretches.is_done() {
            let mut at = stretches.at - stretches.at % SECTOR_BYTES;
            for run in self.runs(at..end.min(at + MAX_MAP_BYTES).next_multiple_of(SECTOR_BYTES))? {
                self.add_run(at, run, &mut stretches)?;
                at += run.len_bytes;
                if stretches.is_done() {
                    break;
                }
            }
        }
        Ok(stretches.found)
    }

    fn add_run(&self, at: u64, run: Run, stretches: &mut Stretches) -> Result<()> {
        stretches.steps += 1;
        let end = at + run.len_bytes;
        let Some((file, offset)) = self.source(run.place) else {
            stretches.add(end, true);
            return Ok(());
        };
        let mut left = offset..offset + run.len_bytes;
        if !self.has_zeros_in_holes(run.place, file, &left) {
            stretches.add(end, false);
            return Ok(());
        }
        while !left.is_empty() && !stretches.is_done() {
            stretches.steps += 1;
            let Some(held) = self.first_data(run.place, file, left.clone())? else {
                stretches.add(end, true);
                break;
            };
            stretches.add(at + (held.start - offset), true);
            // Someone may make a hole of it meanwhile.
            left.start = held.end.max(held.start + 1).next_multiple_of(SECTOR_BYTES).min(left.end);
            stretches.add(at + (left.start - offset), false);
        }
        Ok(())
    }

    /// Whether holes in this range of a file read as zeros of the disk.
    fn has_zeros_in_holes(&self, place: Place, file: &M, range: &Range<u64>) -> bool {
        let is_there = || range.end <= file.len_bytes();
        match place {
            Place::Zero => true,
            // Behind its end a raw parent reads as zeros.
            Place::Base { .. } => !self.base.as_ref().is_some_and(|base| base.is_writable()) || is_there(),
            // What the file has lost is an error for whoever reads it.
            Place::Layer { .. } => range.end - range.start >= PAGE_BYTES && is_there(),
        }
    }
}
