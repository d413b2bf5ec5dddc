//! Command lines as C's getopt reads them, and the outputs and exit statuses that scripts know from blktap's tools. All
//! of our drop-in commands stand on this; it knows nothing of images, and none of their commands.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod getopt;
pub mod man;
pub mod report;
pub mod terminal;
pub mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use terminal::Terminal;

/// A program: runs it on the process's arguments, prints what it had to say, and makes its error number the exit
/// status.
pub fn main(run: impl FnOnce(&[OsString], &mut Terminal) -> i32) -> ExitCode {
    let mut terminal = Terminal::default();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let errno = run(&arguments, &mut terminal);
    // Exit statuses have eight bits; C truncates in the same way.
    let [.., status] = terminal.finish(errno).to_be_bytes();
    ExitCode::from(status)
}
