//! Command-line tool for the disks that tapdisk serves, drop-in for blktap's td-util. The commands are in `cmd/`; what they
//! do to images is the `vhd` crate's, and where they are vhd-util's under another name, that crate's.
#![forbid(unsafe_code)]

mod cmd;
mod disk_type;
mod syntax;

use std::process::ExitCode;

fn main() -> ExitCode {
    legacy_cli::main(cmd::run)
}
