//! Sultana's orchestrator. `main.rs` only calls into here, so that tests can too. The map of the modules and the path of data
//! through each command stand in ARCHITECTURE.md.

#[macro_use]
mod print;

pub mod action;
pub mod atomic;
pub mod cargo_driver;
pub mod cmd;
pub mod definition;
pub mod digest;
pub mod dist;
pub mod doctor;
pub mod error;
pub mod layout;
pub mod machine;
pub mod merge;
pub mod origin;
pub mod plan;
pub mod process;
pub mod reapi;
pub mod recipe;
pub mod run;
pub mod sandbox;
pub mod stat_index;
pub mod state;
pub mod store;
pub mod tree;
pub mod turn;
pub mod why;
pub mod world;
