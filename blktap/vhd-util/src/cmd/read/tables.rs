//! What `read` says about the BAT and the batmap.

use std::ops::Range;

use vhd::Medium;
use vhd::batmap::Batmap;
use vhd::units::SECTOR_BYTES;

use super::{Answer, Reading, Status};
use crate::report::{EINVAL, ERANGE};

/// Bytes of a table that are read at once.
const PIECE_BYTES: u64 = 1 << 20;

impl Reading<'_> {
    /// `-t`: where sectors lie in the file, whether the image holds them or not.
    pub(super) fn locations(&mut self, first: u64) -> Answer {
        let Some(sectors) = self.sector_range(first) else {
            let end = self.radix.show(first.saturating_add(self.count));
            self.terminal.say(format_args!("sector {end} past end of file"));
            return Err(Status(ERANGE));
        };
        for (block, sectors) in self.by_block(sectors) {
            let data = self.bat.place(block).map(|entry| u64::from(entry) + self.header.block_size.bitmap_sectors());
            for sector in sectors {
                let show = |number| self.radix.show(number);
                let (at, block) = (show(block * self.block_sectors() + sector), show(block));
                let sector_text = show(sector);
                self.terminal.print(format_args!(
                    "logical sector {at}: block number: {block}, sector offset: {sector_text}, file offset: "
                ));
                self.offset(data.map(|data| data + sector));
                if !self.terminal.stream() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// `-b`: entries of the BAT; those of blocks that the disk does not have end the list.
    pub(super) fn entries(&mut self, first: u64) -> Answer {
        let blocks = self.block_range(first)?;
        for block in blocks.take(self.bat.entries().len()) {
            self.terminal.print(format_args!("block: {}: offset: ", self.radix.show(block)));
            self.offset(self.bat.place(block).map(u64::from));
            if !self.terminal.stream() {
                break;
            }
        }
        Ok(())
    }

    fn offset(&mut self, sector: Option<u64>) {
        match sector {
            None => self.terminal.print("not allocated\n"),
            Some(sector) => self.terminal.print(format_args!("{}\n", self.radix.show(sector * SECTOR_BYTES))),
        }
    }

    /// `-B`: a bit per block. As in libvhd, the rest of a disk that is no whole number of blocks has none.
    pub(super) fn allocated_blocks(&mut self) -> Answer {
        let blocks = self.image.footer().current_bytes / (self.block_sectors() * SECTOR_BYTES);
        let byte = |first: u64| {
            let allocated = (first..blocks.min(first + 8)).filter(|&block| self.bat.place(block).is_some());
            allocated.fold(0u8, |byte, block| byte | 0x80 >> (block - first))
        };
        let bytes: Vec<u8> = (0..blocks).step_by(8).map(byte).collect();
        self.terminal.print_bytes(&bytes);
        Ok(())
    }

    /// `-a`: the room of the batmap, used or not.
    pub(super) fn batmap(&mut self) -> Answer {
        let batmap = match self.read_batmap() {
            Ok(batmap) => batmap,
            Err(Status(status)) => {
                self.terminal.print(format_args!("failed to read batmap: -{status}\n"));
                return Err(Status(status));
            }
        };
        let room = batmap.header().map_room();
        for piece in pieces(0..room.len_bytes, PIECE_BYTES) {
            let offset = room.offset.saturating_add(piece.start);
            let len = usize::try_from(piece.end - piece.start).expect("a piece fits in memory");
            let bytes = self.image.file().read("batmap", offset, len).map_err(|error| self.failed(&error))?;
            self.terminal.print_bytes(&bytes);
            if !self.terminal.stream() {
                break;
            }
        }
        Ok(())
    }

    /// `-j`: what the batmap says about blocks, on standard error.
    pub(super) fn full_blocks(&mut self, first: u64) -> Answer {
        let blocks = self.block_range(first)?;
        let batmap = match self.read_batmap() {
            Ok(batmap) => batmap,
            Err(status) => {
                self.terminal.say("failed to get batmap");
                return Err(status);
            }
        };
        for block in blocks {
            let is_full = u32::try_from(block).is_ok_and(|block| batmap.is_full(block));
            let number = self.radix.show(block);
            self.terminal.say(format_args!("batmap for block {number}: {}", u8::from(is_full)));
            if !self.terminal.stream() {
                break;
            }
        }
        Ok(())
    }

    fn read_batmap(&mut self) -> Result<Batmap, Status> {
        match self.image.batmap() {
            Ok(Some(batmap)) => Ok(batmap),
            Ok(None) => {
                let path = self.image.file().path().display();
                self.terminal.say(format_args!("error: `{path}` has no batmap"));
                Err(Status(EINVAL))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Sectors of the disk, block by block: the block, and its sectors counted from its start.
    pub(super) fn by_block(&self, sectors: Range<u64>) -> impl Iterator<Item = (u64, Range<u64>)> + use<> {
        let per_block = self.block_sectors();
        let mut at = sectors.start;
        std::iter::from_fn(move || {
            let (block, first) = (at / per_block, at % per_block);
            let end = per_block.min(first + (sectors.end - at));
            at += end - first;
            (first < end).then_some((block, first..end))
        })
    }

    fn block_sectors(&self) -> u64 {
        self.header.block_size.sectors()
    }
}

/// The range in pieces of at most this length.
pub(super) fn pieces(range: Range<u64>, len: u64) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let piece = at..at.saturating_add(len).min(range.end);
        at = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: Range<u64>, len: u64, expected: &[Range<u64>]) {
        assert_eq!(pieces(range, len).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn pieces_are_the_range() {
        check(0..0, 4, &[]);
        check(3..11, 4, &[3..7, 7..11]);
        check(3..12, 4, &[3..7, 7..11, 11..12]);
        check(u64::MAX - 3..u64::MAX, 2, &[u64::MAX - 3..u64::MAX - 1, u64::MAX - 1..u64::MAX]);
    }
}
