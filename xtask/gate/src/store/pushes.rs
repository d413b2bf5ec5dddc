//! Pushes. A push and this file cannot change in one transaction, so what is intended is recorded first: after a kill the remote
//! ref says which of both happened.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::flights::{set_flight, tuple_number, tuple_of, word};
use super::orders::{audit, end_order};
use super::{Audit, Store};
use crate::error::Result;
use crate::model::{Flight, FlightNo, FlightState, Tuple};

/// The outcome of a flight that an operator gave up.
pub const ABANDONED: &str = "abandoned";

words! {
    /// Where a push stands.
    PushState {
        /// Recorded; whether it was done only the remote ref knows.
        Intended = "intended",
        /// The ref is there.
        Done = "done",
        /// The ref was somewhere else.
        Refused = "refused",
    }
}

/// A ref that is to move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Intent {
    /// The tree whose ref it is; nothing: the record's.
    pub tree: Option<String>,
    /// The repository's address, for people: it may be another one when the push is gone on with.
    pub repository: String,
    /// The ref, in full.
    pub r#ref: String,
    /// Where it must be now; nothing: it must not exist.
    pub old: Option<String>,
    /// Where it goes.
    pub new: String,
    /// The old revision need not be contained in the new one.
    pub rewinds: bool,
    /// Where it stands.
    pub state: PushState,
}

impl Store {
    /// Records the verdict of a flight and what is now to be pushed.
    pub fn intend(&mut self, flight: FlightNo, outcome: &str, intents: &[Intent], now: i64) -> Result<()> {
        self.change("record what is to be pushed", |tx| {
            tx.prepare_cached("DELETE FROM pushes WHERE flight = ?1")?.execute([flight])?;
            let mut insert = tx.prepare_cached(
                "INSERT INTO pushes (flight, tree, repository, ref, old, new, rewinds, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for intent in intents {
                let Intent { tree, repository, r#ref, old, new, rewinds, state } = intent;
                insert.execute(params![flight, tree, repository, r#ref, old, new, rewinds, state.as_str()])?;
            }
            set_flight(tx, flight, FlightState::Pushing, Some(outcome), now)
        })
    }

    /// What a flight pushes, each with its number.
    pub fn intents(&self, flight: FlightNo) -> Result<Vec<(i64, Intent)>> {
        self.ask("pushes", |db| {
            let mut query = db.prepare_cached(
                "SELECT push, repository, ref, old, new, rewinds, state, tree FROM pushes WHERE flight = ?1 ORDER BY push",
            )?;
            let rows = query.query_map([flight], |row| {
                let intent = Intent {
                    tree: row.get(7)?,
                    repository: row.get(1)?,
                    r#ref: row.get(2)?,
                    old: row.get(3)?,
                    new: row.get(4)?,
                    rewinds: row.get(5)?,
                    state: word(row, 6, "state of a push", PushState::from_word)?,
                };
                Ok((row.get(0)?, intent))
            })?;
            rows.collect()
        })
    }

    /// A push that was not done goes from and to somewhere else.
    pub fn move_intent(&mut self, push: i64, old: Option<&str>, new: &str) -> Result<()> {
        self.change("record what is to be pushed", |tx| {
            tx.prepare_cached("UPDATE pushes SET old = ?2, new = ?3 WHERE push = ?1")?
                .execute(params![push, old, new])?;
            Ok(())
        })
    }

    /// What became of one.
    pub fn resolve_push(&mut self, push: i64, state: PushState) -> Result<()> {
        self.change("record a push", |tx| {
            tx.prepare_cached("UPDATE pushes SET state = ?2 WHERE push = ?1")?
                .execute(params![push, state.as_str()])?;
            Ok(())
        })
    }

    /// Nobody waits for an open flight any more: it is done, and pushes nothing. Gives the refs that moved already: where there are
    /// some, nothing is changed, and the flight goes on.
    pub fn abandon(&mut self, flight: FlightNo, line: &Audit) -> Result<Vec<Intent>> {
        let intents = self.intents(flight)?.into_iter().map(|(_, intent)| intent);
        let moved: Vec<Intent> = intents.filter(|intent| intent.state == PushState::Done).collect();
        if !moved.is_empty() {
            return Ok(moved);
        }
        self.change("give up a flight", |tx| {
            tx.execute("UPDATE pushes SET state = 'refused' WHERE flight = ?1", [flight])?;
            set_flight(tx, flight, FlightState::Done, Some(&format!("{} by {}", ABANDONED, line.who)), line.at)?;
            audit(tx, line)
        })?;
        Ok(moved)
    }

    /// All refs are there: the flight is done, its tuple is tested, the forces that it needed are used up.
    pub fn finish_pushed(
        &mut self,
        flight: FlightNo,
        branch: &str,
        tuple: &Tuple,
        outcome: &str,
        forces: &[i64],
        now: i64,
    ) -> Result<()> {
        self.change("record a tested tuple", |tx| {
            let tuple = tuple_number(tx, tuple)?;
            let mut insert =
                tx.prepare_cached("INSERT OR REPLACE INTO tested (branch, flight, tuple, at) VALUES (?1, ?2, ?3, ?4)")?;
            insert.execute(params![branch, flight, tuple, now])?;
            for force in forces {
                end_order(tx, *force, now)?;
            }
            set_flight(tx, flight, FlightState::Done, Some(outcome), now)
        })
    }

    /// Its tuple became the tested one.
    pub fn was_pushed(&self, flight: &Flight) -> Result<bool> {
        self.ask("what was pushed", |db| {
            db.prepare_cached("SELECT 1 FROM tested WHERE branch = ?1 AND flight = ?2")?
                .exists(params![flight.branch, flight.flight])
        })
    }

    /// The last tuple that a branch pushed, with its flight and when.
    pub fn last_pushed(&self, branch: &str) -> Result<Option<(FlightNo, Tuple, i64)>> {
        self.ask("what was pushed last", |db| {
            let mut query = db.prepare_cached(
                "SELECT p.flight, t.text, p.at FROM tested p JOIN tuples t USING (tuple) WHERE p.branch = ?1 ORDER BY p.flight DESC LIMIT 1",
            )?;
            query.query_row([branch], |row| Ok((row.get(0)?, tuple_of(row.get_ref(1)?.as_str()?)?, row.get(2)?))).optional()
        })
    }
}
