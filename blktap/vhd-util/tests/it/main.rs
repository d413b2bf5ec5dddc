//! Golden tests of the program: bytes on standard output, words on standard error, exit statuses.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

mod allow_parents;
mod bench;
mod check;
mod coalesce;
mod compact;
mod contract;
mod convert;
mod copy;
mod create;
mod fill;
mod hostile;
mod info;
mod key;
mod man;
mod modify;
mod oracle;
mod progress;
mod query;
mod read;
mod read_data;
mod repair;
mod resize;
mod revert;
mod scan;
mod scan_volumes;
mod set;
mod snapshot;
mod usage;

use testkit::sample;
