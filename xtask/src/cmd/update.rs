//! `update`: moves pins to what the manifest tracks, and writes the lock.

use super::Session;
use crate::definition::{Lock, Name, Origin, Pin};
use crate::error::{Error, Result};
use crate::origin;
use crate::run::{Event, Mode, Report, timed};
use crate::turn::{self, Hold};

/// Pin sources at what the manifest tracks now, and write the lock
///
///     cargo xtask update                   every source
///     cargo xtask update xen               this one; the others stay at their pins
///     cargo xtask update --dry-run         show what would move
///
/// The only command that asks what is newest. Everything else works at the pins.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Sources [default: all]
    sources: Vec<String>,
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
    // Before the lock is read: two runs would each write the other's pins back.
    let _turn = turn::take(
        &session.layout.state().join("update.lock"),
        Hold::Alone,
        &session.cancel,
        &say,
        "another cargo xtask update works in this checkout; waiting for its end",
    )?;
    let definitions = session.definitions()?;
    let names = Session::names(&args.sources)?;
    let fetching = session.fetching(false, &say);
    origin::sweep(&session.layout);
    let old = definitions.lock.clone().unwrap_or_default();
    let mut new = Lock::default();
    let mut lines = Vec::new();
    let sources = &definitions.manifest.sources;
    if let Some(unknown) = names.iter().find(|name| !sources.contains_key(*name)) {
        let known = sources.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
        return Err(Error::input(format!("manifest `{}` has no source `{unknown}`; it has {known}", session.manifest)));
    }
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
        if let Some(after) = after {
            lines.extend(moved(name, before, &after));
            new.sources.insert(name.clone(), after);
        }
    }
    for gone in old.sources.keys().filter(|name| !sources.contains_key(*name)) {
        lines.push(format!("{gone}: no longer a source"));
    }
    if session.json {
        super::print_json(&new)?;
    } else if lines.is_empty() {
        println!("every pin is what its origin says now");
    } else {
        lines.iter().for_each(|line| println!("{line}"));
    }
    if args.dry_run || definitions.lock.as_ref() == Some(&new) {
        return Ok(());
    }
    new.write(&session.lock_file())
}

fn moved(name: &Name, before: Option<&Pin>, after: &Pin) -> Option<String> {
    let show = |pin: &Pin| {
        let exact = pin.version.clone().or(pin.commit.as_ref().map(ToString::to_string));
        exact.unwrap_or_else(|| format!("tree {}", &pin.tree.to_string()[..12]))
    };
    match before {
        Some(before) if before == after => None,
        Some(before) => Some(format!("{name}: {} -> {}", show(before), show(after))),
        None => Some(format!("{name}: {}", show(after))),
    }
}
