//! `get`: one field of a log, or its bitmap.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use cbt::{Header, Log};
use legacy_cli::terminal::Terminal;

use super::Syntax;

const SYNTAX: Syntax = Syntax {
    command: "get",
    options: "n:pcfsbh",
    usage: "\
cbt-util get: Read field from log file

Options:
 -n name\tName of log file
[-p]\t\tPrint parent log file UUID
[-c]\t\tPrint child log file UUID
[-f]\t\tPrint consistency flag
[-s]\t\tPrint size of disk in bytes
[-b]\t\tPrint bitmap contents
[-h]\t\thelp
",
    help: "\
Print one field of a log, or its bitmap

usage: cbt-util get -n FILE -p|-c|-f|-s|-b

  -n FILE  The log
  -p       UUID of the disk of the log before this one, all zeros for none
  -c       UUID of the disk of the log after this one, all zeros for none
  -f       Whether the log holds every write: 1, or 0 while a tapdisk has it open and after a crash
  -s       Size of the disk in bytes
  -b       The bitmap as it is: one bit for each 64 KiB, lowest bit of the first byte first
  --help   Print this text

Examples:
  cbt-util get -n disk.cbtlog -p
  cbt-util get -n disk.cbtlog -b > bitmap
",
};

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> Result<(), i32> {
    let parsed = SYNTAX.parse(arguments, terminal)?;
    let mut asked = ['p', 'c', 'f', 's', 'b'].into_iter().filter(|&letter| parsed.has(letter));
    let (Some(name), Some(letter), None) = (parsed.value('n'), asked.next(), asked.next()) else {
        return Err(SYNTAX.misused(terminal));
    };
    let (log, header) = super::open(name, Log::open, terminal)?;
    match letter {
        'p' => terminal.print(format_args!("{}\n", header.parent.hyphenated())),
        'c' => terminal.print(format_args!("{}\n", header.child.hyphenated())),
        'f' => terminal.print(format_args!("{}\n", header.consistent)),
        's' => terminal.print(format_args!("{}\n", header.size_bytes)),
        _ => return bitmap(name, &log, &header, terminal),
    }
    Ok(())
}

fn bitmap(name: &OsStr, log: &Log, header: &Header, terminal: &mut Terminal) -> Result<(), i32> {
    let mut print = || {
        for piece in log.bitmap(header)? {
            terminal.print_bytes(&piece?.1);
            if !terminal.flush() {
                // `finish` says why.
                break;
            }
        }
        Ok(())
    };
    print().map_err(|error| {
        terminal.say_bytes(&[b"Failed to read bitmap from file ", name.as_bytes()]);
        super::failed(&error, terminal)
    })
}
