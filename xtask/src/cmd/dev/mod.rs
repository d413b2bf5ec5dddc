//! `dev`: what a developer does with the commits in a checked-out source.

mod export;

use super::Session;
use crate::error::Result;

/// Work with your own commits in .xtask/src
///
///     cargo xtask dev export xen-tools     your commits on top of the pin become the component's patches
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Export(export::Args),
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.command {
        Command::Export(args) => export::run(session, args),
    }
}
