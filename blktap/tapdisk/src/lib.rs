//! Serves chains of images as disks. Each client has a thread, the disk is one for all: what one connection has flushed is
//! flushed for all.
//!
//! | files | own |
//! |---|---|
//! | `server`, `arrival`, `client` | waiting for clients, and what each connection is at |
//! | `serving`, `parked` | requests and their answers; requests that wait for room |
//! | `passed`, `socket_path` | connections that others accepted; sockets with names |
//! | `shared`, `service` | the disk that clients share, and may be paused; the disk as they see it, any alignment |
//! | `params` | `type:path`, and what is opened for it |
//! | `control`, `vbds`, `vbd` | the control socket; disks by minor; one disk from attach to detach |
//! | `stats`, `metrics`, `log` | what others may know of it |
//! | `cmd` | command lines: the daemon, and `tapdisk serve` |
//!
//! Both protocols are crates of their own, `nbd` and `tap-proto`; images are crate `vhd`'s.
#![forbid(unsafe_code)]

mod arrival;
mod client;
mod cmd;
mod control;
mod log;
mod metrics;
mod params;
mod parked;
mod passed;
mod server;
mod service;
mod serving;
mod shared;
mod socket_path;
mod stats;
mod vbd;
mod vbds;

pub use cmd::run;

/// This process.
fn pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}
