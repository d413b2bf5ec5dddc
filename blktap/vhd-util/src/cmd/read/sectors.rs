//! What `read` says about blocks' bitmaps: which sectors this image holds.

use vhd::bitmap::Bitmap;

use super::{Answer, Reading, Status};
use crate::report::ERANGE;

impl Reading<'_> {
    /// `-m`: bitmaps as they lie on disk.
    pub(super) fn bitmaps(&mut self, first: u64) -> Answer {
        for block in self.block_range(first)? {
            match self.bitmap(block)? {
                None => self.not_allocated(block),
                Some(bitmap) => self.terminal.print_bytes(bitmap.bytes()),
            }
            if !self.terminal.stream() {
                break;
            }
        }
        Ok(())
    }

    /// `-i`: sector by sector.
    pub(super) fn presence(&mut self, first: u64) -> Answer {
        let Some(sectors) = self.sector_range(first) else { return self.past_end(first) };
        for (block, sectors) in self.by_block(sectors) {
            let bitmap = self.bitmap(block)?;
            for sector in sectors {
                let is_present = bitmap.as_ref().is_some_and(|bitmap| bitmap.is_present(sector));
                let (block, sector) = (self.radix.show(block), self.radix.show(sector));
                self.terminal.print(format_args!("block {block}: sec: {sector}: {}\n", u8::from(is_present)));
                if !self.terminal.stream() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// `-e`: runs of sectors that are present, across blocks.
    pub(super) fn extents(&mut self, first: u64) -> Answer {
        let Some(sectors) = self.sector_range(first) else { return self.past_end(first) };
        let mut at = sectors.start;
        let mut run = at..at;
        for (block, sectors) in self.by_block(sectors) {
            let bitmap = self.bitmap(block)?;
            let empty = [(false, sectors.clone())];
            let runs: &mut dyn Iterator<Item = _> = match &bitmap {
                None => &mut empty.into_iter(),
                Some(bitmap) => &mut bitmap.runs(sectors),
            };
            for (is_present, sectors) in runs {
                if is_present && run.is_empty() {
                    run = at..at;
                }
                at += sectors.end - sectors.start;
                if is_present {
                    run.end = at;
                } else {
                    self.extent(std::mem::replace(&mut run, at..at));
                }
            }
            if !self.terminal.stream() {
                return Ok(());
            }
        }
        self.extent(run);
        Ok(())
    }

    fn extent(&mut self, run: std::ops::Range<u64>) {
        if !run.is_empty() {
            let (first, len) = (self.radix.show(run.start), self.radix.show(run.end - run.start));
            self.terminal.print(format_args!("{first} {len}\n"));
        }
    }

    /// Reads a bitmap; `None` when the block is not allocated.
    fn bitmap(&mut self, block: u64) -> Result<Option<Bitmap>, Status> {
        let Some(entry) = self.bat.place(block) else { return Ok(None) };
        self.image.bitmap(entry).map(Some).map_err(|error| self.failed(&error))
    }

    pub(super) fn not_allocated(&mut self, block: u64) {
        self.terminal.print(format_args!("block {} not allocated\n", self.radix.show(block)));
    }

    fn past_end(&mut self, first: u64) -> Answer {
        self.terminal.print(format_args!("sector {} past end of file\n", self.radix.show(first)));
        Err(Status(ERANGE))
    }
}
