//! Sultana's orchestrator. `main.rs` only calls into here, so that tests can too. The map of the modules and the path of data
//! through each command stand in ARCHITECTURE.md.

pub mod definition;
pub mod digest;
pub mod error;
pub mod layout;
pub mod origin;
pub mod process;
pub mod reapi;
pub mod tree;
