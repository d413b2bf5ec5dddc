//! `grep`: `git grep` over all sources, those without a repository too.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::Path;

use super::Session;
use super::foreach::trees;
use crate::error::{Error, Result};
use crate::origin::git_program;
use crate::process::{Cancel, Ended};

/// Search the files of all sources, as git grep does
///
///     cargo xtask grep tap-ctl                      lines, each behind SOURCE/PATH
///     cargo xtask grep -n -w xc_interface_open      with options of git grep
///     cargo xtask grep -l CONFIG_PVSHIM -- '*.mk'   names only, in these files
///
/// Exit status 1 when nothing matches. Of a source that is a repository the tracked files are searched,
/// of another one all that no .gitignore names.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Options of git grep, the pattern, and `--` with paths
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PATTERN")]
    arguments: Vec<OsString>,
}

/// What git says of a directory that is in no repository, and of a pattern that is none.
const FATAL: i32 = 128;

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let mut found = false;
    for (name, dir) in trees(session, &session.definitions()?)? {
        let mut ended = search(&dir, false, &args.arguments, &session.cancel)?;
        if ended.status.code() == Some(FATAL) {
            ended = search(&dir, true, &args.arguments, &session.cancel)?;
        }
        match ended.status.code() {
            Some(0) => found = true,
            Some(1) => continue,
            _ => {
                let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
                return Err(Error::input(format!("cannot search `{}`", dir.display()))
                    .because(said)
                    .help("git grep -h   # its options"));
            }
        }
        let mut out = io::stdout().lock();
        for line in ended.stdout.split_inclusive(|byte| *byte == b'\n') {
            if let Err(error) = out.write_all(&prefixed(name.as_str(), line)) {
                crate::print::remember(Err(error));
                return Ok(());
            }
        }
    }
    if found { Ok(()) } else { Err(Error::step("nothing matches").said()) }
}

/// Below `dir` alone: a repository above it is not its own, except for a directory of this very repository.
fn search(dir: &Path, no_repository: bool, arguments: &[OsString], cancel: &Cancel) -> Result<Ended> {
    let mut argv: Vec<&OsStr> = vec![OsStr::new("grep"), OsStr::new("--no-color")];
    if no_repository {
        argv.extend(["--no-index", "--exclude-standard"].map(OsStr::new));
    }
    argv.extend(arguments.iter().map(OsString::as_os_str));
    let mut program = git_program(argv).dir(dir);
    // What stands in .xtask/ is ignored by the repository around it, and would have no tracked file at all.
    if dir.components().any(|name| name.as_os_str() == ".xtask")
        && let Some(above) = dir.parent()
    {
        program = program.env("GIT_CEILING_DIRECTORIES", above);
    }
    program.run(cancel)
}

/// A line of git's with the source before its path.
fn prefixed(source: &str, line: &[u8]) -> Vec<u8> {
    const BINARY: &[u8] = b"Binary file ";
    let source = format!("{source}/");
    match line.strip_prefix(BINARY) {
        Some(rest) => [BINARY, source.as_bytes(), rest].concat(),
        None if line == b"--\n" => line.to_vec(),
        None => [source.as_bytes(), line].concat(),
    }
}
