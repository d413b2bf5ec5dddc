//! A tapdisk that tap-ctl asks, in directories of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use snapbox::cmd::cargo_bin;

use crate::client::Client;
use crate::served;

/// A daemon in the foreground, killed when this is dropped, and a directory with images.
pub(crate) struct Daemon {
    directory: tempfile::TempDir,
    child: Child,
}

/// What a program said, and its status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let status = output.status.code().unwrap();
        Said { status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A program of ours that finds its daemons below a directory.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("BLKTAP_RUN_DIR", directory.join("run")).env("BLKTAP_LOG_DIR", directory.join("log"));
    command.env("BLKTAP_SHM_DIR", directory.join("shm")).env("BLKTAP_TAPDISK", cargo_bin!("tapdisk"));
    command.stdin(Stdio::null());
    command
}

/// A directory with the images of [`served::images`], and places for daemons.
pub(crate) fn directory() -> tempfile::TempDir {
    let directory = served::images();
    std::fs::create_dir(directory.path().join("shm")).unwrap();
    directory
}

impl Daemon {
    pub(crate) fn new() -> Self {
        Daemon::within(directory())
    }

    pub(crate) fn within(directory: tempfile::TempDir) -> Self {
        let mut command = command(cargo_bin!("tapdisk"), directory.path());
        let mut child = command.arg("-D").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let daemon = Daemon { directory, child };
        assert_eq!(line.trim_end(), daemon.run_dir().join(format!("ctl{}", daemon.pid())).to_str().unwrap());
        daemon
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.path("run")
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.run_dir().join(format!("ctl{}", self.pid()))
    }

    pub(crate) fn nbd(&self, minor: u16) -> PathBuf {
        self.run_dir().join(format!("nbd{}.{minor}", self.pid()))
    }

    pub(crate) fn client(&self, minor: u16) -> Client {
        Client::structured(&self.nbd(minor))
    }

    /// Runs `tap-ctl`. `PID` and `DIR` in the words are ours.
    pub(crate) fn tap_ctl(&self, words: &str) -> Said {
        let (pid, directory) = (self.pid().to_string(), self.directory.path().to_str().unwrap());
        let words = words.replace("PID", &pid).replace("DIR", directory);
        let mut command = command(testkit::program("tap-ctl"), self.directory.path());
        let output = command.args(words.split_whitespace()).output().unwrap();
        let mut said = Said::from(output);
        said.stdout = said.stdout.replace(&pid, "PID").replace(directory, "DIR");
        said
    }

    /// Runs a `tap-ctl` that must succeed; what it printed.
    pub(crate) fn done(&self, words: &str) -> String {
        let said = self.tap_ctl(words);
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{words}");
        said.stdout
    }

    /// Allocates, attaches and opens disk 0.
    pub(crate) fn open(&self, image: &str) {
        assert_eq!(self.done("allocate"), "DIR/run/tapdisk/tapdisk-0\n");
        self.done("attach -p PID -m 0");
        self.done(&format!("open -p PID -m 0 -a {image}"));
    }

    /// Paths below our directory that the daemon has open.
    pub(crate) fn open_files(&self) -> Vec<PathBuf> {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        let paths = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.unwrap().path()).ok());
        paths.filter(|path| path.starts_with(self.directory.path())).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; exit status and its directory.
    pub(crate) fn wait(mut self) -> (Option<i32>, tempfile::TempDir) {
        let status = self.child.wait().unwrap().code();
        let empty = tempfile::tempdir().unwrap();
        (status, std::mem::replace(&mut self.directory, empty))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Ends others when it goes, also where a test fails: a loop in another thread would go on for ever.
pub(crate) struct EndsOthers<'a>(pub(crate) &'a AtomicBool);

impl Drop for EndsOthers<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
