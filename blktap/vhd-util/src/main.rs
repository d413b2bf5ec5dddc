//! Command-line tool for VHD images, drop-in for blktap's vhd-util. All of it is in the library of this crate, because
//! td-util has some of the same commands.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    legacy_cli::main(vhd_util::run)
}
