//! The disks of this tapdisk by minor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tap_proto::RunDir;

use crate::params::{Refused, Result};
use crate::vbd::Vbd;

/// In the order in which they were attached.
#[derive(Debug, Default)]
pub(crate) struct Vbds(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    vbds: Vec<Arc<Vbd>>,
    /// The last one was detached, and none may come any more.
    is_over: bool,
}

impl Vbds {
    pub(crate) fn all(&self) -> Vec<Arc<Vbd>> {
        self.list().vbds.clone()
    }

    /// `ENODEV` where there is none.
    pub(crate) fn find(&self, minor: u16) -> Result<Arc<Vbd>> {
        let found = self.list().vbds.iter().find(|vbd| vbd.minor() == minor).cloned();
        found.ok_or_else(|| Refused::new(Errno::NODEV, format!("no disk {minor} is attached")))
    }

    /// Takes a minor.
    pub(crate) fn attach(&self, run_dir: &RunDir, minor: u16) -> Result<()> {
        let mut list = self.list();
        if list.is_over {
            return Err(Refused::new(Errno::SHUTDOWN, "this tapdisk ends: its last disk was detached"));
        }
        if list.vbds.iter().any(|vbd| vbd.minor() == minor) {
            return Err(Refused::new(Errno::EXIST, format!("disk {minor} is attached already")));
        }
        list.vbds.push(Arc::new(Vbd::attach(run_dir, minor)?));
        Ok(())
    }

    /// Gives a minor up. With the last one the daemon is over.
    pub(crate) fn detach(&self, minor: u16) -> Result<()> {
        let retired = self.find(minor)?;
        retired.retire()?;
        let mut list = self.list();
        // Somebody may have detached it as well, and attached another of this minor.
        list.vbds.retain(|vbd| !Arc::ptr_eq(vbd, &retired));
        list.is_over = list.vbds.is_empty();
        Ok(())
    }

    /// Whether the last disk was detached.
    pub(crate) fn is_over(&self) -> bool {
        self.list().is_over
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
