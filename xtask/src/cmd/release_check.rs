//! `release-check`: the release manager's list, gone through.

use std::path::PathBuf;

use super::{Selection, Session};
use crate::bill::readiness::List;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::world::World;

/// Go through what must hold before a release, and say all that does not
///
///     cargo xtask release-check                    the list of ci/release-check.toml
///     cargo xtask release-check --list FILE        another one
///     cargo xtask release-check --json
///
/// Nothing is changed, and every check is made whatever the others found. Exit status 1 if anything
/// was found.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// List of checks [default: ci/release-check.toml]
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let file = args.list.clone().unwrap_or_else(|| session.layout.root.join("ci/release-check.toml"));
    let list = List::read(&file)?;
    let definitions = session.settled()?;
    let wanted = args.selection.wanted(session)?;
    let world = World::new(session.layout.clone(), definitions, &wanted, Machine::of(&session.layout, false)?)?;
    let outcomes = list.outcomes(&world, &session.cancel)?;
    let found: usize = outcomes.iter().map(|outcome| outcome.findings.len()).sum();
    if session.json {
        super::print_json(
            &serde_json::json!({ "manifest": session.manifest, "ready": found == 0, "checks": outcomes }),
        )?;
    } else {
        for outcome in &outcomes {
            let verdict = if outcome.findings.is_empty() { "yes" } else { "no " };
            println!("{verdict}  {}", outcome.why);
            for finding in &outcome.findings {
                println!("       {}", finding.what.replace('\n', "\n       "));
                finding.help.iter().for_each(|help| println!("       help: {help}"));
            }
        }
    }
    if found == 0 {
        return Ok(());
    }
    let error = Error::step(format!("`{}` cannot be released yet: {found} findings", session.manifest));
    // One value of JSON says it all.
    Err(if session.json { error.said() } else { error })
}
