//! Where the bytes of a disk are, for whoever can pass them on without having them.

use std::fs::File;

use super::Disk;
use crate::image_file::ImageFile;
use crate::map::Run;
use crate::medium::Medium;
use crate::units::SECTOR_BYTES;

impl Disk<ImageFile> {
    /// A range as stretches of files: file, position there and length. `None` where some of it is in no file as it is on the
    /// disk, is encrypted, or must not come out of the page cache.
    pub fn lend(&self, offset: u64, len_bytes: u64) -> Option<Vec<(&File, u64, u64)>> {
        let end = self.check_inside("read", offset, len_bytes).ok()?;
        let mut at = offset - offset % SECTOR_BYTES;
        let mut lent = Vec::new();
        for Run { len_bytes, place } in self.runs(at..end.next_multiple_of(SECTOR_BYTES)).ok()? {
            let (from, to) = (at.max(offset), (at + len_bytes).min(end));
            let (file, position) = self.source(place.plus(from - at)).filter(|_| self.is_plain(place))?;
            // What a file has lost is no bytes; a raw one may end within a sector.
            let is_there = position + (to - from) <= file.len_bytes();
            if !file.is_cached() || !is_there {
                return None;
            }
            lent.push((file.descriptor(), position, to - from));
            at += len_bytes;
        }
        Some(lent)
    }
}
