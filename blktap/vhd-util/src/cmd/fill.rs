//! `fill`: gives every block of a disk a place, with the data that it reads now.

use std::ffi::OsString;
use std::path::PathBuf;

use vhd::units::BLOCK_BYTES;
use vhd::{Disk, Error};

use crate::getopt;
use crate::report::{EINVAL, EOPNOTSUPP};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:f:t:bBh";
const USAGE: &str = "options: <-n name> [-h help]\n";
const HELP: &str = "\
Give every block of a disk a place, with the data that it reads now

usage: vhd-util fill -n FILE

  -n FILE  The image; what its parents hold is copied into it
  --help   Print this text

Examples:
  vhd-util fill -n disk.vhd
";

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("fill", OPTIONS, arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let mut name = None;
    for (letter, value) in &parsed.options {
        match letter {
            'n' => name = value.as_ref().map(PathBuf::from),
            missing => {
                terminal.say(format_args!("error: this version of vhd-util has no `fill -{missing}` yet"));
                terminal.help("`vhd-util fill --help` lists what it has; use blktap's vhd-util for the rest");
                return EOPNOTSUPP;
            }
        }
    }
    let Some(name) = name else { return super::misused(USAGE, terminal) };
    match Disk::open_rw(&name) {
        Err(error) => super::not_opened(&name, &error, terminal),
        Ok(disk) => match fill(disk) {
            Ok(()) => 0,
            Err(error) => {
                terminal.explain(&error);
                error.errno()
            }
        },
    }
}

/// A few blocks at a time: memory is bounded, and they share their barriers.
const CHUNK_BYTES: u64 = 4 * BLOCK_BYTES;

fn fill(mut disk: Disk) -> Result<(), Error> {
    let (size, mut at) = (disk.size_bytes(), 0);
    let len = |left: u64| usize::try_from(CHUNK_BYTES.min(left)).expect("a few blocks fit in memory");
    let mut bytes = vec![0; len(size)];
    while at < size {
        let bytes = &mut bytes[..len(size - at)];
        disk.read_at(at, bytes)?;
        disk.write_at(at, bytes)?;
        at += CHUNK_BYTES;
    }
    disk.flush()
}
