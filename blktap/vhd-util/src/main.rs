//! Command-line tool for VHD images, drop-in for blktap's vhd-util. Parses, runs, and turns the outcome into an exit
//! status; the work is in `cmd/` and in the `vhd` crate.
#![forbid(unsafe_code)]

mod cmd;
mod getopt;
mod glob;
mod headers_text;
mod progress;
mod report;
mod scan_look;
mod terminal;

use std::process::ExitCode;

use terminal::Terminal;

fn main() -> ExitCode {
    let mut terminal = Terminal::default();
    let errno = cmd::run(std::env::args_os().skip(1).collect(), &mut terminal);
    // Exit statuses have eight bits; C truncates in the same way.
    let [.., status] = terminal.finish(errno).to_be_bytes();
    ExitCode::from(status)
}
