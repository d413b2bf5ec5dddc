//! `gate gc`: rows, logs and checkouts that nothing refers to.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use xtask_gate::model::FlightNo;
use xtask_gate::report::kept;
use xtask_gate::store::{Audit, Store};

use super::GcArgs;
use super::look::{now, print_report};
use crate::cmd::Session;
use crate::definition::gate_names;
use crate::error::{Context, Result};

/// What goes.
#[derive(Debug, Serialize)]
struct Gone {
    dry_run: bool,
    /// Flights whose rows go.
    flights: Vec<FlightNo>,
    /// Directories of logs and checkouts.
    directories: Vec<PathBuf>,
}

pub(super) fn run(session: &Session, state: &Path, args: &GcArgs) -> Result<()> {
    // A state that is not there knows no flight: all logs would go.
    super::look::open(state)?;
    // Alone: what a gate has just begun is not known to those who look.
    let mut store = Store::open(state)?;
    let unreferenced = store.unreferenced(args.keep)?;
    let dir = state.parent().unwrap_or(&session.layout.root);
    let is_gone = |flight: &FlightNo| *flight <= unreferenced.last && !unreferenced.logs_kept.contains(flight);
    let logs = kept::dirs(dir)?.into_iter().filter(|(flight, _)| is_gone(flight));
    let mut directories: Vec<PathBuf> = logs.map(|(_, path)| path).collect();
    let defined = gate_names(&session.layout);
    for branch in store.branches()? {
        // Nothing else of it: versions are pins that origins forget.
        let place = dir.join(&branch).join("checkout");
        let is_defined = defined.iter().any(|name| name.as_str() == branch);
        // Names of gates are single components of a path; a state that was tampered with may say otherwise.
        let is_name = branch.parse::<crate::definition::Name>().is_ok();
        if is_name && !is_defined && store.open_flights(&branch)?.is_empty() && place.is_dir() {
            directories.push(place);
        }
    }
    let gone = Gone { dry_run: args.dry_run, flights: unreferenced.flights, directories };
    if !args.dry_run {
        // Rows first: a log without its flight is found again, a flight without its log is not told from others.
        if !gone.flights.is_empty() {
            let (what, GcArgs { who, why, .. }) = (format!("forgot {} flights", gone.flights.len()), args);
            let line = Audit { at: now(), who: who.clone(), what, branch: None, why: why.clone() };
            store.forget(&gone.flights, &line)?;
        }
        for directory in &gone.directories {
            fs::remove_dir_all(directory).context(|| format!("cannot remove `{}`", directory.display()))?;
        }
    }
    let would = if args.dry_run { "would forget" } else { "forgot" };
    let mut text = format!("{would} {} flights, {} directories\n", gone.flights.len(), gone.directories.len());
    gone.directories.iter().for_each(|directory| text += &format!("  {}\n", directory.display()));
    print_report(session, &text, &gone)
}
