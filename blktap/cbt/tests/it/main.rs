//! Whole logs on files.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

mod bench;
mod coalesce;
mod hostile;
mod write;
