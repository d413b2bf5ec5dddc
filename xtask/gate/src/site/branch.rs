//! A branch: where it stands, and the grid of its jobs by its flights, the newest here and all of them on pages of their own.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::bisection;
use super::output::Output;
use super::render::Renderer;
use super::{Site, flight, job, place};
use crate::error::Result;
use crate::model::{Blessing, FlightNo, FlightState, JobState};
use crate::report::{Bisection, status_word};
use crate::store::{BranchStatus, FlightRow};

/// Flights on one page of the grid.
const COLUMNS: usize = 40;
/// Rows of one grid; a gate with more jobs shows the first of them.
const MOST_JOBS: usize = 500;

/// A branch that is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) renderer: &'a Renderer,
    pub(super) name: &'a str,
    pub(super) status: &'a BranchStatus,
    /// Oldest first.
    pub(super) flights: &'a [FlightRow],
}

/// A link from a page to another, from the site's top.
#[derive(Clone, Debug, Hash, Serialize)]
pub(super) struct Link {
    pub(super) text: String,
    pub(super) href: String,
}

#[derive(Debug, Serialize)]
struct Page<'a> {
    branch: &'a str,
    status: Option<&'a BranchStatus>,
    word: &'static str,
    jobs: Vec<Link>,
    bisections: Vec<(Link, String)>,
    grid: Grid,
    newer: Option<Link>,
    older: Option<Link>,
    count: usize,
}

/// Jobs by flights, newest flight first.
#[derive(Debug, Serialize)]
struct Grid {
    flights: Vec<Column>,
    jobs: Vec<GridRow>,
    left_out: usize,
}

#[derive(Debug, Serialize)]
struct Column {
    flight: Link,
    blessing: Blessing,
    started: i64,
    outcome: String,
    pushed: bool,
}

#[derive(Debug, Serialize)]
struct GridRow {
    job: Link,
    cells: Vec<Option<Cell>>,
}

#[derive(Clone, Debug, Serialize)]
struct Cell {
    state: JobState,
    reused: bool,
    href: String,
}

