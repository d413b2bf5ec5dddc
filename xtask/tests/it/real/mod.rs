//! The command on a project of its own, as a user runs it: real upstream sources in real git repositories, behind git's daemon and
//! HTTP on loopback, built by their own build systems. What each test starts from stands in `project.rs` and `upstream.rs`.

mod builds;
mod local;
mod moves;
mod project;
mod submodule;
pub mod upstream;
