//! `--force`, where a command refuses what makes little sense.

use std::ffi::OsString;

/// Whether it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forced {
    Yes,
    No,
}

/// Takes it out of the arguments.
pub(super) fn take(arguments: &[OsString]) -> (Forced, Vec<OsString>) {
    let (force, rest): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(|argument| argument == "--force");
    (if force.is_empty() { Forced::No } else { Forced::Yes }, rest)
}
