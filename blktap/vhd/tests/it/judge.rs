//! Programs of others that judge what we write and write what we read. Runs them; says loudly where one is missing.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Puts on record that the current test, or a part of it, does not run.
pub(crate) fn skip(reason: &str) {
    let thread = std::thread::current();
    eprintln!("SKIPPED: {}: {reason}", thread.name().unwrap_or("a test"));
}

/// Whether all of these can be run; else the skip is on record.
pub(crate) fn has(programs: &[&str]) -> bool {
    for program in programs {
        let version = Command::new(program).arg("-V").stdin(Stdio::null()).output();
        if let Err(error) = version {
            skip(&format!("{program} cannot be run: {error}"));
            return false;
        }
    }
    true
}

/// Runs a program in a directory. It must succeed; returns what it says.
pub(crate) fn run<I: AsRef<OsStr>>(directory: &Path, program: &str, arguments: impl IntoIterator<Item = I>) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(directory).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The disk in an image without parent, as qemu reads it.
pub(crate) fn flat_by_qemu(directory: &Path, image: &str) -> Vec<u8> {
    run(directory, "qemu-img", ["convert", "-f", "vpc", "-O", "raw", image, "judged.raw"]);
    std::fs::read(directory.join("judged.raw")).unwrap()
}
