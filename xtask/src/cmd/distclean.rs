//! `distclean`: back to a fresh clone, but never over somebody's work.

use std::collections::BTreeMap;

use super::Session;
use crate::atomic::remove_tree;
use crate::definition::Origin;
use crate::dist::Record;
use crate::error::{Error, Result};
use crate::origin::{self, State as SourceState};

/// Remove everything that this checkout made: build directories, logs, fetched sources, dist/
///
///     cargo xtask distclean                refuses where sources hold your work
///     cargo xtask distclean --discard      takes them too
///
/// The store is other checkouts' too and stays; `cargo xtask gc` makes it smaller.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Throw away local commits and edits in fetched sources, and foreign files in dist/
    #[arg(long)]
    discard: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let _turn = session.turn(&|line| eprintln!("{line}"))?;
    if !args.discard {
        refuse_local_work(session)?;
        refuse_foreign_files(session)?;
    }
    remove_tree(&session.layout.work())?;
    remove_tree(&session.layout.dist())
}

fn refuse_local_work(session: &Session) -> Result<()> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for manifest in crate::definition::manifest_names(&session.layout) {
        let definitions = crate::definition::Definitions::load(&session.layout, &manifest)?;
        for (source, origin) in
            definitions.manifest.sources.iter().filter(|(_, origin)| !matches!(origin, Origin::Path(_)))
        {
            let pin = definitions.lock.as_ref().and_then(|lock| lock.sources.get(source));
            if let SourceState::Worked { changes, commits } = origin::state(&session.layout, source, origin, pin)? {
                let work = commits.into_iter().chain(changes.iter().map(ToString::to_string));
                found.insert(source.to_string(), work.collect());
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        found.iter().map(|(source, changes)| format!("  {source}: {}", changes.join(", "))).collect();
    Err(Error::input(format!("not cleaned: sources hold local work that would be lost\n{}", lines.join("\n")))
        .help("cargo xtask distclean --discard   # throws it away"))
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
