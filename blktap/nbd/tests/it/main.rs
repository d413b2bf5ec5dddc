//! The protocol against its specification: bytes in, bytes out.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

mod bytes;
mod handshake;
mod remote;
mod transmission;
