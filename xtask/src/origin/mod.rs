//! Origins: everything that gets sources onto this machine. The door of the folder is `Fetching` with `fetch`, `resolve` and
//! `state`; below it one file per idea:
//!
//! - `git/`, `archive.rs`, `apt/`: one origin each. They prepare a whole tree in a scratch directory and say what it is.
//! - `place.rs`: puts a prepared tree where `Layout::source` says, by one rename; `stamp.rs` remembers what was put there.
//! - `local_work.rs`: finds what a person did to it since, so that it is never destroyed.
//! - `working_tree.rs`: a directory of a person, as git sees it.
//! - `download.rs`, `files.rs`: one verified file. `unpack.rs`, `patches.rs`: a tree out of files.
//! - `scratch.rs`, `attempts.rs`: temporary directories, tries.
//!
//! Nothing here builds, and nothing here knows components: only sources. Processes are started through `process::Program`.
//!
//! Invariant: what stands at `Layout::source` was renamed there complete, and whoever edits or commits there loses nothing
//! unless `discard` was said. Proved by `tests/it/`.

mod apt;
mod archive;
mod attempts;
mod download;
mod files;
mod git;
mod local_work;
mod patches;
mod place;
mod scratch;
mod stamp;
mod unpack;
mod working_tree;

use std::path::{Path, PathBuf};

use crate::definition::{Apt, File, LAST_EPOCH, Name, Origin, Pin};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::process::Cancel;
use crate::stat_index::{Modes, scan};
use crate::tree::{Rooted, Tree};
use crate::turn::{self, Hold};

#[cfg(feature = "gate")]
pub use apt::compare_versions;
pub use apt::{Unpacked, WantedPackages, unpacked};
pub use download::download_program;
pub use files::place_file;
pub use git::program as git_program;
pub use git::{Archived, Entry, Patch, Series, Story, is_same_change};
pub use local_work::{Change, ChangeKind, State, is_untouched, lines, only_here, state, uncommitted_in};
pub(crate) use scratch::Scratch;
pub use scratch::sweep;
pub use working_tree::{check_working_tree, read_working_tree};

/// From now on that program is git.
pub fn use_git(program: &str) -> Result<()> {
    git::use_program(program)
}

/// What every fetch needs to know.
#[derive(Clone, Copy)]
pub struct Fetching<'a> {
    /// Where things stand.
    pub layout: &'a Layout,
    /// The manifest that the source is of; named in `help:` lines.
    pub manifest: &'a Name,
    /// Never opens a socket.
    pub offline: bool,
    /// Local edits and commits may be thrown away.
    pub discard: bool,
    /// Set when the user wants to stop.
    pub cancel: &'a Cancel,
    /// Gets one plain line: a retry, the next mirror, and why.
    pub say: &'a (dyn Fn(&str) + Sync),
}

/// What `fetch` found or did. In every case the tree stands at `Layout::source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckedOut {
    /// It was there already.
    Already,
    /// It is there now.
    Fetched,
    /// It was at another pin, and is at this one now.
    Moved,
    /// Somebody works in it: the pin did not move, so nothing was touched. A build takes it as an override.
    Kept,
    /// A local directory, as it is.
    Local,
}

/// A whole tree in a scratch directory, not yet in its place.
struct Prepared {
    /// What the lock says or will say of it.
    pin: Pin,
    /// Every file of it.
    tree: Tree,
}

/// The directory of a source: the checked-out tree, or the local directory of a `path` origin.
pub fn directory(layout: &Layout, source: &Name, origin: &Origin) -> PathBuf {
    match origin {
        Origin::Path(local) => layout.root.join(&local.dir),
        Origin::Git(_) | Origin::Archive(_) | Origin::Apt(_) => layout.source(source),
    }
}

/// Afterwards the source's directory holds the tree of `pin`, or somebody's work on top of it. Without a pin (a manifest without
/// a lock) what is there stays, and what is not is fetched as the origin stands now.
pub fn fetch(ctx: &Fetching<'_>, source: &Name, origin: &Origin, pin: Option<&Pin>) -> Result<CheckedOut> {
    bring(ctx, source, origin, pin, Manner::Gentle)
}

