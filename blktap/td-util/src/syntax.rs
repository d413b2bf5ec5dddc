//! What the lines of all commands have in common: options and operands in any order, names of limited length, and the usage,
//! which unlike vhd-util's goes to standard error.

use std::ffi::{OsStr, OsString};

use legacy_cli::getopt::{self, End, Parsed};
use legacy_cli::report::{EINVAL, ENAMETOOLONG};
use legacy_cli::terminal::Terminal;

use crate::disk_type::DiskType;

/// Names of this many bytes and more are refused, as they always were.
const MAX_NAME_BYTES: usize = 1000;

/// How one command is called.
pub(crate) struct Syntax {
    pub(crate) command: &'static str,
    /// getopt's letters.
    pub(crate) options: &'static str,
    /// What comes after `usage: td-util COMMAND TYPE`, to the end of the last line.
    pub(crate) usage: &'static str,
    pub(crate) help: &'static str,
    /// Exit status of `-h`.
    pub(crate) help_status: i32,
}

impl Syntax {
    /// The options and operands, or the exit status after the usage or help.
    pub(crate) fn parse(&self, of: DiskType, arguments: &[OsString], terminal: &mut Terminal) -> Result<Parsed, i32> {
        let parsed = getopt::parse(self.command, self.options, arguments);
        if parsed.has('h') {
            self.misused(of, terminal);
            return Err(self.help_status);
        }
        match parsed.end {
            End::Done | End::Operands(_) => Ok(parsed),
            End::LongHelp => {
                terminal.print(self.help);
                Err(0)
            }
            End::Wrong(line) => {
                terminal.say(line);
                Err(self.misused(of, terminal))
            }
        }
    }

    /// Prints the usage; returns the exit status of a wrong call.
    pub(crate) fn misused(&self, of: DiskType, terminal: &mut Terminal) -> i32 {
        terminal.say(format_args!("usage: td-util {} {of} {}", self.command, self.usage));
        EINVAL
    }
}

/// Refuses names that are too long: the exit status.
pub(crate) fn check_names(names: &[&OsStr], terminal: &mut Terminal) -> Result<(), i32> {
    if names.iter().any(|name| name.len() >= MAX_NAME_BYTES) {
        terminal.say("Device name too long");
        return Err(ENAMETOOLONG);
    }
    Ok(())
}
