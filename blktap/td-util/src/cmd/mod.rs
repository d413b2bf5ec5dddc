//! One file per command: its syntax, its run. What is here finds command and type.

mod create;
mod query;
mod set;
mod snapshot;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use legacy_cli::terminal::Terminal;

use crate::disk_type::{self, DiskType};
use crate::syntax::Syntax;

const USAGE: &str = "\
Tapdisk Utilities: v1.0.0
usage: td-util COMMAND [TYPE] [OPTIONS]
COMMAND := { create | snapshot | query | set }";

const HELP: &str = "\
Create, inspect and change the disks that tapdisk serves

usage: td-util COMMAND TYPE [OPTIONS] ARGUMENTS
       td-util COMMAND --help

Commands:
  create    Create a disk
  snapshot  Create a VHD on top of another disk
  query     Print properties of a disk, one per line
  set       Set the hidden flag of a VHD

Types:
  vhd       A VHD; vhd-util can do more with it
  aio       A raw disk: a file or block device that holds the disk's bytes and nothing else

Results go to standard output, in the format of blktap 4; usage and explanations go to standard error.
The exit status is 0, the Linux error number of the first failure (22 for wrong options), or 255 for a wrong COMMAND or
TYPE.

Examples:
  td-util create vhd 10240 disk.vhd
  td-util snapshot vhd today.vhd disk.vhd
  td-util query vhd -vpf today.vhd
";

/// Exit status of a call without a command and a type that there are, -1 in C.
const NO_COMMAND: i32 = 255;

type Run = fn(DiskType, &[OsString], &mut Terminal) -> Result<(), i32>;

/// Runs the command that the arguments name; returns the exit status.
pub(crate) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let Some((name, arguments)) = arguments.split_first() else {
        return no_command(terminal);
    };
    let (syntax, run): (&Syntax, Run) = match name.to_str() {
        Some("create") => (&create::SYNTAX, create::run),
        Some("snapshot") => (&snapshot::SYNTAX, snapshot::run),
        Some("query") => (&query::SYNTAX, query::run),
        Some("set") => (&set::SYNTAX, set::run),
        Some("--help") => {
            terminal.print(HELP);
            return 0;
        }
        _ => {
            terminal.say_bytes(&[b"invalid COMMAND ", name.as_bytes()]);
            return no_command(terminal);
        }
    };
    let Some((type_name, arguments)) = arguments.split_first() else {
        terminal.say(format_args!("td-util {} requires a TYPE\n{}", syntax.command, disk_type::USAGE));
        return NO_COMMAND;
    };
    match DiskType::named(type_name) {
        Some(of) => run(of, arguments, terminal).err().unwrap_or(0),
        None if type_name == "--help" => {
            terminal.print(syntax.help);
            0
        }
        None => {
            terminal.say_bytes(&[b"invalid TYPE '", type_name.as_bytes(), b"'."]);
            terminal.say(disk_type::USAGE);
            NO_COMMAND
        }
    }
}

fn no_command(terminal: &mut Terminal) -> i32 {
    terminal.say(USAGE);
    terminal.say(disk_type::USAGE);
    NO_COMMAND
}

/// Runs a command of vhd-util that does the work.
fn delegate(
    run: fn(&[OsString], &mut Terminal) -> i32,
    arguments: &[OsString],
    terminal: &mut Terminal,
) -> Result<(), i32> {
    match run(arguments, terminal) {
        0 => Ok(()),
        errno => Err(errno),
    }
}
