//! Sultana's orchestrator. `main.rs` only calls into here, so that tests can too. The map of the modules and the path of data
//! through each command stand in ARCHITECTURE.md.

#[macro_use]
mod print;

pub mod action;
pub mod bill;
pub mod boot;
pub mod cargo_driver;
pub mod cmd;
pub mod config_mk;
pub mod definition;
pub mod difference;
pub mod dist;
pub mod doctor;
pub mod elf;
#[cfg(feature = "gate")]
pub mod gate;
pub mod host;
pub mod hosting;
pub mod installed;
pub mod layout;
pub mod machine;
pub mod merge;
pub mod origin;
pub mod overrides;
pub mod package;
pub mod patch;
pub mod placing;
pub mod plan;
pub mod process;
pub mod recipe;
pub mod release;
pub mod repository;
pub mod repro;
pub mod run;
pub mod runtime_deps;
pub mod sandbox;
pub mod settings;
pub mod signing;
pub mod state;
pub mod store;
pub mod turn;
pub mod why;
pub mod world;
pub mod xen_version;

pub use xtask_content::{atomic, digest, error, reapi, stat_index, tree};
