//! Flights with their jobs, steps and run variables: written as they happen, read back whole.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::orders::end_order;
use super::{Store, unknown};
use crate::error::{Error, Result};
use crate::model::{Blessing, Flight, FlightNo, FlightState, Job, JobKind, JobState, Step, StepState, Tier, Tuple};
use crate::plan::JobPlan;

/// A flight to begin.
#[derive(Clone, Copy, Debug)]
pub struct NewFlight<'a> {
    /// The gate.
    pub branch: &'a str,
    /// What it is for.
    pub blessing: Blessing,
    /// What is tested.
    pub tuple: &'a Tuple,
    /// What it is compared with.
    pub baseline: &'a Tuple,
    /// Whose failed jobs it runs again.
    pub parent: Option<FlightNo>,
    /// May be pushed after that one only.
    pub ahead: Option<FlightNo>,
    /// The bisection that it is a point of.
    pub bisection: Option<i64>,
    /// How many candidates the queue tests at once.
    pub width: u32,
    /// The order that it obeys, which is used up. The flight whose jobs it runs again is then judged anew.
    pub order: Option<i64>,
    /// Its jobs.
    pub jobs: &'a [&'a JobPlan],
    /// Seconds since 1970.
    pub now: i64,
}

impl<'a> NewFlight<'a> {
    /// A candidate's, by itself.
    pub fn new(
        branch: &'a str,
        tuple: &'a Tuple,
        baseline: &'a Tuple,
        jobs: &'a [&'a JobPlan],
        now: i64,
    ) -> NewFlight<'a> {
        let (blessing, parent, ahead, bisection, width, order) = (Blessing::Real, None, None, None, 1, None);
        NewFlight { branch, blessing, tuple, baseline, parent, ahead, bisection, width, order, jobs, now }
    }
}

/// A job of a flight, by its place there.
pub type Place = (FlightNo, usize);

impl Store {
    /// Begins a flight; all its jobs are queued.
    pub fn begin_flight(&mut self, new: &NewFlight<'_>) -> Result<FlightNo> {
        self.change("begin a flight", |tx| insert_flight(tx, new))
    }

    /// Begins several in one change, each to be pushed after the one before it only.
    pub fn begin_queue(&mut self, queue: &[NewFlight<'_>]) -> Result<Vec<FlightNo>> {
        self.change("begin flights", |tx| {
            let mut flights: Vec<FlightNo> = Vec::new();
            for new in queue {
                flights.push(insert_flight(tx, &NewFlight { ahead: flights.last().copied(), ..*new })?);
            }
            Ok(flights)
        })
    }

    /// The numbers of flights go on behind this one, where they have not come so far. True where that changed something.
    pub fn number_after(&mut self, last: FlightNo) -> Result<bool> {
        self.change("number flights", |tx| {
            tx.execute(
                "INSERT INTO sqlite_sequence (name, seq) SELECT 'flights', 0
                 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'flights')",
                [],
            )?;
            let sql = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'flights' AND seq < ?1";
            Ok(tx.execute(sql, [last])? > 0)
        })
    }

    /// A job's state changes; what it had as steps is forgotten when it begins (again).
    pub fn begin_job(&mut self, (flight, place): Place, runvars: &BTreeMap<String, String>) -> Result<()> {
        self.change("begin a job", |tx| {
            for table in ["steps", "runvars"] {
                let sql = format!("DELETE FROM {table} WHERE flight = ?1 AND place = ?2");
                tx.prepare_cached(&sql)?.execute(params![flight, place])?;
            }
            set_runvars(tx, (flight, place), runvars)?;
            set_job(tx, (flight, place), JobState::Running)
        })
    }

