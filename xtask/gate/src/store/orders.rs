//! What operators said: force, block, stop, allow. Each with who and why, and in the audit for ever.

use rusqlite::{Row, Transaction, params};
use serde::Serialize;

use super::Store;
use super::flights::word;
use crate::allow::Allowance;
use crate::error::Result;
use crate::model::FlightNo;

words! {
    /// What is ordered.
    OrderKind {
        /// Push exactly this revision, once, whatever the verdict is.
        Force = "force",
        /// Push nothing.
        Block = "block",
        /// Begin no flight.
        Stop = "stop",
        /// Test a candidate's flight once more.
        Retry = "retry",
    }
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Order {
    /// What.
    pub kind: OrderKind,
    /// For which branch; nothing: all.
    pub branch: Option<String>,
    /// Force: exactly this one.
    pub revision: Option<String>,
    /// Retry: this one.
    pub flight: Option<FlightNo>,
    /// Who said it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When, in seconds since 1970.
    pub at: i64,
}

impl Order {
    /// One for all branches, about no revision and no flight.
    pub fn new(kind: OrderKind, who: impl Into<String>, why: impl Into<String>, at: i64) -> Order {
        Order { kind, branch: None, revision: None, flight: None, who: who.into(), why: why.into(), at }
    }

    /// From a row with its columns.
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Order> {
        Ok(Order {
            kind: word(row, row.as_ref().column_index("kind")?, "order", OrderKind::from_word)?,
            branch: row.get("branch")?,
            revision: row.get("revision")?,
            flight: row.get("flight")?,
            who: row.get("who")?,
            why: row.get("why")?,
            at: row.get("at")?,
        })
    }
}

/// One line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// When, in seconds since 1970.
    pub at: i64,
    /// Who did it.
    pub who: String,
    /// What was done.
    pub what: String,
    /// To which branch.
    pub branch: Option<String>,
    /// Why.
    pub why: String,
}

impl Store {
    /// Records an order.
    pub fn order(&mut self, order: &Order) -> Result<()> {
        self.change("record an order", |tx| {
            let Order { kind, branch, revision, flight, who, why, at } = order;
            tx.execute(
                "INSERT INTO orders (kind, branch, revision, flight, who, why, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![kind.as_str(), branch, revision, flight, who, why, at],
            )?;
            let what = revision.iter().cloned().chain(flight.map(|flight| format!("flight {flight}")));
            let what = what.fold(kind.as_str().to_owned(), |what, of| format!("{what} {of}"));
            audit(tx, &Audit { at: *at, who: who.clone(), what, branch: branch.clone(), why: why.clone() })
        })
    }

    /// Takes back all orders of the same kind for the same branch, where one is named of the same revision; says how many there were.
    pub fn end_orders(&mut self, like: &Order) -> Result<usize> {
        self.change("take an order back", |tx| {
            let Order { kind, branch, revision, who, why, at, .. } = like;
            let ended = tx.execute(
                "UPDATE orders SET ended = ?4 WHERE kind = ?1 AND branch IS ?2 AND (?3 IS NULL OR revision = ?3) AND ended IS NULL",
                params![kind.as_str(), branch, revision, at],
            )?;
            let what = revision.iter().fold(format!("end of {}", kind.as_str()), |what, of| format!("{what} {of}"));
            audit(tx, &Audit { at: *at, who: who.clone(), what, branch: branch.clone(), why: why.clone() })?;
            Ok(ended)
        })
    }

    /// One order is obeyed, or means nothing any more.
    pub fn end_order(&mut self, number: i64, now: i64) -> Result<()> {
        self.change("end an order", |tx| end_order(tx, number, now))
    }

    /// The orders for a branch that stand, each with its number.
    pub fn orders(&self, branch: &str) -> Result<Vec<(i64, Order)>> {
        self.ask("orders", |db| {
            let mut query = db.prepare_cached(
                "SELECT number, kind, branch, revision, flight, who, why, at FROM orders
                 WHERE ended IS NULL AND (branch IS NULL OR branch = ?1) ORDER BY number",
            )?;
            let order = |row: &Row<'_>| Ok((row.get("number")?, Order::of(row)?));
            query.query_map([branch], order)?.collect()
        })
    }

    /// Adds a line to the allow list.
    pub fn allow(&mut self, line: &Allowance, who: &str, now: i64) -> Result<()> {
        self.change("change the allow list", |tx| {
            let Allowance { branch, job, testid, removes, owner, reason, expires } = line;
            tx.execute(
                "INSERT INTO allowances (branch, job, testid, removes, owner, reason, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![branch, job, testid, removes, owner, reason, expires],
            )?;
            let what = format!("{} {job} {testid}, answered for by {owner}", if *removes { "allow no more" } else { "allow" });
            audit(tx, &Audit { at: now, who: who.to_owned(), what, branch: branch.clone(), why: reason.clone() })
        })
    }

    /// The allow list, oldest line first.
    pub fn allowances(&self) -> Result<Vec<Allowance>> {
        self.ask("the allow list", |db| {
            let mut query = db.prepare_cached(
                "SELECT branch, job, testid, removes, owner, reason, expires FROM allowances ORDER BY number",
            )?;
            let line = |row: &Row<'_>| {
                Ok(Allowance {
                    branch: row.get(0)?,
                    job: row.get(1)?,
                    testid: row.get(2)?,
                    removes: row.get(3)?,
                    owner: row.get(4)?,
                    reason: row.get(5)?,
                    expires: row.get(6)?,
                })
            };
            query.query_map([], line)?.collect()
        })
    }

    /// Everything that operators did, oldest first.
    pub fn audit(&self) -> Result<Vec<Audit>> {
        self.ask("the audit", |db| {
            let mut query = db.prepare_cached("SELECT at, who, what, branch, why FROM audit ORDER BY number")?;
            let line = |row: &Row<'_>| {
                Ok(Audit {
                    at: row.get(0)?,
                    who: row.get(1)?,
                    what: row.get(2)?,
                    branch: row.get(3)?,
                    why: row.get(4)?,
                })
            };
            query.query_map([], line)?.collect()
        })
    }
}

pub(super) fn audit(tx: &Transaction<'_>, line: &Audit) -> rusqlite::Result<()> {
    let Audit { at, who, what, branch, why } = line;
    tx.execute(
        "INSERT INTO audit (at, who, what, branch, why) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![at, who, what, branch, why],
    )?;
    Ok(())
}

pub(super) fn end_order(tx: &Transaction<'_>, number: i64, now: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE orders SET ended = ?2 WHERE number = ?1 AND ended IS NULL")?
        .execute(params![number, now])?;
    Ok(())
}
