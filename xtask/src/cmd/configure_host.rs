//! `configure-host`: what makes a machine a Xen host beside the files, as a plan with an undo.

use std::path::PathBuf;

use super::Session;
use crate::error::{Context, Error, Result};
use crate::hosting::{self, Change, Record, Wanted};

/// Say what makes a machine a Xen host: services, a boot entry, a bridge; do it with --apply
///
///     cargo xtask configure-host                              the plan, each step with its undo
///     cargo xtask configure-host --interface eth0             with a bridge xenbr0 on eth0
///     cargo xtask configure-host --interface eth0 --apply     does it, and keeps a record
///     cargo xtask configure-host --undo                       what would be taken back
///     cargo xtask configure-host --undo --apply               takes it back
///
/// Files of others are never edited. What is so already is no step. `install --root /` comes first.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Only print the plan; that is what happens without --apply too
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
    /// Do it
    #[arg(long)]
    apply: bool,
    /// Take back what --apply did
    #[arg(long, conflicts_with = "interface")]
    undo: bool,
    /// Interface that gets a bridge [default: the network is left alone]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Name of the bridge
    #[arg(long, value_name = "NAME", default_value = "xenbr0")]
    bridge: String,
    /// Another root than this machine's
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let root = std::fs::canonicalize(&args.root)
        .map_err(|error| Error::input(format!("cannot use `{}` as a root", args.root.display())).because(error))?;
    let (changes, remarks) = if args.undo {
        (Record::read(&root)?.changes.into_iter().rev().collect(), Vec::new())
    } else {
        let wanted = Wanted { root: &root, interface: args.interface.as_deref(), bridge: &args.bridge };
        hosting::plan(&wanted, &session.cancel)?
    };
    let kept = match (args.apply, args.undo) {
        (false, _) => Vec::new(),
        (true, false) => hosting::apply(&root, &changes, &session.cancel).map(|()| Vec::new())?,
        (true, true) => hosting::undo(&root, &session.cancel)?,
    };
    if session.json {
        let changes = serde_json::to_value(&changes).context(|| "cannot encode the plan".to_owned())?;
        return super::print_json(&serde_json::json!({
            "root": root, "applied": args.apply, "undo": args.undo, "changes": changes, "remarks": remarks, "not-undone": kept,
        }));
    }
    changes.iter().for_each(|change| tell(change, args.undo));
    remarks.iter().for_each(|remark| println!("  {remark}"));
    kept.iter().for_each(|why| println!("  {why}"));
    let steps = changes.len();
    match (args.apply, args.undo) {
        _ if steps == 0 => println!("nothing to do"),
        (false, _) => println!("{steps} steps; nothing was done: add --apply"),
        (true, false) => println!("done: {steps} steps; cargo xtask configure-host --undo --apply takes them back"),
        (true, true) => println!("taken back: {steps} steps"),
    }
    Ok(())
}

fn tell(change: &Change, undo: bool) {
    let (run, back) = change.step.lines();
    println!("{}", change.why);
    if undo {
        println!("    do    {back}");
    } else {
        println!("    do    {run}\n    undo  {back}");
    }
}
