//! Command-line control of tapdisks, drop-in for blktap's tap-ctl.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    legacy_cli::main(tap_ctl::cmd::run)
}
