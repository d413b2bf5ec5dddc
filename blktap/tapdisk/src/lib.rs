//! Serves a chain of images as a disk. One loop owns the disk and all of its clients: nothing is locked, and what one
//! connection has flushed is flushed for all.
//!
//! `server` waits, and knows sockets; `client` is what one connection is at; `service` is the disk as clients see it, any
//! alignment; `cmd` is the command line. The protocol is crate `nbd`'s, images are crate `vhd`'s.
#![forbid(unsafe_code)]

mod client;
mod cmd;
mod server;
mod service;
mod socket_path;

pub use cmd::run;
