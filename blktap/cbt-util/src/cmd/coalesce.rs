//! `coalesce`: the blocks of a log, added to the one that comes after it.

use std::ffi::OsString;

use cbt::{ErrorKind, Log};
use legacy_cli::terminal::Terminal;

use super::Syntax;

const SYNTAX: Syntax = Syntax {
    command: "coalesce",
    options: "p:c:h",
    usage: "\
cbt-util coalesce: Coalesce contents of parent bitmap on to child bitmap

Options:
\t-p Parent log file name
\t-c Child log file name
\t[-h help]
",
    help: "\
Add the blocks of a log to the one that comes after it

usage: cbt-util coalesce -p PARENT -c CHILD

  -p PARENT  The older log, which stays as it is
  -c CHILD   The log after it, of a disk that is not smaller; afterwards it has the blocks of both
  --help     Print this text

Do it before PARENT is deleted. When it is interrupted, do it again. No tapdisk may have CHILD open.

Example:
  cbt-util coalesce -p snapshot.cbtlog -c disk.cbtlog
",
};

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> Result<(), i32> {
    let parsed = SYNTAX.parse(arguments, terminal)?;
    let (Some(parent), Some(child)) = (parsed.value('p'), parsed.value('c')) else {
        return Err(SYNTAX.misused(terminal));
    };
    let (parent, _) = super::open(parent, Log::open, terminal)?;
    let (child, _) = super::open(child, Log::open_rw, terminal)?;
    child.coalesce(&parent).map_err(|error| {
        if error.kind() == ErrorKind::InvalidInput {
            terminal.say("Parent bitmap larger than child bitmap, can't coalesce");
        }
        super::failed(&error, terminal)
    })
}
