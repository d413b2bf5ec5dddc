//! Sizes of disks on command lines: what is a number, and how much is too much.

use std::ffi::OsStr;

use vhd::units::{MAX_VIRTUAL_BYTES, MIB_BYTES};

use super::force::Forced;
use crate::report::EINVAL;
use crate::terminal::Terminal;

/// A size in MiB. libvhd takes any text, and what is no number for 0; a disk of another size than was meant helps
/// nobody, so that is refused here.
pub(super) fn mib(text: &OsStr) -> Option<u64> {
    text.to_str().and_then(|text| text.trim().parse().ok())
}

pub(super) fn explain_no_number(text: &OsStr, terminal: &mut Terminal) {
    terminal.say(format_args!("error: size is `{}`, not a whole number of MiB", text.display()));
}

/// Refuses disks that could not be filled; the exit status.
pub(super) fn check(size_mib: u64, forced: Forced, terminal: &mut Terminal) -> Result<(), i32> {
    let max_mib = MAX_VIRTUAL_BYTES / MIB_BYTES;
    if size_mib <= max_mib || forced == Forced::Yes {
        return Ok(());
    }
    terminal.say(format_args!("error: a disk of {size_mib} MiB could not be filled: block addresses end at 2 TiB"));
    terminal.help(format_args!("the largest disk is -s {max_mib} (MiB); use qcow2 for larger ones, or add --force"));
    Err(EINVAL)
}
