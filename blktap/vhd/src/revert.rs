//! Taking a resize back: the image gets the bytes that its journal holds. Everything is checked first; the primary footer
//! is made good last, so that a crash in between leaves an image that is still marked, and the journal to do it again.

use crate::copy;
use crate::edit;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{FOOTER_BYTES, Footer, RawFooter};
use crate::footer_copies;
use crate::image::Image;
use crate::journal::JournalHeader;
use crate::journal_reader::{self, Piece, Undo};
use crate::medium::Medium;
use crate::plan::{Plan, Step, Target};
use crate::units::{Extent, sum};
use crate::unmarked::{self, Found};

const FOOTER_LEN: u64 = FOOTER_BYTES as u64;

/// What became of an image. In each case the journal has done its work and can be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reverted {
    /// It is as it was before the resize.
    Restored,
    /// The resize had not begun to change it, or had finished: nothing had to be taken back.
    WasWhole,
}

/// What to do about an image that is not marked, and differs from what our journal holds in a way that has two causes: it
/// was used since, or blktap's tool was interrupted while it took the image back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InDoubt {
    /// Change nothing.
    Refuse,
    /// Bring back what the journal holds.
    Restore,
}

/// Brings back what the journal holds, unless the image is whole.
pub fn revert<M: Medium>(image: M, journal: &impl Medium, in_doubt: InDoubt) -> Result<Reverted> {
    let seen = seen_footer(&image);
    let unmarked = seen.as_ref().filter(|(_, footer)| !footer.is_poisoned);
    if journal.len_bytes() == 0 && unmarked.is_some() {
        // Its writer did not get far.
        return Ok(Reverted::WasWhole);
    }
    let header = journal_reader::header(journal)?;
    if let Some((_, footer)) = seen.as_ref().filter(|(_, footer)| footer.uuid != header.uuid) {
        return Err(foreign(&image, journal, footer, &header));
    }
    let undo = journal_reader::undo(journal, &header);
    if let Some((raw, footer)) = unmarked
        && is_whole(&image, raw, journal, &header, &undo, in_doubt)?
    {
        mend_copy(&image, raw, footer)?;
        return Ok(Reverted::WasWhole);
    }
    if let Some((_, footer)) = &seen
        && header.is_empty()
        && !header.is_strict
    {
        finish(image, footer)?;
        return Ok(Reverted::WasWhole);
    }
    let undo = undo?;
    check_image(&image, journal, seen.as_ref().map(|(_, footer)| footer), &undo, &header)?;
    restore(&image, journal, &undo, &header)?;
    Ok(Reverted::Restored)
}

/// Whether nothing is to be taken back of an image that is not marked.
fn is_whole(
    image: &impl Medium,
    raw: &RawFooter,
    journal: &impl Medium,
    header: &JournalHeader,
    undo: &Result<Undo>,
    in_doubt: InDoubt,
) -> Result<bool> {
    let undo = match undo {
        // libvhd's is empty when all is done.
        _ if header.is_empty() => return Ok(true),
        Ok(undo) => undo,
        // Ours was not finished, and the image is marked after that.
        Err(error) => return Ok(header.is_strict && error.kind() != ErrorKind::Io),
    };
    match unmarked::examine(image, raw, journal, undo)? {
        Found::Whole => Ok(true),
        Found::HalfReverted => Ok(false),
        // Ours has all data before the image is marked; libvhd's has data only when it was.
        Found::Unclear if !header.is_strict || in_doubt == InDoubt::Restore => Ok(false),
        Found::Unclear => {
            let (image, journal) = (image.path().display(), journal.path().display());
            let message = format!("`{image}` was written to since `{journal}` was made, or is half reverted");
            Err(Error::new(ErrorKind::InDoubt, message))
        }
    }
}

/// The footer that opening finds. The copy at offset 0 of a fixed disk would be a guest's data.
fn seen_footer(image: &impl Medium) -> Option<(RawFooter, Footer)> {
    let end = image.len_bytes().checked_sub(FOOTER_LEN).and_then(|offset| footer_at(image, offset));
    end.or_else(|| footer_at(image, 0).filter(|(_, footer)| footer.kind.is_sparse()))
}

fn footer_at(image: &impl Medium, offset: u64) -> Option<(RawFooter, Footer)> {
    let raw = RawFooter::from_prefix(&image.read("footer", offset, FOOTER_BYTES).ok()?);
    Footer::try_from(&raw).ok().map(|footer| (raw, footer))
}

/// The image is whole; a crash between its footers may have left the copy marked.
fn mend_copy(image: &impl Medium, raw: &RawFooter, footer: &Footer) -> Result<()> {
    if footer.kind.is_sparse() && footer_at(image, 0).is_some_and(|(_, copy)| copy.is_poisoned) {
        put(image, "footer copy", 0, raw.bytes().to_vec())?;
        image.flush()?;
    }
    Ok(())
}

