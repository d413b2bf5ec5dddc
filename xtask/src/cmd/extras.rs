//! Commands whose libraries would delay everybody's first build: they call cargo once more, with the feature `extras`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Session;
use crate::error::{Error, Result};
use crate::process::Program;

/// Runs this very command line, where it was given, in a binary that has the feature; what that says and how it ends is ours.
pub fn run_with_extras(session: &Session) -> Result<()> {
    let ours = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let workspace = ours.as_deref().and_then(Path::parent).unwrap_or(&session.layout.root);
    let mut argv: Vec<OsString> =
        ["cargo", "run", "--quiet", "--profile", "xtask", "--package", "xtask", "--features", "extras"]
            .map(Into::into)
            .into();
    argv.extend(["--manifest-path".into(), workspace.join("Cargo.toml").into()]);
    if session.offline {
        argv.push("--offline".into());
    }
    argv.push("--".into());
    argv.extend(std::env::args_os().skip(1));
    eprintln!("note: the first time, cargo compiles the libraries that only this command needs; it takes some minutes");
    let ended = Program::new(argv).run(&session.cancel)?;
    if !ended.stdout.is_empty() {
        println!("{}", String::from_utf8_lossy(&ended.stdout).trim_end());
    }
    if ended.status.success() {
        return Ok(());
    }
    eprintln!("{}", String::from_utf8_lossy(&ended.stderr).trim_end());
    let what = "cannot run this command with the feature `extras`";
    Err(match ended.status.code() {
        Some(1) => Error::step(what),
        Some(2) => Error::input(what),
        _ => Error::machine(what),
    }
    .said())
}
