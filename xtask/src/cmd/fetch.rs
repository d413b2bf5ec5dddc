//! `fetch`: sources onto this machine, and nothing else.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Session;
use crate::definition::{Definitions, Driver, Name};
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::origin::{self, CheckedOut};
use crate::plan::Wanted;
use crate::run::{Event, Mode, Report, timed};
use crate::world::World;

/// Sources fetched at once.
const AT_ONCE: usize = 8;

/// Fetch the sources of a manifest at their pins
///
///     cargo xtask fetch                    what the manifest's components need
///     cargo xtask fetch xen seabios        these
///     cargo xtask fetch --all              those of optional components too
///     cargo xtask fetch xen --from FILE    a file that the mirror lost
///     cargo xtask fetch xen --discard      throw local commits and edits away
///
/// After this, `cargo xtask build --offline` needs no network.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Sources [default: all that the manifest's components need]
    pub(super) sources: Vec<String>,
    /// Sources of optional components too
    #[arg(long)]
    all: bool,
    /// Take a file of the one named source from here; its SHA-256 must be the locked one
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Throw away local commits and edits in the named sources
    #[arg(long, requires = "sources")]
    discard: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let mut definitions = session.settled()?;
    session.resolve(&mut definitions, true, &|line| eprintln!("{line}"))?;
    session.whole_lock(&definitions)?;
    let names = Session::names(&args.sources)?;
    session.known_sources(&definitions, &names)?;
    if let Some(file) = &args.from {
        let [source] = names.as_slice() else {
            return Err(Error::input("--from brings a file of one source").help("cargo xtask fetch NAME --from FILE"));
        };
        let pin = definitions.lock.as_ref().and_then(|lock| lock.sources.get(source));
        let quiet = |_: &str| {};
        let kept = crate::origin::place_file(&session.fetching(false, &quiet), source, pin, file)?;
        println!("{source}: took {} ({} bytes, sha256 {})", kept.path, kept.size, kept.sha256);
    }
    let how = How { discard: args.discard, again: false };
    fetch_named(session, definitions, names, args.all, how)
}

/// What is done with local work.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Thrown away.
    pub discard: bool,
    /// Refused, even where the source is at its pin.
    pub again: bool,
}

/// Brings these sources, or all that the manifest's components need.
pub(super) fn fetch_named(
    session: &Session,
    definitions: Definitions,
    names: Vec<Name>,
    all: bool,
    how: How,
) -> Result<()> {
    let wanted = Wanted { names: Vec::new(), all: all || !names.is_empty() };
    let machine = Machine::of(&session.layout, false)?;
    let world = World::new(session.layout.clone(), definitions, &wanted, machine)?;
    let sources: BTreeSet<Name> = if names.is_empty() { world.sources() } else { names.into_iter().collect() };
    fetch_all(session, &world, &sources, how)
}

/// Brings these sources, and the crates of those that cargo builds.
pub(super) fn fetch_all(session: &Session, world: &World, sources: &BTreeSet<Name>, how: How) -> Result<()> {
    let report = Report::new(if session.json { Mode::Json } else { Mode::Auto }, None);
    // Not beside a build or a distclean: all work below the same directories.
    let say = |line: &str| report.note(line);
    let _turn = session.turn(&say)?;
    crate::origin::sweep(&session.layout);
    let queue: Vec<&Name> = sources.iter().collect();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || {
        while let Some(source) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            if session.cancel.is_stopped() {
                return;
            }
            if let Err(error) = fetch_one(session, world, source, how, &report) {
                failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..AT_ONCE.min(queue.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    session.cancel.check()?;
    let mut failures = failures.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    match failures.pop() {
        None => Ok(()),
        Some(first) => {
            let others: Vec<String> = failures.iter().map(Error::report).collect();
            Err(if others.is_empty() { first } else { first.details(others.join("\n\n")) })
        }
    }
}

fn fetch_one(session: &Session, world: &World, source: &Name, how: How, report: &Report) -> Result<()> {
    report.send(Event::FetchStarted { source: source.to_string() });
    let (result, seconds) = timed(|| fetch_source(session, world, source, how, &|line| report.note(line)));
    match result? {
        CheckedOut::Already | CheckedOut::Fetched | CheckedOut::Moved | CheckedOut::Local => {}
        CheckedOut::Kept => report.note(format!("`{source}` has local changes and was left as it is")),
    }
    for name in &world.plan.order {
        let component = world.component(name);
        if component.source == *source && matches!(component.build, Driver::Cargo(_)) {
            vendor_crates(session, world, name)?;
        }
    }
    report.send(Event::FetchEnded { source: source.to_string(), seconds });
    Ok(())
}

/// Brings one source, and says what was done.
pub fn fetch_source(
    session: &Session,
    world: &World,
    source: &Name,
    how: How,
    say: &(dyn Fn(&str) + Sync),
) -> Result<CheckedOut> {
    if let Some(dir) = world.overrides.0.get(source) {
        say(&format!("`{source}` is overridden with {}; it is not fetched ({})", dir.display(), world.back(source)));
        return Ok(CheckedOut::Local);
    }
    if world.is_unpacked(source) {
        return Ok(CheckedOut::Local);
    }
    let fetch = if how.again { origin::fetch_again } else { origin::fetch };
    let result = fetch(&session.fetching(how.discard, say), source, world.origin(source)?, world.pin(source));
    world.forget(source);
    result
}

/// Brings the crates of a cargo component.
pub fn vendor_crates(session: &Session, world: &World, name: &Name) -> Result<()> {
    let component = world.component(name);
    let Some(source) = world.source(&component.source)? else { return Ok(()) };
    if world.crates(&component.source)?.is_dir() {
        return Ok(());
    }
    crate::cargo_driver::vendor(&session.layout, component, &source.dir, &source.tree, session.offline, &session.cancel)
}
