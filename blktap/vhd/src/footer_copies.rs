//! Where footers stand in a file and which one counts. Reads; the bytes themselves are `footer`'s.

use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};
use crate::footer::{FOOTER_BYTES, Footer, RawFooter};
use crate::medium::Medium;
use crate::plan::Target;
use crate::units::sum;

const FOOTER_LEN: u64 = FOOTER_BYTES as u64;
/// Old versions of Virtual PC wrote footers without the last byte.
const SHORT_LEN: u64 = FOOTER_LEN - 1;

/// The footer that counts: the primary one, else a short one, else the copy at offset 0. Only a footer that is wrong
/// makes us try the next; a failed read does not.
pub(crate) fn read(file: &impl Medium) -> Result<(RawFooter, Footer)> {
    let mut first_error = None;
    for candidate in candidates(file.len_bytes()) {
        let raw = candidate.read(file)?;
        match Footer::try_from(&raw) {
            Ok(footer) => return Ok((raw, with_hidden_of_backup(file, footer))),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| too_small(file)))
}

/// Whether these bytes, which [`read`] found, stand at the end of the file. Of a fixed disk they must: at offset 0 it has
/// data, which may look like a footer.
pub(crate) fn is_at_end(file: &impl Medium, raw: &RawFooter) -> bool {
    let len_bytes = file.len_bytes();
    let at_end = candidates(len_bytes).into_iter().filter(|it| it.offset + it.len as u64 == len_bytes);
    at_end.filter_map(|candidate| candidate.read(file).ok()).any(|found| found == *raw)
}

/// The copy at offset 0.
pub(crate) fn read_backup(file: &impl Medium) -> Result<(RawFooter, Footer)> {
    let raw = Candidate { offset: 0, len: FOOTER_BYTES }.read(file)?;
    Ok((raw, Footer::try_from(&raw)?))
}

/// The footer that [`read`] tried last, unjudged; zeros where none can be read.
pub(crate) fn peek(file: &impl Medium) -> RawFooter {
    let mut last = RawFooter::from_prefix(&[]);
    for candidate in candidates(file.len_bytes()) {
        last = candidate.read(file).unwrap_or(last);
        if Footer::try_from(&last).is_ok() {
            break;
        }
    }
    last
}

/// Where the primary footer of an image goes whose data and metadata end at `end`: a device's last sector; a file's, or
/// if the file is too short or no whole number of sectors, a new last one.
pub(crate) fn primary_offset(target: Target, medium_bytes: u64, end: u64) -> Result<u64> {
    let has_room = sum("footer", &[end, FOOTER_LEN])? <= medium_bytes;
    match target {
        Target::BlockDevice { len_bytes } if !has_room => Err(Error::new(
            ErrorKind::NoSpace,
            format!("device has {len_bytes} bytes, the image needs {end} and a footer"),
        )),
        Target::File if !has_room || !medium_bytes.is_multiple_of(FOOTER_LEN) => {
            Ok(end.max(medium_bytes / FOOTER_LEN * FOOTER_LEN))
        }
        Target::File | Target::BlockDevice { .. } => Ok(medium_bytes - FOOTER_LEN),
    }
}

/// Where the data of a fixed image in a file of this size must end: at its footer, which may be a short one.
pub(crate) fn fixed_data_end(medium_bytes: u64) -> u64 {
    let footer_bytes = if medium_bytes % FOOTER_LEN == SHORT_LEN { SHORT_LEN } else { FOOTER_LEN };
    medium_bytes.saturating_sub(footer_bytes)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    offset: u64,
    len: usize,
}

impl Candidate {
    fn read(self, file: &impl Medium) -> Result<RawFooter> {
        Ok(RawFooter::from_prefix(&file.read("footer", self.offset, self.len)?))
    }
}

/// Where footers can stand in a file of this size, in the order in which they count.
fn candidates(len_bytes: u64) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    if let Some(offset) = len_bytes.checked_sub(FOOTER_LEN) {
        candidates.push(Candidate { offset, len: FOOTER_BYTES });
    }
    if len_bytes % FOOTER_LEN == SHORT_LEN {
        candidates.push(Candidate { offset: len_bytes - SHORT_LEN, len: FOOTER_BYTES - 1 });
    }
    if len_bytes >= FOOTER_LEN {
        candidates.push(Candidate { offset: 0, len: FOOTER_BYTES });
    }
    candidates
}

/// blktap 1.1 kept the hidden flag in the copy at offset 0 only.
fn with_hidden_of_backup(file: &impl Medium, mut footer: Footer) -> Footer {
    if footer.creator.keeps_hidden_in_backup() && footer.kind.is_sparse() {
        let backup = Candidate { offset: 0, len: FOOTER_BYTES }.read(file);
        if let Ok(backup) = backup.and_then(|raw| Footer::try_from(&raw)) {
            footer.hidden = backup.hidden;
        }
    }
    footer
}

fn too_small(file: &impl Medium) -> Error {
    let len_bytes = file.len_bytes();
    let error = Error::new(ErrorKind::Truncated, format!("file of {len_bytes} bytes has no room for a footer"));
    // libvhd reads nothing in an empty file and says EPIPE. In a larger one it seeks to before the start and says EIO,
    // which callers try again.
    if len_bytes == 0 { error } else { error.with_errno(Errno::INVAL) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(len_bytes: u64, expected: &[(u64, usize)]) {
        let found: Vec<_> =
            candidates(len_bytes).into_iter().map(|candidate| (candidate.offset, candidate.len)).collect();
        assert_eq!(found, expected, "{len_bytes}");
    }

    #[test]
    fn the_end_counts_before_the_start() {
        check(0, &[]);
        check(510, &[]);
        check(511, &[(0, 511)]);
        check(512, &[(0, 512), (0, 512)]);
        check(3584, &[(3072, 512), (0, 512)]);
        check(3583, &[(3071, 512), (3072, 511), (0, 512)]);
    }

    #[test]
    fn data_of_a_fixed_disk_ends_at_its_footer() {
        let ends = [0, 511, 512, 4096 + 511, 4096 + 512].map(fixed_data_end);
        assert_eq!(ends, [0, 0, 0, 4096, 4096]);
    }
}
