//! A gate at work: for real, or on a script.

use std::path::{Path, PathBuf};

use xtask_gate::bisect::told;
use xtask_gate::flow::{Gate, NotPushed, Ran};
use xtask_gate::plan::Plan;
use xtask_gate::report;
use xtask_gate::simulate::{self, Script};
use xtask_gate::store::Store;

use super::look::{now, print_report};
use super::{RunArgs, bisect};
use crate::cmd::Session;
use crate::definition::{self, Name};
use crate::error::{Context, Error, Kind, Result};
use crate::gate::{RealWorld, plan};

/// A gate's definition, and where its things are.
pub(super) struct Opened {
    name: Name,
    definition: definition::Gate,
    dir: PathBuf,
    pub(super) state: PathBuf,
    pub(super) plan: Plan,
}

impl Opened {
    pub(super) fn new(session: &Session, state: &Path, branch: &str) -> Result<Opened> {
        let name: Name = branch.parse().map_err(|why: String| Error::input("cannot use this name").because(why))?;
        let definition = definition::Gate::load(&session.layout, &name)?;
        let state = session.layout.root.join(state);
        let dir = state.parent().unwrap_or(&session.layout.root).to_path_buf();
        let plan = plan(&name, &definition);
        Ok(Opened { name, definition, dir, state, plan })
    }

    pub(super) fn world<'a>(&self, session: &'a Session, say: &'a dyn Fn(&str)) -> RealWorld<'a> {
        let (definition, dir) = (self.definition.clone(), self.dir.clone());
        RealWorld::new(&session.layout, &self.name, definition, dir, &session.cancel, say)
    }
}

pub(super) fn run(session: &Session, state: &Path, args: &RunArgs) -> Result<()> {
    let branch = &args.branch;
    let mut opened = Opened::new(session, state, branch)?;
    opened.plan.policy.bisect &= !args.no_bisect;
    let mut store = Store::open(&opened.state)?;
    let say = |line: &str| eprintln!("{line}");
    let mut world = opened.world(session, &say);
    let ran = Gate { store: &mut store, world: &mut world, plan: &opened.plan }.run()?;
    let text = match &ran {
        Ran::Pushed(judged) => Some((judged, None)),
        Ran::NotPushed(judged, why) => Some((judged, Some(why))),
        _ => None,
    };
    let text = match text {
        None => report::ran_text(branch, &ran),
        Some((judged, why)) => {
            let flight = store.flight(judged.flight)?;
            let mut shortlog = Vec::new();
            for (tree, old, new) in judged.tuple.moved_from(&judged.baseline) {
                // That the commits cannot be told keeps nobody from reading the rest.
                if let Some(Ok(lines)) = old.map(|old| world.shortlog(tree, &old.0, &new.0)) {
                    shortlog.extend(lines);
                }
            }
            let status = store.branch_status(branch)?;
            let around = report::Around { flight: &flight, status: &status, shortlog: &shortlog, now: now() };
            let mut text = report::mail(judged, why, &around);
            if let Some(hunted) = &judged.hunted {
                text += &format!("\n{}", told::text(branch, hunted, &bisect::commits(&world, hunted)));
            }
            text
        }
    };
    print_report(session, &text, &ran)?;
    end(&ran)
}

/// What a script that runs us branches on: 1 where the candidate is not good, 3 where this machine could not tell.
fn end(ran: &Ran) -> Result<()> {
    let said = |kind| match kind {
        Kind::Step => Err(Error::step("not pushed").said()),
        _ => Err(Error::machine("not pushed").said()),
    };
    match ran {
        Ran::Pushed(_) | Ran::UpToDate(_) | Ran::Stopped(_) => Ok(()),
        Ran::NoBaseline { .. } => said(Kind::Machine),
        Ran::NotPushed(judged, NotPushed::Blocked) => {
            let is_candidates = judged.verdict.outcome == xtask_gate::classify::Outcome::Regressions;
            said(if is_candidates { Kind::Step } else { Kind::Machine })
        }
        Ran::NotPushed(..) | Ran::Rewound { .. } => said(Kind::Step),
    }
}

pub(super) fn simulate(session: &Session, script: &Path, quiet: bool) -> Result<()> {
    let text = std::fs::read_to_string(script).context(|| format!("cannot read `{}`", script.display()))?;
    let script = Script::parse(&text)?;
    let mut store = Store::in_memory()?;
    let mut say = |line: &str| {
        if !quiet && !session.json {
            println!("{line}");
        }
    };
    let told = simulate::simulate(&script, &mut store, &mut say)?;
    let ends: Vec<String> = told.ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
    print_report(session, &format!("{} flights: {}\n", told.flights, ends.join(", ")), &told)
}
