//! A repository as dnf and zypper read it: `packages/` with rpms, `repodata/` with what is said of them, and `repomd.xml`.

#[cfg(feature = "extras")]
mod described;
#[cfg(feature = "extras")]
mod write;

#[cfg(feature = "extras")]
pub use write::{index, location};
