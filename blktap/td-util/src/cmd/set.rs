//! `set`: the hidden flag of a VHD, by vhd-util.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use legacy_cli::report::EINVAL;
use legacy_cli::terminal::Terminal;

use crate::disk_type::DiskType;
use crate::syntax::Syntax;

pub(super) const SYNTAX: Syntax = Syntax {
    command: "set",
    options: "h",
    usage: "[-h help] <FILENAME> <FIELD> <VALUE>\nFIELD := { hidden }",
    help: "\
Set the hidden flag of a VHD

usage: td-util set vhd FILE hidden VALUE

  FILE    The image
  VALUE   From 0 to 255: 1 for a base copy that no machine uses, 0 for a disk that one may
  --help  Print this text

Example:
  td-util set vhd base.vhd hidden 1
",
    help_status: EINVAL,
};

pub(super) fn run(of: DiskType, arguments: &[OsString], terminal: &mut Terminal) -> Result<(), i32> {
    if of != DiskType::Vhd {
        terminal.say(format_args!("Cannot set fields of {of} images"));
        return Err(EINVAL);
    }
    let parsed = SYNTAX.parse(of, arguments, terminal)?;
    let [name, field, value] = parsed.operands() else { return Err(SYNTAX.misused(of, terminal)) };
    if field != "hidden" {
        terminal.say_bytes(&[b"Invalid field ", field.as_bytes()]);
        return Err(SYNTAX.misused(of, terminal));
    }
    let arguments = ["-n".into(), name.clone(), "-f".into(), field.clone(), "-v".into(), value.clone()];
    super::delegate(vhd_util::run_set, &arguments, terminal)
}
