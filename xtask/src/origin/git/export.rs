//! Commits on top of a pin as files: a series that `git am` takes and that our builds apply.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use git2::{Diff, Oid, Repository};

use super::super::Fetching;
use super::super::scratch::Scratch;
use super::{objects, program, refs};
use crate::definition::{Commit, Name};
use crate::error::{Context, Error, Result};

/// One patch of a series.
#[derive(Clone, Debug)]
pub struct Patch {
    /// As `git format-patch` calls it: `0001-what.patch`.
    pub name: String,
    /// The whole file.
    pub bytes: Vec<u8>,
}

/// A series, and what of the commits it leaves out.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// In order.
    pub patches: Vec<Patch>,
    /// Changed files that are not wanted.
    pub left_out: Vec<String>,
}

/// The commits of the checkout `place` after `base`, oldest first; of them the changes of files that are wanted. Numbers begin
/// after `before`.
pub(in crate::origin) fn series(
    ctx: &Fetching<'_>,
    source: &Name,
    place: &Path,
    base: &Commit,
    before: usize,
    wants: &dyn Fn(&str) -> bool,
) -> Result<Series> {
    let commits = above(source, place, base)?;
    let repository = objects(&place.join(".git"))?;
    let (mut wanted, mut left_out) = (Vec::new(), Vec::new());
    for commit in &commits {
        for path in changed(&repository, *commit)? {
            let list = if wants(&path) { &mut wanted } else { &mut left_out };
            if !list.contains(&path) {
                list.push(path);
            }
        }
    }
    if wanted.is_empty() {
        return Ok(Series { patches: Vec::new(), left_out });
    }
    let cannot = || format!("cannot write the commits of source `{source}` as patches");
    let scratch = Scratch::new(&ctx.layout.work().join("tmp"), "export")?;
    let git_dir = format!("--git-dir={}", place.join(".git").display());
    let (base_option, range, start) =
        (format!("--base={base}"), format!("{base}..HEAD"), format!("--start-number={}", before + 1));
    // Every word that a person's configuration could change.
    let words = [
        &git_dir,
        "format-patch",
        "--quiet",
        "--no-signature",
        "--zero-commit",
        "--no-numbered",
        "--no-attach",
        "--no-cover-letter",
        "--no-thread",
        "--no-notes",
        "--no-ext-diff",
        "--no-textconv",
        "--no-relative",
        "--full-index",
        "--binary",
        "--unified=3",
        "--diff-algorithm=myers",
        "--find-renames",
        "--src-prefix=a/",
        "--dst-prefix=b/",
        "--suffix=.patch",
        "--subject-prefix=PATCH",
        &base_option,
        &start,
        "-o",
    ];
    let mut argv: Vec<OsString> = words.iter().map(OsString::from).collect();
    argv.extend([scratch.path().as_os_str().to_owned(), range.into()]);
    if !left_out.is_empty() {
        argv.push("--".into());
        argv.extend(wanted.iter().map(|path| format!(":(top,literal){path}").into()));
    }
    program(argv.iter().map(OsString::as_os_str).collect::<Vec<&OsStr>>())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .dir(place)
        .run(ctx.cancel)?
        .success(cannot)?;
    let mut patches = Vec::new();
    for entry in fs::read_dir(scratch.path()).context(cannot)? {
        let entry = entry.context(cannot)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut bytes = fs::read(entry.path()).context(cannot)?;
        // git says it in the first one only.
        if crate::patch::base_commit(&String::from_utf8_lossy(&bytes)).is_none() {
            bytes.extend_from_slice(format!("\nbase-commit: {base}\n").as_bytes());
        }
        patches.push(Patch { name, bytes });
    }
    patches.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Series { patches, left_out })
}

/// The commits from HEAD down to the pin, oldest first.
fn above(source: &Name, place: &Path, base: &Commit) -> Result<Vec<Oid>> {
    let cannot = || format!("cannot find the commits that source `{source}` has on top of its pin");
    let help = |error: Error| error.help(format!("git -C {} rebase {base}", place.display()));
    let git_dir = place.join(".git");
    let head = refs::head(&git_dir).ok_or("it has no commit checked out").context(cannot)?;
    let repository = objects(&git_dir)?;
    let mut id = Oid::from_str(&head).context(cannot)?;
    let mut commits = Vec::new();
    while id.to_string() != base.as_str() {
        let not_above = || {
            let why = format!("{head} is not on top of the pin, {base}");
            help(Error::input(cannot()).because(why))
        };
        let commit = repository.find_commit(id).map_err(|_| not_above())?;
        commits.push(id);
        id = match commit.parent_count() {
            1 => commit.parent_id(0).context(cannot)?,
            0 => return Err(not_above()),
            _ => return Err(help(Error::input(cannot()).because(format!("{id} is a merge; a series has none")))),
        };
    }
    commits.reverse();
    Ok(commits)
}

/// Files that a commit changes, both names of a renamed one.
fn changed(repository: &Repository, commit: Oid) -> Result<Vec<String>> {
    let cannot = || format!("cannot read commit {commit}");
    let commit = repository.find_commit(commit).context(cannot)?;
    let (old, new) =
        (commit.parent(0).and_then(|parent| parent.tree()).context(cannot)?, commit.tree().context(cannot)?);
    let diff = repository.diff_tree_to_tree(Some(&old), Some(&new), None).context(cannot)?;
    let paths = diff.deltas().flat_map(|delta| {
        let path = |file: git2::DiffFile<'_>| file.path_bytes().map(|path| String::from_utf8_lossy(path).into_owned());
        [path(delta.old_file()), path(delta.new_file())]
    });
    let mut paths: Vec<String> = paths.flatten().collect();
    paths.dedup();
    Ok(paths)
}

/// Two patch files make the same change, whatever is around it.
pub fn is_same_change(one: &[u8], other: &[u8]) -> bool {
    let id = |bytes: &[u8]| Diff::from_buffer(bytes).and_then(|diff| diff.patchid(None)).ok();
    id(one).is_some_and(|one| id(other) == Some(one))
}
