//! A gate at work: for real, or on a script.

use std::path::{Path, PathBuf};

use xtask_gate::flow::{Gate, NotPushed, Ran};
use xtask_gate::model::{Blessing, FlightState};
use xtask_gate::plan::{Plan, Policy};
use xtask_gate::report::{self, Report, kept};
use xtask_gate::simulate::{self, BRANCH, Script};
use xtask_gate::store::Store;

use super::look::{candidate, now, open, print_report};
use super::{PolicyArgs, RunArgs, SimulateArgs, bisect};
use crate::cmd::{Session, print_json};
use crate::definition::{self, Name};
use crate::error::{Context, Error, Kind, Result};
use crate::gate::{RealWorld, plan};

/// A gate's definition, and where its things are.
pub(super) struct Opened {
    name: Name,
    definition: definition::Gate,
    pub(super) dir: PathBuf,
    pub(super) state: PathBuf,
    pub(super) plan: Plan,
}

impl Opened {
    pub(super) fn new(session: &Session, state: &Path, branch: &str) -> Result<Opened> {
        let name: Name = branch.parse().map_err(|why: String| Error::input("cannot use this name").because(why))?;
        let definition = definition::Gate::load(&session.layout, &name)?;
        let state = state.to_path_buf();
        let dir = state.parent().unwrap_or(&session.layout.root).to_path_buf();
        let plan = plan(&name, &definition);
        Ok(Opened { name, definition, dir, state, plan })
    }

    /// The state, for this run alone. Where it was lost, or is an old copy, there are logs of flights that it does not know: no flight
    /// has the number of one of those.
    pub(super) fn store(&self) -> Result<Store> {
        let mut store = Store::open(&self.state)?;
        let last = kept::dirs(&self.dir)?.pop().map_or(0, |(flight, _)| flight);
        if last > 0 && store.number_after(last)? {
            eprintln!(
                "`{}` does not know flight {last}, whose logs are kept: numbers go on after it",
                self.state.display()
            );
        }
        Ok(store)
    }

    /// The outside. The state is open: nobody else has it.
    pub(super) fn world<'a>(&self, session: &'a Session, say: &'a dyn Fn(&str)) -> Result<RealWorld<'a>> {
        let (definition, dir) = (self.definition.clone(), self.dir.clone());
        let world = RealWorld::new(&session.layout, &self.name, definition, dir, &session.cancel, say)?;
        Ok(world.offline(session.offline))
    }
}

pub(super) fn run(session: &Session, state: &Path, args: &RunArgs) -> Result<()> {
    let branch = &args.branch;
    let mut opened = Opened::new(session, state, branch)?;
    opened.plan.policy.bisect &= !args.no_bisect;
    set(&mut opened.plan.policy, &args.policy);
    let mut store = opened.store()?;
    let say = |line: &str| eprintln!("{line}");
    let mut world = opened.world(session, &say)?;
    let mut reports = Vec::new();
    let mut told = |ran: &Ran, store: &Store, world: &RealWorld<'_>| {
        let report = report_of(branch, ran, store, world)?;
        // Kept first: whoever reads it may go away.
        kept::keep(&opened.dir, &report)?;
        if !session.json {
            print!("{}{}", if reports.is_empty() { "" } else { "\n" }, report.text());
        }
        reports.push(report);
        Ok(())
    };
    let round = Gate { store: &mut store, world: &mut world, plan: &opened.plan }.round_telling(&mut told);
    // What was told before an error is as true as without it.
    match reports.as_slice() {
        _ if !session.json => {}
        [] => {}
        [report] => print_json(report)?,
        several => print_json(&several)?,
    }
    let in_definition = opened.definition.site.as_ref().map(|dir| session.layout.root.join(dir));
    if let Some(dir) = args.site.clone().or(in_definition) {
        super::site::write(&store, &opened.dir, &store.branches()?, &dir, now())?;
    }
    round?.iter().try_for_each(end)
}

/// The report of a candidate: as it was kept, else made again of what the state knows.
pub(super) fn report(session: &Session, state: &Path, branch: &str, flight: Option<u64>) -> Result<()> {
    let opened = Opened::new(session, state, branch)?;
    let store = open(state)?;
    let flight = candidate(&store, branch, flight)?;
    let number = flight.flight;
    if flight.blessing != Blessing::Real || flight.state != FlightState::Done {
        return Err(Error::input(format!(
            "flight {number} has no report: it is {}, {}",
            flight.blessing, flight.state
        ))
        .help(format!("cargo xtask gate show {number}")));
    }
    let report = match kept::report(&opened.dir, number, &flight.tuple)? {
        Some(report) => report,
        None => {
            drop(store);
            let mut store = opened.store()?;
            let say = |line: &str| eprintln!("{line}");
            let mut world = opened.world(session, &say)?;
            let ran = Gate { store: &mut store, world: &mut world, plan: &opened.plan }.tell_again(number, None)?;
            let report = report_of(branch, &ran, &store, &world)?;
            kept::keep(&opened.dir, &report)?;
            report
        }
    };
    print_report(session, &report::mail(&report), &report)
}

/// One thing that came of a run.
fn report_of(branch: &str, ran: &Ran, store: &Store, world: &RealWorld<'_>) -> Result<Report> {
    let (mut commits, mut culprits) = (Vec::new(), Vec::new());
    if let Ran::Pushed(judged) | Ran::NotPushed(judged, _) = ran {
        for (tree, old, new) in judged.tuple.moved_from(&judged.baseline) {
            // That the commits cannot be told keeps nobody from reading the rest.
            if let Some(Ok(moved)) = old.map(|old| world.commits(tree, &old.0, &new.0)) {
                commits.extend(moved);
            }
        }
        culprits = judged.hunted.as_ref().map(|hunted| bisect::commits(world, hunted)).unwrap_or_default();
    }
    Report::of(store, branch, ran, (commits, culprits), now())
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

pub(super) fn simulate(session: &Session, args: &SimulateArgs) -> Result<()> {
    let SimulateArgs { script, quiet, site, machines, policy } = args;
    let text = std::fs::read_to_string(script).context(|| format!("cannot read `{}`", script.display()))?;
    let mut script = Script::parse(&text)?;
    let own = (script.policy, script.machines);
    set(&mut script.policy, policy);
    script.machines = machines.unwrap_or(script.machines);
    if own != (script.policy, script.machines) {
        script.expect_nothing();
    }
    let mut store = Store::in_memory()?;
    // Reports are files, and pages are made of them.
    let dir =
        site.as_ref().map(|_| tempfile::tempdir()).transpose().context(|| "cannot make a directory".to_owned())?;
    let mut on_run = |ran: &Ran, store: &Store| {
        if !*quiet && !session.json {
            println!("{}", simulate::line(ran));
        }
        match &dir {
            Some(dir) => kept::keep(dir.path(), &Report::of(store, BRANCH, ran, Default::default(), now())?),
            None => Ok(()),
        }
    };
    let told = simulate::simulate(&script, &mut store, &mut on_run)?;
    if let Some((site, dir)) = site.as_ref().zip(dir.as_ref()) {
        // As of the last thing that happened there.
        let now = store.flight_rows(BRANCH)?.iter().filter_map(|row| row.finished).max().unwrap_or_default();
        super::site::write(&store, dir.path(), &store.branches()?, site, now)?;
    }
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
