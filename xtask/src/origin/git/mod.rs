//! The `git` origin. Network and work trees are the git program's, so that credentials, proxies, ssh and `insteadOf` just work;
//! everything read is read in this process, without a repository object that would look at anybody's configuration.
//!
//! - `mirror.rs`: one bare mirror a repository, in the store; `ladder.rs`: how little of a repository a server gives.
//! - `checkout.rs`: a work tree with a `.git` of its own; `submodules.rs`: those below it.
//! - `export.rs`: commits as patches. `archived.rs`: what `git archive` leaves out and fills in.
//! - `history.rs`: what lies between two commits. `revision.rs`: what a person calls a commit.
//! - `signature.rs`: whether the right person signed it.
//! - `address.rs`: URLs; `refs.rs`: HEAD and packed-refs as files; `verdict.rs`: what git's words mean.
//!
//! Children per repository: one `git fetch`, one `git read-tree`. What else git would be started for (init, config, clone, rev-parse,
//! update-ref) are a few small files, written here.

mod address;
mod archived;
mod checkout;
mod export;
mod history;
mod ladder;
mod mirror;
mod refs;
mod revision;
mod signature;
mod submodules;
mod verdict;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use git2::{Odb, Oid, Repository};

use super::local_work::{Change, ChangeKind};
use super::{Fetching, Order, Prepared, Wanted};
use crate::definition::{Commit, Git, Name, Origin, Pin, Signed};
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::process::Program;

pub use archived::Archived;
pub(super) use archived::archived;
pub(super) use export::series;
pub use export::{Patch, Series, is_same_change};
pub(super) use history::between;
pub use history::{Entry, Story};
use mirror::Mirror;
pub(super) use revision::at;

/// Variables by which a caller's git (a hook, an alias) tells its children what repository they are in.
const REPOSITORY_VARIABLES: [&str; 12] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// What every call of git is told. Objects are not checked for form (`fetch.fsckObjects`): that refuses real repositories with
/// old blemishes, and what matters is checked anyway: git hashes every object and refuses paths that leave the tree, we start
/// nothing that a tree names, and the lock has the SHA-256 of the tree.
const SETTINGS: [&str; 20] = [
    "-c",
    "protocol.version=2",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.autocrlf=false",
    "-c",
    "core.attributesFile=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "maintenance.auto=false",
    "-c",
    "gc.auto=0",
    "-c",
    "fetch.unpackLimit=1",
    // A server that sends less than that for that long hangs.
    "-c",
    "http.lowSpeedLimit=1000",
    "-c",
    "http.lowSpeedTime=60",
];

/// The git of the command line, if one was named there.
static GIT: OnceLock<String> = OnceLock::new();

/// From now on that program is git: `GIT=` of the command line.
pub(super) fn use_program(program: &str) -> Result<()> {
    if which::which(program).is_err() {
        return Err(Error::input(format!("cannot use `GIT={program}`: there is no such program")).help("GIT=git"));
    }
    // Said once, before the first call.
    GIT.get_or_init(|| program.to_owned());
    Ok(())
}

/// A call of git that asks nobody anything and runs no hook. Always give `--git-dir`: git would else look for a repository
/// upwards, and find ours.
pub fn program<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> Program {
    let git = GIT.get().map_or("git", String::as_str);
    let argv = std::iter::once(git).chain(SETTINGS).map(OsStr::new).chain(arguments);
    let is_ours = |name: &OsStr| name.to_str().is_none_or(|name| !REPOSITORY_VARIABLES.contains(&name));
    let mut program = Program::new(argv)
        .only_env(std::env::vars_os().filter(|(name, _)| is_ours(name)))
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("LC_ALL", "C");
    if std::env::var_os("SSH_ASKPASS").is_none() {
        // ssh would ask on the terminal, behind the progress display, and wait for ever.
        program = program.env("SSH_ASKPASS", "/bin/false").env("SSH_ASKPASS_REQUIRE", "force");
    }
    program
}

/// Makes the work tree of a repository, with its submodules.
pub(super) fn prepare(ctx: &Fetching<'_>, git: &Git, order: &Order<'_>) -> Result<Prepared> {
    let urls = address::absolute(ctx.layout, &git.urls);
    let what = format!("source `{}`", order.source);
    let mirror = Mirror::of(ctx.layout, &urls)?;
    let At { commit, signed_tag } = obtain(ctx, order.source, git, order.wanted)?;
    checkout::build(ctx, &what, &mirror, &urls, &commit, order.into, order.carry)?;
    if let Some(old) = order.carry {
        submodules::keep_vanished(ctx, &what, old, order.into, &mirror, &commit)?;
    }
    let submodules = if git.submodules {
        submodules::checkout(ctx, &what, &mirror, &urls, &commit, order.into, order.carry)?
    } else {
        Vec::new()
    };
    let epoch = mirror.epoch(&commit)?;
    let tree = order.scan()?;
    let pin = Pin {
        commit: Some(commit),
        signed_tag,
        version: None,
        tree: tree.root().hash,
        epoch,
        files: Vec::new(),
        submodules,
    };
    Ok(Prepared { pin, tree })
}

