//! Which image of a chain holds what: for each block of the disk the first image that holds any of it, built once, and
//! of blocks in use where each sector lies, found once. So a chain of thirty images costs what one image costs.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use crate::error::{Error, ErrorKind, Result};
use crate::layer::Layer;
use crate::map::{Place, Run, add};
use crate::medium::Medium;

/// No image holds any of the block.
const NOBODY: u16 = u16::MAX;

/// Runs that are remembered at most, of all blocks together: 8 MiB.
const MAX_RUNS: usize = 256 << 10;
/// Blocks that are remembered at most.
const MAX_BLOCKS: NonZeroUsize = NonZeroUsize::new(16 << 10).expect("not zero");

/// The owner map of a disk.
#[derive(Debug)]
pub(crate) struct Owners {
    block_bytes: u64,
    /// By block: how deep in the chain its first owner is.
    first: Vec<u16>,
    /// By depth: what is visible of the image. A parent may be smaller than its child: past its end everything is zero.
    reach: Vec<u64>,
    seen: Mutex<Seen>,
}

/// Blocks of which it is known where each sector lies.
#[derive(Debug)]
struct Seen {
    blocks: LruCache<u64, Arc<[Run]>>,
    runs: usize,
}

impl Owners {
    /// The map of a chain, leaf first.
    pub(crate) fn of<M: Medium>(layers: &[Layer<M>]) -> Result<Self> {
        let mut owners = Owners { block_bytes: 0, first: vec![], reach: vec![], seen: Mutex::new(Seen::new()) };
        layers.iter().try_for_each(|layer| owners.push(layer))?;
        Ok(owners)
    }

    /// The chain has another image at its end.
    pub(crate) fn push<M: Medium>(&mut self, layer: &Layer<M>) -> Result<()> {
        let number = u16::try_from(self.reach.len()).ok().filter(|&number| number != NOBODY);
        let number = number.ok_or_else(|| Error::new(ErrorKind::ChainLoop, "chain has too many images"))?;
        if let (true, Some((block_bytes, blocks))) = (self.reach.is_empty(), layer.block_geometry()) {
            self.block_bytes = block_bytes;
            self.first = vec![NOBODY; blocks];
        }
        let reach = self.reach.last().map_or(layer.size_bytes(), |&reach| reach.min(layer.size_bytes()));
        self.reach.push(reach);
        if self.block_bytes == 0 {
            return Ok(());
        }
        for held in layer.held() {
            for block in held.start / self.block_bytes..held.end.min(reach).div_ceil(self.block_bytes) {
                match usize::try_from(block).ok().and_then(|block| self.first.get_mut(block)) {
                    Some(first) => *first = number.min(*first),
                    None => break,
                }
            }
        }
        self.forget_seen();
        Ok(())
    }

    /// The chain has another end: what was nobody's may be somebody's now.
    pub(crate) fn forget_seen(&mut self) {
        *self.seen.get_mut().unwrap_or_else(PoisonError::into_inner) = Seen::new();
    }

