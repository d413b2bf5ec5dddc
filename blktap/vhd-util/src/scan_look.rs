//! Looks at many images at once. Whatever an image is, it gives one result; nothing here prints.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use vhd::Medium;
use vhd::{Image, ImageFile, MAX_CHAIN_DEPTH, chain};

use crate::report::ENOENT;

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
    pub(crate) hidden: i8,
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
    pub(crate) doing: &'static str,
}

/// Looks at these files, in parallel; results are in their order. With parents: then at those that are not among them.
pub(crate) fn scan(targets: Vec<PathBuf>, depth: Depth) -> Vec<Look> {
    let mut looks = all(&targets, |path| Look { path: path.clone(), found: look(path, depth) });
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
                (Some((path, is_raw)), _) => (path.clone(), Some(*is_raw)),
                (None, Some(path)) => (path.clone(), None),
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
        looks.extend(all(&next, |(path, kind)| {
            let found = match kind {
                None => Err(Failure { errno: ENOENT, doing: "failure scanning target" }),
                Some(true) => raw(path),
                Some(false) => look(path, depth),
            };
            Look { path: path.clone(), found }
        }));
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

fn look(path: &Path, depth: Depth) -> Result<Found, Failure> {
    let failed = |doing| move |error: vhd::Error| Failure { errno: error.errno(), doing };
    let image = Image::open(path).map_err(failed("opening file"))?;
    let is_device = !fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let size = match is_device {
        true => image.physical_bytes().map_err(failed("getting physical size"))?,
        false => image.file().len_bytes(),
    };
    let stored = || chain::stored_parent(&image);
    let (parent, found_parent) = if depth.is_fast && !depth.with_parents {
        let name = || image.header().and_then(|header| header.parent_name.decode()).map(PathBuf::from).map(Some);
        (stored().or_else(|_| name()).map_err(failed("getting parent"))?, None)
    } else {
        match chain::parent(&image) {
            Ok(Some(parent)) => {
                let is_raw = matches!(parent, vhd::Parent::Raw(_));
                (Some(parent.path().to_owned()), Some((parent.path().to_owned(), is_raw)))
            }
            Ok(None) => (None, None),
            Err(_) => (stored().map_err(failed("getting parent"))?, None),
        }
    };
    let (marker, key_hash) = match depth.with_markers {
        true => {
            image.marker().and_then(|marker| Ok((marker, image.key_hash()?))).map_err(failed("checking markers"))?
        }
        false => (0, None),
    };
    Ok(Found {
        canonical: vhd::canonical(path).unwrap_or_else(|_| path.to_owned()),
        capacity: image.footer().current_bytes,
        size,
        hidden: image.footer().hidden.cast_signed(),
        marker,
        key_hash: key_hash.map(|key_hash| key_hash.hash),
        parent,
        found_parent,
    })
}

/// A raw parent, the end of a chain: always hidden, for only its children use it.
fn raw(path: &Path) -> Result<Found, Failure> {
    let failed = |error: vhd::Error| Failure { errno: error.errno(), doing: "opening file" };
    let size = ImageFile::open(path).map_err(failed)?.len_bytes();
    let canonical = path.to_owned();
    let (marker, key_hash, parent, found_parent) = (0, None, None, None);
    Ok(Found { canonical, capacity: size, size, hidden: 1, marker, key_hash, parent, found_parent })
}
