//! Cutting a disk into pieces of work, in order: a block each, with what of it may be data. Reads tables, no data.

use std::ops::{ControlFlow, Range};

use super::PIECE_BYTES;
use crate::disk::Disk;
use crate::error::Result;
use crate::map::Run;
use crate::medium::Medium;

/// Bytes of the disk whose runs are held in memory at a time.
const WINDOW_BYTES: u64 = 8 * PIECE_BYTES;

/// A stretch of the new disk.
#[derive(Debug)]
pub(super) struct Piece {
    /// Counts pieces from 0.
    pub(super) number: u64,
    pub(super) offset: u64,
    /// At most [`PIECE_BYTES`] where it has data.
    pub(super) len_bytes: u64,
    /// Position on the disk, and where the bytes lie. The rest is zeros.
    pub(super) data: Vec<(u64, Run)>,
}

/// What becomes of stretches without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Empty {
    /// No pieces.
    Skipped,
    /// Pieces of any length.
    Pieces,
    /// A piece per block.
    Blocks,
}

/// Calls `each` with the pieces of a new disk of this size. What is past the old one's end is zeros.
pub(super) fn each<M: Medium>(
    disk: &Disk<M>,
    size_bytes: u64,
    empty: Empty,
    mut each: impl FnMut(Piece) -> ControlFlow<()>,
) -> Result<()> {
    let inside = |at: u64| at.min(disk.size_bytes());
    let (mut at, mut number) = (0, 0);
    let mut send = |range: Range<u64>, data| {
        let piece = Piece { number, offset: range.start, len_bytes: range.end - range.start, data };
        number += 1;
        each(piece)
    };
    while at < size_bytes {
        let window = at..(at + WINDOW_BYTES).min(size_bytes);
        at = window.end;
        let mut data = disk.data(inside(window.start)..inside(window.end))?.into_iter();
        let mut next = data.next();
        if next.is_none() && empty != Empty::Blocks {
            if empty == Empty::Pieces && send(window, vec![]).is_break() {
                break;
            }
            continue;
        }
        let mut start = window.start;
        while start < window.end {
            let block = start..(start + PIECE_BYTES).min(window.end);
            start = block.end;
            let mut held = Vec::new();
            while let Some((offset, run)) = next.filter(|(offset, _)| *offset < block.end) {
                let len_bytes = run.len_bytes.min(block.end - offset);
                held.push((offset, Run { len_bytes, ..run }));
                let rest = Run { len_bytes: run.len_bytes - len_bytes, place: run.place.plus(len_bytes) };
                next = if rest.len_bytes > 0 { Some((block.end, rest)) } else { data.next() };
            }
            if (!held.is_empty() || empty != Empty::Skipped) && send(block, held).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}
