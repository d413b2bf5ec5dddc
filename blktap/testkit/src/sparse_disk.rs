//! A disk in memory that may be terabytes long and holds only what was written to it, up to a bound. For images that point
//! anywhere.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use vhd::Medium;
use vhd::plan::Target;

const PAGE_LEN: usize = 4096;
const PAGE_BYTES: u64 = PAGE_LEN as u64;
/// Pages that a disk holds at most: 64 MiB. After that it is full.
const MAX_PAGES: usize = 16 << 10;
/// The largest file of ext4.
const MAX_BYTES: u64 = 16 << 40;

type Page = Box<[u8; PAGE_LEN]>;

#[derive(Debug)]
struct State {
    pages: BTreeMap<u64, Page>,
    len_bytes: u64,
    writes: u64,
}

/// Clones are handles of one disk.
#[derive(Clone, Debug)]
pub struct SparseDisk {
    state: Rc<RefCell<State>>,
    is_device: bool,
}

impl SparseDisk {
    /// A file with these bytes.
    pub fn file(bytes: &[u8]) -> Self {
        SparseDisk::new(bytes, false)
    }

    /// A block device with these bytes; it keeps its size.
    pub fn device(bytes: &[u8]) -> Self {
        SparseDisk::new(bytes, true)
    }

    fn new(bytes: &[u8], is_device: bool) -> Self {
        let state = State { pages: BTreeMap::new(), len_bytes: 0, writes: 0 };
        let disk = SparseDisk { state: Rc::new(RefCell::new(state)), is_device: false };
        disk.write_all_at(bytes, 0).expect("it is not larger than a disk can be");
        disk.forget_writes();
        SparseDisk { is_device, ..disk }
    }

    /// How often it was written to.
    pub fn writes(&self) -> u64 {
        self.state.borrow().writes
    }

    /// Counts writes from here on.
    pub fn forget_writes(&self) {
        self.state.borrow_mut().writes = 0;
    }

    /// All of its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len_bytes()).unwrap()];
        self.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// Ends the file here; what is new reads as zeros.
    pub fn resize(&self, len_bytes: u64) {
        let mut state = self.state.borrow_mut();
        let end = state.len_bytes;
        state.clear(len_bytes, end);
        state.len_bytes = len_bytes.min(MAX_BYTES);
    }
}

impl State {
    /// Makes a range read as zeros.
    fn clear(&mut self, offset: u64, end: u64) {
        let mut at = offset;
        while at < end {
            let page = at / PAGE_BYTES;
            // Pages that are not there need no clearing.
            let Some((&next, bytes)) = self.pages.range_mut(page..).next() else { return };
            if next > page {
                at = next * PAGE_BYTES;
                continue;
            }
            let stop = ((page + 1) * PAGE_BYTES).min(end);
            if stop - at == PAGE_BYTES {
                self.pages.remove(&page);
            } else {
                bytes[within(at)..][..within(stop - at)].fill(0);
            }
            at = stop;
        }
    }
}

/// A position in its page; a length below that of a page is itself.
fn within(at: u64) -> usize {
    usize::try_from(at % PAGE_BYTES).expect("a page is in memory")
}

/// Cuts a range where pages end: page, position in it, length.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let (mut at, end) = (offset, offset + len as u64);
    std::iter::from_fn(move || {
        let (page, skip) = (at / PAGE_BYTES, within(at));
        let piece = usize::try_from(end - at).unwrap().min(PAGE_LEN - skip);
        at += piece as u64;
        (piece > 0).then_some((page, skip, piece))
    })
}

impl Medium for SparseDisk {
    fn path(&self) -> &Path {
        Path::new("sparse")
    }

    fn len_bytes(&self) -> u64 {
        self.state.borrow().len_bytes
    }

