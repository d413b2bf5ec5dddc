//! Which image of a chain holds what: for each block of the disk the first image that holds any of it, built once, and
//! of blocks in use where each sector lies, found once. So a chain of thirty images costs what one image costs. Of one image
//! alone its BAT says the first.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::layer::Layer;
use crate::map::{Place, Run, add};
use crate::medium::Medium;
use crate::seen::{Block, Seen};

/// No image holds any of the block. Memory that is zero from the start is taken only where blocks are somebody's.
const NOBODY: u16 = 0;

/// The owner map of a disk.
#[derive(Debug)]
pub(crate) struct Owners {
    block_bytes: u64,
    /// By block: its first owner, 1 for the leaf. Empty where there are no parents.
    first: Vec<u16>,
    /// By depth: what is visible of the image. A parent may be smaller than its child: past its end everything is zero.
    reach: Vec<u64>,
    seen: Mutex<Seen>,
}

impl Owners {
    /// The map of a chain, leaf first.
    pub(crate) fn of<M: Medium>(layers: &[Layer<M>]) -> Result<Self> {
        let mut owners = Owners { block_bytes: 0, first: vec![], reach: vec![], seen: Mutex::new(Seen::new()) };
        for (depth, layer) in layers.iter().enumerate() {
            owners.push(&layers[..depth], layer)?;
        }
        Ok(owners)
    }

    /// The chain of these images has another one at its end.
    pub(crate) fn push<M: Medium>(&mut self, above: &[Layer<M>], layer: &Layer<M>) -> Result<()> {
        let owner = u16::try_from(self.reach.len() + 1);
        let owner = owner.map_err(|_| Error::new(ErrorKind::ChainLoop, "chain has too many images"))?;
        let reach = self.reach.last().map_or(layer.size_bytes(), |&reach| reach.min(layer.size_bytes()));
        self.reach.push(reach);
        match above {
            [] => self.block_bytes = layer.block_geometry().map_or(0, |(block_bytes, _)| block_bytes),
            [leaf] if self.block_bytes > 0 => {
                self.first = vec![NOBODY; leaf.block_geometry().map_or(0, |(_, blocks)| blocks)];
                self.fill(1, leaf, leaf.size_bytes());
                self.fill(owner, layer, reach);
            }
            _ => self.fill(owner, layer, reach),
        }
        self.forget_seen();
        Ok(())
    }

    /// What nobody before holds is the owner's.
    fn fill<M: Medium>(&mut self, owner: u16, layer: &Layer<M>, reach: u64) {
        if self.block_bytes == 0 {
            return;
        }
        for held in layer.held() {
            for block in held.start / self.block_bytes..held.end.min(reach).div_ceil(self.block_bytes) {
                match usize::try_from(block).ok().and_then(|block| self.first.get_mut(block)) {
                    Some(first) if *first == NOBODY => *first = owner,
                    Some(_) => {}
                    None => break,
                }
            }
        }
    }

    /// How deep the first image is that holds any of a block.
    fn first<M: Medium>(&self, layers: &[Layer<M>], block: u64) -> Option<usize> {
        let block = usize::try_from(block).ok()?;
        match layers {
            [only] => only.holds(block).then_some(0),
            _ => usize::from(*self.first.get(block)?).checked_sub(1),
        }
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
            match self.first(layers, block) {
                None => chain.below(part, runs),
                Some(first) => {
                    let whole = start..end.min(self.reach.first().copied().unwrap_or(0));
                    match self.seen(&chain, block, first, whole) {
                        Ok(seen) => seen.cut(&part, runs),
                        // Damage elsewhere in the block is nothing to this request.
                        Err(_) => chain.resolve(first, part, runs)?,
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

    fn seen<M: Medium>(&self, chain: &Chain<'_, M>, block: u64, first: usize, whole: Range<u64>) -> Result<Arc<Block>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = seen.get(block) {
            return Ok(found);
        }
        let (mut runs, start) = (Vec::new(), whole.start);
        chain.resolve(first, whole, &mut runs)?;
        let found = Arc::new(Block::new(start, &runs));
        seen.add(block, Arc::clone(&found));
        Ok(found)
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
                *first = 1;
            }
        }
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
