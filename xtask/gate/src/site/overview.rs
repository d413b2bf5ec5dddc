//! All branches: where each stands, since when, what blocks; and what operators said of them.

use serde::Serialize;

use super::Site;
use super::branch::{Branch, Link, outcome_word};
use super::place;
use crate::error::Result;
use crate::model::{Blessing, Tuple};
use crate::report::{age, kept, status_word};
use crate::store::{Audit, Order};

/// The last words of operators that are shown.
const MOST_WORDS: usize = 100;
/// The last candidates of a branch that are shown.
const MOST_CANDIDATES: usize = 12;

#[derive(Debug, Serialize)]
pub(super) struct Page {
    now: i64,
    rows: Vec<Row>,
    audit: Vec<Audit>,
    left_out: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    branch: Link,
    word: &'static str,
    tested: Option<Tested>,
    last: Option<Link>,
    outcome: Option<String>,
    failing: Option<(String, i64, u64)>,
    blocks: Vec<String>,
    orders: Vec<Order>,
    candidates: Vec<Recent>,
}

#[derive(Debug, Serialize)]
struct Tested {
    at: i64,
    age: String,
    tuple: Tuple,
}

/// A candidate in a few letters.
#[derive(Debug, Serialize)]
struct Recent {
    flight: Link,
    state: &'static str,
    outcome: String,
}

pub(super) fn row(branch: &Branch<'_>) -> Result<Row> {
    let (site, status, name) = (branch.site, branch.status, branch.name);
    let link = |flight: u64| Link { text: flight.to_string(), href: place::flight(name, flight) };
    let candidates = branch.flights.iter().rev().filter(|flight| flight.blessing == Blessing::Real);
    let recent = candidates.take(MOST_CANDIDATES).map(|flight| Recent {
        flight: link(flight.flight),
        state: outcome_word(flight.state, flight.outcome.as_deref()),
        outcome: flight.outcome.clone().unwrap_or_else(|| flight.state.to_string()),
    });
    let last = status.last.as_ref();
    let report = last.map(|(flight, .., tuple)| kept::report(site.state_dir, *flight, tuple)).transpose()?.flatten();
    let blocking = report.and_then(|report| report.candidate).map(|candidate| candidate.findings).unwrap_or_default();
    let blocking = blocking.into_iter().filter(|failure| failure.blocks.is_some());
    Ok(Row {
        branch: Link { text: name.to_owned(), href: place::branch_page(name) },
        word: status_word(status),
        tested: status.tested.clone().map(|(tuple, at)| Tested { at, age: age(site.now - at), tuple }),
        last: last.map(|(flight, ..)| link(*flight)),
        outcome: last.map(|(_, state, outcome, _)| outcome.clone().unwrap_or_else(|| state.to_string())),
        failing: status.failing.map(|(since, attempts)| (age(site.now - since), since, attempts)),
        blocks: match status.failing {
            Some(_) => blocking.map(|one| format!("{} {} {}", one.job, one.testid, one.summary)).collect(),
            None => Vec::new(),
        },
        orders: status.orders.clone(),
        candidates: recent.collect(),
    })
}

pub(super) fn page(site: &Site<'_>, rows: Vec<Row>) -> Result<Page> {
    let mut audit = site.store.audit()?;
    let left_out = audit.len().saturating_sub(MOST_WORDS);
    audit.drain(..left_out);
    audit.reverse();
    Ok(Page { now: site.now, rows, audit, left_out })
}
