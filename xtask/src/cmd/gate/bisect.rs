//! `gate bisect`: from a flight that failed to the commit that did it.

use std::path::Path;

use xtask_gate::bisect::{Hunt, Hunted};
use xtask_gate::flow::Gate;
use xtask_gate::model::{Revision, Tuple};
use xtask_gate::report::{Bisection, kept};
use xtask_gate::world::World;

use super::look::{candidate, print_report};
use super::run::Opened;
use super::{BisectArgs, Named};
use crate::cmd::Session;
use crate::error::{Error, Result};
use crate::gate::RealWorld;

pub(super) fn run(session: &Session, state: &Path, args: &BisectArgs) -> Result<()> {
    let BisectArgs { branch, job, .. } = args;
    let opened = Opened::new(session, state, branch)?;
    let mut store = opened.store()?;
    let flight = candidate(&store, branch, args.flight)?;
    let number = flight.flight;
    let from = match args.from {
        Some(from) => store.flight(from)?.tuple,
        None => flight.baseline.unwrap_or_default(),
    };
    let say = |line: &str| eprintln!("{line}");
    let mut world = opened.world(session, &say)?;
    let (first, last) = if args.fixed { (&args.bad, &args.good) } else { (&args.good, &args.bad) };
    let (from, to) = (moved(&world, from, first)?, moved(&world, flight.tuple, last)?);
    check_ends(&mut world, &from, &to, &[first.as_slice(), last].concat())?;
    let row = world.row(&from, &to)?;
    say(&format!("{} revisions from {from} to {to}", row.len()));
    let hunt = Hunt { job: job.clone(), testid: args.testid.clone(), row, fixed: args.fixed };
    let mut gate = Gate { store: &mut store, world: &mut world, plan: &opened.plan };
    let mut hunted = gate.bisect(&hunt, Some(number))?;
    if args.all {
        hunted = gate.search_merges(hunted, Some(number))?;
    }
    let report = Bisection::of(branch, number, &hunted, commits(&world, &hunted));
    kept::keep_bisection(&opened.dir, &report)?;
    print_report(session, &report.text(), &report)?;
    match report.culprit {
        Some(_) => Ok(()),
        None => Err(Error::step("no culprit").said()),
    }
}

/// A tuple with trees at the revisions that somebody names.
fn moved(world: &RealWorld<'_>, tuple: Tuple, named: &[Named]) -> Result<Tuple> {
    named.iter().try_fold(tuple, |tuple, Named { tree, revision }| Ok(tuple.with(tree, &world.named(tree, revision)?)))
}

/// There is something between the ends, and what somebody named goes forward: else no commit of it could be the culprit.
fn check_ends(world: &mut RealWorld<'_>, from: &Tuple, to: &Tuple, named: &[Named]) -> Result<()> {
    let moved = to.moved_from(from);
    if moved.is_empty() {
        return Err(Error::input(format!("nothing moves between the ends: both are {to}"))
            .help("name other ones: --from FLIGHT, --good TREE=REVISION, --bad TREE=REVISION"));
    }
    for (tree, old, new) in moved {
        let Some(old) = old.filter(|_| named.iter().any(|named| named.tree == tree)) else { continue };
        if !world.contains(tree, new, old)? {
            return Err(Error::input(format!(
                "cannot go from {tree} {old} to {new}: the one is not in the other's history"
            ))
            .help("each tree goes from an older revision to a newer one; --fixed asks what mended a job"));
        }
    }
    Ok(())
}

/// People and commits of the culprit; that they cannot be told keeps nobody from reading the rest.
pub(super) fn commits(world: &RealWorld<'_>, hunted: &Hunted) -> Vec<String> {
    let story = |(tree, old, new): (&str, Option<&Revision>, &Revision)| world.shortlog(tree, &old?.0, &new.0).ok();
    hunted.culprit().and_then(story).unwrap_or_default()
}
