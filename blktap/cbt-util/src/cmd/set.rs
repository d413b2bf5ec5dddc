//! `set`: fields of a log.

use std::ffi::{OsStr, OsString};

use cbt::{ErrorKind, Header, Log};
use legacy_cli::getopt::Parsed;
use legacy_cli::terminal::Terminal;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::Syntax;

const SYNTAX: Syntax = Syntax {
    command: "set",
    options: "n:p:c:f:s:h",
    usage: "\
cbt-util set: Set field in log file

Options:
 -n name\tName of log file
[-p parent]\tParent log file UUID
[-c child]\tChild log file UUID
[-f 0|1]\tConsistency flag
[-s size]\tSize of the disk in bytes
[-h]\t\thelp
",
    help: "\
Set fields of a log

usage: cbt-util set -n FILE [-p UUID] [-c UUID] [-f 0|1] [-s BYTES]

  -n FILE   The log
  -p UUID   The disk of the log before this one, all zeros for none
  -c UUID   The disk of the log after this one, all zeros for none
  -f 0|1    Whether the log holds every write
  -s BYTES  New size of the disk, which must not be smaller than the old one
  --help    Print this text

Either all fields are set, or the log stays as it was. Do not set fields of a log that a tapdisk has open.

Examples:
  cbt-util set -n disk.cbtlog -f 1
  cbt-util set -n disk.cbtlog -s 21474836480
",
};

/// What is to be set.
struct Changes {
    parent: Option<Uuid>,
    child: Option<Uuid>,
    consistent: Option<i32>,
    size_bytes: Option<u64>,
}

impl Changes {
    fn parse(parsed: &Parsed, terminal: &mut Terminal) -> Result<Self, i32> {
        let mut uuid = |letter| parsed.value(letter).map(|text| uuid(text, terminal)).transpose();
        Ok(Changes {
            parent: uuid('p')?,
            child: uuid('c')?,
            consistent: parsed.value('f').map(|text| flag(text, terminal)).transpose()?,
            size_bytes: parsed.value('s').map(|text| SYNTAX.size(text, terminal)).transpose()?,
        })
    }

    fn apply(&self, old: &Header) -> Header {
        Header {
            parent: self.parent.unwrap_or(old.parent),
            child: self.child.unwrap_or(old.child),
            consistent: self.consistent.unwrap_or(old.consistent),
            size_bytes: self.size_bytes.unwrap_or(old.size_bytes),
            padding: old.padding,
        }
    }
}

/// C takes what is no UUID, changes nothing and succeeds: the chain of logs is then not what the caller believes.
fn uuid(text: &OsStr, terminal: &mut Terminal) -> Result<Uuid, i32> {
    match text.to_str().and_then(|text| text.parse::<Hyphenated>().ok()) {
        Some(uuid) => Ok(uuid.into_uuid()),
        None => {
            terminal.say(format_args!("error: `{}` is no UUID like {}", text.display(), Uuid::nil()));
            Err(SYNTAX.misused(terminal))
        }
    }
}

/// C takes what is no number for 0.
fn flag(text: &OsStr, terminal: &mut Terminal) -> Result<i32, i32> {
    text.to_str().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
        terminal.say(format_args!("error: flag is `{}`, neither 0 nor 1", text.display()));
        SYNTAX.misused(terminal)
    })
}

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> Result<(), i32> {
    let parsed = SYNTAX.parse(arguments, terminal)?;
    let is_asked = ['p', 'c', 'f', 's'].into_iter().any(|letter| parsed.has(letter));
    let Some(name) = parsed.value('n').filter(|_| is_asked) else {
        return Err(SYNTAX.misused(terminal));
    };
    let changes = Changes::parse(&parsed, terminal)?;
    let (log, old) = super::open(name, Log::open_rw, terminal)?;
    let new = changes.apply(&old);
    let grown = if changes.size_bytes.is_some() { log.grow_bitmap(&old, &new) } else { Ok(()) };
    grown.and_then(|()| log.write_header(&new)).map_err(|error| {
        if error.kind() == ErrorKind::InvalidInput {
            terminal.say(format_args!("Size smaller than current file size ({})", old.size_bytes));
        }
        super::failed(&error, terminal)
    })
}
