//! What those who look want to see: branches with their ages, the history of a job.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::flights::{tuple_of, word};
use super::{Order, Store};
use crate::error::Result;
use crate::model::{Blessing, FlightNo, FlightState, StepState, Tuple};

/// Where a branch stands.
#[derive(Clone, Debug, Serialize)]
pub struct BranchStatus {
    /// Its name.
    pub branch: String,
    /// The tuple that was pushed last, and when.
    pub tested: Option<(Tuple, i64)>,
    /// The last flight of a candidate: number, state, outcome, tuple.
    pub last: Option<(FlightNo, FlightState, Option<String>, Tuple)>,
    /// Candidates that were not pushed since: when the first of them began, and how many flights there were.
    pub failing: Option<(i64, u64)>,
    /// What operators said.
    pub orders: Vec<Order>,
}

/// A step in one flight.
#[derive(Clone, Debug, Serialize)]
pub struct StepHistory {
    /// Which flight.
    pub flight: FlightNo,
    /// What that was for.
    pub blessing: Blessing,
    /// The step.
    pub testid: String,
    /// How it ended.
    pub state: StepState,
    /// Seconds since 1970.
    pub started: i64,
    /// Seconds since 1970.
    pub finished: Option<i64>,
    /// Why it did not pass.
    pub reason: Option<String>,
}

impl Store {
    /// Flights of all kinds.
    pub fn flight_count(&self) -> Result<u64> {
        self.ask("flights", |db| db.query_row("SELECT count(*) FROM flights", [], |row| row.get(0)))
    }

    /// Every branch that has flights, by name.
    pub fn branches(&self) -> Result<Vec<String>> {
        self.ask("branches", |db| {
            // Loose: one look into the index a branch, not one a flight.
            let mut query = db.prepare_cached(
                "WITH RECURSIVE b(branch) AS (SELECT min(branch) FROM flights UNION ALL
                 SELECT (SELECT min(branch) FROM flights WHERE branch > b.branch) FROM b WHERE branch IS NOT NULL)
                 SELECT branch FROM b WHERE branch IS NOT NULL",
            )?;
            query.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// The last candidate's flight that is done, and was not given up because of one ahead of it.
    pub fn last_judged(&self, branch: &str) -> Result<Option<FlightNo>> {
        self.ask("the last verdict", |db| {
            let mut query = db.prepare_cached(
                "SELECT flight FROM flights WHERE branch = ?1 AND blessing = 'real' AND state = 'done'
                 AND NOT gave_up ORDER BY flight DESC LIMIT 1",
            )?;
            query.query_row([branch], |row| row.get(0)).optional()
        })
    }

    /// Where a branch stands.
    pub fn branch_status(&self, branch: &str) -> Result<BranchStatus> {
        let pushed = self.last_pushed(branch)?;
        let since = pushed.as_ref().map_or(0, |(flight, ..)| *flight);
        let (last, failing) = self.ask("a branch", |db| {
            let mut query = db.prepare_cached(
                "SELECT f.flight, f.state, f.outcome, t.text FROM flights f JOIN tuples t USING (tuple)
                 WHERE f.branch = ?1 AND f.blessing = 'real' ORDER BY f.flight DESC LIMIT 1",
            )?;
            let last = query.query_row([branch], |row| {
                let state = word(row, 1, "state of a flight", FlightState::from_word)?;
                Ok((row.get(0)?, state, row.get(2)?, tuple_of(row.get_ref(3)?.as_str()?)?))
            });
            let mut query = db.prepare_cached(
                "SELECT min(started), count(*) FROM flights WHERE branch = ?1 AND blessing = 'real' AND flight > ?2 AND state = 'done'",
            )?;
            let failing = query.query_row(params![branch, since], |row| {
                Ok(row.get::<_, Option<i64>>(0)?.map(|first| (first, row.get(1).unwrap_or_default())))
            })?;
            Ok((last.optional()?, failing))
        })?;
        let orders = self.orders(branch)?.into_iter().map(|(_, order)| order).collect();
        let tested = pushed.map(|(_, tuple, at)| (tuple, at));
        Ok(BranchStatus { branch: branch.to_owned(), tested, last, failing, orders })
    }

    /// The newest runs of a job on a branch.
    pub fn job_history(&self, branch: &str, job: &str, limit: u32) -> Result<Vec<StepHistory>> {
        self.ask("a job's history", |db| {
            let mut query = db.prepare_cached(
                "SELECT f.flight, f.blessing, s.testid, s.state, s.started, s.finished, s.reason
                 FROM flights f JOIN jobs j USING (flight) JOIN steps s USING (flight, place)
                 WHERE f.branch = ?1 AND j.job = ?2 ORDER BY f.flight DESC, s.step LIMIT ?3",
            )?;
            let rows = query.query_map(params![branch, job, limit], |row| {
                Ok(StepHistory {
                    flight: row.get(0)?,
                    blessing: word(row, 1, "blessing", Blessing::from_word)?,
                    testid: row.get(2)?,
                    state: StepState::from_word(row.get_ref(3)?.as_str()?).unwrap_or(StepState::Unknown),
                    started: row.get(4)?,
                    finished: row.get(5)?,
                    reason: row.get(6)?,
                })
            })?;
            rows.collect()
        })
    }
}
