//! `snapshot`: a VHD on top of another disk, by vhd-util.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use legacy_cli::report::{EINVAL, EIO};
use legacy_cli::terminal::Terminal;

use crate::disk_type::DiskType;
use crate::syntax::{Syntax, check_names};

pub(super) const SYNTAX: Syntax = Syntax {
    command: "snapshot",
    options: "hbml:",
    usage: "[-h help] [-m parent_raw] [-b file_is_fixed_size] [-l snapshot depth limit] <FILENAME> <BACKING_FILENAME>",
    help: "\
Create a VHD on top of another disk

usage: td-util snapshot vhd [-m] [-l LIMIT] FILE PARENT

  FILE      The new image; what it does not hold is read from its parent. A file that exists loses its content
  PARENT    The parent. A parent that is itself a snapshot and holds nothing is left out of the chain
  -m        The parent is a raw disk, not a VHD
  -l LIMIT  Fail with status 28 when the chain would have more images than this
  --help    Print this text

The path to the parent is stored relative to the directory of FILE: move both, or neither. Do not write to PARENT as
long as it has children. `vhd-util snapshot` has more options.

Example:
  td-util snapshot vhd today.vhd base.vhd
",
    help_status: 0,
};

pub(super) fn run(of: DiskType, arguments: &[OsString], terminal: &mut Terminal) -> Result<(), i32> {
    if of != DiskType::Vhd {
        terminal.say(format_args!("Cannot create snapshot of {of} image type"));
        terminal.help("td-util snapshot vhd -m FILE PARENT makes a VHD on top of a raw disk");
        return Err(EINVAL);
    }
    let parsed = SYNTAX.parse(of, arguments, terminal)?;
    let [name, backing] = parsed.operands() else { return Err(SYNTAX.misused(of, terminal)) };
    check_names(&[name, backing], terminal)?;
    if let Err(error) = fs::metadata(backing) {
        terminal.say_bytes(&[b"File ", backing.as_bytes(), b" not found"]);
        terminal.explain(&error);
        return Err(error.raw_os_error().unwrap_or(EIO));
    }
    let mut arguments = vec!["-n".into(), name.clone(), "-p".into(), backing.clone()];
    for (letter, value) in &parsed.options {
        // `-b` as well: vhd-util refuses it, and td-util with it.
        arguments.push(format!("-{letter}").into());
        arguments.extend(value.clone());
    }
    super::delegate(vhd_util::run_snapshot, &arguments, terminal)
}
