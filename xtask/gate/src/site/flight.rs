//! A flight: what was tested, what came of it, each job with its steps along one line of time, what came out of the store, its logs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use super::branch::{Branch, Link, outcome_word, page_stamp};
use super::log::{self, Log};
use super::output::Output;
use super::place;
use crate::error::Result;
use crate::model::{Flight, FlightNo, Job, JobState, Revision, Step, StepState};
use crate::report::{Candidate, kept};
use crate::store::FlightRow;

/// Longer reasons are cut: they are one line of a log.
const LONGEST_REASON: usize = 400;

#[derive(Debug, Serialize)]
struct Page<'a> {
    branch: Link,
    flight: &'a Flight,
    word: &'static str,
    trees: Vec<Tree>,
    jobs: Vec<JobRow>,
    seconds: i64,
    hits: usize,
    candidate: Option<Candidate>,
    again: Option<Link>,
    retries: Vec<Link>,
    newer: Option<Link>,
    older: Option<Link>,
}

#[derive(Debug, Serialize)]
struct Tree {
    tree: String,
    this: Revision,
    that: Option<Revision>,
    moved: bool,
}

#[derive(Debug, Serialize)]
struct JobRow {
    name: String,
    id: String,
    history: Link,
    state: JobState,
    kind: &'static str,
    tier: &'static str,
    advisory: bool,
    note: Option<String>,
    took: Option<i64>,
    steps: Vec<StepRow>,
    runvars: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct StepRow {
    testid: String,
    state: StepState,
    reason: Option<String>,
    log: Option<Link>,
    /// Seconds after the flight began.
    at: Option<i64>,
    took: Option<i64>,
    /// Where on the line of time, in hundredths of it.
    left: f64,
    width: f64,
    /// Nothing ran: it was known.
    hit: bool,
}

/// Pages of all flights of a branch, with their logs.
pub(super) fn write(branch: &Branch<'_>, output: &mut Output) -> Result<()> {
    let mut retries: HashMap<FlightNo, Vec<FlightNo>> = HashMap::new();
    for row in branch.flights {
        if let Some(parent) = row.parent {
            retries.entry(parent).or_default().push(row.flight);
        }
    }
    for (place, row) in branch.flights.iter().enumerate() {
        let near = |place: Option<usize>| place.and_then(|place| branch.flights.get(place)).map(|row| row.flight);
        let (newer, older) = (near(Some(place + 1)), near(place.checked_sub(1)));
        let again = retries.get(&row.flight).map_or(&[][..], Vec::as_slice);
        let kept = changed(&branch.site.state_dir.join(kept::dir(row.flight)));
        let stamp = (page_stamp(&[row], branch.site.now), newer, older, again, kept);
        let path = place::flight(branch.name, row.flight);
        output.pages(&path, &stamp, || {
            let flight = branch.site.store.flight(row.flight)?;
            let mut pages = Vec::new();
            let links = |number: &FlightNo| branch.flight_link(*number);
            let mut page = page(branch, &flight, row, &mut pages)?;
            page.retries = again.iter().map(links).collect();
            page.newer = newer.as_ref().map(links);
            page.older = older.as_ref().map(links);
            let title = format!("Flight {} of {}", row.flight, branch.name);
            pages.push(branch.renderer.page("flight.html", &path, &title, &page)?);
            Ok(pages)
        })?;
    }
    Ok(())
}

fn page<'a>(
    branch: &Branch<'_>,
    flight: &'a Flight,
    row: &FlightRow,
    pages: &mut Vec<(String, String)>,
) -> Result<Page<'a>> {
    let steps = || flight.jobs.iter().flat_map(|job| &job.steps);
    let end = steps().filter_map(|step| step.finished).chain(flight.finished).max().unwrap_or(branch.site.now);
    let seconds = (end - flight.started).max(1);
    let mut jobs = Vec::new();
    for job in &flight.jobs {
        jobs.push(job_row(branch, flight, job, seconds, pages)?);
    }
    let baseline = flight.baseline.as_ref();
    let tree = |(tree, this): (&String, &Revision)| {
        let that = baseline.and_then(|baseline| baseline.0.get(tree)).cloned();
        Tree { tree: tree.clone(), this: this.clone(), moved: that.as_ref() != Some(this), that }
    };
    Ok(Page {
        branch: branch.link(),
        flight,
        word: outcome_word(flight.state, flight.outcome.as_deref()),
        trees: flight.tuple.0.iter().map(tree).collect(),
        hits: jobs.iter().flat_map(|job| &job.steps).filter(|step| step.hit).count(),
        jobs,
        seconds,
        candidate: kept::report(branch.site.state_dir, flight.flight, &flight.tuple)?
            .and_then(|report| report.candidate),
        again: row.parent.map(|parent| branch.flight_link(parent)),
        retries: Vec::new(),
        newer: None,
        older: None,
    })
}

fn job_row(
    branch: &Branch<'_>,
    flight: &Flight,
    job: &Job,
    seconds: i64,
    pages: &mut Vec<(String, String)>,
) -> Result<JobRow> {
    let reused = job.runvars.get("reused");
    let mut steps = Vec::new();
    for (number, step) in job.steps.iter().enumerate() {
        let log = step.log.as_ref().filter(|_| reused.is_none()).map(|log| Log::read(branch.site.state_dir, log));
        let log = log.transpose()?.flatten();
        let is_hit = reused.is_some() || log.as_ref().is_some_and(|log| log.is_from_store(&step.testid));
        let link = match log {
            None => None,
            Some(log) => {
                let path = place::log(branch.name, flight.flight, &job.name, number + 1);
                pages.push(log::page(branch, flight, job, step, &path, log)?);
                Some(Link { text: "log".to_owned(), href: path })
            }
        };
        steps.push(step_row(flight, step, link, is_hit, seconds, branch.site.now));
    }
    let note = reused.map(|from| format!("used again: passed as {from}"));
    let ends = job.steps.iter().filter_map(|step| step.finished).max();
    let begins = job.steps.iter().map(|step| step.started).min();
    Ok(JobRow {
        name: job.name.clone(),
        id: place::slug(&job.name),
        history: branch.job_link(&job.name),
        state: job.state,
        kind: job.kind.as_str(),
        tier: job.tier.as_str(),
        advisory: job.advisory,
        note: note.or(job.runvars.get("blocked_by").map(|by| format!("waits for {by}"))),
        took: ends.zip(begins).map(|(end, begin)| end - begin),
        steps,
        runvars: job.runvars.clone(),
    })
}

fn step_row(flight: &Flight, step: &Step, log: Option<Link>, hit: bool, seconds: i64, now: i64) -> StepRow {
    let end = step.finished.unwrap_or(now.min(flight.started + seconds));
    let share = |from: i64| (from - flight.started).clamp(0, seconds) as f64 * 100.0 / seconds as f64;
    let reason = step.reason.as_ref().map(|reason| match reason.char_indices().nth(LONGEST_REASON) {
        Some((cut, _)) => format!("{}…", &reason[..cut]),
        None => reason.clone(),
    });
    StepRow {
        testid: step.testid.clone(),
        state: step.state,
        reason,
        log,
        at: Some(step.started - flight.started),
        took: step.finished.map(|end| end - step.started),
        left: share(step.started),
        width: share(end) - share(step.started),
        hit,
    }
}

/// When something was put into a directory or taken out; nothing where there is none.
fn changed(dir: &Path) -> Option<SystemTime> {
    dir.metadata().and_then(|found| found.modified()).ok()
}
