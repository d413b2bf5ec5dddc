//! Origins against real programs: git and its daemon, HTTP on loopback, apt.

mod apt;
mod archive;
mod child;
mod git;
mod local_work;
mod mirrors;
mod servers;
mod upstream;
mod world;

pub use servers::{Fault, Server};
pub use world::write_tar_gz;
