//! Definitions: what people write (`components/`, `manifests/`) and what commands write (`manifests/NAME.lock`), parsed into
//! types that cannot be wrong. Nothing here touches a network, a store or a process.

mod component;
mod lock;
mod manifest;
mod name;
pub mod placeholder;
mod suggest;

pub use component::{Autotools, Cargo, Component, Driver, Extra, Kconfig, Make, Options, Packages, Skip, Step, Told};
pub use lock::{Commit, File, Lock, Pin, Submodule};
pub use manifest::{Apt, Archive, DebianPatches, Git, Local, Manifest, Origin};
pub use name::Name;
