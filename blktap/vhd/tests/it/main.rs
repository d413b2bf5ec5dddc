//! Tests of the library through its public face, on files. What a single module can show is tested in that module.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

mod chain;
mod coalesce;
mod compact;
mod convert;
mod create;
mod direct;
mod disk;
mod disk_crash;
mod disk_full;
mod edit;
mod encryption;
mod gate;
mod golden;
mod golden_makers;
mod hostile;
mod journal;
mod judge;
mod loop_device;
mod mutation;
mod oracle;
mod owners;
mod qemu;
mod raw_disk;
mod repair;
mod resize;
mod resize_crash;
mod shared;
mod shared_world;
mod sim_chain;
mod small;
mod status;
mod vhdi;

use testkit::{sample, sim_disk, sparse_disk};
