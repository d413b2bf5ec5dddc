//! A directory of a test's own in which the program of the package runs.

use std::ffi::OsStr;
use std::path::PathBuf;

use snapbox::cmd::{Command, OutputAssert, cargo_bin};

/// The directory and what stands in it.
pub(crate) struct Bench(tempfile::TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        Bench(tempfile::tempdir().unwrap())
    }

    /// A directory with these files.
    pub(crate) fn with(files: &[(&str, &[u8])]) -> Self {
        let bench = Bench::new();
        for (name, bytes) in files {
            std::fs::write(bench.path(name), bytes).unwrap();
        }
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// Runs the program in the directory, in UTC.
    pub(crate) fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> OutputAssert {
        self.command().args(arguments).assert()
    }

    pub(crate) fn command(&self) -> Command {
        Command::new(cargo_bin!()).current_dir(self.0.path()).env("TZ", "UTC")
    }
}