    fn target(&self) -> Target {
        if self.is_device { Target::BlockDevice { len_bytes: self.len_bytes() } } else { Target::File }
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.state.borrow();
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > state.len_bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = bytes;
        for (page, skip, len) in pieces(offset, rest.len()) {
            let (piece, after) = rest.split_at_mut(len);
            match state.pages.get(&page) {
                Some(page) => piece.copy_from_slice(&page[skip..][..len]),
                None => piece.fill(0),
            }
            rest = after;
        }
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let too_large = || io::Error::from_raw_os_error(27);
        let end = offset.checked_add(bytes.len() as u64).filter(|&end| end <= MAX_BYTES).ok_or_else(too_large)?;
        assert!(!self.is_device || end <= state.len_bytes, "write past the end of the device");
        state.writes += 1;
        let mut rest = bytes;
        for (page, skip, len) in pieces(offset, bytes.len()) {
            let (piece, after) = rest.split_at(len);
            if state.pages.len() >= MAX_PAGES && !state.pages.contains_key(&page) {
                return Err(io::Error::from_raw_os_error(28));
            }
            let page = state.pages.entry(page).or_insert_with(|| Box::new([0; PAGE_LEN]));
            page[skip..][..len].copy_from_slice(piece);
            rest = after;
        }
        state.len_bytes = state.len_bytes.max(end);
        Ok(())
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        assert!(!self.is_device, "a device keeps its size");
        self.state.borrow_mut().writes += 1;
        self.resize(len_bytes);
        Ok(())
    }

    fn zero(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        // As fallocate does it: a range past the end is no error, and changes nothing.
        let end = offset.saturating_add(len_bytes).min(state.len_bytes);
        state.writes += 1;
        state.clear(offset, end);
        Ok(())
    }

    fn discard(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.zero(offset, len_bytes)
    }

    /// Pages that were never written are holes.
    fn first_data(&self, range: Range<u64>) -> io::Result<Option<Range<u64>>> {
        let state = self.state.borrow();
        let end = range.end.min(state.len_bytes);
        let Some((&page, _)) = state.pages.range(range.start / PAGE_BYTES..).next() else { return Ok(None) };
        let start = range.start.max(page * PAGE_BYTES);
        Ok((start < end).then(|| start..end.min((page + 1) * PAGE_BYTES)))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(disk: &SparseDisk, expected: &[u8]) {
        let mut found = vec![1; expected.len()];
        disk.read_exact_at(&mut found, 0).unwrap();
        assert!(found == expected);
        assert_eq!(disk.len_bytes(), expected.len() as u64);
        assert!(disk.read_exact_at(&mut [0], disk.len_bytes()).is_err());
    }

    #[test]
    fn it_holds_what_a_vector_holds() {
        let disk = SparseDisk::file(&[]);
        let mut expected = vec![];
        for (value, at, len) in [(1, 0, 100), (2, 4000, 5000), (0, 4090, 10), (3, 30_000, 1), (0, 50, 29_950)] {
            expected.resize(expected.len().max(at + len), 0);
            expected[at..at + len].fill(value);
            match value {
                0 => disk.zero(at as u64, len as u64).unwrap(),
                _ => disk.write_all_at(&vec![value; len], at as u64).unwrap(),
            }
            check(&disk, &expected);
        }
        assert_eq!(disk.first_data(10_000..40_000).unwrap(), Some(28_672..30_001));
        disk.resize(70);
        disk.resize(10_000);
        expected.truncate(70);
        expected.resize(10_000, 0);
        check(&disk, &expected);
    }

    #[test]
    fn it_is_full_at_its_bound_and_ends_at_16_tib() {
        let disk = SparseDisk::file(&[]);
        let number = |done: io::Result<()>| done.unwrap_err().raw_os_error();
        disk.write_all_at(&[1], MAX_BYTES - 1).unwrap();
        assert_eq!(number(disk.write_all_at(&[1], MAX_BYTES)), Some(27));
        let page = vec![1; 1 << 20];
        let full = (0..).find_map(|at| disk.write_all_at(&page, at << 20).err()).unwrap();
        assert_eq!(full.raw_os_error(), Some(28));
    }
}
