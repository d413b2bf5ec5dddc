//! What all disks of this tapdisk share: the directory of sockets, and connections that others passed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tap_proto::RunDir;
use vhd::Engine;

use crate::passed::Connections;
use crate::socket_path::connect;

/// The surroundings of disks.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) run_dir: RunDir,
    pub(crate) connections: Arc<Connections>,
    /// What moves bytes past the page cache.
    pub(crate) engine: Arc<dyn Engine>,
}

impl Host {
    pub(crate) fn new(run_dir: RunDir, engine: Arc<dyn Engine>) -> Self {
        Host { run_dir, connections: Arc::default(), engine }
    }

    /// The socket of the disk with this minor, whichever tapdisk serves it.
    pub(crate) fn nbd_socket_of(&self, minor: u16) -> Option<PathBuf> {
        let end = format!(".{minor}");
        let entries = fs::read_dir(self.run_dir.path()).ok()?;
        let mut sockets: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        sockets.retain(|path| {
            let pid = path.file_name().and_then(|name| name.to_str()?.strip_prefix("nbd")?.strip_suffix(&end));
            // A dead tapdisk leaves its socket behind.
            pid.is_some_and(|pid| pid.parse::<u32>().is_ok()) && connect(path, Duration::ZERO).is_ok()
        });
        sockets.pop()
    }
}
