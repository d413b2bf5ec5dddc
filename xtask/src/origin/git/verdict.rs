//! What git's words mean: git has one exit status for every failure of a fetch, so its messages (in the C locale) are read.
//! Whatever is not recognised counts as transient: trying again costs a second, giving up costs a person.

use super::super::attempts::Failure;

/// Why a fetch did not work.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The server does not give what was asked for in this way; it may in another.
    OtherWay(String),
    /// The server has no such ref.
    NoSuchRef(String),
    /// See `Failure`.
    Failed(Failure),
}

/// Reads git's standard error.
pub(super) fn of(said: &str) -> Verdict {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let said_this = said.to_owned();
    if has(&[
        "unadvertised object",
        "not our ref",
        "dumb http transport does not support shallow",
        "does not support shallow",
        "does not support --depth",
        "Server does not allow request",
    ]) {
        Verdict::OtherWay(said_this)
    } else if has(&["couldn't find remote ref", "no matching remote head"]) {
        Verdict::NoSuchRef(said_this)
    } else if has(&[
        "does not appear to be a git repository",
        "not a git repository",
        "Repository not found",
        "repository not exported",
        "access denied or repository",
        "returned error: 400",
        "returned error: 401",
        "returned error: 403",
        "returned error: 404",
        "returned error: 410",
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "Permission denied (",
        "Host key verification failed",
        "does not exist",
        "Unable to find remote helper",
        "not allowed",
        "dubious ownership",
        "SSL certificate problem",
    ]) || (said.contains("repository '") && said.contains("' not found"))
    {
        Verdict::Failed(Failure::Permanent(said_this))
    } else {
        Verdict::Failed(Failure::Transient(said_this))
    }
}
