//! Submodules: the commits that a tree names below it, each from a mirror of its own. `git submodule` is not used: it would run
//! what the tree configures.

use std::fs;
use std::path::{Component, Path};

use git2::{Config, ObjectType, Oid, TreeWalkMode, TreeWalkResult};

use super::super::Fetching;
use super::mirror::Mirror;
use super::{Tracked, address, checkout as work_tree, ladder, objects, refs};
use crate::definition::{Commit, Submodule};
use crate::error::{Context, Error, Result};

/// How deep submodules of submodules are followed.
const DEPTH: usize = 8;

/// Checks out every submodule of `commit` below `into`, those of submodules too, and lists them with paths from the top.
pub(super) fn checkout(
    ctx: &Fetching<'_>,
    what: &str,
    mirror: &Mirror,
    urls: &[String],
    commit: &Commit,
    into: &Path,
    carry: Option<&Path>,
) -> Result<Vec<Submodule>> {
    let mut found = Vec::new();
    let above = Above { what, prefix: "", mirror, urls, commit, into, carry, depth: 0 };
    below(ctx, &above, &mut found)?;
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// A superproject.
struct Above<'a> {
    what: &'a str,
    prefix: &'a str,
    mirror: &'a Mirror,
    urls: &'a [String],
    commit: &'a Commit,
    into: &'a Path,
    carry: Option<&'a Path>,
    depth: usize,
}

fn below(ctx: &Fetching<'_>, above: &Above<'_>, found: &mut Vec<Submodule>) -> Result<()> {
    let links = links(above.mirror, above.commit)?;
    if links.is_empty() {
        return Ok(());
    }
    if above.depth == DEPTH {
        return Err(Error::input(format!(
            "cannot fetch submodules of {}: more than {DEPTH} inside each other",
            above.what
        )));
    }
    let declared = declared(&above.into.join(".gitmodules"))?;
    for (path, commit) in links {
        let what = format!("submodule `{path}` of {}", above.what);
        let cannot = || format!("cannot fetch {what}");
        // git lets a tree name a commit that nothing says an address of; so do we, it stays an empty directory.
        let Some((_, url)) = declared.iter().find(|(declared, _)| *declared == path) else { continue };
        // Relative to each mirror of the superproject, so that the submodule has as many.
        let mut urls = Vec::new();
        for base in above.urls {
            let url = address::submodule(base, url).map_err(|why| Error::input(cannot()).because(why))?;
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        let mirror = Mirror::of(ctx.layout, &urls)?;
        ladder::obtain(ctx, &what, &mirror, &urls, Tracked::Commit(commit.to_string()), &commit)?;
        let into = above.into.join(&path);
        let carry = above.carry.map(|carry| carry.join(&path));
        work_tree::build(ctx, &what, &mirror, &urls, &commit, &into, carry.as_deref())?;
        let full = if above.prefix.is_empty() { path } else { format!("{}/{path}", above.prefix) };
        let inner = Above {
            what: &what,
            prefix: &full,
            mirror: &mirror,
            urls: &urls,
            commit: &commit,
            into: &into,
            carry: carry.as_deref(),
            depth: above.depth + 1,
        };
        below(ctx, &inner, found)?;
        found.push(Submodule { path: full, url: urls.swap_remove(0), commit });
    }
    Ok(())
}

/// A repository of a person's own branches may stand where the old revision had a submodule and the new one has none. It goes on
/// living in `.git/vanished/` of the new tree.
pub(super) fn keep_vanished(
    ctx: &Fetching<'_>,
    what: &str,
    old: &Path,
    into: &Path,
    mirror: &Mirror,
    commit: &Commit,
) -> Result<()> {
    let links = links(mirror, commit)?;
    for (path, _) in declared(&old.join(".gitmodules"))? {
        let from = old.join(&path).join(".git");
        // The path is upstream's word: only what git itself would check out is looked at.
        let is_inside = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_inside || !from.is_dir() || links.iter().any(|(link, _)| *link == path) {
            continue;
        }
        let own = refs::all(&from)?;
        if !own.keys().any(|name| name.starts_with("refs/heads/") || name == "refs/stash") {
            continue;
        }
        let to = into.join(".git/vanished").join(&path);
        let cannot = || format!("cannot keep the branches of submodule `{path}`");
        fs::create_dir_all(to.join("objects")).context(cannot)?;
        work_tree::carry_over(&from, &to).context(cannot)?;
        fs::copy(from.join("HEAD"), to.join("HEAD")).context(cannot)?;
        (ctx.say)(&format!(
            "{what}: submodule `{path}` is no more; your branches of it are kept in .git/vanished/{path}"
        ));
    }
    Ok(())
}

/// The commits that a commit's tree names, by path.
fn links(mirror: &Mirror, commit: &Commit) -> Result<Vec<(String, Commit)>> {
    let cannot = || format!("cannot read the tree of {commit}");
    let repository = objects(mirror.dir())?;
    let id = Oid::from_str(commit.as_str()).context(cannot)?;
    let tree = repository.find_commit(id).and_then(|commit| commit.tree()).context(cannot)?;
    let mut links = Vec::new();
    tree.walk(TreeWalkMode::PreOrder, |dir, entry| {
        if entry.kind() == Some(ObjectType::Commit) {
            let path = format!("{dir}{}", String::from_utf8_lossy(entry.name_bytes()));
            links.push((path, entry.id().to_string()));
        }
        TreeWalkResult::Ok
    })
    .context(cannot)?;
    links.into_iter().map(|(path, id)| Ok((path, Commit::try_from(id).context(cannot)?))).collect()
}

/// `path` and `url` of every submodule in a `.gitmodules`.
fn declared(file: &Path) -> Result<Vec<(String, String)>> {
    if !std::fs::symlink_metadata(file).is_ok_and(|there| there.is_file()) {
        return Ok(Vec::new());
    }
    let cannot = || format!("cannot read `{}`", file.display());
    let config = Config::open(file).context(cannot)?;
    let mut declared = Vec::new();
    let mut entries = config.entries(Some("^submodule\\..*\\.path$")).context(cannot)?;
    while let Some(entry) = entries.next() {
        let entry = entry.context(cannot)?;
        let (Ok(name), Ok(path)) = (entry.name(), entry.value()) else { continue };
        let Some(section) = name.strip_suffix(".path") else { continue };
        if let Ok(url) = config.get_string(&format!("{section}.url")) {
            declared.push((path.to_owned(), url));
        }
    }
    Ok(declared)
}
