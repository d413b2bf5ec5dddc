//! `update`: moves pins to what the manifest tracks, and writes the lock.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Session;
use super::moves::{Move, moves};
use crate::definition::{Lock, Name, Origin, Pin};
use crate::error::{Error, Result};
use crate::origin;
use crate::run::{Event, Mode, Report, timed};
use crate::turn::{self, Hold, Turn};

/// Pin sources at what the manifest tracks now, and write the lock
///
///     cargo xtask update                   every source
///     cargo xtask update xen               this one; the others stay at their pins
///     cargo xtask update --dry-run         show what would move
///
/// Before the lock is written it shows the commits that each move brings, by author; of a branch
/// that was rewound also those that are gone. The only command that asks what is newest. Everything else works at the pins.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Sources [default: all]
    pub(super) sources: Vec<String>,
    /// Show what would move and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    if session.offline {
        return Err(Error::input("cannot update offline: it asks the origins what is newest"));
    }
    let report = Report::new(if session.json { Mode::Json } else { Mode::Auto }, None);
    let say = |line: &str| report.note(line);
    let _turn = turn(session, &say)?;
    let definitions = session.definitions()?;
    let names = Session::names(&args.sources)?;
    let fetching = session.fetching(false, &say);
    origin::sweep(&session.layout);
    let old = definitions.lock.clone().unwrap_or_default();
    if !args.dry_run {
        session.not_frozen(&old, "move pins")?;
    }
    let mut new = Lock { frozen: old.frozen, ..Lock::default() };
    let sources = &definitions.manifest.sources;
    session.known_sources(&definitions, &names)?;
    for (name, origin) in sources {
        let before = old.sources.get(name);
        let asked = names.is_empty() || names.contains(name);
        let after = match before {
            Some(pin) if !asked => Some(pin.clone()),
            _ if matches!(origin, Origin::Path(_)) => None,
            _ => {
                report.send(Event::FetchStarted { source: name.to_string() });
                let (pin, seconds) = timed(|| origin::resolve(&fetching, name, origin, before));
                let pin = pin?;
                report.send(Event::FetchEnded { source: name.to_string(), seconds });
                pin
            }
        };
        new.sources.extend(after.map(|pin| (name.clone(), pin)));
    }
    let moves = moves(&fetching, &definitions.manifest.sources, &old, &new)?;
    show(session, &new, &moves, "every pin is what its origin says now")?;
    if args.dry_run || definitions.lock.as_ref() == Some(&new) {
        return Ok(());
    }
    new.write(&session.lock_file())
}

/// The lock for ourselves, taken before it is read: two runs would each write the other's pins back.
pub(super) fn turn(session: &Session, say: &dyn Fn(&str)) -> Result<Turn> {
    let lock_file = session.layout.state().join("update.lock");
    let waiting = "another cargo xtask update works in this checkout; waiting for its end";
    turn::take(&lock_file, Hold::Alone, &session.cancel, say, waiting)
}

/// Prints what moves, or `nothing`.
pub(super) fn show(session: &Session, new: &Lock, moves: &[Move], nothing: &str) -> Result<()> {
    if session.json {
        return super::print_json(&Printed { version: new.version, sources: &new.sources, moves });
    }
    if moves.is_empty() {
        println!("{nothing}");
    }
    moves.iter().for_each(|moved| println!("{}", moved.text()));
    Ok(())
}

/// The lock as it is then, and what moved.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    version: u32,
    sources: &'a BTreeMap<Name, Pin>,
    moves: &'a [Move],
}
