//! Two images that hold one disk: the second is written beside the first, or takes over when the first has no room.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Chain, Link, SECTOR_BYTES, Store, Stretch, read_through};
use crate::failure::{Failure, Result};

/// Bytes that both are zeroed at a time.
const MAX_ZEROED_BYTES: u64 = 64 << 20;

/// What the second image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything is written to both. When the first has no room, it is left, and the second is the disk.
    Mirror,
    /// Nothing is written to it until the first has no room; then everything is.
    Standby,
}

/// What the second image is.
#[derive(Debug)]
pub(crate) enum Second {
    /// An image with the parents of the first: what the first does not hold may be there.
    Local(Box<Chain>),
    /// Another host's copy, which is only written. Where it fails, the disk goes on without it.
    Remote(Box<dyn Store>),
}

/// Which image is written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Both,
    First,
    Second,
}

/// What became of two images. A pause closes them, and must not forget it: the first would show what it held before the second
/// took over, a mirror that missed writes would pass for a copy.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// The second one failed and is no longer written.
    is_mirror_lost: AtomicBool,
    has_switched: AtomicBool,
    /// Sectors that went to the second image for want of room in the first.
    redirected_sectors: AtomicU64,
}

impl Fate {
    /// What stays true when other images are opened.
    pub(crate) fn of_others(&self, has_second: bool) -> Self {
        Fate {
            is_mirror_lost: (self.is_mirror_lost() && has_second).into(),
            has_switched: false.into(),
            redirected_sectors: self.redirected_sectors().into(),
        }
    }

    pub(crate) fn is_mirror_lost(&self) -> bool {
        self.is_mirror_lost.load(Ordering::Acquire)
    }

    pub(crate) fn redirected_sectors(&self) -> u64 {
        self.redirected_sectors.load(Ordering::Relaxed)
    }

    /// The second image is written from now on.
    pub(crate) fn switch(&self) {
        self.has_switched.store(true, Ordering::Release);
    }

    /// The disk goes on without its mirror.
    pub(crate) fn lose_mirror(&self, why: &str) {
        if !self.is_mirror_lost.swap(true, Ordering::AcqRel) {
            tracing::error!("the mirror is lost, the disk goes on without it: {why}");
        }
    }
}

/// The images.
#[derive(Debug)]
pub(crate) struct Pair {
    first: Box<dyn Store>,
    second: Second,
    role: Role,
    turn: Turn,
    fate: Arc<Fate>,
    /// Made when the first image has no room: somebody waits for that.
    signal: PathBuf,
    /// Writes over each other reach both images in one order.
    order: Mutex<()>,
}

impl Pair {
    pub(crate) fn new(first: Box<dyn Store>, second: Second, role: Role, signal: PathBuf, fate: Arc<Fate>) -> Self {
        let turn = match role {
            _ if fate.has_switched.load(Ordering::Acquire) => Turn::Second,
            Role::Mirror => Turn::Both,
            Role::Standby => Turn::First,
        };
        Pair { first, second, role, turn, fate, signal, order: Mutex::new(()) }
    }

    /// What became of a write to the second image.
    fn seconded(&self, done: Result<()>) -> Result<()> {
        match (&self.second, done) {
            (Second::Remote(_), Err(failed)) => {
                self.fate.lose_mirror(&failed.message);
                Ok(())
            }
            (_, done) => done,
        }
    }

    fn has_mirror(&self) -> bool {
        self.turn == Turn::Both && !self.fate.is_mirror_lost()
    }

    /// The first image has no room: the second is written from now on.
    fn switch(&mut self, failed: &Failure) {
        tracing::warn!("no room in `{}`, going on with the second image: {}", self.shown(), failed.message);
        self.turn = Turn::Second;
        self.fate.switch();
        let made = OpenOptions::new().write(true).create(true).truncate(false).open(&self.signal);
        if let Err(error) = made {
            tracing::error!("cannot make `{}`: {error}", self.signal.display());
        }
    }

    fn shown(&self) -> String {
        self.first.links().first().map(|link| link.path.display().to_string()).unwrap_or_default()
    }

