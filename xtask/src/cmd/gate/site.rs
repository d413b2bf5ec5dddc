//! `gate site`: everything that happened, as pages.

use std::path::Path;

use xtask_gate::site::{Site, Written};
use xtask_gate::store::Store;

use super::look::{now, open, wanted_branches};
use crate::cmd::{Session, print_json};
use crate::error::Result;

pub(super) fn run(session: &Session, state: &Path, dir: &Path, branches: &[String]) -> Result<()> {
    let store = open(state)?;
    let state_dir = state.parent().unwrap_or(Path::new("."));
    let written = write(&store, state_dir, &wanted_branches(store.branches()?, branches)?, dir, now())?;
    if session.json {
        return print_json(&written);
    }
    println!(
        "{}: {} pages, {} of them written",
        dir.join("index.html").display(),
        written.written + written.kept,
        written.written
    );
    Ok(())
}

/// Brings a site up to date.
pub(super) fn write(store: &Store, state_dir: &Path, branches: &[String], dir: &Path, now: i64) -> Result<Written> {
    xtask_gate::site::write(&Site { store, state_dir, branches, now }, dir)
}
