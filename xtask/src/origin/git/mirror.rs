//! The mirror of a repository: a bare repository in the store, shared by all checkouts of a user. git never writes in it: every
//! fetch goes into a scratch repository that borrows the mirror's objects, and what came is renamed in when it is complete. So a
//! run killed at any point leaves nothing here that a later one would have to mistrust, and no stale lock of git's.
//!
//! Order of taking over, each by rename: packs (index last), then `shallow`, then `packed-refs`. Invariant: a ref in a mirror's
//! `packed-refs` has all its objects, down to what `shallow` cuts off. A pin is in it as `refs/sultana/pin/COMMIT`, so that
//! rewritten history upstream takes nothing away.

use std::fs;
use std::path::{Path, PathBuf};

use git2::Oid;

use super::refs::{self, Refs};
use super::{address, objects};
use crate::definition::Commit;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;

/// Where what a fetch brings is named while it is in its scratch repository.
pub(super) const NEW: &str = "refs/sultana/new";

/// The mirror of a repository, whether it is there or not.
pub(super) struct Mirror {
    dir: PathBuf,
}

impl Mirror {
    /// The first address names it.
    pub(super) fn of(layout: &Layout, urls: &[String]) -> Result<Self> {
        let url = urls.first().ok_or_else(|| Error::input("a git origin has no address: its `urls` is empty"))?;
        Ok(Mirror { dir: layout.mirrors().join(address::mirror_name(url)) })
    }

    /// The repository beside it that `history.rs` reads.
    pub(super) fn history(&self) -> Self {
        Mirror { dir: self.dir.with_extension("history") }
    }

    /// The bare repository.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Held by the one run that changes it.
    pub(super) fn lock_file(&self) -> PathBuf {
        let mut name = self.dir.file_stem().unwrap_or_default().to_os_string();
        name.push(if self.dir.extension().is_some_and(|kind| kind == "history") { ".history.lock" } else { ".lock" });
        self.dir.with_file_name(name)
    }

    /// The commit is a pin of it: everything it needs is here.
    pub(super) fn holds(&self, commit: &Commit) -> Result<bool> {
        Ok(refs::packed(&self.dir)?.contains_key(&pin_ref(commit)))
    }

