//! `println!` and `eprintln!` for a program whose reader may go away: std's panic when `cargo xtask list | head -1` closes the pipe.
//! These shadow them in the whole crate.

use std::fmt::Arguments;
use std::io::Write;

/// A line on standard output.
pub fn to_stdout(line: Arguments<'_>) {
    writeln!(std::io::stdout(), "{line}").unwrap_or_default();
}

/// A line on standard error.
pub fn to_stderr(line: Arguments<'_>) {
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}

macro_rules! println {
    ($($line:tt)*) => { $crate::print::to_stdout(format_args!($($line)*)) };
}

macro_rules! eprintln {
    ($($line:tt)*) => { $crate::print::to_stderr(format_args!($($line)*)) };
}
