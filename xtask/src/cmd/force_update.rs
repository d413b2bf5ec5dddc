//! `force-update`: sources exactly as the lock has them, checked out again.

use super::Session;
use super::fetch::{How, fetch_named};
use crate::error::Result;

/// Check sources out again at their pins
///
///     cargo xtask force-update             all that the manifest's components need
///     cargo xtask force-update xen         this one
///     cargo xtask force-update xen --discard
///
/// Another commit that was checked out goes back to the pin. Local commits and edits are named and
/// kept, and the command fails, unless `--discard` is said. Branches and stashes stay in the new
/// checkout either way. The pins stay where they are: `update` moves them.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Sources [default: all that the manifest's components need]
    sources: Vec<String>,
    /// Sources of optional components too
    #[arg(long)]
    all: bool,
    /// Throw away local commits and edits
    #[arg(long)]
    discard: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let definitions = session.definitions()?;
    session.whole_lock(&definitions)?;
    let names = Session::names(&args.sources)?;
    session.known_sources(&definitions, &names)?;
    fetch_named(session, definitions, names, args.all, How { discard: args.discard, again: true })
}
