//! `freeze`: every tracked ref becomes its exact revision, and stays it.

use super::Session;
use super::moves::exact;
use super::update::turn;
use crate::definition::{Lock, Origin};
use crate::error::Result;
use crate::origin;
use crate::release::refusal;
use crate::run::{Mode, Report};

/// Hold every source at its exact revision
///
///     cargo xtask freeze                   from now on nothing moves: `update` and `pin` are refused
///     cargo xtask unfreeze                 takes it back
///
/// What the lock does not pin yet is pinned as its origin stands now. Refused while a source holds
/// local work: a frozen lock says what is built. The mark stands in the lock, for everybody.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

pub fn run(session: &Session, _args: &Args) -> Result<()> {
    let report = Report::new(if session.json { Mode::Json } else { Mode::Auto }, None);
    let say = |line: &str| report.note(line);
    let _turn = turn(session, &say)?;
    let mut definitions = session.definitions()?;
    crate::overrides::refuse(&session.layout, &definitions.manifest, "freeze")?;
    let doing = format!("freeze `{}`", session.manifest);
    refusal::local_work(&session.layout, &definitions, &|_| true, &doing, &say)?;
    let old = definitions.lock.clone().unwrap_or_default();
    let fetching = session.fetching(false, &say);
    let mut new = Lock { frozen: true, ..Lock::default() };
    let mut rows = Vec::new();
    for (name, origin) in &definitions.manifest.sources {
        let pin = match old.sources.get(name) {
            Some(pin) if !matches!(origin, Origin::Path(_)) => Some(pin.clone()),
            _ => origin::resolve(&fetching, name, origin, None)?,
        };
        let Some(pin) = pin else { continue };
        rows.push((name.clone(), tracked(origin), exact(&pin)));
        new.sources.insert(name.clone(), pin);
    }
    definitions.lock = Some(new.clone());
    definitions.check_lock(&session.layout)?;
    if new != old {
        new.write(&session.lock_file())?;
    }
    if session.json {
        let row = |(name, tracked, exact): &(_, Option<String>, String)| serde_json::json!({ "source": name, "tracked": tracked, "frozen": exact });
        let sources: Vec<_> = rows.iter().map(row).collect();
        return super::print_json(&serde_json::json!({ "manifest": session.manifest, "sources": sources }));
    }
    if new == old {
        println!("{} is frozen already", session.manifest);
        return Ok(());
    }
    for (name, tracked, exact) in rows {
        println!("{name}: {}{exact}", tracked.map(|tracked| format!("{tracked} -> ")).unwrap_or_default());
    }
    println!("{} is frozen (cargo xtask unfreeze takes it back)", session.manifest);
    Ok(())
}

/// What an origin names that is not a revision, in words.
fn tracked(origin: &Origin) -> Option<String> {
    let tag = match origin {
        Origin::Git(git) => git.tag.as_ref().map(|tag| format!("tag {tag}")),
        Origin::Apt(_) | Origin::Archive(_) | Origin::Path(_) => None,
    };
    origin.moves().or(tag)
}
