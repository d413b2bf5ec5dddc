//! Looks at many images at once, in files or on the volumes of an LVM group. Whatever an image is, it gives one result;
//! nothing here prints.

mod file;
mod volume;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use legacy_cli::terminal::in_words;
use vhd::{Error, Image, MAX_CHAIN_DEPTH, Medium};

use crate::lvm::Group;
use crate::report::ENOENT;

/// How a parent that is not there is told, and a volume that cannot be looked at.
pub(crate) const LOST: &str = "failure scanning target";

/// Threads wait for storage more than they compute.
const THREADS_PER_CORE: usize = 4;
const MAX_THREADS: usize = 16;

/// What a scan looks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Depth {
    /// Only what is stored in the image: no looking for parents.
    pub(crate) is_fast: bool,
    /// Scan parents too.
    pub(crate) with_parents: bool,
    /// Read markers and hashes of keys.
    pub(crate) with_markers: bool,
}

/// An image, or why there is none.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) path: PathBuf,
    pub(crate) found: Result<Found, Failure>,
}

#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) canonical: PathBuf,
    pub(crate) capacity: u64,
    pub(crate) size: u64,
    pub(crate) hidden: u8,
    pub(crate) marker: u8,
    pub(crate) key_hash: Option<[u8; 32]>,
    /// The parent's path as it is stored, or where it is.
    pub(crate) parent: Option<PathBuf>,
    /// Where the parent is and whether it is raw, when it was looked for and found.
    pub(crate) found_parent: Option<(PathBuf, bool)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) errno: i32,
    /// What was being done, in libvhd's words.
    pub(crate) doing: &'static str,
    /// What was found, for people.
    pub(crate) why: Option<String>,
}

/// Where images are looked for.
#[derive(Debug)]
pub(crate) enum Place {
    /// Files and devices, by their paths.
    Files,
    /// Volumes of a group, by their names.
    Volumes(Group),
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Vhd,
    Raw,
    /// A parent that could not be found.
    Lost,
}

impl Failure {
    /// One that needs no more words.
    pub(crate) fn new(errno: i32, doing: &'static str) -> Failure {
        Failure { errno, doing, why: None }
    }

    /// The same for an error of this library.
    fn of(doing: &'static str) -> impl Fn(Error) -> Failure {
        move |error| Failure { errno: error.job_errno(), doing, why: Some(in_words(&error)) }
    }
}

/// Marker and hash of the key, where they are asked for.
fn marks<M: Medium>(image: &Image<M>, depth: Depth) -> Result<(u8, Option<[u8; 32]>), Failure> {
    if !depth.with_markers {
        return Ok((0, None));
    }
    let read = || Ok((image.marker()?, image.key_hash()?.map(|key_hash| key_hash.hash)));
    read().map_err(Failure::of("checking markers"))
}

/// A raw parent, the end of a chain: always hidden, for only its children use it.
fn raw(canonical: PathBuf, size: u64) -> Found {
    let (marker, key_hash, parent, found_parent) = (0, None, None, None);
    Found { canonical, capacity: size, size, hidden: 1, marker, key_hash, parent, found_parent }
}

/// Looks at these images, in parallel; results are in their order. With parents: then at those that are not among them.
pub(crate) fn scan(targets: Vec<PathBuf>, place: &Place, depth: Depth) -> Vec<Look> {
    let look = |path: &Path, kind| match (kind, place) {
        (Kind::Lost, _) => Err(Failure::new(ENOENT, LOST)),
        (_, Place::Files) => file::look(path, kind, depth),
        (_, Place::Volumes(group)) => volume::look(group, path, kind, depth),
    };
    let mut looks = all(&targets, |path| Look { path: path.clone(), found: look(path, Kind::Vhd) });
    if !depth.with_parents {
        return looks;
    }
    let canonical = |look: &Look| look.found.as_ref().ok().map(|found| found.canonical.clone());
    let mut passed: HashSet<PathBuf> = looks.iter().filter_map(canonical).collect();
    let mut level = 0..looks.len();
    for _ in 0..MAX_CHAIN_DEPTH {
        let mut next = Vec::new();
        for found in looks[level.clone()].iter().filter_map(|look| look.found.as_ref().ok()) {
            let parent = match (&found.found_parent, &found.parent) {
                (Some((path, true)), _) => (path.clone(), Kind::Raw),
                (Some((path, false)), _) => (path.clone(), Kind::Vhd),
                (None, Some(path)) => (path.clone(), Kind::Lost),
                (None, None) => continue,
            };
            if passed.insert(parent.0.clone()) {
                next.push(parent);
            }
        }
        if next.is_empty() {
            break;
        }
        level = looks.len()..looks.len() + next.len();
        looks.extend(all(&next, |(path, kind)| Look { path: path.clone(), found: look(path, *kind) }));
    }
    looks
}

/// Applies `look` to all items, a few at a time.
fn all<T: Sync>(items: &[T], look: impl Fn(&T) -> Look + Sync) -> Vec<Look> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores * THREADS_PER_CORE).min(MAX_THREADS).min(items.len());
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = Vec::new();
                while let (at, Some(item)) = take(&next, items) {
                    mine.push((at, look(item)));
                }
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(mine);
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_unstable_by_key(|&(at, _)| at);
    done.into_iter().map(|(_, look)| look).collect()
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> (usize, Option<&'a T>) {
    let at = next.fetch_add(1, Ordering::Relaxed);
    (at, items.get(at))
}
