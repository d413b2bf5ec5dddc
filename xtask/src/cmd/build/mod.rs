//! `build`: from a manifest to an installed tree. `attempt.rs` finds out what is to be done and does it, `finish.rs` writes down what
//! was learned and fills `dist/`, `packages.rs` is for what the machine lacks, `dry_run.rs` only talks.

mod attempt;
mod dependants;
mod dry_run;
mod finish;
mod packages;

use super::{Selection, Session};
use crate::error::Result;
use crate::machine::Machine;
use crate::origin;
use crate::run::{Event, Mode, Report};
use crate::state::State;
use crate::turn::{self, Hold};
use crate::world::World;

/// Fetch, build and install components into dist/
///
///     cargo xtask build --yes              everything; installs what the build lacks
///     cargo xtask build seabios            one component, what it needs, and what is in dist/ and needs it
///     cargo xtask build seabios --only     the last not: dist/ may then hold what does not fit together
///     cargo xtask build --all              the optional ones too
///     cargo xtask build --dry-run          what would be done, and why
///     cargo xtask build --with-system-ovmf the system's; =auto, =no, =/PATH and --without-ovmf too, for each component
///     cargo xtask build PREFIX=/opt/xen    a setting for this run; cargo xtask configure --show lists them
///
/// What was built before from the same inputs is not built again, wherever it was built.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Install missing build dependencies without asking (root or sudo)
    #[arg(long, short)]
    yes: bool,
    /// Jobs in all, shared by everything that runs [default: number of cores]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// Go on with what does not depend on a failure
    #[arg(long, short)]
    keep_going: bool,
    /// Keep the build directories of successes too, below .xtask/build/
    #[arg(long)]
    keep: bool,
    /// Leave what depends on the named components as it is in dist/
    #[arg(long, requires = "components", conflicts_with = "all")]
    only: bool,
    /// Start overridden components from empty directories too: exact results, which all others are anyway
    #[arg(long)]
    clean: bool,
    /// Print the plan and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Build without bubblewrap: results stay on this machine and can be neither shared nor released
    #[arg(long)]
    no_sandbox: bool,
    /// Kill a step that runs longer (`90s`, `1h 30m`), even where its definition allows more
    #[arg(long, value_name = "DURATION")]
    timeout: Option<humantime::Duration>,
    /// Show the last line of each log while it grows
    #[arg(long, short)]
    tail: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let mut definitions = session.settled()?;
    if !args.dry_run {
        session.resolve(&mut definitions, false, &|line| eprintln!("{line}"))?;
    }
    let mut wanted = args.selection.wanted(session)?;
    if !args.only {
        dependants::add(&session.layout, &definitions, &mut wanted);
    }
    let machine = Machine::of(&session.layout, args.no_sandbox)?;
    let locked = session.whole_lock(&definitions).map(|_| ());
    let mut world = World::new(session.layout.clone(), definitions, &wanted, machine)?;
    if args.dry_run {
        return dry_run::show(session, &world, args.clean);
    }
    locked?;
    let report = Report::new(
        if session.json { Mode::Json } else { Mode::Auto },
        args.tail.then(|| session.layout.work().join("log")),
    );
    let say = |line: &str| report.note(line);
    let _turn = session.turn(&say)?;
    let gc = world.store.root().join("gc.lock");
    let _in_use = turn::take(
        &gc,
        Hold::Shared,
        &session.cancel,
        &say,
        "another cargo xtask collects garbage in the store; waiting for its end",
    )?;
    world.store.sweep()?;
    origin::sweep(&session.layout);
    world.read_sources()?;
    for (source, dir) in world.overridden().0 {
        report.send(Event::Overridden { source: source.to_string(), dir: dir.display().to_string() });
    }
    packages::provide(session, &mut world, args, &report)?;
    packages::say_unsealed(&world, args.no_sandbox, &report);
    attempt::Run { session, args, world: &world, report: &report, state: State::read(&session.layout) }.go()
}
