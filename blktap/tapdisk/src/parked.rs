//! Requests for which the disk has no room: kept, and tried again until there is some, while others go on.

use std::time::{Duration, Instant};

use nbd::Request;

/// How often they are tried again.
const INTERVAL: Duration = Duration::from_secs(1);
/// Bytes that one client's requests may keep in memory.
const MAX_BYTES: usize = 64 << 20;
/// What a request takes beside its bytes.
const REQUEST_BYTES: usize = 256;

/// What a request still has to write.
#[derive(Debug)]
pub(crate) enum Payload {
    Bytes(Vec<u8>),
    /// It has none: zeros.
    None,
}

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) request: Request,
    /// Position on the disk of what is left.
    pub(crate) at: u64,
    pub(crate) payload: Payload,
    pub(crate) begun: Instant,
    pub(crate) until: Instant,
}

/// The requests of one client that wait.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    waiting: Vec<Waiting>,
    bytes: usize,
    /// When they are tried next.
    next: Option<Instant>,
}

impl Parked {
    /// Whether there is room for a request with so many bytes.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(REQUEST_BYTES).saturating_add(bytes) <= MAX_BYTES
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.bytes += REQUEST_BYTES;
        if let Payload::Bytes(bytes) = &waiting.payload {
            self.bytes += bytes.len();
        }
        self.waiting.push(waiting);
        self.next.get_or_insert_with(|| Instant::now() + INTERVAL);
    }

    /// How long there is until they are to be tried again.
    pub(crate) fn is_due_in(&self) -> Option<Duration> {
        self.next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// All of them, to be tried again.
    pub(crate) fn take(&mut self) -> Vec<Waiting> {
        (self.bytes, self.next) = (0, None);
        std::mem::take(&mut self.waiting)
    }
}
