//! Scripted histories through the very same code: for tests, and to try what a policy would have done. `script.rs` is the form of
//! a script, `world.rs` the outside that it makes.

mod script;
mod world;

use std::collections::BTreeMap;

use serde::Serialize;

pub use script::{BRANCH, Commit, Event, Expected, Script, SimJob, SimTree};
pub use world::SimWorld;

use crate::bisect::End;
use crate::error::{Error, Result};
use crate::flow::{Gate, NotPushed, Ran};
use crate::store::{Order, OrderKind, Store};
use crate::world::World;

/// What came of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Flights of all kinds.
    pub flights: u64,
    /// How often each thing came of a run.
    pub ends: BTreeMap<&'static str, u64>,
    /// Commits that were pushed.
    pub commits: usize,
    /// How long these waited: half of them no longer than this, in seconds.
    pub median_wait: i64,
    /// The one that waited longest, in seconds.
    pub longest_wait: i64,
}

/// Gets each thing that came of a run.
pub type OnRun<'a> = &'a mut dyn FnMut(&Ran, &Store) -> Result<()>;

/// Plays a script on a state.
pub fn simulate(script: &Script, store: &mut Store, on_run: OnRun<'_>) -> Result<Told> {
    let plan = script.plan();
    let mut world = SimWorld::new(script);
    let mut told = Told::default();
    for _ in 0..script.repeat {
        for (number, event) in script.event.iter().enumerate() {
            let Event::Run(run) = event else {
                play(event, store, &mut world)?;
                continue;
            };
            for _ in 0..run.times {
                let mut on_ran = |ran: &Ran, store: &Store, _: &SimWorld| {
                    *told.ends.entry(end_word(ran).as_str()).or_default() += 1;
                    on_run(ran, store)
                };
                let round = Gate { store, world: &mut world, plan: &plan }.round_telling(&mut on_ran)?;
                let Some(ran) = round.last() else { continue };
                let word = end_word(ran);
                if let Some(wanted) = run.expect.filter(|wanted| *wanted != word) {
                    let what =
                        format!("event {} of the script: {}, expected {}", number + 1, line(ran), wanted.as_str());
                    return Err(Error::step(what));
                }
            }
        }
    }
    told.flights = store.flight_count()?;
    let mut waits = std::mem::take(&mut world.waits);
    waits.sort_unstable();
    told.commits = waits.len();
    told.median_wait = waits.get(waits.len() / 2).copied().unwrap_or_default();
    told.longest_wait = waits.last().copied().unwrap_or_default();
    Ok(told)
}

/// Everything but a run.
fn play(event: &Event, store: &mut Store, world: &mut SimWorld) -> Result<()> {
    let last = store.branch_status(BRANCH)?.last.map(|(flight, ..)| flight);
    let mut order = |kind, revision, flight, world: &mut SimWorld| {
        store.order(&Order { revision, flight, ..Order::new(kind, "script", "script", world.now()) })
    };
    match event {
        Event::Commit(commit) => world.commit(commit),
        Event::Rewind(rewind) => world.rewind(&rewind.tree, rewind.by),
        Event::BreakHost(host) => world.break_host(&host.job, host.runs),
        Event::Force(force) => {
            let revision = world.candidate(&force.tree)?;
            order(OrderKind::Force, Some(revision.0), None, world)
        }
        Event::Block(_) => order(OrderKind::Block, None, None, world),
        Event::Stop(_) => order(OrderKind::Stop, None, None, world),
        Event::Retry(_) => {
            let last = last.ok_or_else(|| Error::input("the script retries before anything was tested"))?;
            order(OrderKind::Retry, None, Some(last), world)
        }
        Event::Resume(_) => {
            for kind in [OrderKind::Block, OrderKind::Stop] {
                store.end_orders(&Order::new(kind, "script", "script", world.now()))?;
            }
            Ok(())
        }
        Event::Wait(wait) => {
            world.wait(wait.minutes);
            Ok(())
        }
        Event::Run(_) => Ok(()),
    }
}

/// What came of a run, in a word that a script may expect.
pub fn end_word(ran: &Ran) -> Expected {
    match ran {
        Ran::Stopped(_) => Expected::Stopped,
        Ran::UpToDate(_) => Expected::UpToDate,
        Ran::Rewound { .. } => Expected::Rewound,
        Ran::NoBaseline { .. } => Expected::NoBaseline,
        Ran::Unmet { .. } => Expected::Unmet,
        Ran::Pushed(judged) if judged.forced => Expected::Forced,
        Ran::Pushed(_) => Expected::Pushed,
        Ran::NotPushed(_, NotPushed::Blocked) => Expected::Blocked,
        Ran::NotPushed(_, NotPushed::Ordered(_)) => Expected::Ordered,
        Ran::NotPushed(_, NotPushed::Refused(_)) => Expected::Refused,
        Ran::NotPushed(_, NotPushed::Behind(_)) => Expected::Behind,
    }
}

/// What came of a run, in one line.
pub fn line(ran: &Ran) -> String {
    let word = end_word(ran).as_str();
    let (Ran::Pushed(judged) | Ran::NotPushed(judged, _)) = ran else {
        return match ran {
            Ran::Rewound { tree, candidate, tested } => {
                format!("{word}: {tree} {} does not contain {}", candidate.short(), tested.short())
            }
            Ran::Unmet { tree, candidate, why } => format!("{word}: {tree} {}: {why}", candidate.short()),
            Ran::NoBaseline { flight } => format!("{word}: flight {flight} could not test the baseline"),
            Ran::UpToDate(tuple) => format!("{word}: {tuple}"),
            Ran::Stopped(order) => format!("{word} by {}: {}", order.who, order.why),
            Ran::Pushed(_) | Ran::NotPushed(..) => word.to_owned(),
        };
    };
    let flight = judged.flight;
    let mut line = format!("{word}: flight {flight}: {}, {}", judged.tuple, judged.verdict.outcome.as_str());
    for finding in &judged.verdict.findings {
        line += &format!("; {} {} {}", finding.job, finding.testid, finding.summary(flight));
    }
    if let Some(hunted) = &judged.hunted {
        line += &match hunted.culprit() {
            Some((tree, _, revision)) => format!("; culprit {tree} {revision}"),
            None => format!("; bisection {}", hunted.end.map_or("interrupted", End::as_str)),
        };
    }
    line
}
