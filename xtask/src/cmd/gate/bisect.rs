//! `gate bisect`: from a flight that failed to the commit that did it.

use std::path::Path;

use xtask_gate::bisect::End;
use xtask_gate::flow::{Gate, Hunt};
use xtask_gate::store::Store;

use super::BisectArgs;
use super::look::print_report;
use super::run::Opened;
use crate::cmd::Session;
use crate::error::{Error, Result};

pub(super) fn run(session: &Session, state: &Path, args: &BisectArgs) -> Result<()> {
    let BisectArgs { branch, job, .. } = args;
    let opened = Opened::new(session, state, branch)?;
    let mut store = Store::open(&opened.state)?;
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
    let mut world = opened.world(session, &say);
    let row = world.row(&from, &flight.tuple, args.all)?;
    say(&format!("{} revisions from flight {number}'s baseline to it", row.len()));
    let hunt = Hunt { job: job.clone(), testid: args.testid.clone(), row, fixed: args.fixed };
    let (end, seen) = Gate { store: &mut store, world: &mut world, plan: &opened.plan }.bisect(&hunt)?;
    let culprit = match end {
        End::Complete(place) => hunt.row[place].moved_from(&hunt.row[place - 1]).into_iter().next(),
        _ => None,
    };
    let at = |place: usize| hunt.row[place].to_string();
    let mut text = match &end {
        End::Complete(place) => format!("{branch}: bisection of {job} complete: {}\n", at(*place)),
        End::Inconclusive { good, bad } => {
            format!("{branch}: inconclusive: nothing between {} and {} can be tested\n", at(*good), at(*bad))
        }
        End::Inconsistent { bad, good } => {
            format!("{branch}: inconsistent: {} stands behind {}, which is bad\n", at(*good), at(*bad))
        }
        End::Unreproducible(place) => format!("{branch}: unreproducible: {} is not as it was\n", at(*place)),
        End::Doubtful(place) => format!("{branch}: doubtful: {} passes and fails\n", at(*place)),
    };
    let mut story = Vec::new();
    if let Some((tree, Some(old), new)) = culprit {
        story = world.shortlog(tree, &old.0, &new.0)?;
        text += &format!("{}: {tree} {new}\n", if args.fixed { "fixed by" } else { "culprit" });
        story.iter().for_each(|line| text += &format!("  {line}\n"));
    }
    for (tuple, seen) in hunt.row.iter().zip(&seen).filter(|(_, seen)| **seen != Default::default()) {
        text += &format!("  {tuple}: {} good, {} bad, {} neither\n", seen.good, seen.bad, seen.neither);
    }
    let named = culprit.map(|(tree, _, new)| serde_json::json!({ "tree": tree, "revision": new, "commits": story }));
    let points: Vec<_> =
        hunt.row.iter().zip(&seen).map(|(tuple, seen)| serde_json::json!({ "tuple": tuple, "seen": seen })).collect();
    let json =
        serde_json::json!({ "branch": branch, "job": job, "end": end.as_str(), "culprit": named, "points": points });
    print_report(session, &text, &json)?;
    match end {
        End::Complete(_) => Ok(()),
        _ => Err(Error::step("no culprit").said()),
    }
}
