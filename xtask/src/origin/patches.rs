//! Applies patches strictly with `git apply`: no fuzz, no rejects, nothing skipped.

use std::path::Path;

use super::Fetching;
use super::git::program;
use crate::error::{Context, Error, Result};

/// One patch and how many leading path parts its names carry too much.
pub(super) struct Patch<'a> {
    pub(super) name: &'a str,
    pub(super) file: &'a Path,
    pub(super) strip: usize,
}

/// Applies one patch to the plain directory `tree`.
pub(super) fn apply(ctx: &Fetching<'_>, tree: &Path, patch: &Patch<'_>) -> Result<()> {
    let cannot = || format!("cannot apply patch `{}`", patch.name);
    // Inside a repository `git apply` silently skips every path outside the current directory's part of it, and our scratch
    // directory is inside one. So git is told not to look for one above the tree, and what it skips is an error.
    let tree = tree.canonicalize().context(cannot)?;
    let above = tree.parent().unwrap_or(&tree);
    let strip = format!("-p{}", patch.strip);
    let ended = program(
        ["apply", "--verbose", "--whitespace=nowarn", &strip, "--"]
            .map(AsRef::as_ref)
            .into_iter()
            .chain([patch.file.as_os_str()]),
    )
    .env("GIT_CEILING_DIRECTORIES", above)
    .dir(&tree)
    .run(ctx.cancel)?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ended.success(cannot)?;
    match said.lines().find(|line| line.starts_with("Skipped patch")) {
        Some(line) => Err(Error::machine(cannot()).because(line.to_owned())),
        None => Ok(()),
    }
}
