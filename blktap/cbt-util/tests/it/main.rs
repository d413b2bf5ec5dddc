//! Golden tests of the program: bytes on standard output, words on standard error, exit statuses.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

#[path = "../../../vhd-util/tests/it/bench.rs"]
mod bench;
mod coalesce;
mod create;
mod get;
mod interrupted;
mod man;
mod sample;
mod set;
mod usage;
