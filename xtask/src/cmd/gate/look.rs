//! What is asked of a gate's state. Reads beside a gate that works.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use xtask_gate::model::{Flight, FlightNo};
use xtask_gate::report;
use xtask_gate::store::{BranchStatus, Store};

use crate::cmd::{Session, print_json};
use crate::definition::{did_you_mean, gate_names};
use crate::error::{Context, Error, Result};

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

pub(super) fn open(state: &Path) -> Result<Store> {
    Store::look(state)?.ok_or_else(|| {
        Error::input(format!("no gate has run here: there is no `{}`", state.display()))
            .help("cargo xtask gate run BRANCH")
    })
}

/// A flight of a branch; where none is named, the last candidate's.
pub(super) fn candidate(store: &Store, branch: &str, flight: Option<FlightNo>) -> Result<Flight> {
    let number = match flight {
        Some(number) => number,
        None => store.branch_status(branch)?.last.map(|(number, ..)| number).ok_or_else(|| {
            Error::input(format!("no candidate of `{branch}` was ever tested"))
                .help(format!("cargo xtask gate run {branch}"))
        })?,
    };
    let flight = store.flight(number)?;
    if flight.branch != branch {
        return Err(Error::input(format!("flight {number} is one of `{}`, not of `{branch}`", flight.branch))
            .help(format!("cargo xtask gate show {number}")));
    }
    Ok(flight)
}

pub(super) fn status(session: &Session, state: &Path, branches: &[String]) -> Result<()> {
    // Gates that have not run yet have nothing to tell, but they are there.
    let store = match Store::look(state)? {
        None if !gate_names(&session.layout).is_empty() => Store::in_memory()?,
        store => store.map_or_else(|| open(state), Ok)?,
    };
    let wanted = wanted_branches(known_branches(session, &store)?, branches)?;
    let rows = wanted.iter().map(|branch| store.branch_status(branch)).collect::<Result<Vec<_>>>()?;
    show_rows(session, &rows)
}

/// Gates that are defined, and branches that have flights.
pub(super) fn known_branches(session: &Session, store: &Store) -> Result<Vec<String>> {
    let mut known: BTreeSet<String> = store.branches()?.into_iter().collect();
    known.extend(gate_names(&session.layout).iter().map(ToString::to_string));
    Ok(known.into_iter().collect())
}

/// These branches, or all that are known; each must be one of those.
pub(super) fn wanted_branches(known: Vec<String>, branches: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = branches.iter().find(|branch| !known.contains(branch)) {
        let wrong = Error::input(format!("there is no branch `{unknown}`"));
        return Err(match did_you_mean(unknown, known.iter().map(String::as_str)) {
            Some(near) => wrong.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => wrong.help("write ci/gates/NAME.toml; ci/README.md has an example"),
            None => wrong.help(format!("branches here: {}", known.join(", "))),
        });
    }
    Ok(if branches.is_empty() { known } else { branches.to_vec() })
}

pub(super) fn stale(session: &Session, state: &Path, than: Duration) -> Result<()> {
    let store = open(state)?;
    let mut rows = Vec::new();
    let before = now() - than.as_secs() as i64;
    for branch in store.branches()? {
        let row = store.branch_status(&branch)?;
        if row.tested.as_ref().is_none_or(|(_, at)| *at < before) {
            rows.push(row);
        }
    }
    show_rows(session, &rows)
}

fn show_rows(session: &Session, rows: &[BranchStatus]) -> Result<()> {
    if session.json {
        return print_json(&rows);
    }
    let now = now();
    for row in rows {
        println!("{}", report::status_text(row, now));
    }
    Ok(())
}

pub(super) fn history(session: &Session, state: &Path, branch: &str, job: &str, limit: u32) -> Result<()> {
    let rows = open(state)?.job_history(branch, job, limit)?;
    if session.json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        return Err(Error::input(format!("no run of job `{job}` on branch `{branch}`")).help("cargo xtask gate status"));
    }
    for row in rows {
        let reason = row.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let took = row.finished.map_or(0, |end| end - row.started);
        println!("{:>6} {:<8} {:<30} {:<8}{took:>6}s{reason}", row.flight, row.blessing, row.testid, row.state);
    }
    Ok(())
}

pub(super) fn show(session: &Session, state: &Path, flight: u64) -> Result<()> {
    let flight = open(state)?.flight(flight)?;
    if session.json {
        return print_json(&flight);
    }
    print!("{}", report::flight_text(&flight));
    Ok(())
}

/// Prints everything, one line after the other as it is read.
pub(super) fn export(state: &Path, branch: Option<&str>) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    open(state)?.export(branch, &mut out)?;
    out.flush().context(|| "cannot write the export".to_owned())
}

pub(super) fn audit(session: &Session, state: &Path) -> Result<()> {
    let lines = open(state)?.audit()?;
    if session.json {
        return print_json(&lines);
    }
    for line in lines {
        let at = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(line.at.max(0) as u64));
        let branch = line.branch.as_deref().unwrap_or("every branch");
        println!("{at} {}: {} ({branch}): {}", line.who, line.what, line.why);
    }
    Ok(())
}

/// Prints a report, or its JSON.
pub(super) fn print_report(session: &Session, text: &str, json: &impl Serialize) -> Result<()> {
    if session.json {
        return print_json(json);
    }
    print!("{text}");
    Ok(())
}
