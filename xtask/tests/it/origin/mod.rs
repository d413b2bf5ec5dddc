//! Origins against real programs: git and its daemon, HTTP on loopback, apt.

mod apt;
mod archive;
mod child;
pub mod git;
mod local_work;
mod mirrors;
pub mod servers;
pub mod upstream;
pub mod world;

pub use servers::{Fault, Server};
pub use world::write_tar_gz;