/// A revision that the mirror holds, and that is signed as the manifest wants it.
struct At {
    commit: Commit,
    signed_tag: Option<Commit>,
}

fn obtain(ctx: &Fetching<'_>, source: &Name, git: &Git, wanted: Wanted<'_>) -> Result<At> {
    let urls = address::absolute(ctx.layout, &git.urls);
    let what = format!("source `{source}`");
    let mirror = Mirror::of(ctx.layout, &urls)?;
    if git.require_signed == Some(Signed::Tag) {
        let tag = match wanted {
            Wanted::Pinned(pin) => signature::locked_tag(ctx, source, pin)?,
            Wanted::Newest(_) => signature::newest_tag(ctx, source, git, &urls)?,
        };
        let commit = ladder::tag(ctx, &what, &mirror, &urls, &tag)?;
        if let Wanted::Newest(_) = wanted {
            signature::is_called(&mirror, source, git, &tag)?;
        }
        signature::check(ctx, source, git, &mirror, &tag)?;
        return match wanted {
            Wanted::Pinned(pin) if pin.commit.as_ref() != Some(&commit) => Err(Error::input(format!(
                "the lock of `{}` names another commit of {what} than its signed tag {tag} does, {commit}",
                ctx.manifest
            ))
            .help(format!("cargo xtask update {source}"))),
            _ => Ok(At { commit, signed_tag: Some(tag) }),
        };
    }
    let commit = match wanted {
        Wanted::Pinned(pin) => {
            let commit = commit_of(ctx, source, pin)?;
            ladder::obtain(ctx, &what, &mirror, &urls, tracked(git), commit)?;
            commit.clone()
        }
        Wanted::Newest(_) => ladder::newest(ctx, &what, &mirror, &urls, tracked(git))?,
    };
    if git.require_signed == Some(Signed::Commit) {
        signature::check(ctx, source, git, &mirror, &commit)?;
    }
    Ok(At { commit, signed_tag: None })
}

/// The mirrors of a repository and of its submodules.
pub(super) fn mirrors(layout: &Layout, git: &Git, pin: Option<&Pin>) -> Vec<PathBuf> {
    let submodules = pin.into_iter().flat_map(|pin| &pin.submodules).map(|submodule| vec![submodule.url.clone()]);
    let all = std::iter::once(address::absolute(layout, &git.urls)).chain(submodules);
    all.filter_map(|urls| Mirror::of(layout, &urls).ok()).map(|mirror| mirror.dir().to_path_buf()).collect()
}

/// The lock's pin, if the tracked ref is still there: no tree needs to be made to know it.
pub(super) fn unmoved(ctx: &Fetching<'_>, source: &Name, git: &Git, old: &Pin) -> Result<bool> {
    if git.submodules || !old.submodules.is_empty() {
        return Ok(false);
    }
    let At { commit, signed_tag } = obtain(ctx, source, git, Wanted::Newest(Some(old)))?;
    Ok(old.commit.as_ref() == Some(&commit) && old.signed_tag == signed_tag)
}

fn commit_of<'a>(ctx: &Fetching<'_>, source: &Name, pin: &'a Pin) -> Result<&'a Commit> {
    pin.commit.as_ref().ok_or_else(|| {
        Error::input(format!("the lock of `{}` names no commit of source `{source}`", ctx.manifest))
            .help(format!("cargo xtask update {source}"))
    })
}

/// What a definition tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tracked {
    /// A remote ref, in full.
    Ref(String),
    /// Always this one.
    Commit(String),
}

fn tracked(git: &Git) -> Tracked {
    match (&git.branch, &git.tag, &git.commit, &git.r#ref) {
        (Some(branch), ..) => Tracked::Ref(format!("refs/heads/{branch}")),
        (_, Some(tag), ..) => Tracked::Ref(format!("refs/tags/{tag}")),
        (_, _, Some(commit), _) => Tracked::Commit(commit.clone()),
        (.., Some(name)) => Tracked::Ref(name.clone()),
        _ => Tracked::Ref("HEAD".to_owned()),
    }
}

/// The commit that a work tree is at; `None` where there is no repository.
pub(super) fn head(tree: &Path) -> Option<String> {
    refs::head(&tree.join(".git"))
}

/// Objects of a repository as a value, without its configuration, refs or owner.
fn objects(git_dir: &Path) -> Result<Repository> {
    let cannot = || format!("cannot read objects of `{}`", git_dir.display());
    let path = git_dir.join("objects");
    let path = path.to_str().ok_or("its path is not UTF-8").context(cannot)?;
    let odb = Odb::new().context(cannot)?;
    odb.add_disk_alternate(path).context(cannot)?;
    Repository::from_odb(odb).context(cannot)
}

