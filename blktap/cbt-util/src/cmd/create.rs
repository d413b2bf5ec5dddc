//! `create`: the log of a disk on which nothing has changed.

use std::ffi::OsString;
use std::path::Path;

use cbt::{Header, Log};
use legacy_cli::terminal::Terminal;

use super::Syntax;

const SYNTAX: Syntax = Syntax {
    command: "create",
    options: "n:s:h",
    usage: "\
cbt-util create: Create new CBT metadata log with default values

Options:
\t-n Log file name
\t-s Num blocks in bitmap
\t[-h help]
",
    help: "\
Create the log of a disk on which nothing has changed

usage: cbt-util create -n FILE -s BYTES

  -n FILE   The log: a new file, an existing one (its content is lost) or a block device
  -s BYTES  Size of the disk in bytes
  --help    Print this text

The log has no parent and no child and is not marked consistent; `cbt-util set` changes that. When it fails, a file that
was not there before is removed again.

Example:
  cbt-util create -n disk.cbtlog -s 10737418240
",
};

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> Result<(), i32> {
    let parsed = SYNTAX.parse(arguments, terminal)?;
    let (Some(name), Some(size)) = (parsed.value('n'), parsed.value('s')) else {
        return Err(SYNTAX.misused(terminal));
    };
    let header = Header::new(SYNTAX.size(size, terminal)?);
    Log::create(Path::new(name), &header).map_err(|error| super::failed(&error, terminal))
}
