//! Storage that hosts share, each with a page cache of its own over it, as Linux has them: what one host writes past its
//! cache others do not see through theirs, and a write through a cache takes the rest of its page along.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use vhd::Medium;
use vhd::plan::Target;

const PAGE: usize = 4096;
/// What new space of a device holds.
const GARBAGE: u8 = 0xee;

/// What the images are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Volumes: block devices of a length that only [`Storage::set_len`] changes. Nothing ever empties a cache.
    Volumes,
    /// Files on NFS: a host looks for changes when a file is opened through its cache, and writes back what it has when
    /// it is closed.
    Files,
}

/// How a program goes to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Past the cache of its host.
    Direct,
    /// Through it.
    Cached,
    /// Through it, but each write goes on to the disk, and nothing with it.
    Synced,
}

/// Called before each write and sync of a handle.
type Hook = Rc<dyn Fn()>;

#[derive(Debug)]
struct Page {
    bytes: Box<[u8; PAGE]>,
    is_dirty: bool,
}

/// What a host has of an image.
#[derive(Debug, Default)]
struct Cached {
    pages: BTreeMap<usize, Page>,
    /// Of a file: how long the host takes it to be.
    len: usize,
}

#[derive(Debug, Default)]
struct State {
    /// `None` is gone.
    images: Vec<Option<Vec<u8>>>,
    /// By host and image.
    caches: BTreeMap<(usize, usize), Cached>,
}

/// Clones are the same storage.
#[derive(Clone, Debug)]
pub struct Storage {
    kind: Kind,
    state: Rc<RefCell<State>>,
}

/// An image; what it is called is other people's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume(usize);

impl Storage {
    pub fn new(kind: Kind) -> Self {
        Storage { kind, state: Rc::default() }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A volume of this length, or an empty file.
    pub fn create(&self, len: usize) -> Volume {
        let bytes = if self.kind == Kind::Volumes { vec![GARBAGE; len] } else { vec![] };
        let mut state = self.state.borrow_mut();
        state.images.push(Some(bytes));
        Volume(state.images.len() - 1)
    }

    /// Opens an image on a host.
    pub fn open(&self, volume: Volume, host: usize, way: Way) -> HostDisk {
        let mut state = self.state.borrow_mut();
        let len = state.images[volume.0].as_ref().unwrap().len();
        if self.kind == Kind::Files && way != Way::Direct {
            state.write_back(host, volume.0);
            state.caches.insert((host, volume.0), Cached { len, ..Cached::default() });
        }
        let path = PathBuf::from(format!("image {} on host {host}", volume.0));
        HostDisk { storage: self.clone(), host, image: volume.0, way, path, hook: None, left: RefCell::new(None) }
    }

    /// Makes a volume longer or shorter.
    pub fn set_len(&self, volume: Volume, len: usize) {
        assert_eq!(self.kind, Kind::Volumes);
        let mut state = self.state.borrow_mut();
        state.images[volume.0].as_mut().unwrap().resize(len, GARBAGE);
        for (_, cached) in state.caches.iter_mut().filter(|((_, image), _)| *image == volume.0) {
            cached.pages.retain(|&page, _| page * PAGE < len);
        }
    }

    pub fn len(&self, volume: Volume) -> usize {
        self.state.borrow().images[volume.0].as_ref().unwrap().len()
    }

    /// Whoever still has it open gets errors.
    pub fn remove(&self, volume: Volume) {
        let mut state = self.state.borrow_mut();
        state.images[volume.0] = None;
        state.caches.retain(|&(_, image), _| image != volume.0);
    }

    /// A program on this host reads all images through the cache.
    pub fn look(&self, host: usize) {
        let mut state = self.state.borrow_mut();
        for image in 0..state.images.len() {
            let len = state.images[image].as_ref().map_or(0, Vec::len);
            (0..len.div_ceil(PAGE)).for_each(|page| drop(state.page(host, image, page)));
        }
    }

    /// The host crashes: its cache is gone, and of what was not written yet `is_kept` says which pages were.
    pub fn crash(&self, host: usize, mut is_kept: impl FnMut() -> bool) {
        let mut state = self.state.borrow_mut();
        let images: Vec<usize> = state.caches.keys().filter(|key| key.0 == host).map(|key| key.1).collect();
        for image in images {
            let cached = state.caches.get_mut(&(host, image)).unwrap();
            cached.pages.values_mut().for_each(|page| page.is_dirty &= is_kept());
            state.write_back(host, image);
            state.caches.get_mut(&(host, image)).unwrap().pages.clear();
        }
    }
}

impl State {
    fn image(&self, image: usize) -> io::Result<&Vec<u8>> {
        self.images[image].as_ref().ok_or_else(|| io::Error::from_raw_os_error(116))
    }

    /// A page of a host's cache, read if it is not there.
    fn page(&mut self, host: usize, image: usize, page: usize) -> io::Result<&mut Page> {
        let held = self.images[image].as_ref().ok_or_else(|| io::Error::from_raw_os_error(116))?;
        let cached =
            self.caches.entry((host, image)).or_insert_with(|| Cached { len: held.len(), ..Cached::default() });
        Ok(cached.pages.entry(page).or_insert_with(|| {
            let mut bytes = Box::new([0; PAGE]);
            let held = held.get(page * PAGE..).unwrap_or_default();
            let held = &held[..held.len().min(PAGE)];
            bytes[..held.len()].copy_from_slice(held);
            Page { bytes, is_dirty: false }
        }))
    }

