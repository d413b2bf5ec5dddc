//! What of a disk may be something else than zeros.

use std::ops::Range;

use super::Disk;
use crate::error::{Error, Result};
use crate::layer::bad_block;
use crate::map::{Place, Run};
use crate::medium::Medium;
use crate::units::in_memory;
use crate::zeros;

/// What is read first of data that may be zeros.
const PROBE_BYTES: u64 = 4096;

impl<M: Medium> Disk<M> {
    /// What of a range of whole sectors may be something else than zeros: position on the disk, and where it lies. Holes
    /// of files are left out.
    pub(crate) fn data(&self, range: Range<u64>) -> Result<Vec<(u64, Run)>> {
        self.check("map", range.start, range.end - range.start)?;
        let start = range.start;
        self.without_holes(start, self.runs(range)?)
    }

    /// The first stretch of a range of a file, which is at this place, that may hold something else than zeros of the disk.
    pub(super) fn first_data(&self, place: Place, file: &M, range: Range<u64>) -> Result<Option<Range<u64>>> {
        if !self.is_plain(place) {
            return Ok(Some(range).filter(|range| !range.is_empty()));
        }
        let offset = range.start;
        file.first_data(range).map_err(|source| {
            Error::io(format!("cannot look for holes at {offset} of `{}`", file.path().display()), source)
        })
    }

    fn without_holes(&self, start: u64, runs: Vec<Run>) -> Result<Vec<(u64, Run)>> {
        let mut data = Vec::new();
        let mut at = start;
        for run in runs {
            if let Some((file, offset)) = self.source(run.place) {
                let mut left = offset..offset + run.len_bytes;
                if matches!(run.place, Place::Layer { .. }) {
                    file.check_end("data", offset, in_memory("data", run.len_bytes)?).map_err(bad_block)?;
                }
                while let Some(held) = self.first_data(run.place, file, left.clone())? {
                    let ahead = held.start - offset;
                    data.push((at + ahead, Run { len_bytes: held.end - held.start, place: run.place.plus(ahead) }));
                    left.start = held.end;
                }
            }
            at += run.len_bytes;
        }
        Ok(data)
    }

    /// Whether a range of whole sectors would read the same without what the image itself holds of it: that is all zeros,
    /// and its parents read as zeros there too.
    pub(crate) fn adds_nothing(&self, range: Range<u64>) -> Result<bool> {
        let mut at = range.start;
        let mut own = Vec::new();
        for run in self.runs(range)? {
            if matches!(run.place, Place::Layer { depth: 0, .. }) {
                own.push((at, run));
            }
            at += run.len_bytes;
        }
        let mut bytes = Vec::new();
        let mut is_zero = |at, runs| {
            let mut data = self.without_holes(at, runs)?.into_iter();
            data.try_fold(true, |is_zero, (_, run)| Ok(is_zero && self.is_zero_run(run, &mut bytes)?))
        };
        for &(at, run) in &own {
            if !is_zero(at, vec![run])? {
                return Ok(false);
            }
        }
        for (at, run) in own {
            let mut below = Vec::new();
            self.owners.map_from(1, &self.layers, self.base_bytes(), at..at + run.len_bytes, &mut below)?;
            if !is_zero(at, below)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a run is zeros, as far as that can be told: nothing of an encrypted image is. Stops reading where it is not; `bytes` is the memory that it reads into.
    pub(crate) fn is_zero_run(&self, run: Run, bytes: &mut Vec<u8>) -> Result<bool> {
        if !self.is_plain(run.place) {
            return Ok(false);
        }
        let mut done = 0;
        while done < run.len_bytes {
            // Data shows itself soon; zeros are worth longer reads.
            let len = (run.len_bytes - done).min(if done == 0 { PROBE_BYTES } else { 16 * PROBE_BYTES });
            bytes.resize(in_memory("read", len)?, 0);
            // It is in the clear: no place on the disk is asked for.
            self.read_place(0, run.place.plus(done), bytes)?;
            if !zeros::is_zero(bytes) {
                return Ok(false);
            }
            done += len;
        }
        Ok(true)
    }
}
