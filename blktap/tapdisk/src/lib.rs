//! Serves chains of images as disks. Each client has a thread, the disk is one for all: what one connection has flushed is
//! flushed for all.
//!
//! | files | own |
//! |---|---|
//! | `server`, `listener`, `client` | waiting for clients, and what each connection is at |
//! | `channel`, `arrival`, `tls` | a client's stream, how it is waited for, and what keeps it secret |
//! | `serving`, `parked`, `outlet`, `pipe` | requests and their answers; requests that wait for room; long reads without copies, or several at a time |
//! | `passed`, `socket_path` | connections that others accepted; sockets with names |
//! | `shared`, `service` | the disk that clients share, and may be paused; the disk as they see it, any alignment |
//! | `store` | what holds its sectors: a chain of images, another server, two of them as one |
//! | `params`, `opening`, `engine` | `type:path`; what is opened for OPEN and RESUME; what moves bytes past the page cache |
//! | `failure` | why a request failed |
//! | `control`, `vbds`, `vbd`, `host` | the control socket; disks by minor; one disk from attach to detach; what they share |
//! | `stats`, `metrics`, `log` | what others may know of it |
//! | `cmd` | command lines: the daemon, and `tapdisk serve` |
//!
//! Both protocols are crates of their own, `nbd` and `tap-proto`; images are crate `vhd`'s.
#![forbid(unsafe_code)]

mod arrival;
mod channel;
mod client;
mod cmd;
mod control;
mod engine;
mod failure;
mod host;
mod listener;
mod local_leaf;
mod log;
mod metrics;
mod opening;
mod outlet;
mod params;
mod parked;
mod passed;
mod pipe;
mod server;
mod service;
mod serving;
mod shared;
mod socket_path;
mod stats;
mod store;
mod tls;
mod vbd;
mod vbds;

pub use cmd::{command, run};

/// This process.
fn pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}
