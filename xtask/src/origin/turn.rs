//! One run at a time: whoever finds another run in a mirror or a source waits for its turn, says so once, and can be stopped.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::Fetching;
use crate::error::{Context, Result};

/// How often a waiting run looks again.
const POLL: Duration = Duration::from_millis(50);

/// Runs `work` while no other run holds `lock_file`. `what` is named to whoever waits.
pub(super) fn alone<T>(
    lock_file: &Path,
    ctx: &Fetching<'_>,
    what: &str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let cannot = || format!("cannot lock {what} with `{}`", lock_file.display());
    if let Some(parent) = lock_file.parent() {
        fs::create_dir_all(parent).context(cannot)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(lock_file).context(cannot)?;
    let mut lock = fd_lock::RwLock::new(file);
    let mut said = false;
    loop {
        let error = match lock.try_write() {
            Ok(_guard) => return work(),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::WouldBlock => {}
            io::ErrorKind::Interrupted => continue,
            _ => return Err(error).context(cannot),
        }
        if !said {
            (ctx.say)(&format!("{what}: another run is working on it, waiting for its end"));
            said = true;
        }
        ctx.cancel.check()?;
        std::thread::sleep(POLL);
    }
}
