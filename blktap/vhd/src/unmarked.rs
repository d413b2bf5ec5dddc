//! An image that is not marked, beside a journal of it: whether there is anything to take back. It may have been in use
//! since, and then what the journal holds is too old. Reads; never writes.

use crate::bat::{Bat, UNUSED};
use crate::copy;
use crate::error::Result;
use crate::footer::RawFooter;
use crate::header::{HEADER_BYTES, Header, RawHeader};
use crate::journal_reader::{Piece, Undo};
use crate::medium::Medium;
use crate::units::Extent;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is as it was, or was used since, or has its new size.
    Whole,
    /// Somebody began to take it back: libvhd makes the footers good first.
    HalfReverted,
    /// It was written to since, or somebody was about to finish taking it back.
    Unclear,
}

/// Compares the image, which has this footer, with all that the journal holds.
pub(crate) fn examine(image: &impl Medium, footer: &RawFooter, journal: &impl Medium, undo: &Undo) -> Result<Found> {
    let Some(sparse) = &undo.sparse else { return Ok(Found::Whole) };
    if *footer != undo.raw_footer {
        return Ok(Found::Whole);
    }
    let old = Header::try_from(&sparse.raw_header)?;
    let now = image.read("header", undo.footer.data_offset, HEADER_BYTES);
    let now = now.and_then(|bytes| Header::try_from(&RawHeader::from_prefix(&bytes)));
    // Another parent is no sign of a resize; tables and paths elsewhere are.
    let places = |header: &Header| (header.max_bat_entries, header.locators.map(|locator| locator.offset));
    if now.map_or(true, |now| places(&now) != places(&old)) {
        return Ok(Found::HalfReverted);
    }
    let bytes = image.read_extent("BAT", Bat::extent(&undo.footer, &old)?)?;
    let now = Bat::new(Bat::decode(&bytes).collect(), old.block_size);
    let mut pairs = sparse.bat.entries().iter().zip(now.entries());
    if pairs.any(|(&old, &now)| old != UNUSED && old != now) {
        // Only a resize moves blocks.
        return Ok(Found::HalfReverted);
    }
    if now.allocated_blocks() > sparse.bat.allocated_blocks() {
        return Ok(Found::Whole);
    }
    for piece in &undo.pieces {
        if !is_there(image, journal, piece)? {
            return Ok(Found::Unclear);
        }
    }
    Ok(Found::Whole)
}

fn is_there(image: &impl Medium, journal: &impl Medium, piece: &Piece) -> Result<bool> {
    match *piece {
        Piece::Copy { from, to } => {
            copy::is_same("journaled data", journal, Extent { offset: from, ..to }, image, to.offset)
        }
        // Slack behind a table, which nobody reads.
        Piece::Fill { byte: 0, .. } => Ok(true),
        Piece::Fill { to, byte } => copy::is_filled("end of a table", image, to, byte),
    }
}
