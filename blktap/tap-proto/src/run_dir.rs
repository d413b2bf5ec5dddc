//! Where tapdisks leave their sockets and disks their markers. Knows paths; opens nothing.

use std::path::{Path, PathBuf};

/// The directory of control sockets; the directory of markers is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// The place that every other program of blktap knows.
    pub const DEFAULT: &str = "/run/blktap-control";
    /// Names another place: for tests, and for users who are not root.
    pub const VARIABLE: &str = "BLKTAP_RUN_DIR";

    /// A place of one's own.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RunDir(path.into())
    }

    /// What [`RunDir::VARIABLE`] says, or [`RunDir::DEFAULT`].
    pub fn from_environment() -> Self {
        match std::env::var_os(RunDir::VARIABLE) {
            Some(path) if !path.is_empty() => RunDir::new(path),
            _ => RunDir::new(RunDir::DEFAULT),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The control socket of a tapdisk.
    pub fn control_socket(&self, pid: i32) -> PathBuf {
        self.0.join(format!("ctl{pid}"))
    }

    /// Where a tapdisk serves a disk over NBD.
    pub fn nbd_socket(&self, pid: i32, minor: u16) -> PathBuf {
        self.0.join(format!("nbd{pid}.{minor}"))
    }

    /// Its older name.
    pub fn old_nbd_socket(&self, pid: i32, minor: u16) -> PathBuf {
        self.0.join(format!("nbd-old{pid}.{minor}"))
    }

    /// Where a tapdisk takes connections of clients that somebody else accepted.
    pub fn nbd_receiver(&self, pid: i32, minor: u16) -> PathBuf {
        self.0.join(format!("nbdserver-new{pid}.{minor}"))
    }

    /// The same for clients that speak the protocol of before 2011.
    pub fn old_nbd_receiver(&self, pid: i32, minor: u16) -> PathBuf {
        self.0.join(format!("nbdserver{pid}.{minor}"))
    }

    /// Where a tapdisk takes connections to servers, which somebody else made: images of type `nbd` name them.
    pub fn connection_receiver(&self, pid: i32) -> PathBuf {
        self.0.join(format!("nbdclient{pid}"))
    }

    /// Made when a disk's image has no room and its second image takes over.
    pub fn no_space_signal(&self, minor: u16) -> PathBuf {
        self.0.with_file_name(format!("tapdisk-enospc{minor}"))
    }

    /// The directory of markers.
    pub fn markers(&self) -> PathBuf {
        self.0.join("tapdisk")
    }

    /// The marker of a disk: it exists while the minor is taken, and its tapdisk holds a lock on it.
    pub fn marker(&self, minor: u16) -> PathBuf {
        self.markers().join(format!("tapdisk-{minor}"))
    }
}
