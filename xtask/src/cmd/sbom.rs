//! `sbom`: what a result is made of, for scanners and lawyers.

use std::path::PathBuf;

use super::{Selection, Session};
use crate::bill::{self, Bill, Stamp};
use crate::definition::Name;
use crate::error::{Context, Result};
use crate::machine::Machine;
use crate::world::World;

/// Write a bill of materials: components, sources with their pins, patches, crates, licences
///
///     cargo xtask sbom                                   SPDX 2.3 of the default manifest, to the terminal
///     cargo xtask sbom --format cyclonedx --out xen.cdx.json
///     cargo xtask sbom blktap                            of one component and what it needs
///     cargo xtask sbom --files --out xen.spdx.json       with each installed file and its digests
///
/// The same pins give the same bytes: the time in it is that of the newest commit, and its unique names
/// come from its content. What the system provides is in it, marked as optional.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Form
    #[arg(long, value_enum, default_value = "spdx")]
    format: Format,
    /// Write it there
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The files of dist/ too; everything must be built
    #[arg(long)]
    files: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// SPDX 2.3 JSON
    Spdx,
    /// CycloneDX 1.6 JSON
    Cyclonedx,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let bill = gather(session, &args.selection, args.files)?;
    let bytes = match args.format {
        Format::Spdx => bill::spdx(&bill)?,
        Format::Cyclonedx => bill::cyclonedx(&bill)?,
    };
    let Some(out) = &args.out else {
        use std::io::Write;
        return std::io::stdout().write_all(&bytes).context(|| "cannot print the bill".to_owned());
    };
    crate::atomic::write(out, &bytes)?;
    if session.json {
        return super::print_json(
            &serde_json::json!({ "file": out, "parts": bill.parts.len(), "files": bill.files.len() }),
        );
    }
    println!("{}: {} parts, {} files", out.display(), bill.parts.len(), bill.files.len());
    Ok(())
}

fn gather(session: &Session, selection: &Selection, files: bool) -> Result<Bill> {
    let definitions = session.settled()?;
    // A plan without a lock says nothing of what will be built.
    session.whole_lock(&definitions)?;
    let wanted = selection.wanted(session)?;
    let names: Vec<&str> = wanted.names.iter().map(Name::as_str).collect();
    let name = if names.is_empty() { session.manifest.to_string() } else { names.join("-") };
    let world = World::new(session.layout.clone(), definitions, &wanted, Machine::of(&session.layout, false)?)?;
    let bill = bill::gather(&world, &name, Stamp::Newest, files, &session.cancel)?;
    for part in bill.parts.iter().filter(|part| part.notes.contains_key("modified")) {
        eprintln!("note: source `{}` is not what the lock names; the bill says `{}`", part.name, part.version);
    }
    Ok(bill)
}
