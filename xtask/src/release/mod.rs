//! Releases: one archive with everything that a set of components is built from, and the proof that it is that.
//!
//! - `contents.rs`: what an archive holds, as a value. `gather.rs` makes it from the locked sources and its four other parts:
//!   `generated.rs` (what steps make), `placed.rs` (files at the places where Xen's build looks), `crates.rs` (vendored ones), `own.rs` (our
//!   files below `sultana/`, with the commands of `building.rs`, and what `bills.rs` tells of it all).
//! - `version.rs`: what it is called. `refusal.rs`: what keeps a checkout from being released.
//! - `write.rs`: the value as bytes, the same on every machine, packed as one of `format.rs`. `account.rs`: an archive compared with the value it should be.
//! - `proof.rs`: an archive built in a sandbox as its own `BUILDING` says, which `script.rs` reads, and the result compared.
//! - `unpacked.rs`: an unpacked archive as a working tree.
//!
//! Invariant: a member comes from the tree that the lock names, from a step in the sandbox, from crates that Cargo.lock names, or from
//! this repository as it is committed. Nothing else gets in, and `account` names whatever did.

mod account;
mod bills;
mod building;
mod contents;
mod crates;
mod format;
mod gather;
mod generated;
mod own;
mod placed;
mod proof;
pub mod refusal;
mod script;
mod unpacked;
mod version;
mod write;

pub use account::{Finding, account};
pub use contents::{Bytes, Contents, Member, Owner};
pub use format::Format;
pub use gather::{Wishes, gather};
pub use own::is_released;
pub use proof::{Proof, Way};
pub use unpacked::Unpacked;
pub use version::changeset;
pub use write::write;
