//! Definitions: what people write (`components/`, `manifests/`) and what commands write (`manifests/NAME.lock`), parsed
//! into types that cannot be wrong. Nothing here touches a network, a store or a process.
//!
//! `load.rs` reads the files, `include.rs` a manifest that is several, `shape.rs` finds every mistake in the form of one, the `check_*.rs` what is wrong in
//! well-formed ones, `diagnostic.rs` shows all of it with line and caret.

mod blktap;
mod check_component;
mod check_manifest;
mod check_packaged;
mod check_text;
mod component;
mod diagnostic;
mod document;
mod edit;
mod form;
#[cfg(any(feature = "gate", feature = "extras"))]
mod gate;
mod include;
mod load;
#[cfg(test)]
mod load_tests;
mod lock;
mod manifest;
mod name;
mod named;
mod packaged;
mod pins;
mod place;
pub mod placeholder;
mod references;
#[cfg(feature = "extras")]
mod schema;
mod serde_words;
mod shape;
mod suggest;
mod system;

pub use blktap::Blktap;
pub use component::{Autotools, Component, Driver, Extra, Make, Packages, Skip, Step, Tarball, Told};
pub use diagnostic::{Diagnostics, Problem};
#[cfg(feature = "gate")]
pub use edit::with_origin;
pub use edit::with_patches;
#[cfg(any(feature = "gate", feature = "extras"))]
pub use gate::{Does, Gate, Job, Record, Refs, Tier, Tracked};
pub use include::{Origins, Stand};
pub use load::{Definitions, gate_names, job_names, manifest_names};
pub use lock::{Commit, File, LAST_EPOCH, Lock, Pin, Submodule};
pub use manifest::{Apt, Archive, DebianPatches, Git, Local, Manifest, Origin, Signed};
pub use name::Name;
pub use packaged::{Beside, Packaged, Unpackaged};
pub use placeholder::Placeholder;
#[cfg(feature = "extras")]
pub use schema::{component_schema, gate_schema, job_schema, manifest_schema};
pub use suggest::did_you_mean;
pub use system::{Host, Magic, Probe, System, SystemKind};
