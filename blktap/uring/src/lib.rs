//! Transfers by io_uring: all of a batch for one system call. An engine for the crate `vhd`, and the one place beside it that
//! hands memory to the kernel.
//!
//! Invariant: no memory of a caller is under way when [`Engine::run`] returns, whatever failed meanwhile.

mod flight;

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use io_uring::{IoUring, Probe, opcode};
use vhd::{Engine, Transfer};

use crate::flight::fly;

/// Transfers of one ring that are under way at a time.
const ENTRIES: u32 = 128;
/// Rings at most; who finds none free waits.
const MAX_RINGS: usize = 16;

/// Rings that threads take and put back.
pub struct Uring {
    rings: Mutex<Rings>,
    /// A ring is free, or may be made.
    signal: Condvar,
}

struct Rings {
    free: Vec<IoUring>,
    count: usize,
}

impl Uring {
    /// An error where the system permits no io_uring, or one that is too old.
    pub fn new() -> io::Result<Self> {
        let ring = ring()?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Read::CODE) || !probe.is_supported(opcode::Write::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Uring { rings: Mutex::new(Rings { free: vec![ring], count: 1 }), signal: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ring that is nobody else's; `None` where none can be made.
    fn take(&self) -> Option<Taken<'_>> {
        let mut rings = self.lock();
        loop {
            if let Some(ring) = rings.free.pop() {
                return Some(Taken { owner: self, ring: Some(ring) });
            }
            if rings.count < MAX_RINGS {
                rings.count += 1;
                drop(rings);
                let taken = Taken { owner: self, ring: ring().ok() };
                return Some(taken).filter(|taken| taken.ring.is_some());
            }
            rings = self.signal.wait(rings).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A ring, or the room for one, that goes back to where it came from.
struct Taken<'a> {
    owner: &'a Uring,
    ring: Option<IoUring>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut rings = self.owner.lock();
        match self.ring.take() {
            // Nobody knows what is in one that its user unwound from.
            Some(ring) if !thread::panicking() => rings.free.push(ring),
            _ => rings.count -= 1,
        }
        self.owner.signal.notify_one();
    }
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uring").field("rings", &self.lock().count).finish()
    }
}

impl Engine for Uring {
    fn run(&self, transfers: &mut [Transfer<'_>]) {
        // What no ring does the caller does.
        let Some(mut taken) = self.take() else { return };
        for transfers in transfers.chunks_mut(ENTRIES as usize) {
            let Some(ring) = &mut taken.ring else { return };
            if !fly(ring, transfers) {
                taken.ring = None;
            }
        }
    }
}

fn ring() -> io::Result<IoUring> {
    // What is done needs no interrupt to say so: whoever asked is waiting for it. Since Linux 5.19.
    IoUring::builder().setup_coop_taskrun().build(ENTRIES).or_else(|_| IoUring::new(ENTRIES))
}
