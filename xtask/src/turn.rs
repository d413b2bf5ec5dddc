//! Lock files: one run at a time in a checkout, a source, a mirror. Whoever has to wait says so once, and can be stopped.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Context, Result};
use crate::process::Cancel;

/// How often a waiting run looks again.
const POLL: Duration = Duration::from_millis(50);

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nobody else has it.
    Alone,
    /// Others may share it.
    Shared,
}

/// A lock, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

/// Takes the lock of `lock_file`, which may be a directory. While another run has it, `say` gets `waiting`, once.
pub fn take(lock_file: &Path, hold: Hold, cancel: &Cancel, say: &dyn Fn(&str), waiting: &str) -> Result<Turn> {
    let mut said = false;
    loop {
        if let Some(turn) = try_take(lock_file, hold)? {
            return Ok(turn);
        }
        if !said {
            say(waiting);
            said = true;
        }
        cancel.check()?;
        std::thread::sleep(POLL);
    }
}

/// The same without waiting: `None` while another run has it.
pub fn try_take(lock_file: &Path, hold: Hold) -> Result<Option<Turn>> {
    let cannot = || format!("cannot lock `{}`", lock_file.display());
    if let Some(parent) = lock_file.parent() {
        fs::create_dir_all(parent).context(cannot)?;
    }
    let operation = match hold {
        Hold::Alone => FlockOperation::NonBlockingLockExclusive,
        Hold::Shared => FlockOperation::NonBlockingLockShared,
    };
    loop {
        let file = match lock_file.is_dir() {
            true => File::open(lock_file),
            false => File::options().create(true).truncate(false).write(true).open(lock_file),
        };
        let file = file.context(cannot)?;
        match flock(&file, operation) {
            // While we waited for it the file may have been removed, and another run has the new one.
            Ok(()) if is_still(&file, lock_file) => return Ok(Some(Turn { _file: file })),
            Ok(()) | Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(errno).context(cannot),
        }
    }
}

fn is_still(file: &File, path: &Path) -> bool {
    let identity = |metadata: io::Result<fs::Metadata>| metadata.map(|there| (there.dev(), there.ino())).ok();
    identity(file.metadata()) == identity(fs::metadata(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_whose_file_was_removed_is_taken_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let cancel = Cancel::default();
        let first = take(&path, Hold::Alone, &cancel, &|_| {}, "").unwrap();
        fs::remove_file(&path).unwrap();
        let second = take(&path, Hold::Alone, &cancel, &|_| panic!("nobody has the new file"), "").unwrap();
        drop(first);
        let said = std::cell::Cell::new(0);
        let stopper = |_: &str| {
            said.set(said.get() + 1);
            cancel.stop();
        };
        assert!(take(&path, Hold::Shared, &cancel, &stopper, "").is_err(), "stopped while it waited");
        assert_eq!(said.get(), 1);
        drop(second);
        take(&path, Hold::Shared, &Cancel::default(), &|_| panic!("free"), "").unwrap();
    }
}
