//! `uninstall`: takes an installation back out of a root.

use super::Session;
use super::install::{Target, help_with_root};
use crate::error::{Error, Result};
use crate::installed::{self, RECORD, Record};
use crate::merge::Merged;

/// Take out of a root what install put there
///
///     cargo xtask uninstall --root /tmp/image
///     cargo xtask uninstall --root / --dry-run    what would go and what would stay
///
/// Only what DIR/var/lib/sultana/installed.json names and what is unchanged goes. Files that were changed
/// since are kept and named, what install --backup kept comes back, and directories go when they are
/// empty and were not there before.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    target: Target,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let root = args.target.root(session)?;
    let nothing = || {
        Error::input(format!("nothing of ours is installed in `{}`: it has no {RECORD}", root.display()))
            .help("cargo xtask uninstall --root DIR   # as it was given to install")
    };
    if !root.is_dir() {
        return Err(nothing());
    }
    let _root = args.target.turn(session, &root)?;
    let old = Record::read(&root)?.ok_or_else(nothing)?;
    let plan = installed::plan(&root, old.clone(), &Merged::default(), false)?;
    if !args.target.is_dry_run() {
        installed::perform(&root, &session.layout.dist(), &plan, Some(&old), &session.cancel)
            .map_err(|error| help_with_root(error, &args.target))?;
    }
    args.target.tell(session, &root, &plan, "uninstalled from")
}
