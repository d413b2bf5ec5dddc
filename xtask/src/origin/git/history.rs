//! What lies between two commits. A mirror holds little more than pins, so history is fetched into a repository of its own
//! beside it, of commits alone where the server can leave the rest out. Nothing is ever checked out of it.

use git2::{Oid, Repository, Sort};
use serde::Serialize;

use super::super::Fetching;
use super::mirror::Mirror;
use super::{Tracked, address, ladder, objects, tracked};
use crate::definition::{Commit, Git, Name};
use crate::error::{Context, Kind, Result};

/// One commit as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its id.
    pub commit: String,
    /// Name of its author.
    pub author: String,
    /// First line of its message.
    pub subject: String,
}

/// What a move from one commit to another brings and takes away, each newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Story {
    /// Commits that only the new one has.
    pub gained: Vec<Entry>,
    /// Commits that only the old one has: upstream took them back, or the move goes to another line.
    pub lost: Vec<Entry>,
    /// The new one does not contain the old one, and which commits that concerns nobody can tell any more, for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
}

/// The commits between two; fetches history where this machine has too little of it.
pub(in crate::origin) fn between(
    ctx: &Fetching<'_>,
    source: &Name,
    git: &Git,
    old: &Commit,
    new: &Commit,
) -> Result<Story> {
    let urls = address::absolute(ctx.layout, &git.urls);
    let mirror = Mirror::of(ctx.layout, &urls)?;
    let history = mirror.history();
    if let Ok(story) = walk(&[&mirror, &history], old, new) {
        return Ok(story);
    }
    let what = format!("the history of source `{source}`");
    let name = match tracked(git) {
        Tracked::Ref(name) => Some(name),
        Tracked::Commit(_) => None,
    };
    ladder::past(ctx, &what, &history, &urls, name.as_deref(), new)?;
    // The old one is part of that, or the mirror still has all of it that is not.
    if let Ok(story) = walk(&[&mirror, &history], old, new) {
        return Ok(story);
    }
    match ladder::past(ctx, &what, &history, &urls, None, old) {
        Ok(()) => walk(&[&mirror, &history], old, new),
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        Err(error) => {
            let why = format!("no address has {old} any more: {}", crate::error::causes(&error));
            Ok(Story { gone: Some(why), ..Story::default() })
        }
    }
}

/// An error where a commit on the way is not here: what is known of a part of it would be wrong.
fn walk(mirrors: &[&Mirror], old: &Commit, new: &Commit) -> Result<Story> {
    let cannot = || format!("cannot tell what lies between {old} and {new}");
    let repository = all_objects(mirrors)?;
    let (old, new) = (Oid::from_str(old.as_str()).context(cannot)?, Oid::from_str(new.as_str()).context(cannot)?);
    let side = |from: Oid, without: Oid| -> Result<Vec<Entry>> {
        let mut walk = repository.revwalk().context(cannot)?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME).context(cannot)?;
        walk.push(from).context(cannot)?;
        walk.hide(without).context(cannot)?;
        walk.map(|id| entry(&repository, id.context(cannot)?)).collect()
    };
    Ok(Story { gained: side(new, old)?, lost: side(old, new)?, gone: None })
}

fn all_objects(mirrors: &[&Mirror]) -> Result<Repository> {
    let mut dirs = mirrors.iter().map(|mirror| mirror.dir()).filter(|dir| dir.is_dir());
    let first = dirs.next().ok_or("nothing of it was fetched yet").context(|| "cannot read history".to_owned())?;
    let repository = objects(first)?;
    for dir in dirs {
        let cannot = || format!("cannot read objects of `{}`", dir.display());
        let path = dir.join("objects");
        let path = path.to_str().ok_or("its path is not UTF-8").context(cannot)?;
        repository.odb().context(cannot)?.add_disk_alternate(path).context(cannot)?;
    }
    Ok(repository)
}

fn entry(repository: &Repository, id: Oid) -> Result<Entry> {
    let commit = repository.find_commit(id).context(|| format!("cannot read commit {id}"))?;
    // It is shown on terminals: what would steer one is taken out.
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace(|c: char| c.is_control(), "?");
    Ok(Entry {
        commit: id.to_string(),
        author: text(commit.author().name_bytes()),
        subject: commit.summary_bytes().map(text).unwrap_or_default(),
    })
}
