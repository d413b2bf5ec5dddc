//! The BAT of a disk that is open, in pages: those without an entry take no memory, so that a disk of terabytes with little
//! in it opens like a small one. Knows entries; never reads a file.

use crate::bat::{Bat, UNUSED};

const PAGE_ENTRIES: usize = 1024;
/// Bytes of a page as it lies on disk.
pub(crate) const PAGE_BYTES: usize = 4 * PAGE_ENTRIES;

/// The entries of a disk, as [`Bat`]'s.
#[derive(Debug, Default)]
pub(crate) struct BatPages {
    /// `None` where no entry is used.
    pages: Vec<Option<Box<[u32; PAGE_ENTRIES]>>>,
    len: usize,
}

impl BatPages {
    /// A table that will have so many entries.
    pub(crate) fn with_room(len: usize) -> Self {
        BatPages { pages: Vec::with_capacity(len.div_ceil(PAGE_ENTRIES)), len: 0 }
    }

    /// Adds entries as they lie on disk: whole pages, but at the end of the table.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for bytes in bytes.chunks(PAGE_BYTES) {
            self.len += bytes.len() / 4;
            let page = (*bytes != [0xff; PAGE_BYTES][..bytes.len()]).then(|| {
                let mut page = Box::new([UNUSED; PAGE_ENTRIES]);
                page.iter_mut().zip(Bat::decode(bytes)).for_each(|(slot, entry)| *slot = entry);
                page
            });
            self.pages.push(page);
        }
    }

    /// How many entries the table has, used or not.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The sector where a block's bitmap begins; `None` when it is not allocated, or no block of the disk.
    pub(crate) fn place(&self, index: usize) -> Option<u32> {
        let page = self.pages.get(index / PAGE_ENTRIES)?.as_ref()?;
        Some(page[index % PAGE_ENTRIES]).filter(|&entry| entry != UNUSED)
    }

    /// Gives a block of the disk its place, or takes it.
    pub(crate) fn set(&mut self, index: usize, entry: u32) {
        if index >= self.len {
            return;
        }
        if let Some(page) = self.pages.get_mut(index / PAGE_ENTRIES) {
            page.get_or_insert_with(|| Box::new([UNUSED; PAGE_ENTRIES]))[index % PAGE_ENTRIES] = entry;
        }
    }

    /// The blocks that have a place, ascending, and where.
    pub(crate) fn used(&self) -> impl Iterator<Item = (usize, u32)> {
        let pages = (0..).step_by(PAGE_ENTRIES).zip(&self.pages);
        let pages = pages.filter_map(|(first, page)| Some((first, page.as_ref()?)));
        let entries = pages.flat_map(|(first, page)| (first..).zip(page.iter().copied()));
        entries.filter(|&(_, entry)| entry != UNUSED)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header::BlockSize;

    fn check(pages: &BatPages, entries: &[u32]) {
        let used = |&(_, entry): &(usize, u32)| entry != UNUSED;
        assert_eq!(pages.len(), entries.len());
        let all: Vec<_> = entries.iter().copied().enumerate().filter(used).collect();
        assert_eq!(pages.used().collect::<Vec<_>>(), all);
        for index in 0..entries.len() + 2 * PAGE_ENTRIES {
            assert_eq!(pages.place(index), entries.get(index).copied().filter(|&entry| entry != UNUSED));
        }
    }

    proptest! {
        #[test]
        fn pages_hold_what_a_table_holds(
            len in 0..5 * PAGE_ENTRIES,
            changes in proptest::collection::vec((0..6 * PAGE_ENTRIES, prop_oneof![any::<u32>(), Just(UNUSED)]), 0..8),
            later in proptest::collection::vec((0..6 * PAGE_ENTRIES, prop_oneof![any::<u32>(), Just(UNUSED)]), 0..8),
        ) {
            let mut entries = vec![UNUSED; len];
            let change = |entries: &mut Vec<u32>, (index, entry)| {
                if let Some(slot) = entries.get_mut(index) {
                    *slot = entry;
                }
            };
            changes.into_iter().for_each(|it| change(&mut entries, it));
            let mut pages = BatPages::with_room(len);
            Bat::new(entries.clone(), BlockSize::DEFAULT).encode().chunks(2 * PAGE_BYTES).for_each(|bytes| pages.push(bytes));
            check(&pages, &entries);
            for (index, entry) in later {
                change(&mut entries, (index, entry));
                pages.set(index, entry);
            }
            check(&pages, &entries);
        }
    }
}
