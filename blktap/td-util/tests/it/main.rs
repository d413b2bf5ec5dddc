//! Golden tests of the program: bytes on standard output, words on standard error, exit statuses.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

#[path = "../../../vhd-util/tests/it/bench.rs"]
mod bench;
mod create;
mod man;
mod query;
mod set;
mod snapshot;
mod usage;

use testkit::sample;
