//! `ci`: what other people's CI gets from us. Its templates need the library that the gate's pages need.

#[cfg(feature = "gate")]
mod emit;

use std::path::PathBuf;

use super::{Selection, Session};
use crate::error::Result;

/// Write pipelines for other people's CI
///
///     cargo xtask ci emit --format gitlab > pipeline.yml    jobs for what would be built now, with their needs
///     cargo xtask ci emit --format github --full            for everything, whatever this store has
///     cargo xtask ci emit --format buildbot -m xen-4.20 --out pipeline.py
///
/// Jobs only call cargo xtask. ci/README.md says how outputs get from one to the next.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write a pipeline whose jobs build what is not known yet, each one component
    Emit(EmitArgs),
}

/// What is wanted, and for whom.
#[derive(Debug, clap::Args)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
struct EmitArgs {
    #[command(flatten)]
    selection: Selection,
    /// For which CI
    #[arg(long, value_enum)]
    format: Format,
    /// Jobs for what is known already, too
    #[arg(long)]
    full: bool,
    /// Write it there [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
enum Format {
    Gitlab,
    Github,
    Buildbot,
}

impl Args {
    /// Where `NAME=VALUE` may stand between names.
    pub(super) fn components(&mut self) -> &mut Vec<String> {
        let Command::Emit(args) = &mut self.command;
        &mut args.selection.components
    }
}

#[cfg(feature = "gate")]
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let Command::Emit(args) = &args.command;
    emit::run(session, args)
}

#[cfg(not(feature = "gate"))]
pub fn run(session: &Session, _: &Args) -> Result<()> {
    super::extras::run_with_gate(session)
}
