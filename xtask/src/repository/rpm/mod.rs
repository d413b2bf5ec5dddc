//! A repository as dnf and zypper read it: `packages/` with rpms, `repodata/` with what is said of them, and `repomd.xml`.
//! `described.rs` has what is said of one package, `write.rs` fills the templates beside it.

#[cfg(feature = "extras")]
mod described;
#[cfg(feature = "extras")]
mod write;

#[cfg(feature = "extras")]
pub use write::{index, location, signature};