    /// A step begins.
    pub fn begin_step(&mut self, (flight, place): Place, step: usize, begun: &Step) -> Result<()> {
        self.change("begin a step", |tx| {
            let mut insert = tx.prepare_cached(
                "INSERT OR REPLACE INTO steps (flight, place, step, testid, state, started, finished, reason, log) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?;
            let Step { testid, state, started, finished, reason, log } = begun;
            insert.execute(params![flight, place, step, testid, state.as_str(), started, finished, reason, log])?;
            Ok(())
        })
    }

    /// A step ends. What passed in history has passed for ever.
    pub fn end_step(
        &mut self,
        (flight, place): Place,
        step: usize,
        state: StepState,
        reason: Option<&str>,
        now: i64,
    ) -> Result<()> {
        self.change("end a step", |tx| {
            let mut update = tx.prepare_cached(
                "UPDATE steps SET state = ?4, reason = ?5, finished = ?6 WHERE flight = ?1 AND place = ?2 AND step = ?3",
            )?;
            update.execute(params![flight, place, step, state.as_str(), reason, now])?;
            if state == StepState::Pass {
                let mut insert = tx.prepare_cached(
                    "INSERT OR IGNORE INTO passed (branch, job, testid, flight)
                     SELECT f.branch, j.job, s.testid, f.flight FROM steps s JOIN jobs j USING (flight, place) JOIN flights f USING (flight)
                     WHERE s.flight = ?1 AND s.place = ?2 AND s.step = ?3 AND f.blessing IN ('real', 'baseline', 'retry')",
                )?;
                insert.execute(params![flight, place, step])?;
            }
            Ok(())
        })
    }

    /// A job ends, or waits to be tried again. `digest` is everything that decides its result: a pass may be used again, unless
    /// the same digest fails some time.
    pub fn end_job(
        &mut self,
        at: Place,
        state: JobState,
        runvars: &BTreeMap<String, String>,
        digest: Option<&str>,
    ) -> Result<()> {
        self.change("end a job", |tx| {
            set_runvars(tx, at, runvars)?;
            if let (JobState::Pass | JobState::Fail, Some(digest)) = (state, digest) {
                let mut insert = tx.prepare_cached(
                    "INSERT INTO results (digest, flight, place, failed) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (digest) DO UPDATE SET failed = max(failed, excluded.failed)",
                )?;
                insert.execute(params![digest, at.0, at.1, state == JobState::Fail])?;
            }
            if state == JobState::Retriable {
                tx.prepare_cached("UPDATE jobs SET tries = tries + 1 WHERE flight = ?1 AND place = ?2")?
                    .execute(params![at.0, at.1])?;
            }
            set_job(tx, at, state)
        })
    }

    /// How often a broken machine has cost a job its run.
    pub fn tries(&self, (flight, place): Place) -> Result<u32> {
        self.ask("a job", |db| {
            let mut query = db.prepare_cached("SELECT tries FROM jobs WHERE flight = ?1 AND place = ?2")?;
            query.query_row(params![flight, place], |row| row.get(0))
        })
    }

    /// The flight and place of a pass with that digest, which never failed.
    pub fn result(&self, digest: &str) -> Result<Option<Place>> {
        self.ask("a result", |db| {
            let mut query = db.prepare_cached("SELECT flight, place FROM results WHERE digest = ?1 AND NOT failed")?;
            query.query_row([digest], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize))).optional()
        })
    }

    /// The flight goes on to its next state.
    pub fn set_flight(&mut self, flight: FlightNo, state: FlightState, outcome: Option<&str>, now: i64) -> Result<()> {
        self.change("end a flight", |tx| set_flight(tx, flight, state, outcome, now))
    }

    /// The flight is done, since the one that it stood on was not pushed: what came of it says nothing of the queue.
    pub fn give_up(&mut self, flight: FlightNo, outcome: &str, now: i64) -> Result<()> {
        self.change("give up a flight", |tx| {
            tx.prepare_cached("UPDATE flights SET gave_up = 1 WHERE flight = ?1")?.execute([flight])?;
            set_flight(tx, flight, FlightState::Done, Some(outcome), now)
        })
    }

    /// One flight, whole.
    pub fn flight(&self, flight: FlightNo) -> Result<Flight> {
        let found = self.ask("a flight", |db| read_flight(db, flight).optional())?;
        found.ok_or_else(|| Error::input(format!("there is no flight {flight}")).help("cargo xtask gate status"))
    }

    /// Flights of a branch that are not done, oldest first, each with the one whose jobs it runs again.
    pub fn open_flights(&self, branch: &str) -> Result<Vec<(FlightNo, Option<FlightNo>)>> {
        self.ask("open flights", |db| {
            let mut query = db.prepare_cached(
                "SELECT flight, parent FROM flights WHERE branch = ?1 AND state <> 'done' ORDER BY flight",
            )?;
            query.query_map([branch], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Flights that ran jobs of this one again, oldest first.
    pub fn retries(&self, flight: FlightNo) -> Result<Vec<FlightNo>> {
        self.ask("retries", |db| {
            let mut query = db.prepare_cached("SELECT flight FROM flights WHERE parent = ?1 ORDER BY flight")?;
            query.query_map([flight], |row| row.get(0))?.collect()
        })
    }

    /// Flights of history that tested a tuple on a branch, newest first.
    pub fn flights_of(&self, branch: &str, tuple: &Tuple) -> Result<Vec<(FlightNo, Blessing)>> {
        self.ask("flights of a tuple", |db| {
            let mut query = db.prepare_cached(
                "SELECT f.flight, f.blessing FROM flights f JOIN tuples t USING (tuple) WHERE f.branch = ?1 AND t.text = ?2 ORDER BY f.flight DESC",
            )?;
            let rows = query.query_map(params![branch, tuple_text(tuple)], |row| Ok((row.get(0)?, word(row, 1, "blessing", Blessing::from_word)?)))?;
            let all: Vec<(FlightNo, Blessing)> = rows.collect::<rusqlite::Result<_>>()?;
            Ok(all.into_iter().filter(|(_, blessing)| blessing.is_history()).collect())
        })
    }

    /// Points of bisections that tested a tuple on a branch.
    pub fn bisections_of(&self, branch: &str, tuple: &Tuple) -> Result<Vec<FlightNo>> {
        self.ask("bisections", |db| {
            let mut query = db.prepare_cached(
                "SELECT f.flight FROM flights f JOIN tuples t USING (tuple)
                 WHERE f.branch = ?1 AND t.text = ?2 AND f.blessing = 'real-bisect' ORDER BY f.flight",
            )?;
            query.query_map(params![branch, tuple_text(tuple)], |row| row.get(0))?.collect()
        })
    }

    /// Points of bisections that are not done.
    pub fn open_bisections(&self, branch: &str) -> Result<Vec<FlightNo>> {
        self.ask("bisections", |db| {
            let mut query = db.prepare_cached(
                "SELECT flight FROM flights WHERE branch = ?1 AND state <> 'done' AND blessing = 'real-bisect' ORDER BY flight",
            )?;
            query.query_map([branch], |row| row.get(0))?.collect()
        })
    }

    /// A job's step has passed on the branch.
    pub fn has_ever_passed(&self, branch: &str, job: &str, testid: &str) -> Result<bool> {
        self.ask("what has passed", |db| {
            db.prepare_cached("SELECT 1 FROM passed WHERE branch = ?1 AND job = ?2 AND testid = ?3")?
                .exists(params![branch, job, testid])
        })
    }
}

/// Reads a word of ours.
pub(super) fn word<T>(row: &Row<'_>, at: usize, what: &str, from: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text = row.get_ref(at)?.as_str()?;
    from(text).ok_or_else(|| unknown(what, text))
}

pub(super) fn tuple_text(tuple: &Tuple) -> String {
    serde_json::to_string(tuple).expect("a map of texts is JSON")
}

pub(super) fn tuple_of(text: &str) -> rusqlite::Result<Tuple> {
    serde_json::from_str(text).map_err(|_| unknown("tuple", text))
}

pub(super) fn tuple_number(tx: &Transaction<'_>, tuple: &Tuple) -> rusqlite::Result<i64> {
    let text = tuple_text(tuple);
    let mut query = tx.prepare_cached("SELECT tuple FROM tuples WHERE text = ?1")?;
    if let Some(number) = query.query_row([&text], |row| row.get(0)).optional()? {
        return Ok(number);
    }
    tx.prepare_cached("INSERT INTO tuples (text) VALUES (?1)")?.execute([&text])?;
    Ok(tx.last_insert_rowid())
}

pub(super) fn set_flight(
    tx: &Transaction<'_>,
    flight: FlightNo,
    state: FlightState,
    outcome: Option<&str>,
    now: i64,
) -> rusqlite::Result<()> {
    let mut update = tx.prepare_cached(
        "UPDATE flights SET state = ?2, outcome = coalesce(?3, outcome), finished = coalesce(finished, ?4) WHERE flight = ?1",
    )?;
    update.execute(params![flight, state.as_str(), outcome, now])?;
    Ok(())
}

fn insert_flight(tx: &Transaction<'_>, new: &NewFlight<'_>) -> rusqlite::Result<FlightNo> {
    let (tuple, baseline) = (tuple_number(tx, new.tuple)?, tuple_number(tx, new.baseline)?);
    let mut insert = tx.prepare_cached(
        "INSERT INTO flights (branch, blessing, state, tuple, baseline, parent, ahead, width, started, bisection) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let (blessing, state) = (new.blessing.as_str(), FlightState::Running.as_str());
    let NewFlight { branch, parent, ahead, bisection, width, now, .. } = new;
    insert.execute(params![branch, blessing, state, tuple, baseline, parent, ahead, width, now, bisection])?;
    let flight = tx.last_insert_rowid() as FlightNo;
    if let Some(order) = new.order {
        end_order(tx, order, new.now)?;
        tx.prepare_cached("UPDATE flights SET state = 'ended' WHERE flight = ?1")?.execute([new.parent])?;
    }
    let mut insert = tx.prepare_cached(
        "INSERT INTO jobs (flight, place, job, kind, tier, advisory, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (place, job) in new.jobs.iter().enumerate() {
        let (kind, tier, state) = (job.kind.as_str(), job.tier.as_str(), JobState::Queued.as_str());
        insert.execute(params![flight, place, job.name, kind, tier, job.advisory, state])?;
    }
    Ok(flight)
}

fn set_job(tx: &Transaction<'_>, (flight, place): Place, state: JobState) -> rusqlite::Result<()> {
    let mut update = tx.prepare_cached("UPDATE jobs SET state = ?3 WHERE flight = ?1 AND place = ?2")?;
    update.execute(params![flight, place, state.as_str()])?;
    Ok(())
}

fn set_runvars(
    tx: &Transaction<'_>,
    (flight, place): Place,
    runvars: &BTreeMap<String, String>,
) -> rusqlite::Result<()> {
    let mut insert =
        tx.prepare_cached("INSERT OR REPLACE INTO runvars (flight, place, name, value) VALUES (?1, ?2, ?3, ?4)")?;
    for (name, value) in runvars {
        insert.execute(params![flight, place, name, value])?;
    }
    Ok(())
}

fn read_flight(db: &Connection, number: FlightNo) -> rusqlite::Result<Flight> {
    let mut query = db.prepare_cached(
        "SELECT f.branch, f.blessing, f.state, t.text, b.text, f.started, f.finished, f.outcome, f.parent, f.ahead, f.width
         FROM flights f JOIN tuples t USING (tuple) LEFT JOIN tuples b ON b.tuple = f.baseline WHERE f.flight = ?1",
    )?;
    let mut flight = query.query_row([number], |row| {
        Ok(Flight {
            flight: number,
            branch: row.get(0)?,
            blessing: word(row, 1, "blessing", Blessing::from_word)?,
            state: word(row, 2, "state of a flight", FlightState::from_word)?,
            tuple: tuple_of(row.get_ref(3)?.as_str()?)?,
            baseline: row.get_ref(4)?.as_str_or_null()?.map(tuple_of).transpose()?,
            started: row.get(5)?,
            finished: row.get(6)?,
            outcome: row.get(7)?,
            parent: row.get(8)?,
            ahead: row.get(9)?,
            width: row.get(10)?,
            jobs: Vec::new(),
        })
    })?;
    let mut query =
        db.prepare_cached("SELECT job, kind, tier, advisory, state FROM jobs WHERE flight = ?1 ORDER BY place")?;
    let jobs = query.query_map([number], |row| {
        Ok(Job {
            name: row.get(0)?,
            kind: word(row, 1, "kind of job", JobKind::from_word)?,
            tier: word(row, 2, "tier", Tier::from_word)?,
            advisory: row.get(3)?,
            state: word(row, 4, "state of a job", JobState::from_word)?,
            steps: Vec::new(),
            runvars: BTreeMap::new(),
        })
    })?;
    flight.jobs = jobs.collect::<rusqlite::Result<_>>()?;
    let mut query = db.prepare_cached(
        "SELECT place, testid, state, started, finished, reason, log FROM steps WHERE flight = ?1 ORDER BY place, step",
    )?;
    let mut rows = query.query([number])?;
    while let Some(row) = rows.next()? {
        let step = Step {
            testid: row.get(1)?,
            // A word of a later gate is a state that this one cannot vouch for.
            state: StepState::from_word(row.get_ref(2)?.as_str()?).unwrap_or(StepState::Unknown),
            started: row.get(3)?,
            finished: row.get(4)?,
            reason: row.get(5)?,
            log: row.get(6)?,
        };
        if let Some(job) = flight.jobs.get_mut(row.get::<_, i64>(0)? as usize) {
            job.steps.push(step);
        }
    }
    let mut query = db.prepare_cached("SELECT place, name, value FROM runvars WHERE flight = ?1")?;
    let mut rows = query.query([number])?;
    while let Some(row) = rows.next()? {
        if let Some(job) = flight.jobs.get_mut(row.get::<_, i64>(0)? as usize) {
            job.runvars.insert(row.get(1)?, row.get(2)?);
        }
    }
    Ok(flight)
}
