//! A job's runs on a branch, the newest here and all of them on pages of their own.

use serde::Serialize;

use super::branch::{Branch, Link, page_stamp};
use super::output::Output;
use super::place;
use crate::error::Result;
use crate::model::{Blessing, JobState};
use crate::store::{FlightRow, JobRow};

/// Runs on one page.
const ROWS: usize = 100;

#[derive(Debug, Serialize)]
struct Page<'a> {
    branch: Link,
    job: &'a str,
    runs: Vec<Run>,
    passed: usize,
    newer: Option<Link>,
    older: Option<Link>,
}

#[derive(Debug, Serialize)]
struct Run {
    flight: Link,
    blessing: Blessing,
    state: JobState,
    reused: Option<String>,
    started: Option<i64>,
    took: Option<i64>,
    testid: String,
    reason: String,
}

/// `flights` are those that have the job, oldest first.
pub(super) fn write(branch: &Branch<'_>, job: &str, flights: &[&FlightRow], output: &mut Output) -> Result<()> {
    let pages = flights.len().div_ceil(ROWS);
    let link = |page: usize| Link { text: format!("page {page}"), href: place::job(branch.name, job, Some(page)) };
    let mut write = |path: String, flights: &[&FlightRow], newer: Option<Link>, older: Option<Link>| {
        let stamp = (page_stamp(flights, branch.site.now), &newer, &older);
        output.pages(&path, &stamp, || {
            let (Some(first), Some(last)) = (flights.first(), flights.last()) else { return Ok(Vec::new()) };
            let rows = branch.site.store.runs_of(branch.name, job, first.flight, last.flight)?;
            let runs: Vec<Run> = rows.into_iter().rev().map(|row| run(branch, row)).collect();
            let passed = runs.iter().filter(|run| run.state == JobState::Pass).count();
            let page = Page { branch: branch.link(), job, runs, passed, newer: newer.clone(), older: older.clone() };
            Ok(vec![branch.renderer.page("job.html", &path, &format!("{job} on {}", branch.name), &page)?])
        })
    };
    let first = flights.len().saturating_sub(ROWS);
    let older = (first > 0).then(|| link((first - 1) / ROWS + 1));
    write(place::job(branch.name, job, None), &flights[first..], None, older)?;
    for (number, flights) in flights.chunks(ROWS).enumerate().filter(|_| pages > 1) {
        let number = number + 1;
        let newer = (number < pages).then(|| link(number + 1));
        write(place::job(branch.name, job, Some(number)), flights, newer, (number > 1).then(|| link(number - 1)))?;
    }
    Ok(())
}

fn run(branch: &Branch<'_>, row: JobRow) -> Run {
    let (testid, reason) = row.failed.unwrap_or_default();
    Run {
        flight: branch.flight_link(row.flight),
        blessing: row.blessing,
        state: row.state,
        reused: row.reused,
        started: row.started,
        took: row.finished.zip(row.started).map(|(end, start)| end - start),
        testid,
        reason: reason.unwrap_or_default(),
    }
}
