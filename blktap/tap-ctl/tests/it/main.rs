//! The command against sockets that say what a tapdisk of blktap 4 was recorded saying.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

mod bench;
mod disks;
mod list;
mod man;
mod numbers;
mod usage;
