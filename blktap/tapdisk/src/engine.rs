//! What moves bytes past the page cache, several transfers at once: io_uring, or threads where that is not permitted.

use std::io;
use std::sync::Arc;

use uring::Uring;
use vhd::{Engine, Threads};

/// Names one, for tests: `uring` or `threads`.
const VARIABLE: &str = "BLKTAP_ENGINE";
/// As many transfers are under way at once without io_uring.
const THREADS: usize = 16;

/// The best that there is here.
///
/// # Errors
///
/// Where the engine that the environment names cannot be had.
pub(crate) fn engine() -> io::Result<Arc<dyn Engine>> {
    let threads = || -> io::Result<Arc<dyn Engine>> { Ok(Arc::new(Threads::new(THREADS)?)) };
    let named = std::env::var(VARIABLE).unwrap_or_default();
    match (named.as_str(), Uring::new()) {
        ("threads", _) => threads(),
        (_, Ok(uring)) => Ok(Arc::new(uring)),
        ("uring", Err(error)) => Err(error),
        (_, Err(error)) => {
            tracing::info!("no io_uring, threads instead: {error}");
            threads()
        }
    }
}
