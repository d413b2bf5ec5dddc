//! What disks have done up to now, for whoever wants to see them at work: counters out of the statistics of all tapdisks.

use std::time::Instant;

use serde_json::Value;

use crate::client::Client;
use crate::disk::Vbd;
use crate::error::Result;
use crate::list::{self, Entry};

/// Counters of one disk since it was opened. C's tapdisk tells sectors only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sectors that were read and written.
    pub sectors: [u64; 2],
    /// Requests that were answered.
    pub requests: Option<[u64; 2]>,
    /// Microseconds that they took, together.
    pub micros: Option<[u64; 2]>,
    /// Requests that have begun and are not answered.
    pub outstanding: u64,
}

/// A disk, and what it has done.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The disk.
    pub entry: Entry,
    /// `None` where its tapdisk does not say.
    pub counters: Option<Counters>,
    /// When it was asked.
    pub at: Instant,
}

/// All disks that a tapdisk has.
pub fn all(client: &Client) -> Result<Vec<Sample>> {
    let disks = list::all(client)?.into_iter().filter(|entry| entry.pid.is_some() && entry.minor.is_some());
    Ok(disks.map(|entry| Sample { counters: counters(client, &entry), at: Instant::now(), entry }).collect())
}

fn counters(client: &Client, entry: &Entry) -> Option<Counters> {
    let (pid, minor) = (entry.pid?, u16::try_from(entry.minor?).ok()?);
    let json = Vbd { client, pid, minor }.stats().ok()?;
    Counters::of(&serde_json::from_slice(&json).ok()?)
}

impl Counters {
    /// Out of a disk's statistics.
    pub fn of(stats: &Value) -> Option<Self> {
        let pair = |name: &str| {
            let pair = stats.get(name)?;
            Some([pair.get(0)?.as_u64()?, pair.get(1)?.as_u64()?])
        };
        Some(Counters {
            sectors: pair("secs")?,
            requests: pair("reqs"),
            micros: pair("usecs"),
            outstanding: stats.get("reqs_outstanding").and_then(Value::as_u64).unwrap_or(0),
        })
    }
}