/// The same, but the directory holds the tree of `pin` afterwards, and nothing else: local work is refused, by name, unless
/// `discard` is said.
pub fn fetch_again(ctx: &Fetching<'_>, source: &Name, origin: &Origin, pin: Option<&Pin>) -> Result<CheckedOut> {
    bring(ctx, source, origin, pin, Manner::Strict)
}

/// What fetch does where somebody works in a source that is at its pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Leaves it.
    Gentle,
    /// Refuses.
    Strict,
}

fn bring(ctx: &Fetching<'_>, source: &Name, origin: &Origin, pin: Option<&Pin>, manner: Manner) -> Result<CheckedOut> {
    if let Origin::Path(local) = origin {
        return local_directory(ctx.layout, source, &local.dir).map(|()| CheckedOut::Local);
    }
    let stamps = stamp::Stamps::of(ctx.layout, source);
    let may_trust = !ctx.discard && manner == Manner::Gentle;
    if may_trust && local_work::is_untouched_at(ctx.layout, source, origin, pin, &stamps.read()) {
        return Ok(CheckedOut::Already);
    }
    alone(&stamps.lock_file(), ctx, &format!("source `{source}`"), || {
        place::fetch(ctx, source, origin, pin, &stamps, manner)
    })
}

/// The pin of the origin as it stands now, complete: what `update` writes into the lock. `None` for a `path` origin. `old` comes
/// back as it was when nothing moved.
pub fn resolve(ctx: &Fetching<'_>, source: &Name, origin: &Origin, old: Option<&Pin>) -> Result<Option<Pin>> {
    if let Origin::Path(local) = origin {
        return local_directory(ctx.layout, source, &local.dir).map(|()| None);
    }
    if let (Origin::Git(git), Some(old)) = (origin, old)
        && git::unmoved(ctx, source, git, old)?
    {
        return Ok(Some(old.clone()));
    }
    let stamps = stamp::Stamps::of(ctx.layout, source);
    let what = format!("source `{source}`");
    alone(&stamps.lock_file(), ctx, &what, || place::resolve(ctx, source, origin, old, &stamps)).map(Some)
}

/// The origin that names `revision` instead of what the manifest tracks: any commit, tag or ref of a git origin, a version of
/// an apt one.
pub fn at(ctx: &Fetching<'_>, source: &Name, origin: &Origin, revision: &str) -> Result<Origin> {
    let refused =
        |message: String| Err(Error::input(format!("cannot pin source `{source}` at `{revision}`: {message}")));
    let elsewhere =
        |key: &str, value: &str| format!("manifest `{}` names its {key}, {value}; change it there", ctx.manifest);
    match origin {
        Origin::Git(git) => match &git.commit {
            Some(commit) if commit != revision => refused(elsewhere("commit", commit)),
            _ => git::at(ctx, source, git, revision).map(Origin::Git),
        },
        Origin::Apt(apt) => match &apt.version {
            Some(version) if version != revision => refused(elsewhere("version", version)),
            _ => Ok(Origin::Apt(Apt { version: Some(revision.to_owned()), ..apt.clone() })),
        },
        Origin::Archive(_) => {
            refused("an archive has no revisions; its address in the manifest names the release".into())
        }
        Origin::Path(_) => refused("it is a local directory, as it is".into()),
    }
}

/// The commits that a person made on top of a pin, as patches of the files that are wanted; numbered after `before`.
pub fn export(
    ctx: &Fetching<'_>,
    source: &Name,
    pin: &Pin,
    before: usize,
    wants: &dyn Fn(&str) -> bool,
) -> Result<Series> {
    let place = ctx.layout.source(source);
    match &pin.commit {
        Some(base) if place.join(".git").is_dir() => git::series(ctx, source, &place, base, before, wants),
        _ => {
            Err(Error::input(format!("cannot export source `{source}`: `{}` is no checkout of git's", place.display()))
                .help(format!("cargo xtask fetch {source}   # a source with a git origin")))
        }
    }
}

/// How the archive of a source's locked tree at `place` differs from it; only git's sources have attributes that say so.
pub fn archived(
    layout: &Layout,
    (source, origin, pin): (&Name, &Origin, Option<&Pin>),
    (place, tree): (&Path, &Tree),
    cancel: &Cancel,
) -> Result<Archived> {
    match (origin, pin) {
        (Origin::Git(git), Some(pin)) => git::archived(layout, (source, git, pin), (place, tree), cancel),
        _ => Ok(Archived::default()),
    }
}

