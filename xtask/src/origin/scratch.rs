//! Temporary directories that outlive a killed run and are swept by the next one. A live one is locked (flock on the directory
//! itself), so that nobody sweeps what another run still uses, not even from another container where its pid says nothing.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FlockOperation, flock};

use crate::error::{Context, Result};

/// A directory of our own, gone with everything in it when dropped.
pub(crate) struct Scratch {
    dir: PathBuf,
    /// Held as long as we use it.
    _lock: File,
}

impl Scratch {
    /// A new empty directory in `base`. `label` is for whoever finds it.
    pub(crate) fn new(base: &Path, label: &str) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let cannot = || format!("cannot make a temporary directory in `{}`", base.display());
        fs::create_dir_all(base).context(cannot)?;
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let dir = base.join(format!("{label}.{}.{count}", std::process::id()));
            match fs::create_dir(&dir) {
                Ok(()) => {}
                // A dead run in another container had our pid.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error).context(cannot),
            }
            // Between the two lines another run may have swept it: then the next name.
            if let Some(lock) = lock(&dir).context(cannot)? {
                return Ok(Scratch { dir, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is swept later.
        match fs::remove_dir_all(&self.dir) {
            Ok(()) | Err(_) => {}
        }
    }
}

/// The lock on `dir`, unless another run has it or `dir` is no longer what stands there.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let file = match File::open(dir) {
        Err(error) if gone(&error) => return Ok(None),
        file => file?,
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let ours = file.metadata()?;
    match fs::metadata(dir) {
        Ok(there) if there.ino() == ours.ino() && there.dev() == ours.dev() => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes what killed runs left in the temporary directories of a checkout and its store. What it cannot remove costs space only,
/// so it never fails.
pub fn sweep(layout: &crate::layout::Layout) {
    for base in [layout.work().join("tmp"), layout.store.join("tmp")] {
        let Ok(entries) = fs::read_dir(&base) else { continue };
        for entry in entries.flatten() {
            let dir = entry.path();
            // Files there are not ours.
            let Ok(true) = entry.file_type().map(|kind| kind.is_dir()) else { continue };
            if let Ok(Some(_lock)) = lock(&dir) {
                match fs::remove_dir_all(&dir) {
                    Ok(()) | Err(_) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn sweeping_takes_the_dead_and_leaves_the_living() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout { root: root.path().join("root"), store: root.path().join("store") };
        let living = Scratch::new(&layout.work().join("tmp"), "living").unwrap();
        let dead = layout.store.join("tmp/dead.1.0");
        fs::create_dir_all(dead.join("inside")).unwrap();
        sweep(&layout);
        assert!(living.path().is_dir() && !dead.exists());
        let path = living.path().to_path_buf();
        drop(living);
        assert!(!path.exists());
    }
}
