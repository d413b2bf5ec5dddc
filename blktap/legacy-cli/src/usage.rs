//! Command lines that are not a run: what a command prints about them on standard output, and its exit status.

use crate::getopt::{End, Parsed};
use crate::report::EINVAL;
use crate::terminal::Terminal;

/// What a command does about a command line that is not a run: prints and returns the exit status. `None` for a run.
pub fn stop(parsed: &Parsed, usage: &str, help: &str, help_status: i32, terminal: &mut Terminal) -> Option<i32> {
    if parsed.has('h') {
        terminal.print_usage(usage);
        return Some(help_status);
    }
    match &parsed.end {
        End::Done => None,
        End::Operands(_) => Some(misused(usage, terminal)),
        End::LongHelp => {
            terminal.print(help);
            Some(0)
        }
        End::Wrong(line) => {
            terminal.say(line);
            Some(misused(usage, terminal))
        }
    }
}

/// Prints the usage of a command that was called wrongly; returns the exit status.
pub fn misused(usage: &str, terminal: &mut Terminal) -> i32 {
    terminal.print_usage(usage);
    EINVAL
}
