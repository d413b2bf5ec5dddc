//! `distclean`: back to a fresh clone, but never over somebody's work.

use std::collections::BTreeSet;
use std::{fs, io};

use super::Session;
use crate::atomic::remove_tree;
use crate::definition::{Definitions, Name, Origin, Pin};
use crate::dist::Record;
use crate::error::{Context, Error, Result};
use crate::origin::{self, State as SourceState};

/// Remove everything that this checkout made: build directories, logs, fetched sources, choices, dist/
///
///     cargo xtask distclean                refuses where sources hold your work, or gates their history
///     cargo xtask distclean --discard      takes them too
///
/// The store is other checkouts' too and stays; `cargo xtask gc` makes it smaller.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Throw away local commits and edits in fetched sources, whatever else stands beside them, foreign files in dist/, and what
    /// gates know of the past
    #[arg(long)]
    discard: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let _turn = session.turn(&|line| eprintln!("{line}"))?;
    if !args.discard {
        refuse_local_work(session)?;
        refuse_foreign_files(session)?;
        refuse_history(session)?;
    }
    remove_tree(&session.layout.work())?;
    remove_tree(&session.layout.dist())
}

/// What ever passed a gate is nowhere else.
fn refuse_history(session: &Session) -> Result<()> {
    let state = session.layout.gate_state();
    if !state.exists() {
        return Ok(());
    }
    // With what stands beside it: reports, versions that origins forgot, and what SQLite had not put into it yet.
    let dir = state.parent().unwrap_or(&state).display();
    Err(Error::input(format!("not cleaned: `{}` is the history of this checkout's gates", state.display()))
        .help(format!("mv {dir} ELSEWHERE, or throw it away: cargo xtask distclean --discard")))
}

fn refuse_local_work(session: &Session) -> Result<()> {
    let layout = &session.layout;
    let all: Vec<Definitions> = crate::definition::manifest_names(layout)
        .iter()
        .map(|manifest| Definitions::load(layout, manifest))
        .collect::<std::result::Result<_, _>>()?;
    let mut lines = Vec::new();
    for name in standing_sources(session)? {
        let source = name.parse::<Name>().ok();
        let uses: Vec<(&Origin, Option<&Pin>)> = all
            .iter()
            .filter_map(|definitions| {
                let origin = definitions.manifest.sources.get(source.as_ref()?)?;
                let pin = definitions.lock.as_ref().and_then(|lock| lock.sources.get(source.as_ref()?));
                (!matches!(origin, Origin::Path(_))).then_some((origin, pin))
            })
            .collect();
        let work = match &source {
            Some(source) => local_work(session, source, &uses)?,
            None => Some(Vec::new()),
        };
        lines.extend(work.map(|work| match work.as_slice() {
            [] => format!("  {name}: not made by fetch"),
            work => format!("  {name}: {}", work.join(", ")),
        }));
    }
    if lines.is_empty() {
        return Ok(());
    }
    let place = layout.source_root();
    Err(Error::input(format!(
        "not cleaned: `{}` holds local work that would be lost\n{}",
        place.display(),
        lines.join("\n")
    ))
    .help("move it away, or throw it away: cargo xtask distclean --discard"))
}

/// What stands where sources are put, other than empty directories.
fn standing_sources(session: &Session) -> Result<BTreeSet<String>> {
    let place = session.layout.source_root();
    let reading = || format!("cannot read `{}`", place.display());
    let entries = match fs::read_dir(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.context(reading)?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.context(reading)?;
        let is_empty = fs::read_dir(entry.path()).is_ok_and(|mut below| below.next().is_none());
        if !is_empty {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// What would be lost with a source; nothing in the list when all of it was made by somebody else.
fn local_work(session: &Session, source: &Name, uses: &[(&Origin, Option<&Pin>)]) -> Result<Option<Vec<String>>> {
    let layout = &session.layout;
    let mut work = BTreeSet::new();
    let mut foreign = !layout.source(source).is_dir() || !origin::is_untouched(layout, source)?;
    for (origin, pin) in uses {
        match origin::state(layout, source, origin, *pin)? {
            SourceState::Worked { changes, commits } => {
                work.extend(commits.into_iter().chain(changes.iter().map(ToString::to_string)));
                foreign = false;
            }
            SourceState::AtPin | SourceState::OffPin { .. } => foreign = false,
            SourceState::Foreign | SourceState::Missing | SourceState::Local => {}
        }
    }
    work.extend(origin::only_here(layout, source, uses)?);
    Ok((foreign || !work.is_empty()).then(|| work.into_iter().collect()))
}

fn refuse_foreign_files(session: &Session) -> Result<()> {
    let dist = session.layout.dist();
    if !dist.is_dir() {
        return Ok(());
    }
    let owners = Record::read(&session.layout).owners;
    let there = crate::dist::read_dist(&session.layout)?;
    let foreign = |(path, node): &(&String, &crate::tree::Node)| {
        !owners.contains_key(*path) && !matches!(node, crate::tree::Node::Directory { .. })
    };
    let foreign: Vec<&str> = there.0.iter().filter(foreign).map(|(path, _)| path.as_str()).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(Error::input(format!("not cleaned: dist/ holds files that nobody here installed: {}", foreign.join(", ")))
        .help("move them away, or: cargo xtask distclean --discard"))
}
