//! `licences`: what a distributor hands on beside a result.

use std::path::PathBuf;

use super::{Selection, Session};
use crate::bill::texts;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::world::World;

/// List the licences of components and crates, and collect their texts
///
///     cargo xtask licences                       a line for each, then what is unknown or missing
///     cargo xtask licences --out legal           manifest.csv, manifest.json and texts/ in legal/
///     cargo xtask licences --strict              exit status 1 if anything is unknown or missing
///
/// A text belongs to a component if it stands above one of the component's own files, so that the
/// hypervisor's is not the tools'.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Put manifest and texts there; what is there must be ours or nothing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Fail if a licence is unknown or its text is missing
    #[arg(long)]
    strict: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let definitions = session.settled()?;
    let wanted = args.selection.wanted(session)?;
    let world = World::new(session.layout.clone(), definitions, &wanted, Machine::of(&session.layout, false)?)?;
    let rows = texts::rows(&world, &session.cancel)?;
    if let Some(out) = &args.out {
        texts::write(&rows, out)?;
    }
    let problems: Vec<String> = rows
        .iter()
        .flat_map(|row| {
            row.problems.iter().map(move |problem| format!("{} {} {}: {problem}", row.kind, row.name, row.version))
        })
        .collect();
    if session.json {
        super::print_json(&rows)?;
    } else {
        let name = |row: &texts::Row| format!("{} {}", row.name, short(&row.version));
        let width = rows.iter().map(|row| name(row).len()).max().unwrap_or_default();
        for row in &rows {
            let licence = row.licence.as_deref().unwrap_or("unknown");
            println!("  {:<9} {:<width$} {licence} ({})", row.kind, name(row), counted(row.texts.len()));
        }
        problems.iter().for_each(|problem| println!("{problem}"));
        if let Some(out) = &args.out {
            println!("{}: {}", out.display(), counted(rows.iter().map(|row| row.texts.len()).sum()));
        }
    }
    if !args.strict || problems.is_empty() {
        return Ok(());
    }
    let error = Error::step(format!("{} licences are unknown or without a text", problems.len())).help(
        "ask upstream, or write the licence into components/NAME.toml; LicenseRef-NAME is one that SPDX does not list",
    );
    // One value of JSON says it all.
    Err(if session.json { error.said() } else { error })
}

fn counted(texts: usize) -> String {
    format!("{texts} text{}", if texts == 1 { "" } else { "s" })
}

/// Commits are long.
fn short(version: &str) -> &str {
    version.get(..12).filter(|_| version.len() >= 40).unwrap_or(version)
}
