//! What operators say: force, block, stop, allow. Each with who and why.

use std::path::Path;

use xtask_gate::allow::Allowance;
use xtask_gate::store::{Order, OrderKind, Store};

use super::look::now;
use super::{Command, Standing, Who};
use crate::error::{Error, Result};

/// Wildcards of a pattern; more would take long to match and say nothing.
const MOST_WILDCARDS: usize = 4;

pub(super) fn run(state: &Path, command: &Command) -> Result<()> {
    let mut store = Store::open(state)?;
    match command {
        Command::Force { branch, who } => {
            let last = store.branch_status(branch)?.last;
            let Some((flight, _, _, tuple)) = last else {
                return Err(Error::input(format!("no candidate of `{branch}` was ever tested"))
                    .help(format!("cargo xtask gate run {branch}")));
            };
            let flight = store.flight(flight)?;
            for (tree, _, revision) in tuple.moved_from(&flight.baseline.unwrap_or_default()) {
                force(&mut store, branch, &revision.0, who)?;
                println!("{branch}: {tree} {revision} will be pushed, whatever the verdict is");
            }
            Ok(())
        }
        Command::ForceRev { branch, revision, who } => {
            let is_prefix = revision.len() < 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_prefix {
                return Err(Error::input(format!("`{revision}` is no full commit id: 40 hex digits are wanted")));
            }
            force(&mut store, branch, revision, who)?;
            println!("{branch}: {revision} will be pushed, whatever the verdict is");
            Ok(())
        }
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
            store.allow(&line, &who.who, now())
        }
        other => Err(Error::input(format!("{other:?} is no order"))),
    }
}

fn force(store: &mut Store, branch: &str, revision: &str, who: &Who) -> Result<()> {
    let (kind, branch, revision) = (OrderKind::Force, Some(branch.to_owned()), Some(revision.to_owned()));
    store.order(&Order { kind, branch, revision, who: who.who.clone(), why: who.why.clone(), at: now() })
}

fn stand(store: &mut Store, kind: OrderKind, standing: &Standing) -> Result<()> {
    let Standing { branch, end, who } = standing;
    if *end {
        let ended = store.end_orders(kind, branch.as_deref(), &who.who, &who.why, now())?;
        println!("{ended} taken back");
        return Ok(());
    }
    store.order(&Order {
        kind,
        branch: branch.clone(),
        revision: None,
        who: who.who.clone(),
        why: who.why.clone(),
        at: now(),
    })
}
