//! The data that `read` prints: a piece at a time, so that memory is bounded.

use vhd::units::{BLOCK_BYTES, SECTOR_BYTES};
use vhd::{LazyDisk, Medium};

use super::tables::pieces;
use super::{Answer, Reading, Status};
use crate::report::ERANGE;

impl Reading<'_> {
    /// `-d`: blocks of this image alone.
    pub(super) fn blocks(&mut self, first: u64) -> Answer {
        for block in self.block_range(first)? {
            match self.bat.place(block) {
                None => self.not_allocated(block),
                Some(entry) => {
                    let bytes = self.image.block_data(entry).map_err(|error| self.failed(&error))?;
                    self.terminal.print_bytes(&bytes);
                }
            }
            if !self.terminal.stream() {
                break;
            }
        }
        Ok(())
    }

    /// `-r`: the disk, in sectors. What is past its end has a status and no words, as in libvhd.
    pub(super) fn sectors(&mut self, first: u64) -> Answer {
        let sectors = self.sector_range(first).ok_or(Status(ERANGE))?;
        self.disk(sectors.start * SECTOR_BYTES..sectors.end * SECTOR_BYTES)
    }

    /// `-R`: the disk, in bytes.
    pub(super) fn bytes(&mut self, first: u64) -> Answer {
        let end = first.checked_add(self.count).filter(|&end| end <= self.image.footer().current_bytes);
        self.disk(first..end.ok_or(Status(ERANGE))?)
    }

    fn disk(&mut self, range: std::ops::Range<u64>) -> Answer {
        let mut disk =
            (self.open)(self.image.file().path()).and_then(LazyDisk::on).map_err(|error| self.failed(&error))?;
        let mut bytes = Vec::new();
        for piece in pieces(range, BLOCK_BYTES) {
            bytes.resize(usize::try_from(piece.end - piece.start).expect("a piece fits in memory"), 0);
            disk.read_at(piece.start, &mut bytes).map_err(|error| self.failed(&error))?;
            self.terminal.print_bytes(&bytes);
            if !self.terminal.stream() {
                break;
            }
        }
        Ok(())
    }
}
