//! `unfreeze`: pins may move again.

use super::Session;
use super::update::turn;
use crate::definition::Lock;
use crate::error::Result;

/// Let pins move again
///
///     cargo xtask unfreeze                 what `cargo xtask freeze` did, taken back; the pins stay where they are
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

pub fn run(session: &Session, _args: &Args) -> Result<()> {
    let _turn = turn(session, &|line| eprintln!("{line}"))?;
    let definitions = session.definitions()?;
    let lock = definitions.lock.unwrap_or_default();
    let was_frozen = lock.frozen;
    if was_frozen {
        Lock { frozen: false, ..lock }.write(&session.lock_file())?;
    }
    if session.json {
        return super::print_json(&serde_json::json!({ "manifest": session.manifest, "was-frozen": was_frozen }));
    }
    let manifest = &session.manifest;
    match was_frozen {
        true => println!("{manifest} is no longer frozen"),
        false => println!("{manifest} is not frozen"),
    }
    Ok(())
}
