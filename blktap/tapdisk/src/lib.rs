//! Serves a chain of images as a disk. Each client has a thread, the disk is one for all: what one connection has flushed is
//! flushed for all.
//!
//! `server` waits for clients; `client` is what one connection is at; `service` is the disk as clients see it, any
//! alignment; `cmd` is the command line. The protocol is crate `nbd`'s, images are crate `vhd`'s.
#![forbid(unsafe_code)]

mod arrival;
mod client;
mod cmd;
mod server;
mod service;
mod socket_path;

pub use cmd::run;
