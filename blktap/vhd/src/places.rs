//! Which places of a file blocks have, and which are free again. Knows sectors only; decides nothing about their bytes.
//!
//! Invariant: a place is given to another block only when the entry that led to its old block is durably gone, so that no
//! crash leaves two entries that lead to one place.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

/// Places are known by their BAT entries.
#[derive(Debug, Default)]
pub(crate) struct Places {
    used: BTreeSet<u32>,
    /// Those that several blocks have, which is damage.
    shared: BTreeSet<u32>,
    /// Their entries were cleared; a crash may bring them back.
    cleared: Vec<u32>,
    /// Whether everything was synced since the last one was cleared. Clearing takes `&mut self`, so no sync that began
    /// before sets this.
    is_synced: AtomicBool,
    /// Whether nothing was written there since the entry is gone.
    free: BTreeMap<u32, bool>,
}

impl Places {
    pub(crate) fn of(entries: impl Iterator<Item = u32>) -> Self {
        let mut entries: Vec<u32> = entries.collect();
        entries.sort_unstable();
        let shared = entries.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        Places { used: entries.into_iter().collect(), shared, ..Places::default() }
    }

    /// In ascending order.
    pub(crate) fn used(&self) -> impl Iterator<Item = u32> {
        self.used.iter().copied()
    }

    pub(crate) fn used_count(&self) -> usize {
        self.used.len()
    }

    pub(crate) fn last_used(&self) -> Option<u32> {
        self.used.last().copied()
    }

    /// Whether another block lies over this one. Blocks have so many sectors.
    pub(crate) fn is_overlapped(&self, entry: u32, block_sectors: u64) -> bool {
        let before = self.used.range(..entry).next_back();
        let after = entry.checked_add(1).and_then(|next| self.used.range(next..).next());
        let overlaps = |low: u32, high: u32| u64::from(high) < u64::from(low) + block_sectors;
        self.shared.contains(&entry)
            || before.is_some_and(|&before| overlaps(before, entry))
            || after.is_some_and(|&after| overlaps(entry, after))
    }

    /// A block is there now.
    pub(crate) fn take(&mut self, entry: u32) {
        self.free.remove(&entry);
        self.used.insert(entry);
    }

    /// The block's entry is cleared, if not durably yet.
    pub(crate) fn clear(&mut self, entry: u32) {
        self.settle();
        self.used.remove(&entry);
        self.cleared.push(entry);
        *self.is_synced.get_mut() = false;
    }

    /// Places that nobody has, of which it is not known how long.
    pub(crate) fn found(&mut self, entries: Vec<u32>) {
        self.settle();
        self.cleared.extend(entries);
        *self.is_synced.get_mut() = false;
    }

    /// Everything that was written is durable.
    pub(crate) fn synced(&self) {
        self.is_synced.store(true, Ordering::Release);
    }

    /// Makes places free that are so for good.
    pub(crate) fn settle(&mut self) {
        if *self.is_synced.get_mut() {
            self.free.extend(mem::take(&mut self.cleared).into_iter().map(|entry| (entry, true)));
        }
    }

    /// Whether a sync would make places free.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.cleared.is_empty()
    }

    pub(crate) fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Free places, lowest first, and whether nothing was written there since they are.
    pub(crate) fn free(&self) -> impl Iterator<Item = (u32, bool)> {
        self.free.iter().map(|(&entry, &is_untouched)| (entry, is_untouched))
    }

    /// Something was written there, for a block that did not get the place.
    pub(crate) fn touched(&mut self, entry: u32) {
        if let Some(is_untouched) = self.free.get_mut(&entry) {
            *is_untouched = false;
        }
    }

    /// Forgets the places that begin at a sector or behind it; whether there were any.
    pub(crate) fn cut(&mut self, sector: u64) -> bool {
        let count = self.cleared.len() + self.free.len();
        let is_before = |entry: u32| u64::from(entry) < sector;
        self.cleared.retain(|&entry| is_before(entry));
        self.free.retain(|&entry, _| is_before(entry));
        count > self.cleared.len() + self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(places: &Places, free: &[(u32, bool)]) {
        assert_eq!(places.free().collect::<Vec<_>>(), free);
    }

    #[test]
    fn a_place_is_free_after_the_sync_that_follows() {
        let mut places = Places::of([30, 10, 20].into_iter());
        places.synced();
        places.clear(20);
        places.settle();
        check(&places, &[]);
        places.synced();
        // The next one is not durable with the first.
        places.clear(10);
        places.settle();
        check(&places, &[(20, true)]);
        assert!(places.is_waiting());
        places.synced();
        places.settle();
        places.touched(20);
        check(&places, &[(10, true), (20, false)]);
        places.take(10);
        check(&places, &[(20, false)]);
        assert_eq!(places.used().collect::<Vec<_>>(), [10, 30]);
        assert!(places.cut(20));
        check(&places, &[]);
    }

    #[test]
    fn blocks_that_share_sectors_overlap() {
        let places = Places::of([10, 19, 30, 30, u32::MAX - 1].into_iter());
        let overlapped = [10, 19, 30, u32::MAX - 1].map(|entry| places.is_overlapped(entry, 9));
        assert_eq!(overlapped, [false, false, true, false]);
        assert!(places.is_overlapped(10, 10) && places.is_overlapped(19, 10));
    }
}