impl Branch<'_> {
    /// Everything of the branch.
    pub(super) fn write(&self, bisections: &[&Bisection], output: &mut Output) -> Result<()> {
        // Points of bisections have pages of their own, and no place in the grid.
        let shown: Vec<&FlightRow> = self.flights.iter().filter(|one| one.blessing != Blessing::Bisect).collect();
        let jobs = self.site.store.jobs_of(self.name)?;
        let names: Vec<Link> = jobs.keys().map(|job| self.job_link(job)).collect();
        let mut links = Vec::new();
        for (number, one) in bisections.iter().enumerate() {
            links.push((bisection::write(self, number + 1, one, output)?, one.line.clone()));
        }
        let newest = &shown[shown.len().saturating_sub(COLUMNS)..];
        let pages = shown.len().div_ceil(COLUMNS);
        let status = self.status;
        let stamp = (page_stamp(newest, self.site.now), &names, &links, format!("{status:?}"), shown.len());
        let path = place::branch_page(self.name);
        output.pages(&path, &stamp, || {
            let page = Page {
                branch: self.name,
                status: Some(status),
                word: status_word(status),
                jobs: names.clone(),
                bisections: links.clone(),
                grid: self.grid(newest)?,
                newer: None,
                older: (shown.len() > COLUMNS).then(|| self.grid_link(shown.len() - COLUMNS - 1)),
                count: shown.len(),
            };
            Ok(vec![self.renderer.page("branch.html", &path, self.name, &page)?])
        })?;
        for (number, flights) in shown.chunks(COLUMNS).enumerate().filter(|_| shown.len() > COLUMNS) {
            let path = place::grid(self.name, number + 1);
            let stamp = (page_stamp(flights, self.site.now), number == 0, number + 1 == pages);
            output.pages(&path, &stamp, || {
                let page = Page {
                    branch: self.name,
                    status: None,
                    word: "",
                    jobs: Vec::new(),
                    bisections: Vec::new(),
                    grid: self.grid(flights)?,
                    newer: (number + 1 < pages).then(|| self.grid_link((number + 1) * COLUMNS)),
                    older: (number > 0).then(|| self.grid_link((number - 1) * COLUMNS)),
                    count: shown.len(),
                };
                let (first, last) = (flights[0].flight, flights[flights.len() - 1].flight);
                let title = format!("{}: flights {first} to {last}", self.name);
                Ok(vec![self.renderer.page("branch.html", &path, &title, &page)?])
            })?;
        }
        let by_number: HashMap<FlightNo, &FlightRow> = shown.iter().map(|flight| (flight.flight, *flight)).collect();
        for (job, flights) in &jobs {
            let flights: Vec<&FlightRow> = flights.iter().filter_map(|flight| by_number.get(flight).copied()).collect();
            job::write(self, job, &flights, output)?;
        }
        flight::write(self, output)
    }

    pub(super) fn link(&self) -> Link {
        Link { text: self.name.to_owned(), href: place::branch_page(self.name) }
    }

    pub(super) fn job_link(&self, job: &str) -> Link {
        Link { text: job.to_owned(), href: place::job(self.name, job, None) }
    }

    pub(super) fn flight_link(&self, flight: FlightNo) -> Link {
        Link { text: flight.to_string(), href: place::flight(self.name, flight) }
    }

    /// To the page of the grid that has the flight at that place.
    fn grid_link(&self, at: usize) -> Link {
        let page = at / COLUMNS + 1;
        Link { text: format!("page {page}"), href: place::grid(self.name, page) }
    }

    fn grid(&self, flights: &[&FlightRow]) -> Result<Grid> {
        let column = |flight: &&FlightRow| Column {
            flight: self.flight_link(flight.flight),
            blessing: flight.blessing,
            started: flight.started,
            outcome: flight.outcome.clone().unwrap_or_else(|| flight.state.to_string()),
            pushed: flight.outcome.as_deref().is_some_and(is_pushed),
        };
        let (Some(first), Some(last)) = (flights.first(), flights.last()) else {
            return Ok(Grid { flights: Vec::new(), jobs: Vec::new(), left_out: 0 });
        };
        let places: HashMap<FlightNo, usize> =
            flights.iter().rev().enumerate().map(|(place, flight)| (flight.flight, place)).collect();
        let mut rows: BTreeMap<String, Vec<Option<Cell>>> = BTreeMap::new();
        for row in self.site.store.job_rows(self.name, first.flight, last.flight)? {
            let Some(place) = places.get(&row.flight) else { continue };
            let href = format!("{}#{}", place::flight(self.name, row.flight), place::slug(&row.job));
            let cells = rows.entry(row.job).or_insert_with(|| vec![None; flights.len()]);
            cells[*place] = Some(Cell { state: row.state, reused: row.reused.is_some(), href });
        }
        let left_out = rows.len().saturating_sub(MOST_JOBS);
        let rows = rows.into_iter().take(MOST_JOBS).map(|(job, cells)| GridRow { job: self.job_link(&job), cells });
        Ok(Grid { flights: flights.iter().rev().map(column).collect(), jobs: rows.collect(), left_out })
    }
}

/// What pages about these flights are made of: while one is under way, the time too.
pub(super) fn page_stamp(flights: &[&FlightRow], now: i64) -> (String, Option<i64>) {
    let is_open = flights.iter().any(|flight| flight.state != FlightState::Done);
    (format!("{flights:?}"), is_open.then_some(now))
}

/// A flight as the state of a step that would be shown alike.
pub(super) fn outcome_word(state: FlightState, outcome: Option<&str>) -> &'static str {
    match outcome {
        _ if state != FlightState::Done => "running",
        Some(outcome) if is_pushed(outcome) => "pass",
        Some(outcome) if outcome.starts_with("regressions") => "fail",
        // Flights that judge nothing.
        Some(outcome) if outcome.ends_with(" passed") => "queued",
        _ => "broken",
    }
}

fn is_pushed(outcome: &str) -> bool {
    outcome.ends_with("PUSHED") || outcome.ends_with("FORCED")
}
