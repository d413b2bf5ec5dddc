//! What git's words mean: git has one exit status for every failure of a fetch, so its messages (in the C locale) are read.
//! Whatever is not recognised counts as transient: trying again costs a second, giving up costs a person.

use super::super::attempts::Failure;
use crate::error::Error;

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
    if has(&["No space left on device", "Disk quota exceeded"]) {
        Verdict::Failed(Failure::Fatal(Error::machine("the disk is full").because(said_this)))
    } else if has(&[
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_understood() {
        let check = |said: &str| match of(said) {
            Verdict::OtherWay(_) => "other way",
            Verdict::NoSuchRef(_) => "no such ref",
            Verdict::Failed(Failure::Permanent(_)) => "permanent",
            Verdict::Failed(Failure::Transient(_)) => "transient",
            Verdict::Failed(Failure::Fatal(_)) => "fatal",
        };
        for (said, expected) in [
            ("error: Server does not allow request for unadvertised object 1234", "other way"),
            ("fatal: remote error: upload-pack: not our ref 1234", "other way"),
            ("fatal: dumb http transport does not support shallow capabilities", "other way"),
            ("fatal: couldn't find remote ref refs/heads/x", "no such ref"),
            ("fatal: '/x' does not appear to be a git repository", "permanent"),
            ("remote: Not Found\nfatal: repository 'https://h/x/' not found", "permanent"),
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", "permanent"),
            ("fatal: unable to access 'https://h/x/': The requested URL returned error: 503", "transient"),
            ("fatal: unable to access 'https://h/x/': Could not resolve host: h", "transient"),
            ("fetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF", "transient"),
            ("fatal: the remote end hung up unexpectedly", "transient"),
            ("fatal: write error: No space left on device\nfatal: index-pack failed", "fatal"),
        ] {
            assert_eq!(check(said), expected, "{said}");
        }
    }
}