/// Commits from `head` down that neither the pin nor the mirror has, newest first.
pub(super) fn local_commits(layout: &Layout, origin: &Origin, place: &Path, head: &str, pin: &Pin) -> Vec<String> {
    const LIMIT: usize = 100;
    let Origin::Git(git) = origin else { return Vec::new() };
    let urls = address::absolute(layout, &git.urls);
    let known = Mirror::of(layout, &urls).ok().and_then(|mirror| objects(mirror.dir()).ok());
    let is_known = |id: Oid| {
        pin.commit.as_ref().is_some_and(|commit| commit.as_str() == id.to_string())
            || known.as_ref().is_some_and(|known| known.find_commit(id).is_ok())
    };
    let (Ok(repository), Ok(mut id)) = (objects(&place.join(".git")), Oid::from_str(head)) else {
        return vec![head.to_owned()];
    };
    let mut commits = Vec::new();
    while !is_known(id) && commits.len() < LIMIT {
        let Ok(commit) = repository.find_commit(id) else { break };
        let subject = commit.summary().ok().flatten().unwrap_or_default();
        commits.push(format!("{} {subject}", &id.to_string()[..12]));
        match commit.parent_id(0) {
            Ok(parent) => id = parent,
            Err(_) => break,
        }
    }
    commits
}

/// Branches and stashes of the repositories at `places` whose commits none of the mirrors has, each with its commit.
pub(super) fn only_here(places: &[PathBuf], mirrors: &[PathBuf]) -> Result<Vec<String>> {
    let known: Vec<Repository> =
        mirrors.iter().filter(|mirror| mirror.is_dir()).map(|mirror| objects(mirror)).collect::<Result<_>>()?;
    let mut found = Vec::new();
    for git_dir in places.iter().map(|place| place.join(".git")).filter(|dir| dir.is_dir()) {
        let here = objects(&git_dir)?;
        let refs = refs::all(&git_dir)?;
        let is_persons = |name: &str| name.starts_with("refs/heads/") || name == "refs/stash";
        let upstreams: Vec<&String> = refs.iter().filter(|(name, _)| !is_persons(name)).map(|(_, id)| id).collect();
        for (name, id) in refs.iter().filter(|(name, id)| is_persons(name) && !upstreams.contains(id)) {
            let Ok(oid) = Oid::from_str(id) else { continue };
            if known.iter().any(|known| known.find_commit(oid).is_ok()) {
                continue;
            }
            let commit = here.find_commit(oid).ok();
            let subject = commit.as_ref().and_then(|commit| commit.summary().ok().flatten()).unwrap_or_default();
            let short = name.strip_prefix("refs/heads/").map_or("stash".to_owned(), |name| format!("branch {name}"));
            found.push(format!("{short}: {} {subject}", &id[..12]));
        }
    }
    Ok(found)
}

/// Files that differ from the commit that a work tree is at, ignored ones too: a build would see them.
pub(super) fn uncommitted(place: &Path) -> Result<Vec<Change>> {
    let cannot = || format!("cannot tell what was changed in `{}`", place.display());
    let mut options = git2::StatusOptions::new();
    options.include_ignored(true).recurse_ignored_dirs(true);
    changes(&Repository::open(place).context(cannot)?, options).context(cannot)
}

/// Files below a directory that the repository around it has no commit of; `None` where there is no repository.
pub(super) fn uncommitted_below(dir: &Path) -> Result<Option<Vec<Change>>> {
    let cannot = || format!("cannot tell what was changed in `{}`", dir.display());
    let dir = dir.canonicalize().context(cannot)?;
    let repository = match Repository::discover(&dir) {
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
        repository => repository.context(cannot)?,
    };
    let top = repository.workdir().map(Path::canonicalize).transpose().context(cannot)?;
    let Some(below) = top.as_deref().and_then(|top| dir.strip_prefix(top).ok()) else { return Ok(None) };
    let mut options = git2::StatusOptions::new();
    if !below.as_os_str().is_empty() {
        options.pathspec(below).disable_pathspec_match(true);
    }
    changes(&repository, options).context(cannot).map(Some)
}

fn changes(repository: &Repository, mut options: git2::StatusOptions) -> Result<Vec<Change>, git2::Error> {
    options.include_untracked(true).recurse_untracked_dirs(true);
    let statuses = repository.statuses(Some(&mut options))?;
    let changes = statuses.iter().map(|entry| {
        let status = entry.status();
        let kind = if status.is_wt_new() || status.is_index_new() || status.is_ignored() {
            ChangeKind::Added
        } else if status.is_wt_deleted() || status.is_index_deleted() {
            ChangeKind::Removed
        } else {
            ChangeKind::Edited
        };
        Change { path: String::from_utf8_lossy(entry.path_bytes()).into_owned(), kind }
    });
    Ok(changes.collect())
}
