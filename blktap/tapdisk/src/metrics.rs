//! Counters in shared memory, where monitors look for them: a page for each disk, written anew every second.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use zerocopy::{Immutable, IntoBytes};

use crate::shared::Traffic;
use crate::vbds::Vbds;

const DEFAULT_DIRECTORY: &str = "/dev/shm";
/// Names another directory, for tests.
const VARIABLE: &str = "BLKTAP_SHM_DIR";
const INTERVAL: Duration = Duration::from_secs(1);
/// Files are a page long.
const PAGE_BYTES: u64 = 4096;
/// What there is of a disk: the image, and its two NBD servers.
const KINDS: [&str; 3] = ["vdi", "nbd", "nbd-old"];

/// A page, as blktap lays it out. Ticks are microseconds.
#[derive(Clone, Copy, Default, IntoBytes, Immutable)]
#[repr(C)]
struct Page {
    version: u32,
    padding: u32,
    oo_requests: u64,
    reads_begun: u64,
    reads_done: u64,
    read_sectors: u64,
    read_ticks: u64,
    writes_begun: u64,
    writes_done: u64,
    write_sectors: u64,
    write_ticks: u64,
    errors: u64,
    flags: u64,
}

impl Page {
    fn of(traffic: &Traffic) -> Self {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (reads, writes) = (&traffic.reads, &traffic.writes);
        Page {
            version: 1,
            reads_begun: load(&reads.begun),
            reads_done: load(&reads.done),
            read_sectors: load(&reads.sectors),
            read_ticks: load(&reads.micros),
            writes_begun: load(&writes.begun),
            writes_done: load(&writes.done),
            write_sectors: load(&writes.sectors),
            write_ticks: load(&writes.micros),
            errors: load(&traffic.errors),
            ..Page::default()
        }
    }
}

/// The directory of this process. It goes when the process ends.
#[derive(Debug)]
pub(crate) struct Metrics {
    directory: Option<PathBuf>,
    is_over: Mutex<bool>,
    ended: Condvar,
}

impl Metrics {
    /// Without them disks are served just as well.
    pub(crate) fn start() -> Self {
        let parent = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        let parent = parent.map_or_else(|| PathBuf::from(DEFAULT_DIRECTORY), PathBuf::from);
        let directory = parent.join(format!("td3-{}", crate::pid()));
        // What a dead process of this number left is nobody's.
        drop(fs::remove_dir_all(&directory));
        let made = DirBuilder::new().mode(0o700).create(&directory);
        if let Err(error) = &made {
            tracing::warn!("no metrics: cannot make `{}`: {error}", directory.display());
        }
        let directory = made.is_ok().then_some(directory);
        Metrics { directory, is_over: Mutex::new(false), ended: Condvar::new() }
    }

    /// Writes what disks have done, until [`Metrics::end`].
    pub(crate) fn follow(&self, vbds: &Vbds) {
        let Some(directory) = &self.directory else { return };
        let mut files = HashMap::new();
        loop {
            let images: Vec<_> = vbds.all().iter().filter_map(|vbd| Some((vbd.minor(), vbd.image()?))).collect();
            files.retain(|name: &String, _| {
                let is_open = images.iter().any(|(minor, _)| name.ends_with(&format!("-{minor}")));
                if !is_open {
                    drop(fs::remove_file(directory.join(name)));
                }
                is_open
            });
            for (minor, image) in images {
                for kind in KINDS {
                    let name = format!("{kind}-{minor}");
                    // The older server has clients of its own in blktap; here both are one, so it is counted once.
                    let page = if kind == "nbd-old" { Page::default() } else { Page::of(&image.shared.traffic) };
                    let file = match files.entry(name) {
                        std::collections::hash_map::Entry::Occupied(file) => file.into_mut(),
                        std::collections::hash_map::Entry::Vacant(vacant) => {
                            match create(&directory.join(vacant.key())) {
                                Ok(file) => vacant.insert(file),
                                Err(_) => continue,
                            }
                        }
                    };
                    // A page of a file system in memory: there is always room for it.
                    drop(file.write_all_at(page.as_bytes(), 0));
                }
            }
            let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.ended.wait_timeout_while(is_over, INTERVAL, |is_over| !*is_over);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
        }
    }

    /// Ends [`Metrics::follow`].
    pub(crate) fn end(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ended.notify_all();
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            drop(fs::remove_dir_all(directory));
        }
    }
}

fn create(path: &PathBuf) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_len(PAGE_BYTES)?;
    Ok(file)
}
