//! A gate at work: for real, or on a script.

use std::path::{Path, PathBuf};

use xtask_gate::bisect::told;
use xtask_gate::flow::{Gate, NotPushed, Ran};
use xtask_gate::plan::{Plan, Policy};
use xtask_gate::report;
use xtask_gate::simulate::{self, Script};
use xtask_gate::store::Store;

use super::look::{now, print_report};
use super::{PolicyArgs, RunArgs, bisect};
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
    set(&mut opened.plan.policy, &args.policy);
    let mut store = Store::open(&opened.state)?;
    let say = |line: &str| eprintln!("{line}");
    let mut world = opened.world(session, &say);
    let round = Gate { store: &mut store, world: &mut world, plan: &opened.plan }.round()?;
    let mut reports = Vec::new();
    for ran in &round {
        reports.push(report_of(branch, ran, &store, &world)?);
    }
    match round.as_slice() {
        [ran] => print_report(session, &reports.concat(), ran)?,
        several => print_report(session, &reports.join("\n"), &several)?,
    }
    round.iter().try_for_each(end)
}

/// One thing that came of a run, as a mail where a candidate was judged.
fn report_of(branch: &str, ran: &Ran, store: &Store, world: &RealWorld<'_>) -> Result<String> {
    let (judged, why) = match ran {
        Ran::Pushed(judged) => (judged, None),
        Ran::NotPushed(judged, why) => (judged, Some(why)),
        _ => return Ok(report::ran_text(branch, ran)),
    };
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
        text += &format!("\n{}", told::text(branch, hunted, &bisect::commits(world, hunted)));
    }
    Ok(text)
}

/// A policy with what was said on the command line.
fn set(policy: &mut Policy, args: &PolicyArgs) {
    policy.each_commit |= args.each_commit;
    if let Some(window) = args.window {
        (policy.window, policy.batch) = (window, 0);
    }
    if let Some(batch) = args.batch {
        (policy.window, policy.batch) = (0, batch);
    }
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
        Ran::NotPushed(..) | Ran::Rewound { .. } | Ran::Unmet { .. } => said(Kind::Step),
    }
}

pub(super) fn simulate(
    session: &Session,
    script: &Path,
    quiet: bool,
    machines: Option<u64>,
    args: &PolicyArgs,
) -> Result<()> {
    let text = std::fs::read_to_string(script).context(|| format!("cannot read `{}`", script.display()))?;
    let mut script = Script::parse(&text)?;
    let own = (script.policy, script.machines);
    set(&mut script.policy, args);
    script.machines = machines.unwrap_or(script.machines);
    if own != (script.policy, script.machines) {
        script.expect_nothing();
    }
    let mut store = Store::in_memory()?;
    let mut say = |line: &str| {
        if !quiet && !session.json {
            println!("{line}");
        }
    };
    let told = simulate::simulate(&script, &mut store, &mut say)?;
    let ends: Vec<String> = told.ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
    let waited = match told.commits {
        0 => "no commit was pushed".to_owned(),
        count => format!(
            "{count} commits pushed, half of them within {}, all within {}",
            report::age(told.median_wait),
            report::age(told.longest_wait)
        ),
    };
    print_report(session, &format!("{waited}\n{} flights: {}\n", told.flights, ends.join(", ")), &told)
}
