//! `tapdisk serve` as clients and shells see it, and the daemon as tap-ctl does: a real process, real sockets, real files.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

mod changed_blocks;
mod client;
mod command_line;
mod control;
mod daemon;
mod edges;
mod encrypted;
mod end;
mod judges;
mod kernel;
mod man;
mod no_space;
mod oracle;
mod passed;
mod pause;
mod repository;
mod second_image;
mod served;
mod storage_manager;
mod tls;
mod together;
mod under_fio;