    /// A scratch repository at `at` that has what the mirror has.
    pub(super) fn borrow(&self, at: &Path) -> Result<()> {
        let cannot = || format!("cannot make a scratch repository at `{}`", at.display());
        for dir in ["objects/pack", "objects/info", "refs/heads"] {
            fs::create_dir_all(at.join(dir)).context(cannot)?;
        }
        let write = |name: &str, text: &[u8]| fs::write(at.join(name), text).context(cannot);
        // HEAD must name a branch that no fetch brings.
        write("HEAD", b"ref: refs/heads/.none\n")?;
        write("config", b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n")?;
        if !self.dir.exists() {
            return Ok(());
        }
        write("objects/info/alternates", format!("{}\n", self.dir.join("objects").display()).as_bytes())?;
        if let Some(shallow) = crate::atomic::read(&self.dir.join("shallow"))? {
            write("shallow", &shallow)?;
        }
        // Only pins: branches that upstream renamed (`a` to `a/b`) would stand in the way of new ones.
        let pins = refs::packed(&self.dir)?.into_iter().filter(|(name, _)| name.starts_with("refs/sultana/pin/"));
        refs::write_packed(at, &pins.collect())
    }

    /// Takes over what a fetch brought into a scratch repository, with `commit` as a pin.
    pub(super) fn take(&self, scratch: &Path, commit: &Commit) -> Result<()> {
        let cannot = || format!("cannot take what was fetched into mirror `{}`", self.dir.display());
        let mut refs = refs::all(scratch)?;
        refs.remove(NEW);
        refs.insert(pin_ref(commit), commit.to_string());
        if !self.dir.exists() {
            fs::remove_dir_all(scratch.join("refs")).context(cannot)?;
            fs::create_dir_all(scratch.join("refs/heads")).context(cannot)?;
            for name in ["FETCH_HEAD", "objects/info/alternates"] {
                remove_if_there(&scratch.join(name)).context(cannot)?;
            }
            refs::write_packed(scratch, &refs)?;
            if let Some(parent) = self.dir.parent() {
                fs::create_dir_all(parent).context(cannot)?;
            }
            return fs::rename(scratch, &self.dir).context(cannot);
        }
        adopt_objects(&scratch.join("objects"), &self.dir.join("objects")).context(cannot)?;
        match crate::atomic::read(&scratch.join("shallow"))? {
            Some(shallow) => crate::atomic::write(&self.dir.join("shallow"), &shallow)?,
            None => remove_if_there(&self.dir.join("shallow")).context(cannot)?,
        }
        let is_full = refs.keys().any(|name| name.starts_with("refs/heads/"));
        let old = refs::packed(&self.dir)?;
        // A fetch of everything says what branches and tags there are; one of a single commit says nothing about them.
        refs.extend(old.into_iter().filter(|(name, _)| name.starts_with("refs/sultana/pin/") || !is_full));
        refs::write_packed(&self.dir, &refs)
    }

    /// Another commit that the mirror has all objects of becomes a pin.
    pub(super) fn pin(&self, commit: &Commit) -> Result<()> {
        let mut refs = refs::packed(&self.dir)?;
        refs.insert(pin_ref(commit), commit.to_string());
        refs::write_packed(&self.dir, &refs)
    }

    /// Committer's time of a commit.
    pub(super) fn epoch(&self, commit: &Commit) -> Result<u64> {
        let cannot = || format!("cannot read commit {commit} in `{}`", self.dir.display());
        let repository = objects(&self.dir)?;
        let found = repository.find_commit(Oid::from_str(commit.as_str()).context(cannot)?).context(cannot)?;
        Ok(u64::try_from(found.time().seconds()).unwrap_or(0))
    }
}

fn pin_ref(commit: &Commit) -> String {
    format!("refs/sultana/pin/{commit}")
}

/// The commit that an id in `git_dir` is or, as a tag, names.
pub(super) fn peel(git_dir: &Path, borrowed: &Path, id: &str) -> Result<Commit> {
    let cannot = || format!("cannot find a commit behind {id}");
    let repository = objects(git_dir)?;
    if borrowed.exists() {
        let path = borrowed.join("objects");
        let path = path.to_str().ok_or("its path is not UTF-8").context(cannot)?;
        repository.odb().context(cannot)?.add_disk_alternate(path).context(cannot)?;
    }
    let object = repository.find_object(Oid::from_str(id).context(cannot)?, None).context(cannot)?;
    let commit = object.peel_to_commit().context(cannot)?;
    Commit::try_from(commit.id().to_string()).context(cannot)
}

/// Renames packs and loose objects from one object directory to another. A pack is seen by its index, so that comes last.
pub(super) fn adopt_objects(from: &Path, to: &Path) -> std::io::Result<()> {
    each_object(from, &mut |path| {
        let target = to.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::rename(from.join(path), target)
    })
}

/// Calls `visit` with the path of every object file: loose ones, and packs with all that belongs to them, indexes last.
pub(super) fn each_object(objects: &Path, visit: &mut impl FnMut(&Path) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut indexes = Vec::new();
    for entry in fs::read_dir(objects)? {
        let dir = entry?;
        let Some(name) = dir.file_name().to_str().map(str::to_owned) else { continue };
        let is_pack = name == "pack";
        if !is_pack && (name.len() != 2 || !name.bytes().all(|b| b.is_ascii_hexdigit())) {
            continue;
        }
        for file in fs::read_dir(dir.path())? {
            let file = file?.file_name();
            let path = Path::new(&name).join(&file);
            let text = file.to_string_lossy();
            match is_pack {
                // What git was writing when it was killed, and marks of a fetch in flight.
                true if !text.starts_with("pack-") || text.ends_with(".keep") || text.ends_with(".promisor.lock") => {}
                true if text.ends_with(".idx") => indexes.push(path),
                false if text.starts_with("tmp_") => {}
                _ => visit(&path)?,
            }
        }
    }
    indexes.iter().try_for_each(|path| visit(path))
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Refs that a checkout of this mirror starts with: tags, and branches as those of `origin`.
pub(super) fn refs_for_checkout(mirror: &Mirror) -> Result<Refs> {
    let refs = refs::packed(mirror.dir())?;
    Ok(refs
        .into_iter()
        .filter_map(|(name, id)| match name.strip_prefix("refs/heads/") {
            Some(branch) => Some((format!("refs/remotes/origin/{branch}"), id)),
            None => name.starts_with("refs/tags/").then_some((name, id)),
        })
        .collect())
}
