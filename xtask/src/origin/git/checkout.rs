//! A work tree with a `.git` of its own: its packs are clones or hard links of the mirror's (git never changes a pack, and
//! `git clone` links them too; copies where neither works), so it costs nothing and yet depends on nothing. Alternates or
//! `git worktree` would break with the first gc of the store, and take a developer's commits with them.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use super::super::Fetching;
use super::mirror::{Mirror, each_object, refs_for_checkout};
use super::{objects, program, refs};
use crate::definition::Commit;
use crate::error::{Context, Result};

/// Makes `into` a work tree of the mirror, detached at `commit`. What an older checkout at `carry` has in branches, stashes,
/// remotes and objects of its own goes on living in it.
pub(super) fn build(
    ctx: &Fetching<'_>,
    what: &str,
    mirror: &Mirror,
    urls: &[String],
    commit: &Commit,
    into: &Path,
    carry: Option<&Path>,
) -> Result<()> {
    let cannot = || format!("cannot check out {what} at {commit}");
    let git_dir = into.join(".git");
    for dir in ["objects/pack", "objects/info", "refs/heads", "refs/tags", "info"] {
        fs::create_dir_all(git_dir.join(dir)).context(cannot)?;
    }
    let old = carry.map(|tree| tree.join(".git")).filter(|dir| dir.is_dir());
    if let Some(old) = &old {
        carry_over(old, &git_dir).context(cannot)?;
    }
    // Another run may be adding to the mirror: what cuts off history and what names objects is read before the objects are.
    let cut = shallow(mirror, old.as_deref())?;
    let mut known = refs::packed(&git_dir)?;
    known.extend(refs_for_checkout(mirror)?);
    link_objects(&mirror.dir().join("objects"), &git_dir.join("objects")).context(cannot)?;
    if !git_dir.join("config").exists() {
        fs::write(git_dir.join("config"), config(urls)).context(cannot)?;
    }
    if !known.is_empty() {
        refs::write_packed(&git_dir, &known)?;
    }
    if !cut.is_empty() {
        fs::write(git_dir.join("shallow"), cut).context(cannot)?;
    }
    fs::write(git_dir.join("HEAD"), format!("{commit}\n")).context(cannot)?;
    // Both named, or git would look for a repository upwards and find ours.
    let (git_dir, work_tree) = (format!("--git-dir={}", git_dir.display()), format!("--work-tree={}", into.display()));
    let argv = [git_dir.as_str(), work_tree.as_str(), "read-tree", "--reset", "-u", "HEAD"].map(OsStr::new);
    program(argv).dir(into).run(ctx.cancel)?.success(cannot).map(|_| ())
}

fn config(urls: &[String]) -> String {
    let url = urls.first().map(|url| url.replace('\\', r"\\").replace('"', "\\\"")).unwrap_or_default();
    format!(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
         [remote \"origin\"]\n\turl = \"{url}\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
    )
}

/// Copies what a person may have made in a `.git`; what belongs to the old work tree (index, HEAD, locks) is left behind.
pub(super) fn carry_over(old: &Path, new: &Path) -> io::Result<()> {
    const LEFT_BEHIND: [&str; 5] = ["HEAD", "index", "objects", "shallow", "FETCH_HEAD"];
    link_objects(&old.join("objects"), &new.join("objects"))?;
    // The last commit of a discarded HEAD stays reachable for a while, as after any reset.
    if let Some(head) = refs::head(old) {
        fs::write(new.join("ORIG_HEAD"), format!("{head}\n"))?;
    }
    let mut open = vec![String::new()];
    while let Some(prefix) = open.pop() {
        for entry in fs::read_dir(old.join(&prefix))? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let is_top = prefix.is_empty();
            if name.ends_with(".lock") || (is_top && (LEFT_BEHIND.contains(&name.as_str()) || name == "ORIG_HEAD")) {
                continue;
            }
            let path = if is_top { name } else { format!("{prefix}/{name}") };
            if entry.file_type()?.is_dir() {
                fs::create_dir_all(new.join(&path))?;
                open.push(path);
            } else {
                fs::copy(entry.path(), new.join(&path))?;
            }
        }
    }
    Ok(())
}

/// Every object file of `from` that `to` has not: as a clone, a hard link or a copy.
fn link_objects(from: &Path, to: &Path) -> io::Result<()> {
    let mut made: HashSet<std::path::PathBuf> = HashSet::new();
    each_object(from, &mut |path| {
        let (source, target) = (from.join(path), to.join(path));
        if let Some(parent) = target.parent()
            && made.insert(parent.to_path_buf())
        {
            fs::create_dir_all(parent)?;
        }
        if target.exists() {
            return Ok(());
        }
        reflink_copy::reflink(&source, &target)
            .or_else(|_| fs::hard_link(&source, &target))
            .or_else(|_| fs::copy(&source, &target).map(|_| ()))
    })
}

/// Where history is cut off: as in the mirror, and where a person cut it off for commits that only the old checkout has.
fn shallow(mirror: &Mirror, old: Option<&Path>) -> Result<String> {
    let lines = |path: &Path| -> Result<Vec<String>> {
        let bytes = crate::atomic::read(&path.join("shallow"))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    };
    let mut cut = lines(mirror.dir())?;
    if let Some(old) = old {
        let known = objects(mirror.dir())?;
        let is_known = |id: &String| git2::Oid::from_str(id).is_ok_and(|id| known.find_commit(id).is_ok());
        cut.extend(lines(old)?.into_iter().filter(|id| !is_known(id)));
    }
    Ok(cut.iter().map(|id| format!("{id}\n")).collect())
}
