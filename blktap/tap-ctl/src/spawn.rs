//! Starting a tapdisk: it prints the name of its control socket and leaves its parent, which ends well.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::io::Errno;

use crate::client::Client;
use crate::error::{Error, Result};

/// Where the daemon is installed.
const DEFAULT: &str = "/usr/libexec/tapdisk";
/// Names another one, for tests.
const VARIABLE: &str = "BLKTAP_TAPDISK";
const SIGUSR1: i32 = 10;

/// Starts a tapdisk and returns its process once it answers.
///
/// # Errors
///
/// `ENOENT` where it is not installed, the status with which it ended, and 1 where it said that it was ready and died.
pub fn spawn(client: &Client) -> Result<i32> {
    let path = std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from(DEFAULT), PathBuf::from);
    loop {
        if let Some(pid) = try_spawn(client, &path)? {
            return Ok(pid);
        }
    }
}

/// `None` when it is to be tried again: tools that collect reports send SIGUSR1 to every tapdisk, also to one that is not
/// ready for it.
fn try_spawn(client: &Client, path: &PathBuf) -> Result<Option<i32>> {
    let shown = path.display();
    // blktap's library calls it so, whatever its path: the storage manager looks for that word.
    let mut command = Command::new(path);
    std::os::unix::process::CommandExt::arg0(&mut command, "tapdisk");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|source| Error::io(format!("cannot start `{shown}`"), source))?;
    let mut line = String::new();
    let read = match child.stdout.take() {
        Some(stdout) => BufReader::new(stdout).read_line(&mut line),
        None => Ok(0),
    };
    let ended = child.wait().map_err(|source| Error::io(format!("cannot wait for `{shown}`"), source))?;
    if ended.signal() == Some(SIGUSR1) {
        return Ok(None);
    }
    if let Some(signal) = ended.signal() {
        return Err(Error::new(Errno::INTR, format!("`{shown}` was killed by signal {signal}")));
    }
    if let Some(status) = ended.code().filter(|&status| status != 0) {
        return Err(Error::numbered(status, format!("`{shown}` ended with status {status}")));
    }
    read.map_err(|source| Error::io(format!("cannot read what `{shown}` prints"), source))?;
    let name = line.trim_end().rsplit('/').next().unwrap_or_default();
    let pid = name.strip_prefix("ctl").and_then(|pid| pid.parse().ok());
    let pid = pid.ok_or_else(|| Error::numbered(1, format!("`{shown}` prints no control socket, but {line:?}")))?;
    match client.pid(pid) {
        Ok(_) => Ok(Some(pid)),
        Err(error) => {
            let message = format!("tapdisk {pid} said that it was ready and does not answer: {error}");
            Err(Error::numbered(1, message))
        }
    }
}
