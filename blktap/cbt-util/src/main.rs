//! Command-line tool for logs of changed blocks, drop-in for blktap's cbt-util. The commands are in `cmd/`, logs in the `cbt`
//! crate, the manners of the command line in `legacy-cli`.
#![forbid(unsafe_code)]

mod cmd;

use std::process::ExitCode;

fn main() -> ExitCode {
    legacy_cli::main(cmd::run)
}
