//! A process group that dies with us. Its leader is a shell that waits for the end of a pipe of ours, which no kind of our death can
//! keep from it, and then kills the group. It is there before the program joins the group, so no program is ever without it.

use std::io::PipeWriter;
use std::os::unix::process::CommandExt;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};

use crate::error::{Context, Error, Result};

const SCRIPT: &str = "trap '' TERM INT HUP; read -r line; kill -s KILL 0";

/// The group; killed and waited for when dropped.
pub(super) struct Guard {
    group: Pid,
    shell: duct::Handle,
    /// Closes with us.
    _pipe: PipeWriter,
}

impl Guard {
    /// An empty group.
    pub(super) fn start() -> Result<Self> {
        let starting = || "cannot start a shell that guards a program".to_owned();
        let (reader, pipe) = std::io::pipe().context(starting)?;
        let shell = duct::cmd!("/bin/sh", "-c", SCRIPT).full_env([("PATH", "/usr/bin:/bin")]).dir("/").unchecked();
        let shell = shell.before_spawn(|command| {
            command.process_group(0);
            Ok(())
        });
        let shell = shell.stdin_file(reader).stdout_null().stderr_null().start().context(starting)?;
        let pid = shell.pids().first().and_then(|pid| i32::try_from(*pid).ok()).and_then(Pid::from_raw);
        let group = pid.ok_or_else(|| Error::machine(starting()))?;
        Ok(Guard { group, shell, _pipe: pipe })
    }

    /// What a program joins.
    pub(super) fn group(&self) -> Pid {
        self.group
    }

    /// Sends a signal to everything in the group; the shell itself minds only SIGKILL.
    pub(super) fn signal(&self, signal: Signal) {
        // A group that is gone already is what we want, so the result does not matter.
        kill_process_group(self.group, signal).unwrap_or_default();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.shell.wait().map(drop).unwrap_or_default();
        // Members become our children when their parents die: `adopt_orphans`.
        while let Ok(_) | Err(Errno::INTR) = waitpgid(self.group, WaitOptions::empty()) {}
    }
}
