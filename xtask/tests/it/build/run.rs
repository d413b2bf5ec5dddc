//! Runs of xtask: to their end, or while the test does something else.

use std::fs;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal};
use tempfile::NamedTempFile;

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit status; none after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A run that goes on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stderr: NamedTempFile,
}

impl Running {
    /// `stderr` is where its standard error goes.
    pub fn new(child: Child, stderr: NamedTempFile) -> Self {
        Running { child, stderr }
    }

    /// Sends a signal to xtask, or to its whole process group as a terminal does.
    pub fn signal(&self, signal: Signal, whole_group: bool) {
        let pid = Pid::from_child(&self.child);
        match whole_group {
            true => rustix::process::kill_process_group(pid, signal).unwrap(),
            false => rustix::process::kill_process(pid, signal).unwrap(),
        }
    }

    /// Waits until it has said that.
    pub fn said(&self, words: &str) {
        wait_until(&format!("it says `{words}`"), || fs::read_to_string(self.stderr.path()).unwrap().contains(words));
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ran {
        let code = self.child.wait().unwrap().code();
        Ran { code, stdout: String::new(), stderr: fs::read_to_string(self.stderr.path()).unwrap() }
    }
}

/// Runs a command to its end.
pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Waits until something holds. The limit is far above what any machine needs; it only turns a hang into a failure.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 120, "waited in vain until {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

impl Ran {
    /// Standard error holds all of these.
    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in: {}", self.stderr);
        }
    }

    /// Standard error holds none of these.
    #[track_caller]
    pub fn never_says(&self, words: &[&str]) {
        for word in words {
            assert!(!self.stderr.contains(word), "`{word}` is in: {}", self.stderr);
        }
    }
}
