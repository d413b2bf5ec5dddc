//! Commands whose libraries would delay everybody's first build: they call cargo once more, with a feature.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::Session;
use crate::error::{Error, Result};
use crate::process::Program;

/// Runs this very command line, where it was given, in a binary that has `extras`; what that says and how it ends is ours. One that has
/// them is not asked to.
pub fn run_with_extras(session: &Session) -> Result<()> {
    if cfg!(feature = "extras") {
        return Err(Error::machine("this binary has all extras, and cannot do it either"));
    }
    let ended = command(session, "extras").run(&session.cancel)?;
    if !ended.stdout.is_empty() {
        println!("{}", String::from_utf8_lossy(&ended.stdout).trim_end());
    }
    if !ended.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&ended.stderr).trim_end());
    }
    end("extras", ended.status)
}

/// The same with `gate`, for as long as it takes: what it says appears as it says it.
#[cfg(not(feature = "gate"))]
pub fn run_with_gate(session: &Session) -> Result<()> {
    end("gate", command(session, "gate").in_front().run(&session.cancel)?.status)
}

fn command(session: &Session, feature: &str) -> Program {
    let ours = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let workspace = ours.as_deref().and_then(Path::parent).unwrap_or(&session.layout.root);
    let mut argv: Vec<OsString> =
        ["cargo", "run", "--quiet", "--profile", "xtask", "--package", "xtask", "--features", feature]
            .map(Into::into)
            .into();
    argv.extend(["--manifest-path".into(), workspace.join("Cargo.toml").into()]);
    if session.offline {
        argv.push("--offline".into());
    }
    argv.push("--".into());
    argv.extend(std::env::args_os().skip(1));
    if !is_compiled(feature) {
        eprintln!(
            "note: this first time cargo compiles the libraries that only this command needs; it takes some minutes"
        );
    }
    Program::new(argv)
}

/// Cargo has made the feature's libraries before, beside this binary. Wrong at worst in what is said.
fn is_compiled(feature: &str) -> bool {
    let library = if feature == "gate" { "libxtask_gate-" } else { "libclap_mangen-" };
    let dir = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("deps")));
    let mut names = dir.and_then(|dir| dir.read_dir().ok()).into_iter().flatten().flatten();
    names.any(|entry| entry.file_name().to_string_lossy().starts_with(library))
}

fn end(feature: &str, status: ExitStatus) -> Result<()> {
    let what = format!("cannot run this command with the feature `{feature}`");
    match status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(Error::step(what).said()),
        Some(2) => Err(Error::input(what).said()),
        Some(130) => Err(Error::interrupted().said()),
        _ => Err(Error::machine(what).said()),
    }
}