    /// Writes back what a host has of an image: whole pages, which is what Linux does with those that it has read.
    fn write_back(&mut self, host: usize, image: usize) {
        let State { images, caches } = self;
        let (Some(held), Some(cached)) = (&mut images[image], caches.get_mut(&(host, image))) else { return };
        for (&page, Page { bytes, is_dirty }) in cached.pages.iter_mut().filter(|(_, page)| page.is_dirty) {
            let at = page * PAGE;
            let end = (at + PAGE).min(cached.len);
            held.resize(held.len().max(end), 0);
            if at < end {
                held[at..end].copy_from_slice(&bytes[..end - at]);
            }
            *is_dirty = false;
        }
    }
}

/// An image as a program on a host has it open.
pub struct HostDisk {
    storage: Storage,
    host: usize,
    image: usize,
    way: Way,
    path: PathBuf,
    hook: Option<Hook>,
    /// How many writes and syncs there may be before all fail.
    left: RefCell<Option<usize>>,
}

impl fmt::Debug for HostDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {}", self.way, self.path.display())
    }
}

impl HostDisk {
    /// From now on this is called before each write and sync: what others do in between.
    #[must_use]
    pub fn between(mut self, hook: Hook) -> Self {
        self.hook = Some(hook);
        self
    }

    /// After so many writes and syncs all that follow fail: the program is as good as killed.
    #[must_use]
    pub fn dying(mut self, steps: Option<usize>) -> Self {
        self.left = RefCell::new(steps);
        self
    }

    fn step(&self) -> io::Result<()> {
        if let Some(hook) = &self.hook {
            hook();
        }
        match &mut *self.left.borrow_mut() {
            Some(0) => Err(io::Error::from_raw_os_error(4)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn key(&self) -> (usize, usize) {
        (self.host, self.image)
    }

    fn len(&self) -> io::Result<usize> {
        let state = self.storage.state.borrow();
        let len = state.image(self.image)?.len();
        Ok(match (self.way, self.storage.kind) {
            (Way::Cached | Way::Synced, Kind::Files) => state.caches.get(&self.key()).map_or(len, |cached| cached.len),
            _ => len,
        })
    }
}

/// The pages of a range: number, range in the page, range in the bytes.
fn pieces(offset: usize, len: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let end = offset + len;
    (offset / PAGE..end.div_ceil(PAGE)).map(move |page| {
        let (from, to) = (offset.max(page * PAGE), end.min((page + 1) * PAGE));
        (page, from - page * PAGE..to - page * PAGE, from - offset..to - offset)
    })
}

impl Medium for HostDisk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len_bytes(&self) -> u64 {
        self.len().unwrap_or(0) as u64
    }

    fn target(&self) -> Target {
        match self.storage.kind {
            Kind::Volumes => Target::BlockDevice { len_bytes: self.len_bytes() },
            Kind::Files => Target::File,
        }
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let len = self.len()?;
        if offset + bytes.len() > len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut state = self.storage.state.borrow_mut();
        match self.way {
            Way::Direct => {
                // A host's cache and its direct reads agree.
                state.write_back(self.host, self.image);
                bytes.copy_from_slice(&state.image(self.image)?[offset..][..bytes.len()]);
            }
            Way::Cached | Way::Synced => {
                for (page, inside, part) in pieces(offset, bytes.len()) {
                    let page = state.page(self.host, self.image, page)?;
                    bytes[part].copy_from_slice(&page.bytes[inside]);
                }
            }
        }
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.step()?;
        let offset = usize::try_from(offset).unwrap();
        let end = offset + bytes.len();
        let len = self.len()?;
        assert!(self.storage.kind == Kind::Files || end <= len, "write past the end of a volume");
        let mut state = self.storage.state.borrow_mut();
        if self.way != Way::Cached {
            state.write_back(self.host, self.image);
            state.image(self.image)?;
            let held = state.images[self.image].as_mut().unwrap();
            held.resize(held.len().max(end), 0);
            held[offset..end].copy_from_slice(bytes);
        }
        if self.way == Way::Direct {
            if let Some(cached) = state.caches.get_mut(&self.key()) {
                cached.pages.retain(|&page, _| page < offset / PAGE || page >= end.div_ceil(PAGE));
                cached.len = cached.len.max(end);
            }
            return Ok(());
        }
        for (page, inside, part) in pieces(offset, bytes.len()) {
            let page = state.page(self.host, self.image, page)?;
            page.bytes[inside].copy_from_slice(&bytes[part]);
            page.is_dirty |= self.way == Way::Cached;
        }
        if let Some(cached) = state.caches.get_mut(&self.key()) {
            cached.len = len.max(end);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.step()?;
        let mut state = self.storage.state.borrow_mut();
        state.write_back(self.host, self.image);
        state.image(self.image).map(drop)
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        assert_eq!(self.storage.kind, Kind::Files, "a volume keeps its size");
        self.step()?;
        let len = usize::try_from(len_bytes).unwrap();
        let mut state = self.storage.state.borrow_mut();
        state.write_back(self.host, self.image);
        state.image(self.image)?;
        state.images[self.image].as_mut().unwrap().resize(len, 0);
        if let Some(cached) = state.caches.get_mut(&self.key()) {
            cached.pages.clear();
            cached.len = len;
        }
        Ok(())
    }
}

/// A file that is closed, also by a kill, goes back to its server.
impl Drop for HostDisk {
    fn drop(&mut self) {
        if self.storage.kind == Kind::Files
            && self.way == Way::Cached
            && let Ok(mut state) = self.storage.state.try_borrow_mut()
        {
            state.write_back(self.host, self.image);
        }
    }
}
