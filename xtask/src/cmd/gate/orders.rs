//! What operators say: force, block, stop, allow, retry. Each with who and why.

use std::path::Path;

use xtask_gate::allow::Allowance;
use xtask_gate::flow::Gate;
use xtask_gate::model::{Blessing, FlightState};
use xtask_gate::store::{Audit, Order, OrderKind, Store};

use super::look::{candidate, known_branches, now, wanted_branches};
use super::run::Opened;
use super::{Command, Standing, Who};
use crate::cmd::Session;
use crate::definition;
use crate::error::{Error, Result};

/// Wildcards of a pattern; more would take long to match and say nothing.
const MOST_WILDCARDS: usize = 4;

pub(super) fn run(session: &Session, state: &Path, command: &Command) -> Result<()> {
    if let Some(branch) = branch_of(command) {
        let store = Store::look(state)?.map_or_else(Store::in_memory, Ok)?;
        wanted_branches(known_branches(session, &store)?, std::slice::from_ref(branch))?;
    }
    let mut store = Store::beside(state)?;
    match command {
        Command::Force { branch, end: true, who } => take_back(&mut store, &force(branch, None, who)),
        Command::Force { branch, who, .. } => {
            let flight = candidate(&store, branch, None)?;
            if store.was_pushed(&flight)? {
                return Err(Error::input(format!(
                    "nothing to force: flight {}, the last candidate's, was pushed",
                    flight.flight
                ))
                .help("cargo xtask gate status"));
            }
            for (tree, _, revision) in flight.tuple.moved_from(&flight.baseline.unwrap_or_default()) {
                store.order(&force(branch, Some(&revision.0), who))?;
                println!("{branch}: {tree} {revision} will be pushed when it is tested next, whatever the verdict is");
            }
            Ok(())
        }
        Command::ForceRev { branch, revision, end, who } => {
            let is_prefix = revision.len() < 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_prefix && !has_versions(session, branch) {
                return Err(Error::input(format!("`{revision}` is no full commit id: 40 hex digits are wanted"))
                    .help(format!("git rev-parse {revision}")));
            }
            let order = force(branch, Some(revision), who);
            if *end {
                return take_back(&mut store, &order);
            }
            store.order(&order)?;
            println!("{branch}: {revision} will be pushed when it is tested next, whatever the verdict is");
            Ok(())
        }
        Command::Abandon { branch, flight, who } => {
            drop(store);
            // Alone: a gate that works would go on with it.
            abandon(session, &Opened::new(session, state, branch)?, *flight, who)
        }
        Command::Retry { branch, flight, who } => retry(&mut store, branch, *flight, who),
        Command::Block(standing) => stand(&mut store, OrderKind::Block, standing),
        Command::Stop(standing) => stand(&mut store, OrderKind::Stop, standing),
        Command::Allow { job, testid, branch, lasts, not, who } => {
            for pattern in [job, testid] {
                if pattern.matches('@').count() > MOST_WILDCARDS * 2 {
                    return Err(Error::input(format!("pattern `{pattern}` has more than {MOST_WILDCARDS} wildcards")));
                }
            }
            let line = Allowance {
                branch: branch.clone(),
                job: job.clone(),
                testid: testid.clone(),
                removes: *not,
                owner: who.who.clone(),
                reason: who.why.clone(),
                expires: now().saturating_add(i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX)),
            };
            store.allow(&line, &who.who, now())?;
            println!(
                "{job} {testid}: {}",
                if *not { "allowed no more" } else { "may fail until that time has passed" }
            );
            Ok(())
        }
        other => Err(Error::input(format!("{other:?} is no order"))),
    }
}

/// The branch that an order is about. What is taken back may be of a gate that is gone.
fn branch_of(command: &Command) -> Option<&String> {
    match command {
        Command::Force { branch, end, .. } | Command::ForceRev { branch, end, .. } => Some(branch).filter(|_| !end),
        Command::Retry { branch, .. } | Command::Abandon { branch, .. } => Some(branch),
        Command::Block(standing) | Command::Stop(standing) => standing.branch.as_ref().filter(|_| !standing.end),
        Command::Allow { branch, not, .. } => branch.as_ref().filter(|_| !not),
        _ => None,
    }
}

