//! `gate bisect`: from a flight that failed to the commit that did it.

use std::path::Path;

use xtask_gate::bisect::{Hunt, Hunted};
use xtask_gate::flow::Gate;
use xtask_gate::model::Revision;
use xtask_gate::report::{Bisection, kept};
use xtask_gate::world::World;

use super::BisectArgs;
use super::look::print_report;
use super::run::Opened;
use crate::cmd::Session;
use crate::error::{Error, Result};
use crate::gate::RealWorld;

pub(super) fn run(session: &Session, state: &Path, args: &BisectArgs) -> Result<()> {
    let BisectArgs { branch, job, .. } = args;
    let opened = Opened::new(session, state, branch)?;
    let mut store = opened.store()?;
    let number = match args.flight {
        Some(number) => number,
        None => store.branch_status(branch)?.last.map(|(number, ..)| number).ok_or_else(|| {
            Error::input(format!("no candidate of `{branch}` was ever tested"))
                .help(format!("cargo xtask gate run {branch}"))
        })?,
    };
    let flight = store.flight(number)?;
    if flight.branch != *branch {
        return Err(Error::input(format!("flight {number} is one of `{}`, not of `{branch}`", flight.branch)));
    }
    let from = match args.from {
        Some(from) => store.flight(from)?.tuple,
        None => flight.baseline.unwrap_or_default(),
    };
    let say = |line: &str| eprintln!("{line}");
    let mut world = opened.world(session, &say)?;
    let row = world.row(&from, &flight.tuple, args.all)?;
    say(&format!("{} revisions from flight {number}'s baseline to it", row.len()));
    let hunt = Hunt { job: job.clone(), testid: args.testid.clone(), row, fixed: args.fixed };
    let hunted = Gate { store: &mut store, world: &mut world, plan: &opened.plan }.bisect(&hunt, Some(number))?;
    let report = Bisection::of(branch, number, &hunted, commits(&world, &hunted));
    kept::keep_bisection(&opened.dir, &report)?;
    print_report(session, &report.text(), &report)?;
    match report.culprit {
        Some(_) => Ok(()),
        None => Err(Error::step("no culprit").said()),
    }
}

/// People and commits of the culprit; that they cannot be told keeps nobody from reading the rest.
pub(super) fn commits(world: &RealWorld<'_>, hunted: &Hunted) -> Vec<String> {
    let story = |(tree, old, new): (&str, Option<&Revision>, &Revision)| world.shortlog(tree, &old?.0, &new.0).ok();
    hunted.culprit().and_then(story).unwrap_or_default()
}
