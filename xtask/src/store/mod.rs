//! The store that all checkouts of a user share: content by digest (`cas/`), results by action (`ac/`), and the roots that keep
//! both from `gc`. Laid out as REAPI names things, so that a remote cache is another transport of the same values.
//!
//! Invariant: whatever leaves the store is a reflink or a copy, never a hard link, and its digest is checked on the way out:
//! a blob that no longer matches is a miss, and said.

mod actions;
mod blobs;
mod gc;
mod materialize;

pub use actions::Output;
pub use blobs::{Found, Store};
pub use gc::{Collected, parse_size, register_root};
pub use materialize::{Placement, place, place_file};