/// The file that a source was unpacked from, with its name and where it stands; `None` where it was not one archive.
pub fn archive_file(
    ctx: &Fetching<'_>,
    source: &Name,
    origin: &Origin,
    pin: Option<&Pin>,
) -> Result<Option<(File, PathBuf)>> {
    match (origin, pin.map(|pin| &pin.files[..])) {
        (Origin::Archive(archive), Some([file])) => {
            archive::locked(ctx, source, archive, file).map(|(_, path)| Some((file.clone(), path)))
        }
        _ => Ok(None),
    }
}

/// What lies between two pins of a source; `None` where its origin knows no history, or nothing lies between.
pub fn story(ctx: &Fetching<'_>, source: &Name, origin: &Origin, old: &Pin, new: &Pin) -> Result<Option<Story>> {
    match (origin, &old.commit, &new.commit) {
        (Origin::Git(git), Some(old), Some(new)) if old != new => git::between(ctx, source, git, old, new).map(Some),
        _ => Ok(None),
    }
}

/// Runs `work` while no other run holds `lock_file`. `what` is named to whoever waits.
fn alone<T>(lock_file: &Path, ctx: &Fetching<'_>, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let waiting = format!("{what}: another run is working on it, waiting for its end");
    let _turn = turn::take(lock_file, Hold::Alone, ctx.cancel, ctx.say, &waiting)?;
    work()
}

/// What an origin is to make.
struct Order<'a> {
    /// For messages.
    source: &'a Name,
    /// Which revision.
    wanted: Wanted<'a>,
    /// The tree's directory; does not exist yet.
    into: &'a Path,
    /// What is remembered of its files' digests.
    index: &'a Path,
    /// An older checkout whose branches and commits go on living in the new one.
    carry: Option<&'a Path>,
}

/// What is to be prepared.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// This, and nothing else.
    Pinned(&'a Pin),
    /// What the origin says now; the lock had this.
    Newest(Option<&'a Pin>),
}

impl Order<'_> {
    /// Every file of the finished tree.
    fn scan(&self) -> Result<Tree> {
        scan(self.into, self.index, Modes::Source, &[]).map(Rooted::into_tree)
    }
}

/// Makes the tree. With a pin the result is that of the pin, or an error.
fn prepare(ctx: &Fetching<'_>, origin: &Origin, order: &Order<'_>) -> Result<Prepared> {
    let source = order.source;
    let prepared = match origin {
        Origin::Git(git) => git::prepare(ctx, git, order),
        Origin::Archive(archive) => archive::prepare(ctx, archive, order),
        Origin::Apt(apt) => apt::prepare(ctx, apt, order),
        Origin::Path(_) => {
            Err(Error::input(format!("source `{source}` is a local directory, nothing is fetched for it")))
        }
    }?;
    if prepared.pin.epoch > LAST_EPOCH {
        let found = prepared.pin.epoch;
        return Err(Error::input(format!("cannot use source `{source}`: it is dated {found} seconds after 1970"))
            .because("no date can say a year after 9999")
            .help(format!("name another revision of it in manifests/{}.toml", ctx.manifest)));
    }
    if let Wanted::Pinned(pin) = order.wanted
        && prepared.pin.tree != pin.tree
    {
        return Err(Error::machine(format!(
            "the tree of source `{source}` is not the one that the lock of `{}` names: it is {}, locked is {}",
            ctx.manifest, prepared.pin.tree, pin.tree
        ))
        .because("its origin or patches changed in the manifest since, or git on this machine is configured to change files on checkout")
        .help(format!("cargo xtask update {source}")));
    }
    Ok(prepared)
}

fn local_directory(layout: &Layout, source: &Name, dir: &str) -> Result<()> {
    let path = layout.root.join(dir);
    if path.is_dir() {
        return Ok(());
    }
    Err(Error::input(format!("cannot use source `{source}`: there is no directory `{}`", path.display()))
        .help("its `path = { dir = … }` in the manifest is relative to the repository's root"))
}
