//! The whole history as JSON lines. What a line has is never taken away or given another meaning within a version.

use std::io::Write;

use rusqlite::params;
use serde::Serialize;

use super::flights::tuple_of;
use super::{Audit, Bisection, Intent, Order, Store};
use crate::allow::Allowance;
use crate::error::{Context, Result};
use crate::model::{Flight, FlightNo, Tuple};

/// The version of the lines.
pub const EXPORT: u32 = 1;

/// One line: an object with one key, which says what it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Line<'a> {
    /// The first one.
    SultanaGate {
        version: u32,
    },
    /// A flight with its jobs, their steps and run variables, and the refs that it moved.
    Flight {
        #[serde(flatten)]
        flight: &'a Flight,
        pushes: Vec<Intent>,
    },
    /// A tuple that was pushed.
    Tested {
        branch: String,
        flight: FlightNo,
        tuple: Tuple,
        at: i64,
    },
    /// A step that has passed on a branch, and where first.
    Passed {
        branch: String,
        job: String,
        testid: String,
        flight: FlightNo,
    },
    Bisection {
        branch: &'a str,
        #[serde(flatten)]
        bisection: &'a Bisection,
    },
    /// What an operator ordered; while it has no end, it stands.
    Order {
        #[serde(flatten)]
        order: Order,
        ended: Option<i64>,
    },
    Allowance(&'a Allowance),
    Audit(&'a Audit),
}

impl Store {
    /// Writes all of it, or of one branch, each flight and each thing in the order in which it happened.
    pub fn export(&self, branch: Option<&str>, out: &mut dyn Write) -> Result<()> {
        // One transaction: a gate that works meanwhile changes nothing of what is seen.
        let snapshot = self.db.unchecked_transaction().context(|| "cannot read the gate's state".to_owned())?;
        let is_meant = |one: Option<&str>| branch.is_none() || one.is_none() || one == branch;
        let mut write = |line: &Line<'_>| -> Result<()> {
            let text = serde_json::to_string(line).context(|| "cannot write a line of the export".to_owned())?;
            writeln!(out, "{text}").context(|| "cannot write the export".to_owned())
        };
        write(&Line::SultanaGate { version: EXPORT })?;
        for number in self.flight_numbers()? {
            let flight = self.flight(number)?;
            if is_meant(Some(&flight.branch)) {
                let pushes = self.intents(number)?.into_iter().map(|(_, intent)| intent).collect();
                write(&Line::Flight { flight: &flight, pushes })?;
            }
        }
        let all = self.tested_lines()?.into_iter().chain(self.passed_lines()?).chain(self.order_lines()?);
        for line in all {
            let of = match &line {
                Line::Tested { branch, .. } | Line::Passed { branch, .. } => Some(branch.as_str()),
                Line::Order { order, .. } => order.branch.as_deref(),
                _ => None,
            };
            if is_meant(of) {
                write(&line)?;
            }
        }
        for branch in self.branches()?.iter().filter(|branch| is_meant(Some(branch))) {
            for bisection in &self.bisections(branch)? {
                write(&Line::Bisection { branch, bisection })?;
            }
        }
        for line in self.allowances()?.iter().filter(|line| is_meant(line.branch.as_deref())) {
            write(&Line::Allowance(line))?;
        }
        for line in self.audit()?.iter().filter(|line| is_meant(line.branch.as_deref())) {
            write(&Line::Audit(line))?;
        }
        drop(snapshot);
        Ok(())
    }

    fn flight_numbers(&self) -> Result<Vec<FlightNo>> {
        self.ask("flights", |db| {
            db.prepare("SELECT flight FROM flights ORDER BY flight")?.query_map([], |row| row.get(0))?.collect()
        })
    }

    fn tested_lines(&self) -> Result<Vec<Line<'static>>> {
        self.ask("tested tuples", |db| {
            let sql =
                "SELECT p.branch, p.flight, t.text, p.at FROM tested p JOIN tuples t USING (tuple) ORDER BY p.flight";
            let mut query = db.prepare(sql)?;
            let rows = query.query_map([], |row| {
                let tuple = tuple_of(row.get_ref(2)?.as_str()?)?;
                Ok(Line::Tested { branch: row.get(0)?, flight: row.get(1)?, tuple, at: row.get(3)? })
            })?;
            rows.collect()
        })
    }

    fn passed_lines(&self) -> Result<Vec<Line<'static>>> {
        self.ask("what has passed", |db| {
            let mut query =
                db.prepare("SELECT branch, job, testid, flight FROM passed ORDER BY branch, job, testid")?;
            let rows = query.query_map(params![], |row| {
                Ok(Line::Passed { branch: row.get(0)?, job: row.get(1)?, testid: row.get(2)?, flight: row.get(3)? })
            })?;
            rows.collect()
        })
    }

    fn order_lines(&self) -> Result<Vec<Line<'static>>> {
        self.ask("orders", |db| {
            let sql = "SELECT kind, branch, revision, flight, who, why, at, ended FROM orders ORDER BY number";
            let mut query = db.prepare(sql)?;
            let rows =
                query.query_map([], |row| Ok(Line::Order { order: Order::of(row)?, ended: row.get("ended")? }))?;
            rows.collect()
        })
    }
}
