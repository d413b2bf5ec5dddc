//! `pin`: one source at a revision that a person names, whatever the manifest tracks.

use super::Session;
use super::moves::moves;
use super::update::{show, turn};
use crate::definition::Lock;
use crate::error::{Error, Result};
use crate::origin;
use crate::run::{Event, Mode, Report, timed};

/// Pin a source at a revision, and write the lock
///
///     cargo xtask pin seabios rel-1.16.3             a tag or a branch
///     cargo xtask pin xen refs/pull/7/head           any ref
///     cargo xtask pin qemu 1:7.2+dfsg-7+deb12u17     a version of a Debian source package
///     cargo xtask pin xen 3fb3b1c2d4e5f60718293a4b5c6d7e8f90a1b2c3
///
/// A commit may be on no branch at all. Shows the commits of the move as `update` does. The pin
/// stays until the next `update` of the source; `freeze` keeps it.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Source
    source: String,
    /// Commit, tag, branch, ref or version
    revision: String,
    /// Show the move and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let report = Report::new(if session.json { Mode::Json } else { Mode::Auto }, None);
    let say = |line: &str| report.note(line);
    let _turn = turn(session, &say)?;
    let definitions = session.definitions()?;
    let name = args.source.parse().map_err(|why: String| Error::input("cannot use this name").because(why))?;
    session.known_sources(&definitions, std::slice::from_ref(&name))?;
    let old = definitions.lock.clone().unwrap_or_default();
    session.not_frozen(&old, &format!("pin source `{name}`"))?;
    let fetching = session.fetching(false, &say);
    origin::sweep(&session.layout);
    let before = old.sources.get(&name);
    report.send(Event::FetchStarted { source: name.to_string() });
    let (pin, seconds) = timed(|| {
        let at = origin::at(&fetching, &name, &definitions.manifest.sources[&name], &args.revision)?;
        origin::resolve(&fetching, &name, &at, before)
    });
    let pin = pin?;
    report.send(Event::FetchEnded { source: name.to_string(), seconds });
    let mut new = Lock { sources: old.sources.clone(), ..Lock::default() };
    new.sources.extend(pin.map(|pin| (name.clone(), pin)));
    let moves = moves(&fetching, &definitions.manifest.sources, &old, &new)?;
    show(session, &new, &moves, &format!("{name} is pinned there"))?;
    if args.dry_run || moves.is_empty() {
        return Ok(());
    }
    new.write(&session.lock_file())
}