    /// Adds the runs of a range of the disk, which must lie in it, in whole sectors. What no image holds is `base`'s, of
    /// this many bytes, or zero.
    pub(crate) fn map<M: Medium>(
        &self,
        layers: &[Layer<M>],
        base_bytes: u64,
        range: Range<u64>,
        runs: &mut Vec<Run>,
    ) -> Result<()> {
        let chain = Chain { layers, reach: &self.reach, base_bytes };
        if self.block_bytes == 0 {
            return chain.resolve(0, range, runs);
        }
        let mut at = range.start;
        while at < range.end {
            let block = at / self.block_bytes;
            let (start, end) = (block * self.block_bytes, (block + 1).saturating_mul(self.block_bytes));
            let part = at..end.min(range.end);
            at = part.end;
            let first = usize::try_from(block).ok().and_then(|block| self.first.get(block)).copied();
            match first.filter(|&first| first != NOBODY) {
                None => chain.below(part, runs),
                Some(first) => {
                    let whole = start..end.min(self.reach.first().copied().unwrap_or(0));
                    match self.seen(&chain, block, first.into(), whole) {
                        Ok(seen) => cut(&seen, start, &part, runs),
                        // Damage elsewhere in the block is nothing to this request.
                        Err(_) => chain.resolve(first.into(), part, runs)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// The same without the first so many images.
    pub(crate) fn map_from<M: Medium>(
        &self,
        first: usize,
        layers: &[Layer<M>],
        base_bytes: u64,
        range: Range<u64>,
        runs: &mut Vec<Run>,
    ) -> Result<()> {
        Chain { layers, reach: &self.reach, base_bytes }.resolve(first, range, runs)
    }

    fn seen<M: Medium>(&self, chain: &Chain<'_, M>, block: u64, first: usize, whole: Range<u64>) -> Result<Arc<[Run]>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runs) = seen.blocks.get(&block) {
            return Ok(Arc::clone(runs));
        }
        let mut runs = Vec::new();
        chain.resolve(first, whole, &mut runs)?;
        let runs: Arc<[Run]> = runs.into();
        seen.add(block, Arc::clone(&runs));
        Ok(runs)
    }

    /// The leaf holds something in every block of this range now.
    pub(crate) fn written(&mut self, range: Range<u64>) {
        if self.block_bytes == 0 {
            return;
        }
        let seen = self.seen.get_mut().unwrap_or_else(PoisonError::into_inner);
        for block in range.start / self.block_bytes..range.end.div_ceil(self.block_bytes) {
            seen.forget(block);
            if let Some(first) = usize::try_from(block).ok().and_then(|block| self.first.get_mut(block)) {
                *first = 0;
            }
        }
    }
}

impl Seen {
    fn new() -> Self {
        Seen { blocks: LruCache::new(MAX_BLOCKS), runs: 0 }
    }

    fn add(&mut self, block: u64, runs: Arc<[Run]>) {
        self.runs += runs.len();
        if let Some((_, old)) = self.blocks.push(block, runs) {
            self.runs -= old.len();
        }
        while self.runs > MAX_RUNS && self.blocks.len() > 1 {
            let Some((_, old)) = self.blocks.pop_lru() else { break };
            self.runs -= old.len();
        }
    }

    fn forget(&mut self, block: u64) {
        if let Some(old) = self.blocks.pop(&block) {
            self.runs -= old.len();
        }
    }
}

/// Adds what of a block's runs, which begin at `start`, is in `part`.
fn cut(block: &[Run], start: u64, part: &Range<u64>, runs: &mut Vec<Run>) {
    let mut at = start;
    for run in block {
        let end = at + run.len_bytes;
        let (from, to) = (at.max(part.start), end.min(part.end));
        if from < to {
            add(runs, Run { len_bytes: to - from, place: run.place.plus(from - at) });
        }
        at = end;
    }
}

struct Chain<'a, M: Medium> {
    layers: &'a [Layer<M>],
    reach: &'a [u64],
    base_bytes: u64,
}

impl<M: Medium> Chain<'_, M> {
    /// Adds the runs of a range of which no image before `first` holds anything.
    fn resolve(&self, first: usize, range: Range<u64>, runs: &mut Vec<Run>) -> Result<()> {
        // Every image cuts what is still open into what it holds and what it leaves to its parent.
        let mut parts = vec![(range, None)];
        for (depth, layer) in self.layers.iter().enumerate().skip(first) {
            if parts.iter().all(|(_, place)| place.is_some()) {
                break;
            }
            let mut bitmap = None;
            let mut next = Vec::with_capacity(parts.len());
            for (range, place) in parts {
                if place.is_some() {
                    next.push((range, place));
                    continue;
                }
                let inside = range.start..range.end.min(self.reach[depth]).max(range.start);
                let mut at = inside.start;
                for run in layer.map(inside, &mut bitmap)? {
                    let place = run.offset.map(|offset| Place::Layer { depth, offset });
                    next.push((at..at + run.len_bytes, place));
                    at += run.len_bytes;
                }
                if at < range.end {
                    next.push((at..range.end, Some(Place::Zero)));
                }
            }
            parts = next;
        }
        for (range, place) in parts {
            match place {
                Some(place) => add(runs, Run { len_bytes: range.end - range.start, place }),
                None => self.below(range, runs),
            }
        }
        Ok(())
    }

    /// Adds the runs of a range that no image holds.
    fn below(&self, range: Range<u64>, runs: &mut Vec<Run>) {
        // Without images all of a raw disk is visible.
        let end = self.reach.last().copied().unwrap_or(u64::MAX).min(self.base_bytes);
        let middle = end.clamp(range.start, range.end);
        if range.start < middle {
            add(runs, Run { len_bytes: middle - range.start, place: Place::Base { offset: range.start } });
        }
        if middle < range.end {
            add(runs, Run { len_bytes: range.end - middle, place: Place::Zero });
        }
    }
}
