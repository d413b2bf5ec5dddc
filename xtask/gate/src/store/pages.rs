//! What pages show: the flights of a branch in a row, jobs across them, the ages of a candidate. Reads only.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, params};

use super::Store;
use super::flights::word;
use crate::error::Result;
use crate::model::{Blessing, FlightNo, FlightState, JobState};
use crate::report::{Ages, Since};

/// A flight without its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightRow {
    /// Its number.
    pub flight: FlightNo,
    /// What it is for.
    pub blessing: Blessing,
    /// Where it stands.
    pub state: FlightState,
    /// Seconds since 1970.
    pub started: i64,
    /// Seconds since 1970.
    pub finished: Option<i64>,
    /// What came of it.
    pub outcome: Option<String>,
    /// Whose failed jobs it runs again.
    pub parent: Option<FlightNo>,
}

/// A job in one flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its name.
    pub job: String,
    /// The flight.
    pub flight: FlightNo,
    /// What that was for.
    pub blessing: Blessing,
    /// Where it stands.
    pub state: JobState,
    /// Whose pass was used instead of a run.
    pub reused: Option<String>,
    /// When its first step began; nothing where it has none.
    pub started: Option<i64>,
    /// When its last step ended.
    pub finished: Option<i64>,
    /// The first step that did not pass, and why.
    pub failed: Option<(String, Option<String>)>,
}

/// What a job's row is read from; `j` are jobs, `f` flights.
const JOB_ROW: &str = "SELECT j.job, j.flight, f.blessing, j.state,
    (SELECT value FROM runvars r WHERE r.flight = j.flight AND r.place = j.place AND r.name = 'reused'),
    (SELECT min(started) FROM steps s WHERE s.flight = j.flight AND s.place = j.place),
    (SELECT max(finished) FROM steps s WHERE s.flight = j.flight AND s.place = j.place),
    (SELECT json_array(testid, reason) FROM steps s
     WHERE s.flight = j.flight AND s.place = j.place AND s.state <> 'pass' ORDER BY s.step LIMIT 1)
    FROM flights f JOIN jobs j USING (flight)";

impl Store {
    /// All flights of a branch, oldest first.
    pub fn flight_rows(&self, branch: &str) -> Result<Vec<FlightRow>> {
        self.ask("flights", |db| {
            let mut query = db.prepare_cached(
                "SELECT flight, blessing, state, started, finished, outcome, parent FROM flights WHERE branch = ?1 ORDER BY flight",
            )?;
            let row = |row: &Row<'_>| {
                Ok(FlightRow {
                    flight: row.get(0)?,
                    blessing: word(row, 1, "blessing", Blessing::from_word)?,
                    state: word(row, 2, "state of a flight", FlightState::from_word)?,
                    started: row.get(3)?,
                    finished: row.get(4)?,
                    outcome: row.get(5)?,
                    parent: row.get(6)?,
                })
            };
            query.query_map([branch], row)?.collect()
        })
    }

    /// The jobs of these flights of a branch, by flight and place.
    pub fn job_rows(&self, branch: &str, first: FlightNo, last: FlightNo) -> Result<Vec<JobRow>> {
        self.ask("jobs", |db| {
            let order = "WHERE f.branch = ?1 AND f.flight BETWEEN ?2 AND ?3 ORDER BY j.flight, j.place";
            let mut query = db.prepare_cached(&format!("{JOB_ROW} {order}"))?;
            query.query_map(params![branch, first, last], job_row)?.collect()
        })
    }

    /// The flights of each job of a branch outside of bisections, oldest first.
    pub fn jobs_of(&self, branch: &str) -> Result<BTreeMap<String, Vec<FlightNo>>> {
        self.ask("jobs", |db| {
            let mut query = db.prepare_cached(
                "SELECT j.job, j.flight FROM flights f JOIN jobs j USING (flight)
                 WHERE f.branch = ?1 AND f.blessing <> 'real-bisect' ORDER BY j.flight",
            )?;
            let mut rows = query.query([branch])?;
            let mut jobs: BTreeMap<String, Vec<FlightNo>> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let job = row.get_ref(0)?.as_str()?;
                match jobs.get_mut(job) {
                    Some(flights) => flights.push(row.get(1)?),
                    None => drop(jobs.insert(job.to_owned(), vec![row.get(1)?])),
                }
            }
            Ok(jobs)
        })
    }

    /// Runs of one job in these flights of a branch, outside of bisections, oldest first.
    pub fn runs_of(&self, branch: &str, job: &str, first: FlightNo, last: FlightNo) -> Result<Vec<JobRow>> {
        self.ask("a job's runs", |db| {
            let order = "WHERE f.branch = ?1 AND f.flight BETWEEN ?3 AND ?4 AND j.job = ?2 AND f.blessing <> 'real-bisect' ORDER BY j.flight";
            let mut query = db.prepare_cached(&format!("{JOB_ROW} {order}"))?;
            query.query_map(params![branch, job, first, last], job_row)?.collect()
        })
    }

    /// How old the question is that a flight of a candidate answers: known when it was judged.
    pub fn ages(&self, flight: FlightNo) -> Result<Ages> {
        self.ask("the ages of a candidate", |db| {
            let since = |sql: &str| -> rusqlite::Result<Option<Since>> {
                let mut query = db.prepare_cached(sql)?;
                let found = query.query_row([flight], |row| {
                    let first: Option<FlightNo> = row.get(0)?;
                    let (at, attempts) = (row.get::<_, Option<i64>>(1)?, row.get(2)?);
                    Ok(first.zip(at).map(|(flight, at)| Since { flight, at, attempts }))
                });
                Ok(found.optional()?.flatten())
            };
            Ok(Ages {
                basis: since(
                    "SELECT b.flight, b.started, 1 FROM flights f JOIN flights b ON b.branch = f.branch AND b.tuple = f.baseline
                     WHERE f.flight = ?1 AND b.flight < f.flight AND b.blessing IN ('real', 'baseline', 'retry') ORDER BY b.flight DESC LIMIT 1",
                )?,
                failing: since(
                    "SELECT min(o.flight), min(o.started), count(*) FROM flights f JOIN flights o USING (branch)
                     WHERE f.flight = ?1 AND o.flight < f.flight AND o.blessing = 'real' AND o.state = 'done' AND o.flight >
                       (SELECT coalesce(max(t.flight), 0) FROM tested t WHERE t.branch = f.branch AND t.flight < f.flight)",
                )?,
                same: since(
                    "SELECT min(o.flight), min(o.started), count(*) FROM flights f JOIN flights o USING (branch, tuple)
                     WHERE f.flight = ?1 AND o.flight <= f.flight AND o.blessing = 'real'",
                )?,
            })
        })
    }
}

fn job_row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let failed = row.get_ref(7)?.as_str_or_null()?.and_then(|text| serde_json::from_str(text).ok());
    Ok(JobRow {
        job: row.get(0)?,
        flight: row.get(1)?,
        blessing: word(row, 2, "blessing", Blessing::from_word)?,
        state: word(row, 3, "state of a job", JobState::from_word)?,
        reused: row.get(4)?,
        started: row.get(5)?,
        finished: row.get(6)?,
        failed,
    })
}
