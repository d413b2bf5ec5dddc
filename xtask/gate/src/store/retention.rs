//! What may be forgotten. Kept is what something still refers to: flights that are open, the newest of each branch with their
//! baselines, what is tested now, whose passes were used again, what a bisection names. Rows of everything that was pushed stay for
//! ever, and so does what has ever passed.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;
use serde::Serialize;

use super::flights::word;
use super::orders::audit;
use super::{Audit, Store};
use crate::bisect::End;
use crate::error::Result;
use crate::model::{Blessing, FlightNo, FlightState};

/// What nothing refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unreferenced {
    /// Flights whose rows may go.
    pub flights: Vec<FlightNo>,
    /// Flights whose logs are still wanted.
    pub logs_kept: BTreeSet<FlightNo>,
    /// The last flight that is known here. Logs of later ones are another copy's of this state, and no matter of this one.
    pub last: FlightNo,
}

struct Row {
    flight: FlightNo,
    branch: String,
    blessing: Blessing,
    is_open: bool,
    tuple: i64,
    baseline: Option<i64>,
    parent: Option<FlightNo>,
    ahead: Option<FlightNo>,
    is_pushed: bool,
}

impl Store {
    /// What nothing refers to, where the newest so many candidates of each branch are looked at.
    pub fn unreferenced(&self, newest: usize) -> Result<Unreferenced> {
        let rows = self.rows()?;
        let open = rows.iter().filter(|row| row.is_open);
        let mut seeds: BTreeSet<FlightNo> = open.flat_map(|row| [Some(row.flight), row.ahead]).flatten().collect();
        let mut of_branch: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in rows.iter().rev() {
            of_branch.entry(&row.branch).or_default().push(row);
        }
        let mut named = BTreeSet::new();
        for (branch, rows) in &of_branch {
            let candidates = rows.iter().filter(|row| row.blessing == Blessing::Real);
            seeds.extend(candidates.take(newest).map(|row| row.flight));
            seeds.extend(rows.iter().find(|row| row.is_pushed).map(|row| row.flight));
            let bisections = self.bisections(branch)?;
            let wanted = bisections.iter().rev().enumerate().filter(|(age, it)| *age < newest || it.end.is_none());
            for (_, bisection) in wanted {
                let places = match bisection.end {
                    None => 0..bisection.hunt.row.len(),
                    Some(End::Complete(place)) => place.saturating_sub(1)..place + 1,
                    Some(_) => 0..0,
                };
                for tuple in bisection.hunt.row.get(places).unwrap_or_default() {
                    named.extend(self.bisections_of(branch, tuple)?);
                }
                seeds.extend([bisection.flight, bisection.like].into_iter().flatten());
            }
            seeds.extend(self.orders(branch)?.into_iter().filter_map(|(_, order)| order.flight));
        }
        // What their verdicts are made of: flights of the same tuples and of their baselines.
        let is_seed = |row: &&Row| seeds.contains(&row.flight);
        let tuples = rows.iter().filter(is_seed);
        let tuples: BTreeSet<(&str, i64)> = tuples
            .flat_map(|row| {
                [Some(row.tuple), row.baseline].into_iter().flatten().map(|tuple| (row.branch.as_str(), tuple))
            })
            .collect();
        let is_evidence = |row: &&Row| row.blessing.is_history() && tuples.contains(&(&row.branch, row.tuple));
        let mut kept: BTreeSet<FlightNo> = rows.iter().filter(is_evidence).map(|row| row.flight).collect();
        kept.extend(&seeds);
        kept.extend(named);
        // Whose jobs these ran again, whose passes they used again, and so on.
        let mut count = 0;
        while count < kept.len() {
            count = kept.len();
            let parents = rows.iter().filter(|row| kept.contains(&row.flight)).filter_map(|row| row.parent);
            kept.extend(parents.collect::<Vec<_>>());
            kept.extend(self.used_again(&kept)?);
        }
        let flights = rows.iter().filter(|row| !kept.contains(&row.flight) && !row.is_pushed).map(|row| row.flight);
        let last = rows.last().map_or(0, |row| row.flight);
        Ok(Unreferenced { flights: flights.collect(), logs_kept: kept, last })
    }

    /// Forgets these flights, and says so in the audit.
    pub fn forget(&mut self, flights: &[FlightNo], line: &Audit) -> Result<()> {
        self.change("forget flights", |tx| {
            // Retries are forgotten with the flight that they belong to, in whatever order.
            tx.execute_batch(
                "PRAGMA defer_foreign_keys = ON;
                 CREATE TEMP TABLE gone (flight INTEGER PRIMARY KEY);",
            )?;
            for flight in flights {
                tx.prepare_cached("INSERT INTO temp.gone VALUES (?1)")?.execute([flight])?;
            }
            for table in ["steps", "runvars", "pushes", "jobs"] {
                tx.execute(&format!("DELETE FROM {table} WHERE flight IN (SELECT flight FROM temp.gone)"), [])?;
            }
            // That a digest has failed is not forgotten.
            tx.execute("DELETE FROM results WHERE NOT failed AND flight IN (SELECT flight FROM temp.gone)", [])?;
            tx.execute_batch(
                "UPDATE flights SET ahead = NULL WHERE ahead IN (SELECT flight FROM temp.gone);
                 DELETE FROM flights WHERE flight IN (SELECT flight FROM temp.gone);
                 DROP TABLE temp.gone;
                 DELETE FROM tuples WHERE tuple NOT IN (
                     SELECT tuple FROM flights UNION SELECT baseline FROM flights WHERE baseline IS NOT NULL
                     UNION SELECT tuple FROM tested
                     UNION SELECT value FROM bisections, json_each(bisections.tuples));",
            )?;
            audit(tx, line)
        })?;
        // Of its own: it cannot be part of a transaction, and nothing is lost when it does not happen.
        self.ask("the file to make it smaller", |db| db.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);"))
    }

    fn rows(&self) -> Result<Vec<Row>> {
        self.ask("flights", |db| {
            let mut query = db.prepare_cached(
                "SELECT f.flight, f.branch, f.blessing, f.state, f.tuple, f.baseline, f.parent, f.ahead,
                 EXISTS (SELECT 1 FROM tested p WHERE p.branch = f.branch AND p.flight = f.flight)
                 FROM flights f ORDER BY f.flight",
            )?;
            let rows = query.query_map([], |row| {
                Ok(Row {
                    flight: row.get(0)?,
                    branch: row.get(1)?,
                    blessing: word(row, 2, "blessing", Blessing::from_word)?,
                    is_open: word(row, 3, "state of a flight", FlightState::from_word)? != FlightState::Done,
                    tuple: row.get(4)?,
                    baseline: row.get(5)?,
                    parent: row.get(6)?,
                    ahead: row.get(7)?,
                    is_pushed: row.get(8)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Flights whose passes these used again.
    fn used_again(&self, flights: &BTreeSet<FlightNo>) -> Result<Vec<FlightNo>> {
        self.ask("what was used again", |db| {
            let mut query = db.prepare_cached("SELECT value FROM runvars WHERE flight = ?1 AND name = 'reused'")?;
            let mut found = Vec::new();
            for flight in flights {
                let values = query.query_map(params![flight], |row| row.get::<_, String>(0))?;
                for value in values {
                    found.extend(value?.split('.').next().and_then(|number| number.parse::<FlightNo>().ok()));
                }
            }
            Ok(found)
        })
    }
}
