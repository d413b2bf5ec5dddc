//! `clean`: build directories and logs go; sources, dist/ and the store stay.

use super::Session;
use crate::atomic::remove_tree;
use crate::error::Result;

/// Remove build directories and logs
///
///     cargo xtask clean                    of all components
///     cargo xtask clean xen-tools          of one
///
/// Sources, dist/ and the store stay, so the next build is a restore.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Components [default: all]
    components: Vec<String>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let names = Session::names(&args.components)?;
    let _turn = session.turn(&|line| eprintln!("{line}"))?;
    if names.is_empty() {
        let all = ["build", "log", "repro", "tmp", "verify"];
        return all.iter().try_for_each(|name| remove_tree(&session.layout.work().join(name)));
    }
    let definitions = session.definitions()?;
    for name in &names {
        if !definitions.components.contains_key(name) {
            return Err(crate::error::Error::input(format!("there is no component `{name}`")).help("cargo xtask list"));
        }
        remove_tree(&session.layout.build(name))?;
        remove_tree(&session.layout.logs(name))?;
    }
    Ok(())
}
