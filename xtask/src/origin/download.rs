//! One file from one address. The network is a program's business (curl, wget or apt's helper, whichever this machine has): each
//! understands the user's proxies and certificates, and a TLS library would double what the first build compiles.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::Fetching;
use super::attempts::{Failure, without_password};
use super::files;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::process::{Ended, Program};

/// apt's own downloader: on every Debian and Ubuntu, proxies and credentials of apt included.
pub(super) const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// Downloads `address` into the store; what is not `wanted` is not kept. `parts` is a directory that outlives a try: what came
/// before a server broke off is there when the same address is tried again.
pub(super) fn download(
    ctx: &Fetching<'_>,
    address: &str,
    wanted: Option<Digest>,
    parts: &Path,
) -> Result<(Digest, PathBuf), Failure> {
    if let Some(path) = local_path(ctx, address) {
        return if path.is_file() {
            files::keep(ctx, &path, wanted)
        } else {
            Err(Failure::Permanent(format!("there is no file `{}`", path.display())))
        };
    }
    let part = parts.join(Digest::of(address.as_bytes()).short());
    if let Some(wanted) = wanted {
        let there = fs::metadata(&part).map_or(0, |there| there.len());
        let what = format!("downloading `{}`", without_password(address));
        crate::machine::need(parts, wanted.size.saturating_sub(there), &what)?;
    }
    let client = Client::of_this_machine()?;
    // Going on is safe only where the digest of the whole is known.
    let goes_on = client == Client::Curl && wanted.is_some() && fs::metadata(&part).is_ok_and(|there| there.len() > 0);
    let ended = client.program(address, &part, goes_on).env("LC_ALL", "C").run(ctx.cancel)?;
    let failure = match client.judge(&ended, &part) {
        Ok(()) => match files::keep(ctx, &part, wanted) {
            Err(failure) => failure,
            kept => return kept,
        },
        Err(failure) => failure,
    };
    if let (true, Failure::Permanent(reason)) = (goes_on, &failure) {
        // The server cannot go on, or what is there is not the beginning of what it has: once more from the start.
        fs::remove_file(&part).context(|| format!("cannot remove `{}`", part.display()))?;
        return Err(Failure::Transient(reason.clone()));
    }
    Err(failure)
}

/// The file that an address names on this machine: `file:` or a plain path, relative to the repository's root.
fn local_path(ctx: &Fetching<'_>, address: &str) -> Option<PathBuf> {
    match address.split_once(':') {
        Some(("file", rest)) => Some(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest))),
        Some((_, rest)) if rest.starts_with("//") => None,
        _ => Some(ctx.layout.root.join(address)),
    }
}

/// A program that downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Curl,
    Wget,
    AptHelper,
}

/// The program that downloads on this machine, if it has one.
pub fn download_program() -> Option<&'static str> {
    Client::of_this_machine().ok().map(|client| match client {
        Client::Curl => "curl",
        Client::Wget => "wget",
        Client::AptHelper => APT_HELPER,
    })
}

impl Client {
    fn of_this_machine() -> Result<Self> {
        let has = |name: &str| which::which(name).is_ok();
        if has("curl") {
            Ok(Client::Curl)
        } else if has("wget") {
            Ok(Client::Wget)
        } else if Path::new(APT_HELPER).exists() {
            Ok(Client::AptHelper)
        } else {
            Err(Error::machine("cannot download: this machine has neither curl nor wget").help("cargo xtask doctor"))
        }
    }

    fn program(self, address: &str, into: &Path, goes_on: bool) -> Program {
        let into = into.as_os_str();
        let words: &[&str] = match self {
            Client::Curl => &[
                "curl",
                "--fail",
                "--location",
                "--silent",
                "--show-error",
                "--globoff",
                "--connect-timeout",
                "20",
                "--speed-limit",
                "1000",
                "--speed-time",
                "60",
                "--proto-redir",
                "=http,https",
                "--output",
            ],
            Client::Wget => &["wget", "--no-verbose", "--tries=1", "--timeout=60", "--output-document"],
            Client::AptHelper => {
                // How often it is tried is decided by us, as for the others.
                let words = [APT_HELPER, "-o", "Acquire::Retries=0", "download-file", address].map(OsStr::new);
                return Program::new(words.into_iter().chain([into]));
            }
        };
        let going_on: &[&str] = if goes_on { &["--continue-at", "-"] } else { &[] };
        let options = words.iter().map(|word| (*word).as_ref()).chain([into]);
        let argv = options.chain(going_on.iter().map(|word| (*word).as_ref())).chain(["--".as_ref(), address.as_ref()]);
        Program::new(argv)
    }

    /// What the exit status means, as each program documents it.
    fn judge(self, ended: &Ended, into: &Path) -> Result<(), Failure> {
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout);
        if said.contains("No space left on device") || (self == Client::Curl && ended.status.code() == Some(23)) {
            let writing = format!("cannot write `{}`", into.display());
            return Err(Failure::Fatal(Error::machine(writing).because(said).help_with_space()));
        }
        let is_transient = match self {
            // Not resolved, not connected, cut off, HTTP 5xx (in the text), timed out, TLS, nothing, sending, receiving.
            Client::Curl => match ended.status.code() {
                Some(22) => is_busy(&said),
                Some(code) => [5, 6, 7, 16, 18, 28, 35, 52, 55, 56, 92].contains(&code),
                None => true,
            },
            // Network failure; the server's answer.
            Client::Wget => match ended.status.code() {
                Some(8) => is_busy(&said),
                code => code == Some(4),
            },
            Client::AptHelper => !said.contains("404") && !said.contains("403"),
        };
        Err(if is_transient { Failure::Transient(said) } else { Failure::Permanent(said) })
    }
}

/// The server's answer is one that passes: too many requests, or any 5xx.
fn is_busy(said: &str) -> bool {
    said.split(|c: char| !c.is_ascii_digit()).any(|word| word == "429" || (word.len() == 3 && word.starts_with('5')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_server_is_told_from_a_missing_file() {
        assert!(is_busy("curl: (22) The requested URL returned error: 503"));
        assert!(!is_busy("curl: (22) The requested URL returned error: 404"));
        assert!(!is_busy("/files/500000.tar: ERROR 404: Not Found."));
    }
}