    /// Writes to whom it concerns; `first` and `second` say how.
    fn change(
        &mut self,
        len_bytes: u64,
        first: impl Fn(&mut dyn Store) -> Result<()>,
        second: impl Fn(&mut dyn Store) -> Result<()>,
    ) -> Result<()> {
        if self.has_mirror() {
            let done = second(self.second.store_mut());
            self.seconded(done)?;
        }
        if self.turn != Turn::Second {
            match first(self.first.as_mut()) {
                // A copy on another host is no disk to go on with.
                Err(failed) if failed.is_no_space() && matches!(self.second, Second::Local(_)) => self.switch(&failed),
                done => return done,
            }
            if self.role == Role::Mirror {
                return Ok(());
            }
        }
        second(self.second.store_mut())?;
        if self.role == Role::Standby {
            self.fate.redirected_sectors.fetch_add(len_bytes / SECTOR_BYTES, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Second {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.store().size_bytes()
    }

    fn store(&self) -> &dyn Store {
        match self {
            Second::Local(chain) => chain.as_ref(),
            Second::Remote(store) => store.as_ref(),
        }
    }

    fn store_mut(&mut self) -> &mut dyn Store {
        match self {
            Second::Local(chain) => chain.as_mut(),
            Second::Remote(store) => store.as_mut(),
        }
    }
}

impl Store for Pair {
    fn size_bytes(&self) -> u64 {
        self.first.size_bytes()
    }

    fn links(&self) -> Vec<Link> {
        let (mut first, mut second) = (self.first.links(), self.second.store().links());
        match (self.turn, self.role) {
            (Turn::Second, Role::Mirror) => return second,
            (Turn::Second, Role::Standby) => std::mem::swap(&mut first, &mut second),
            _ => {}
        }
        let parents = [first.split_off(1.min(first.len())), second.split_off(1.min(second.len()))].concat();
        let mut links = [first, second].concat();
        // Mostly both have the same parents.
        for parent in parents {
            if links.iter().all(|link| link.path != parent.path) {
                links.push(parent);
            }
        }
        links
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        match (self.turn, self.role, &self.second) {
            (Turn::Both, _, Second::Local(second)) => read_through(self.first.as_ref(), second.as_ref(), offset, bytes),
            (Turn::Second, Role::Mirror, Second::Local(second)) => second.read(offset, bytes),
            (Turn::Second, Role::Standby, Second::Local(second)) => {
                read_through(second.as_ref(), self.first.as_ref(), offset, bytes)
            }
            _ => self.first.read(offset, bytes),
        }
    }

    fn absorbs(&self) -> bool {
        self.turn != Turn::Second && self.first.absorbs()
    }

    fn absorb(&mut self, offset: u64, len_bytes: u64) {
        let start = offset - offset % SECTOR_BYTES;
        let len_bytes = (offset + len_bytes).next_multiple_of(SECTOR_BYTES) - start;
        // What the second image has is the second image's: the parents' data goes to the first alone.
        let parts = self.first.own(start, len_bytes).unwrap_or_default();
        let is_second = |at, len_bytes| match (&self.second, self.role) {
            (Second::Local(second), Role::Mirror) => {
                !second.own(at, len_bytes).is_ok_and(|parts| parts.iter().all(|(_, is_own)| !is_own))
            }
            _ => false,
        };
        let mut at = start;
        let mut kept = Vec::new();
        for (len_bytes, is_own) in parts {
            if !is_own && !is_second(at, len_bytes) {
                kept.push((at, len_bytes));
            }
            at += len_bytes;
        }
        kept.into_iter().for_each(|(at, len_bytes)| self.first.absorb(at, len_bytes));
    }

    fn write_over(&self, offset: u64, bytes: &[u8]) -> Option<Result<()>> {
        match self.turn {
            Turn::First => return self.first.write_over(offset, bytes),
            Turn::Second => return None,
            Turn::Both => {}
        }
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_mirror() {
            // Where the other image then changes more, both are written again.
            let done = self.second.store().write_over(offset, bytes)?;
            if let Err(failed) = self.seconded(done) {
                return Some(Err(failed));
            }
        }
        match self.first.write_over(offset, bytes)? {
            // This needs the disk alone.
            Err(failed) if failed.is_no_space() => None,
            done => Some(done),
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.change(bytes.len() as u64, |first| first.write(offset, bytes), |second| second.write(offset, bytes))
    }

    fn write_zeroes(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        let len_bytes = len_bytes.min(MAX_ZEROED_BYTES);
        let all = |store: &mut dyn Store| {
            let mut done = 0;
            while done < len_bytes {
                done += store.write_zeroes(offset + done, len_bytes - done)?;
            }
            Ok(())
        };
        self.change(len_bytes, all, all)?;
        Ok(len_bytes)
    }

    fn discard(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        match (self.turn, self.role) {
            (Turn::First, Role::Standby) => self.first.discard(offset, len_bytes),
            // What reads as zeros in one image and as before in the other would change when one of them goes.
            _ => Ok(len_bytes),
        }
    }

    fn stretches(&self, offset: u64, len_bytes: u64, max: usize) -> Result<Vec<Stretch>> {
        match (self.turn, self.role, &self.second) {
            (Turn::Both, _, Second::Local(_)) | (Turn::Second, Role::Standby, _) => {
                Ok(vec![Stretch { len_bytes, is_zero: false }])
            }
            (Turn::Second, Role::Mirror, second) => second.store().stretches(offset, len_bytes, max),
            _ => self.first.stretches(offset, len_bytes, max),
        }
    }

    fn flush(&self) -> Result<()> {
        if self.has_mirror() || self.turn == Turn::Second {
            self.seconded(self.second.store().flush())?;
        }
        // What a mirror has left has nothing that anybody reads.
        if (self.turn, self.role) == (Turn::Second, Role::Mirror) { Ok(()) } else { self.first.flush() }
    }

    fn close(self: Box<Self>) -> Result<()> {
        let (is_left, is_lost) = ((self.turn, self.role) == (Turn::Second, Role::Mirror), !self.has_mirror());
        let second = match self.second {
            Second::Local(chain) => chain.close(),
            Second::Remote(store) => store.close().or_else(|failed| {
                self.fate.lose_mirror(&failed.message);
                if is_lost { Ok(()) } else { Err(failed) }
            }),
        };
        let first = self.first.close();
        second.and(if is_left { Ok(()) } else { first })
    }
}