/// libvhd empties its journal when all is done, and then makes the footers good.
fn finish<M: Medium>(image: M, footer: &Footer) -> Result<()> {
    let path = image.path().to_owned();
    let finished = || {
        let good = Footer { is_poisoned: false, ..footer.clone() };
        let raw = RawFooter::from(&good);
        let copy = good.kind.is_sparse().then_some(raw);
        // Reads all that a writer needs.
        let image = Image::with_footer(image, raw, good)?;
        let file = image.file();
        let offset = footer_copies::primary_offset(file.target(), file.len_bytes(), edit::end(&image)?)?;
        put_footers(file, offset, &raw, copy.as_ref())
    };
    finished().map_err(|error: Error| error.within(format!("cannot finish the resize of `{}`", path.display())))
}

/// An error unless this is the image, with all that the journal does not bring back.
fn check_image(
    image: &impl Medium,
    journal: &impl Medium,
    seen: Option<&Footer>,
    undo: &Undo,
    header: &JournalHeader,
) -> Result<()> {
    // A fixed disk that grows has its old footer until its new one is there.
    let at_old_end = footer_at(image, header.footer_offset).map(|(_, footer)| footer);
    match seen.or(at_old_end.as_ref()) {
        Some(found) => {
            // An image that we marked says what it was.
            let was = Footer { is_poisoned: true, ..undo.footer.clone() };
            let is_other = header.is_strict && found.is_poisoned && *found != was;
            if found.uuid != header.uuid || found.kind != undo.footer.kind || is_other {
                return Err(foreign(image, journal, found, header));
            }
        }
        None if header.is_strict && has_torn_footer(image, header, undo) => {}
        None => {
            let message = format!("`{}` has no footer that says what it is", image.path().display());
            return Err(Error::corrupt(message));
        }
    }
    let (len_bytes, footer_end) = (image.len_bytes(), sum("footer", &[header.footer_offset, FOOTER_LEN])?);
    let is_right = match image.target() {
        Target::BlockDevice { .. } => len_bytes == footer_end,
        Target::File => len_bytes >= undo.end,
    };
    if !is_right {
        let (path, end) = (image.path().display(), undo.end);
        return Err(Error::corrupt(format!(
            "`{path}` has {len_bytes} bytes; the journal is of one with a footer at {}, and data up to {end}",
            header.footer_offset
        )));
    }
    Ok(())
}

/// Whether there is a footer that a power cut tore while it was marked or unmarked: who it is of stays the same all the
/// time. A fixed disk has no copy of it.
fn has_torn_footer(image: &impl Medium, header: &JournalHeader, undo: &Undo) -> bool {
    let places = [image.len_bytes().saturating_sub(FOOTER_LEN), header.footer_offset];
    places.into_iter().any(|offset| {
        let bytes = image.read("footer", offset, FOOTER_BYTES).unwrap_or_default();
        let footer = RawFooter::from_prefix(&bytes).fields();
        (footer.uuid, footer.kind, footer.creator) == (header.uuid, undo.footer.kind, undo.footer.creator)
    })
}

fn foreign(image: &impl Medium, journal: &impl Medium, footer: &Footer, header: &JournalHeader) -> Error {
    let (image, journal) = (image.path().display(), journal.path().display());
    let message = format!("journal `{journal}` is of image {}, `{image}` is {}", header.uuid, footer.uuid);
    Error::new(ErrorKind::InvalidInput, message)
}

fn restore(image: &impl Medium, journal: &impl Medium, undo: &Undo, header: &JournalHeader) -> Result<()> {
    for piece in &undo.pieces {
        match *piece {
            Piece::Copy { from, to } => {
                let run = Extent { offset: from, ..to };
                copy::copy("journaled data", journal, run, image, to.offset)?;
            }
            Piece::Fill { to, byte } => {
                let step = Step::Fill { what: "end of a table", offset: to.offset, len_bytes: to.len_bytes, byte };
                image.perform(&Plan { steps: vec![step] })?;
            }
        }
    }
    image.flush()?;
    let copy = undo.sparse.as_ref().map(|sparse| &sparse.raw_copy);
    put_footers(image, header.footer_offset, &undo.raw_footer, copy)
}

/// Makes the copy good, then the primary footer, which is the one that counts, as the last bytes of the image.
pub(crate) fn put_footers(
    image: &impl Medium,
    offset: u64,
    primary: &RawFooter,
    copy: Option<&RawFooter>,
) -> Result<()> {
    if let Some(copy) = copy {
        put(image, "footer copy", 0, copy.bytes().to_vec())?;
        image.flush()?;
    }
    put(image, "footer", offset, primary.bytes().to_vec())?;
    image.flush()?;
    let end = sum("footer", &[offset, FOOTER_LEN])?;
    if image.target() == Target::File && image.len_bytes() > end {
        image.cut(end)?;
    }
    Ok(())
}

fn put(image: &impl Medium, what: &'static str, offset: u64, bytes: Vec<u8>) -> Result<()> {
    image.perform(&Plan { steps: vec![Step::Write { what, offset, bytes }] })
}
