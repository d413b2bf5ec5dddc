//! Command-line tool for VHD images, drop-in for blktap's vhd-util. The commands are in `cmd/`, images in
//! the `vhd` crate, the manners of the command line in `legacy-cli`.
#![forbid(unsafe_code)]

mod cmd;
mod glob;
mod headers_text;
mod progress;
mod scan_look;

use std::process::ExitCode;

use legacy_cli::{getopt, report, terminal};

fn main() -> ExitCode {
    legacy_cli::main(cmd::run)
}