/// Of some trees of a gate the revisions are versions, not commits.
fn has_versions(session: &Session, branch: &str) -> bool {
    let gate = branch.parse().ok().and_then(|name| definition::Gate::load(&session.layout, &name).ok());
    gate.is_some_and(|gate| gate.trees.values().any(|tree| tree.refs().is_none()))
}

fn retry(store: &mut Store, branch: &str, flight: Option<u64>, who: &Who) -> Result<()> {
    let flight = candidate(store, branch, flight)?;
    let number = flight.flight;
    let cannot = |why: String| Err(Error::input(format!("flight {number} cannot be tested once more: {why}")));
    match flight.state {
        _ if flight.blessing != Blessing::Real => {
            return cannot(format!("it is no candidate's but `{}`", flight.blessing));
        }
        FlightState::Done if store.was_pushed(&flight)? => return cannot("it was pushed".to_owned()),
        FlightState::Done => {}
        state => return cannot(format!("it is {state}; the next run of the gate goes on with it")),
    }
    let (branch_of, flight_of) = (Some(branch.to_owned()), Some(number));
    store.order(&Order { branch: branch_of, flight: flight_of, ..said(OrderKind::Retry, who) })?;
    println!("{branch}: the next run tests flight {number} once more: {}", flight.tuple);
    Ok(())
}

fn abandon(session: &Session, opened: &Opened, flight: Option<u64>, who: &Who) -> Result<()> {
    let (mut store, branch) = (opened.store()?, &opened.plan.branch);
    let say = |line: &str| eprintln!("{line}");
    let mut world = opened.world(session, &say)?;
    let mut open = store.open_flights(branch)?;
    open.retain(|(number, _)| flight.is_none_or(|flight| flight == *number));
    if open.is_empty() {
        let which = flight.map_or("no flight".to_owned(), |number| format!("no flight {number}"));
        return Err(Error::input(format!("`{branch}` has {which} that is open")).help("cargo xtask gate status"));
    }
    for (number, _) in open {
        let line = Audit {
            at: now(),
            who: who.who.clone(),
            what: format!("abandon flight {number}"),
            branch: Some(branch.clone()),
            why: who.why.clone(),
        };
        let mut gate = Gate { store: &mut store, world: &mut world, plan: &opened.plan };
        if let Some(moved) = gate.abandon(number, &line)?.first() {
            let (name, repository) = (&moved.r#ref, &moved.repository);
            return Err(Error::input(format!("flight {number} is pushed in part: `{name}` of `{repository}` moved"))
                .help(format!("cargo xtask gate run {branch}   # goes on with it")));
        }
        println!("{branch}: flight {number} is given up");
    }
    Ok(())
}

fn force(branch: &str, revision: Option<&str>, who: &Who) -> Order {
    let (branch, revision) = (Some(branch.to_owned()), revision.map(str::to_owned));
    Order { branch, revision, ..said(OrderKind::Force, who) }
}

fn said(kind: OrderKind, who: &Who) -> Order {
    Order::new(kind, &who.who, &who.why, now())
}

fn stand(store: &mut Store, kind: OrderKind, standing: &Standing) -> Result<()> {
    let Standing { branch, end, who } = standing;
    let order = Order { branch: branch.clone(), ..said(kind, who) };
    if *end {
        return take_back(store, &order);
    }
    store.order(&order)?;
    println!(
        "{}: {}",
        branch.as_deref().unwrap_or("every branch"),
        match kind {
            OrderKind::Stop => "no flight begins any more",
            _ => "candidates are tested, and none is pushed",
        }
    );
    Ok(())
}

fn take_back(store: &mut Store, like: &Order) -> Result<()> {
    println!("{} taken back", store.end_orders(like)?);
    Ok(())
}
