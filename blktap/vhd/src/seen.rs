//! Blocks of a disk of which it is known where each sector lies: those that were asked for last. Knows positions only.

use std::ops::Range;
use std::sync::Arc;

use lru::LruCache;

use crate::map::{Place, Run, add};
use crate::units::SECTOR_BYTES;

/// Pieces that are remembered at most, of all blocks together: 9 MiB.
const MAX_PIECES: usize = 256 << 10;
/// Blocks that are remembered at most.
const MAX_BLOCKS: usize = 16 << 10;

/// What is remembered, by block.
#[derive(Debug)]
pub(crate) struct Seen {
    blocks: LruCache<u64, Arc<Block>>,
    pieces: usize,
}

impl Seen {
    pub(crate) fn new() -> Self {
        // One with a limit takes all of its memory at once.
        Seen { blocks: LruCache::unbounded(), pieces: 0 }
    }

    pub(crate) fn get(&mut self, block: u64) -> Option<Arc<Block>> {
        self.blocks.get(&block).map(Arc::clone)
    }

    pub(crate) fn add(&mut self, number: u64, block: Arc<Block>) {
        self.pieces += block.pieces.len();
        if let Some((_, old)) = self.blocks.push(number, block) {
            self.pieces -= old.pieces.len();
        }
        while self.blocks.len() > MAX_BLOCKS || self.pieces > MAX_PIECES && self.blocks.len() > 1 {
            let Some((_, old)) = self.blocks.pop_lru() else { break };
            self.pieces -= old.pieces.len();
        }
    }

    pub(crate) fn forget(&mut self, block: u64) {
        if let Some(old) = self.blocks.pop(&block) {
            self.pieces -= old.pieces.len();
        }
    }
}

/// A block in pieces. Looking one up touches little memory, however many there are: with thousands of blocks none of it is in
/// a cache of the processor.
#[derive(Debug)]
pub(crate) struct Block {
    start: u64,
    pieces: Box<[Piece]>,
    /// By slot of `1 << slot_bits` bytes: the piece that its first byte is in. About as many as there are pieces.
    slots: Box<[u32]>,
    slot_bits: u32,
}

/// A part of a block; it ends where the next one begins.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// On the disk.
    start: u64,
    place: Place,
}

impl Block {
    /// The block that begins there on the disk and has these runs.
    pub(crate) fn new(start: u64, runs: &[Run]) -> Self {
        let mut end = start;
        let piece = |run: &Run| {
            let piece = Piece { start: end, place: run.place };
            end += run.len_bytes;
            piece
        };
        let pieces: Box<[Piece]> = runs.iter().map(piece).collect();
        let len_bytes = end - start;
        let is_enough = |bits: &u32| len_bytes >> bits <= pieces.len() as u64;
        let slot_bits = (SECTOR_BYTES.ilog2()..u64::BITS - 1).find(is_enough).unwrap_or(u64::BITS - 1);
        let mut index = 0;
        let slot = |at: u64| {
            while pieces.get(index as usize + 1).is_some_and(|next| next.start <= at) {
                index += 1;
            }
            index
        };
        let slots = (0..len_bytes.div_ceil(1 << slot_bits)).map(|slot| start + (slot << slot_bits)).map(slot).collect();
        Block { start, pieces, slots, slot_bits }
    }

    /// Adds the runs of a part, which lies in the block.
    pub(crate) fn cut(&self, part: &Range<u64>, runs: &mut Vec<Run>) {
        let (mut at, mut pieces) = (part.start, self.pieces_from(part.start).iter().peekable());
        while let Some(piece) = pieces.next().filter(|_| at < part.end) {
            let end = pieces.peek().map_or(part.end, |next| next.start.min(part.end));
            add(runs, Run { len_bytes: end - at, place: piece.place.plus(at - piece.start) });
            at = end;
        }
    }

    /// The piece that this position is in, and those behind it.
    fn pieces_from(&self, at: u64) -> &[Piece] {
        let slot = usize::try_from((at - self.start) >> self.slot_bits).unwrap_or(usize::MAX);
        let Some((first, behind)) = self.slots.get(slot..).and_then(<[u32]>::split_first) else { return &[] };
        let first = *first as usize;
        let end = behind.first().map_or(self.pieces.len(), |&last| last as usize + 1);
        let count = self.pieces[first..end].partition_point(|piece| piece.start <= at);
        &self.pieces[(first + count).saturating_sub(1)..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What [`Block::cut`] does, by looking at every run.
    fn slow(block: &[Run], start: u64, part: &Range<u64>) -> Vec<Run> {
        let (mut at, mut runs) = (start, vec![]);
        for run in block {
            let (from, to) = (at.max(part.start), (at + run.len_bytes).min(part.end));
            if from < to {
                add(&mut runs, Run { len_bytes: to - from, place: run.place.plus(from - at) });
            }
            at += run.len_bytes;
        }
        runs
    }

    fn check(runs: &[Run], start: u64) {
        let block = Block::new(start, runs);
        let sectors = runs.iter().map(|run| run.len_bytes).sum::<u64>() / SECTOR_BYTES;
        assert!(block.slots.len() <= runs.len() + 1);
        for first in 0..=sectors {
            for last in [first, first + 1, first + 2, first + 9, sectors] {
                let part = start + first * SECTOR_BYTES..start + last.clamp(first, sectors) * SECTOR_BYTES;
                let mut found = vec![];
                block.cut(&part, &mut found);
                assert_eq!(found, slow(runs, start, &part), "{part:?}");
            }
        }
    }

    fn place() -> impl Strategy<Value = Place> {
        let offset = || (0..40u64).prop_map(|sector| sector * SECTOR_BYTES);
        let layer = (0..3usize, offset()).prop_map(|(depth, offset)| Place::Layer { depth, offset });
        prop_oneof![layer, offset().prop_map(|offset| Place::Base { offset }), Just(Place::Zero)]
    }

    proptest! {
        #[test]
        fn parts_of_a_block_are_cut_where_its_pieces_are(
            runs in proptest::collection::vec((prop_oneof![4 => 1..4u64, 1 => 1..60u64], place()), 0..40),
            block in 0..3u64,
        ) {
            let run = |(sectors, place)| Run { len_bytes: sectors * SECTOR_BYTES, place };
            check(&runs.into_iter().map(run).collect::<Vec<_>>(), block << 21);
        }
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let mut seen = Seen::new();
        let runs = vec![Run { len_bytes: SECTOR_BYTES, place: Place::Zero }; MAX_PIECES / 4];
        let large = Arc::new(Block::new(0, &runs));
        (0..5).for_each(|number| seen.add(number, Arc::clone(&large)));
        assert!(seen.get(0).is_none() && seen.get(4).is_some());
        seen.forget(4);
        let small = Arc::new(Block::new(0, &runs[..1]));
        (5..6 + MAX_BLOCKS as u64).for_each(|number| seen.add(number, Arc::clone(&small)));
        seen.add(5, Arc::clone(&small));
        assert_eq!((seen.blocks.len(), seen.pieces), (MAX_BLOCKS, MAX_BLOCKS));
    }
}
