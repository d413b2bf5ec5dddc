//! One file per command: its options, its run. What is here finds the command, and says what failed in C's words.

mod coalesce;
mod create;
mod get;
mod set;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cbt::{Error, Header, Log};
use legacy_cli::getopt::{self, End, Parsed};
use legacy_cli::report::EINVAL;
use legacy_cli::terminal::Terminal;
use legacy_cli::usage::stop;

const USAGE: &str = "\
usage: cbt-util COMMAND [OPTIONS]
COMMAND := { create | set | get | coalesce }
";

const HELP: &str = "\
Create, read and change logs of changed blocks

usage: cbt-util COMMAND [OPTIONS]
       cbt-util COMMAND --help

Commands:
  create    Create the log of a disk on which nothing has changed
  get       Print one field of a log, or its bitmap
  set       Set fields of a log
  coalesce  Add the blocks of a log to the one that comes after it

A log has one bit for each 64 KiB of a disk; tapdisk sets it when the machine writes there. There is one log for each
snapshot of a disk, and each names the disk of the one before it (parent) and of the one after it (child).

Results go to standard output, in the format of blktap 4; explanations go to standard error.
The exit status is 0 or the Linux error number of the failure (22 for wrong usage and for files that are no logs).

Examples:
  cbt-util create -n disk.cbtlog -s 10737418240
  cbt-util get -n disk.cbtlog -b > bitmap
";

/// Runs the command that the arguments name; returns the exit status.
pub(crate) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let Some((command, arguments)) = arguments.split_first() else {
        terminal.print(USAGE);
        return EINVAL;
    };
    let done = match command.to_str() {
        Some("create") => create::run(arguments, terminal),
        Some("set") => set::run(arguments, terminal),
        Some("get") => get::run(arguments, terminal),
        Some("coalesce") => coalesce::run(arguments, terminal),
        Some("--help") => {
            terminal.print(HELP);
            Ok(())
        }
        _ => {
            // Success, as in C.
            terminal.say_bytes(&[b"Invalid COMMAND ", command.as_bytes()]);
            terminal.print(USAGE);
            Ok(())
        }
    };
    done.err().unwrap_or(0)
}

/// How one command is called.
struct Syntax {
    command: &'static str,
    /// getopt's letters.
    options: &'static str,
    usage: &'static str,
    help: &'static str,
}

impl Syntax {
    /// The options, or the exit status after usage or help. Arguments that are no options are ignored, as they always were.
    fn parse(&self, arguments: &[OsString], terminal: &mut Terminal) -> Result<Parsed, i32> {
        let mut parsed = getopt::parse(self.command, self.options, arguments);
        if let End::Operands(_) = parsed.end {
            parsed.end = End::Done;
        }
        match stop(&parsed, self.usage, self.help, EINVAL, terminal) {
            Some(status) => Err(status),
            None => Ok(parsed),
        }
    }

    /// Prints the usage; returns the exit status of a wrong call.
    fn misused(&self, terminal: &mut Terminal) -> i32 {
        legacy_cli::usage::misused(self.usage, terminal)
    }

    /// A size in bytes. C takes any text, and what is no number for 0, which is as good as no size.
    fn size(&self, text: &OsStr, terminal: &mut Terminal) -> Result<u64, i32> {
        match text.to_str().and_then(|text| text.trim().parse().ok()) {
            Some(0) => Err(self.misused(terminal)),
            Some(size_bytes) => Ok(size_bytes),
            None => {
                terminal.say(format_args!("error: size is `{}`, not a whole number of bytes", text.display()));
                terminal.help(format_args!("cbt-util {} -n FILE -s 10737418240", self.command));
                Err(self.misused(terminal))
            }
        }
    }
}

/// Opens a log and reads its header.
fn open(name: &OsStr, open: fn(&Path) -> cbt::Result<Log>, terminal: &mut Terminal) -> Result<(Log, Header), i32> {
    let log = open(Path::new(name)).map_err(|error| {
        terminal.say_bytes(&[b"Failed to open log file ", name.as_bytes()]);
        failed(&error, terminal)
    })?;
    let header = log.header().map_err(|error| {
        terminal.say_bytes(&[b"Failed to read CBT metadata from file ", name.as_bytes()]);
        failed(&error, terminal)
    })?;
    Ok((log, header))
}

/// Says why a command failed; returns the exit status.
fn failed(error: &Error, terminal: &mut Terminal) -> i32 {
    terminal.explain(error);
    error.errno()
}
