//! `print!`, `println!` and `eprintln!` for a program whose reader may go away: std's panic when `cargo xtask list | head -1` closes the pipe.
//! These shadow them in the whole crate. Any other failure (a full disk) is remembered: what was written is then not whole.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::sync::Mutex;

use crate::error::{Error, Result};

static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Text on standard output.
pub fn text_to_stdout(text: Arguments<'_>) {
    remember(io::stdout().write_fmt(text));
}

/// A line on standard output.
pub fn to_stdout(line: Arguments<'_>) {
    remember(writeln!(io::stdout(), "{line}"));
}

/// A line on standard error.
pub fn to_stderr(line: Arguments<'_>) {
    writeln!(io::stderr(), "{line}").unwrap_or_default();
}

/// Keeps the first failure to write a result, unless its reader went away.
pub fn remember(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        LOST.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }
}

/// `Err` when something that was printed on standard output did not get there.
pub fn check_stdout() -> Result<()> {
    remember(io::stdout().flush());
    match LOST.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
        Some(error) => Err(Error::machine("cannot write to standard output: what it got is not whole").because(error)),
        None => Ok(()),
    }
}

macro_rules! print {
    ($($text:tt)*) => { $crate::print::text_to_stdout(format_args!($($text)*)) };
}

macro_rules! println {
    ($($line:tt)*) => { $crate::print::to_stdout(format_args!($($line)*)) };
}

macro_rules! eprintln {
    ($($line:tt)*) => { $crate::print::to_stderr(format_args!($($line)*)) };
}
