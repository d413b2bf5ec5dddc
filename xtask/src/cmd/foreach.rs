//! `foreach`: one command in the tree of each source.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Session;
use crate::definition::{Definitions, Name};
use crate::error::{Error, Result};
use crate::origin;
use crate::overrides::Overrides;
use crate::process::Program;

/// Run a command in the tree of each source
///
///     cargo xtask foreach git status --short
///     cargo xtask foreach 'echo $name at $toplevel; git log -1 --oneline || :'
///
/// As with `git submodule foreach`, one argument is a line for the shell, $name is the source and $toplevel
/// this checkout, and the first failure ends it: add `|| :` to go on. Sources that are not here are left out.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Command and its arguments, or one line for the shell
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let mut rows = Vec::new();
    for (name, dir) in trees(session, &session.definitions()?)? {
        let shell = ["sh".into(), "-c".into()];
        let argv = shell.into_iter().filter(|_| args.command.len() == 1).chain(args.command.iter().cloned());
        let program = Program::new(argv)
            .dir(&dir)
            .env("name", name.as_str())
            .env("toplevel", &session.layout.root)
            .without_timeout();
        let shown = program.display();
        let ended = if session.json {
            program.run(&session.cancel)?
        } else {
            eprintln!("entering `{name}`");
            program.in_front().run(&session.cancel)?
        };
        if session.json {
            rows.push(serde_json::json!({
                "source": name, "dir": dir, "status": ended.status.code(),
                "stdout": String::from_utf8_lossy(&ended.stdout), "stderr": String::from_utf8_lossy(&ended.stderr),
            }));
        } else if !ended.status.success() {
            return Err(Error::step(format!("`{shown}` in source `{name}`: {}", ended.status))
                .help("to go on after a failure, end the line with it: cargo xtask foreach 'COMMAND || :'"));
        }
    }
    if session.json {
        super::print_json(&rows)?;
    }
    Ok(())
}

/// The tree of each source that is here; the others are named.
pub(super) fn trees(session: &Session, definitions: &Definitions) -> Result<Vec<(Name, PathBuf)>> {
    let overrides = Overrides::of(&session.layout, &definitions.manifest)?;
    let mut trees = Vec::new();
    let mut missing = Vec::new();
    for (name, origin) in &definitions.manifest.sources {
        let dir = overrides.0.get(name).cloned();
        let dir = dir.unwrap_or_else(|| origin::directory(&session.layout, name, origin));
        match dir.is_dir() {
            true => trees.push((name.clone(), dir)),
            false => missing.push(name.as_str()),
        }
    }
    if !missing.is_empty() {
        eprintln!("note: not here, left out: {} (cargo xtask fetch {})", missing.join(", "), missing.join(" "));
    }
    Ok(trees)
}
