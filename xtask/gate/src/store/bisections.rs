//! Hunts for culprits: begun with the verdict that asks for them, open until their end is known. Their points are flights.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use super::flights::{set_flight, tuple_number, tuple_of};
use super::{Store, unknown};
use crate::bisect::{End, Hunt};
use crate::error::Result;
use crate::model::{FlightNo, FlightState, Tuple};

/// A hunt, recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bisection {
    /// Its number.
    pub bisection: i64,
    /// The regression that it explains; nothing: an operator asked.
    pub flight: Option<FlightNo>,
    /// The flight whose definitions its points are tested with: nothing that form 1 of an export has.
    #[serde(skip)]
    pub like: Option<FlightNo>,
    /// What is sought.
    pub hunt: Hunt,
    /// How it ended.
    pub end: Option<End>,
    /// Seconds since 1970.
    pub begun: i64,
    /// Seconds since 1970.
    pub ended: Option<i64>,
}

impl Store {
    /// Records that an operator hunts, with the definitions of flight `like`. A hunt that is open goes on, and one that named its
    /// culprit is known; any other is begun anew.
    pub fn begin_bisection(
        &mut self,
        branch: &str,
        hunt: &Hunt,
        like: Option<FlightNo>,
        now: i64,
    ) -> Result<Bisection> {
        let goes_on = |known: &Bisection| known.hunt == *hunt && matches!(known.end, None | Some(End::Complete(_)));
        if let Some(known) = self.bisections(branch)?.into_iter().find(goes_on) {
            return Ok(known);
        }
        let new =
            Bisection { bisection: 0, flight: None, like, hunt: hunt.clone(), end: None, begun: now, ended: None };
        let bisection = self.change("begin a bisection", |tx| insert(tx, branch, &new))?;
        Ok(Bisection { bisection, ..new })
    }

    /// A candidate is done and not pushed; what made it so is hunted from now on.
    pub fn finish_hunted(
        &mut self,
        flight: FlightNo,
        branch: &str,
        outcome: &str,
        hunt: &Hunt,
        now: i64,
    ) -> Result<()> {
        let (hunt, of_it) = (hunt.clone(), Some(flight));
        let new = Bisection { bisection: 0, flight: of_it, like: of_it, hunt, end: None, begun: now, ended: None };
        self.change("end a flight and begin a bisection", |tx| {
            insert(tx, branch, &new)?;
            set_flight(tx, flight, FlightState::Done, Some(outcome), now)
        })
    }

    /// The end of one is known.
    pub fn end_bisection(&mut self, bisection: i64, end: End, now: i64) -> Result<()> {
        self.change("end a bisection", |tx| {
            let end = serde_json::to_string(&end).expect("numbers and words are JSON");
            tx.prepare_cached("UPDATE bisections SET end = ?2, ended = ?3 WHERE bisection = ?1")?
                .execute(params![bisection, end, now])?;
            Ok(())
        })
    }

    /// The flights that are its points, oldest first.
    pub fn points(&self, bisection: i64) -> Result<Vec<FlightNo>> {
        self.ask("points of a bisection", |db| {
            let mut query = db.prepare_cached("SELECT flight FROM flights WHERE bisection = ?1 ORDER BY flight")?;
            query.query_map([bisection], |row| row.get(0))?.collect()
        })
    }

    /// The flight whose definitions a point of a bisection is tested with; nothing of any other flight.
    pub fn like(&self, point: FlightNo) -> Result<Option<FlightNo>> {
        self.ask("a bisection", |db| {
            let sql = "SELECT b.alike FROM flights f JOIN bisections b USING (bisection) WHERE f.flight = ?1";
            Ok(db.prepare_cached(sql)?.query_row([point], |row| row.get(0)).optional()?.flatten())
        })
    }

    /// All of a branch, oldest first.
    pub fn bisections(&self, branch: &str) -> Result<Vec<Bisection>> {
        self.read_bisections(branch, "true")
    }

    /// Those whose end is not known yet.
    pub fn open_hunts(&self, branch: &str) -> Result<Vec<Bisection>> {
        self.read_bisections(branch, "end IS NULL")
    }

    fn read_bisections(&self, branch: &str, which: &str) -> Result<Vec<Bisection>> {
        self.ask("bisections", |db| {
            let mut tuple = db.prepare_cached("SELECT text FROM tuples WHERE tuple = ?1")?;
            let mut tuple = |number: i64| -> rusqlite::Result<Tuple> {
                tuple.query_row([number], |row| tuple_of(row.get_ref(0)?.as_str()?))
            };
            let mut query = db.prepare_cached(&format!(
                "SELECT bisection, flight, job, testid, fixed, tuples, begun, ended, end, alike FROM bisections
                 WHERE branch = ?1 AND {which} ORDER BY bisection",
            ))?;
            query.query_map([branch], |row| read(row, &mut tuple))?.collect()
        })
    }
}

fn read(row: &Row<'_>, tuple: &mut impl FnMut(i64) -> rusqlite::Result<Tuple>) -> rusqlite::Result<Bisection> {
    let numbers = row.get_ref(5)?.as_str()?;
    let numbers: Vec<i64> = serde_json::from_str(numbers).map_err(|_| unknown("row of tuples", numbers))?;
    let end = match row.get_ref(8)?.as_str_or_null()? {
        None => None,
        Some(text) => Some(serde_json::from_str(text).map_err(|_| unknown("end of a bisection", text))?),
    };
    let row_of = numbers.into_iter().map(tuple).collect::<rusqlite::Result<_>>()?;
    let hunt = Hunt { job: row.get(2)?, testid: row.get(3)?, row: row_of, fixed: row.get(4)? };
    let (flight, like) = (row.get(1)?, row.get(9)?);
    Ok(Bisection { bisection: row.get(0)?, flight, like, hunt, end, begun: row.get(6)?, ended: row.get(7)? })
}

fn insert(tx: &Transaction<'_>, branch: &str, new: &Bisection) -> rusqlite::Result<i64> {
    let Bisection { flight, like, hunt, begun, .. } = new;
    let tuples = hunt.row.iter().map(|tuple| tuple_number(tx, tuple)).collect::<rusqlite::Result<Vec<i64>>>()?;
    let tuples = serde_json::to_string(&tuples).expect("numbers are JSON");
    tx.prepare_cached(
        "INSERT INTO bisections (flight, branch, job, testid, fixed, tuples, begun, alike) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![flight, branch, hunt.job, hunt.testid, hunt.fixed, tuples, begun, like])?;
    Ok(tx.last_insert_rowid())
}
