//! Numbers of disks. A marker file takes one; directory and marker are locked as every program of blktap locks them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, Result};
use tap_proto::RunDir;

/// One past the highest number: as many as the device numbers of old had.
const END: u16 = 16384;

/// Takes the lowest free number.
pub fn allocate(run_dir: &RunDir) -> Result<u16> {
    let markers = run_dir.markers();
    let prepared = DirBuilder::new().recursive(true).mode(0o700).create(&markers);
    prepared.map_err(|source| Error::io(format!("cannot make `{}`", markers.display()), source))?;
    let _lock = locked(run_dir)?;
    for minor in 0..END {
        let marker = run_dir.marker(minor);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&marker) {
            Ok(_) => return Ok(minor),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(Error::io(format!("cannot make marker `{}`", marker.display()), source)),
        }
    }
    Err(Error::new(Errno::NOSPC, format!("all {END} numbers of disks are taken in `{}`", markers.display())))
}

/// Gives a number back.
///
/// # Errors
///
/// `ENOENT` when nobody has it, `EWOULDBLOCK` while a tapdisk serves it.
pub fn free(run_dir: &RunDir, minor: u16) -> Result<()> {
    let _lock = locked(run_dir)?;
    let path = run_dir.marker(minor);
    let failed = |what: &str, source| Error::io(format!("cannot {what} marker `{}`", path.display()), source);
    let marker = File::open(&path).map_err(|source| failed("open", source))?;
    flock(&marker, FlockOperation::NonBlockingLockExclusive).map_err(|errno| failed("lock", errno.into()))?;
    fs::remove_file(&path).map_err(|source| failed("remove", source))
}

/// The directory of markers, locked as long as the file is open.
fn locked(run_dir: &RunDir) -> Result<File> {
    let markers = run_dir.markers();
    let failed = |source| Error::io(format!("cannot lock `{}`", markers.display()), source);
    let directory = File::open(&markers).map_err(failed)?;
    flock(&directory, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
    Ok(directory)
}
