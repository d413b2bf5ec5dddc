//! Which pieces of requests go to a file as one: those that share a unit, so that none undoes the other, and neighbours that go
//! through memory of ours anyway. Decides; moves no bytes.

use std::fs::File;
use std::ops::Range;

use crate::aligned::aligned_range;

/// No piece crosses a multiple of this.
const WINDOW_BYTES: u64 = 1 << 20;
/// Memory that is taken at a time.
const ROUND_BYTES: u64 = 8 << 20;

/// What the system wants of a file, as powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alignment {
    /// Positions and lengths are multiples of this: a unit. Windows are whole units.
    pub(crate) unit_bytes: u64,
    /// Addresses are.
    pub(crate) memory_bytes: u64,
}

/// What of a request is in one window.
#[derive(Debug)]
pub(crate) struct Piece<B> {
    /// Whose it is.
    pub(crate) index: usize,
    pub(crate) offset: u64,
    pub(crate) bytes: B,
}

/// Neighbouring pieces of a file that go as one.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) pieces: Range<usize>,
    /// Whole units around them.
    pub(crate) span: Range<u64>,
    /// The system takes the one piece as it is.
    pub(crate) is_plain: bool,
}

impl Alignment {
    pub(crate) fn span(self, offset: u64, bytes: &[u8]) -> Range<u64> {
        aligned_range(offset, bytes.len() as u64, self.unit_bytes)
    }

    /// Whether the system takes the bytes as they are.
    fn is_plain(self, offset: u64, bytes: &[u8]) -> bool {
        let is_aligned = (bytes.as_ptr().addr() as u64).is_multiple_of(self.memory_bytes);
        is_aligned && self.span(offset, bytes) == (offset..offset + bytes.len() as u64)
    }
}

impl Group {
    /// How many bytes its span has.
    pub(crate) fn len(&self) -> usize {
        in_window(self.span.end - self.span.start)
    }
}

/// Cuts a range of a file at the borders of windows; `None` where no file has it.
pub(crate) fn cuts(offset: u64, len: usize) -> Option<impl Iterator<Item = (u64, usize)> + use<>> {
    let end = offset.checked_add(len as u64).filter(|&end| i64::try_from(end).is_ok())?;
    let mut at = offset;
    Some(std::iter::from_fn(move || {
        let start = at;
        at = ((start / WINDOW_BYTES + 1) * WINDOW_BYTES).min(end);
        (start < end).then(|| (start, in_window(at - start)))
    }))
}

/// Puts pieces together that share units, and neighbours that go through memory of ours anyway. They are in the order of
/// their files.
pub(crate) fn groups<'a, P>(
    pieces: &'a [P],
    look: impl Fn(&'a P) -> (&'a File, Alignment, u64, &'a [u8]),
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::with_capacity(pieces.len());
    let mut last_file = None;
    for (index, piece) in pieces.iter().enumerate() {
        let (file, alignment, offset, bytes) = look(piece);
        let (span, is_plain) = (alignment.span(offset, bytes), alignment.is_plain(offset, bytes));
        let is_same_file = last_file.replace(file).is_some_and(|last| std::ptr::eq(last, file));
        match groups.last_mut() {
            Some(last)
                if is_same_file
                    && last.span.start / WINDOW_BYTES == span.start / WINDOW_BYTES
                    && (span.start < last.span.end || span.start == last.span.end && !is_plain && !last.is_plain) =>
            {
                last.pieces.end = index + 1;
                last.span.end = last.span.end.max(span.end);
                last.is_plain = false;
            }
            _ => groups.push(Group { pieces: index..index + 1, span, is_plain }),
        }
    }
    groups
}

/// Groups whose memory is not too much at a time.
pub(crate) fn rounds(groups: &[Group]) -> impl Iterator<Item = &[Group]> {
    let mut rest = groups;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let is_over = |group: &Group| {
            bytes += if group.is_plain { 0 } else { group.span.end - group.span.start };
            bytes > ROUND_BYTES
        };
        let count = rest.iter().position(is_over).unwrap_or(rest.len());
        let (round, after) = rest.split_at(count);
        rest = after;
        Some(round).filter(|round| !round.is_empty())
    })
}

pub(crate) fn in_window(len_bytes: u64) -> usize {
    usize::try_from(len_bytes).expect("a window is a length in memory")
}
