//! A revision as a person names it (a commit, the beginning of one, a tag, a branch, any full ref) becomes an origin that names
//! exactly that.

use git2::{ObjectType, Oid};

use super::super::Fetching;
use super::mirror::Mirror;
use super::refs::Refs;
use super::{address, ladder, objects};
use crate::definition::{Commit, Git, Name};
use crate::error::{Context, Error, Result};

/// The same repository at `revision` instead of what is tracked.
pub(in crate::origin) fn at(ctx: &Fetching<'_>, source: &Name, git: &Git, revision: &str) -> Result<Git> {
    let plain = Git { branch: None, tag: None, commit: None, r#ref: None, ..git.clone() };
    let cannot = || format!("cannot pin source `{source}` at `{revision}`");
    if let Ok(commit) = Commit::try_from(revision.to_ascii_lowercase()) {
        return Ok(Git { commit: Some(commit.to_string()), ..plain });
    }
    let has_no_form =
        revision.starts_with('-') || revision.contains(|c: char| " :~^?*[\\".contains(c) || c.is_control());
    if revision.is_empty() || has_no_form || revision.contains("..") {
        return Err(Error::input(cannot())
            .because("a commit, a tag, a branch or a full name `refs/...` is wanted; an expression of git's is none")
            .help(format!("cargo xtask pin {source} $(git -C YOUR_CLONE rev-parse '{revision}')")));
    }
    let urls = address::absolute(ctx.layout, &git.urls);
    let what = format!("source `{source}`");
    let [full, tag, branch] = [revision.to_owned(), format!("refs/tags/{revision}"), format!("refs/heads/{revision}")];
    let names = if revision.starts_with("refs/") { vec![full.clone()] } else { vec![tag.clone(), branch.clone()] };
    let found: Refs = ladder::advertised(ctx, &what, &urls, &names)?;
    let has = |name: &String| found.contains_key(name);
    match (has(&full), has(&tag), has(&branch)) {
        (true, ..) => Ok(Git { r#ref: Some(full), ..plain }),
        (_, true, true) => Err(Error::input(cannot())
            .because("its origin has a tag and a branch of this name")
            .help(format!("cargo xtask pin {source} {tag}"))
            .help(format!("cargo xtask pin {source} {branch}"))),
        (_, true, false) => Ok(Git { tag: Some(revision.to_owned()), ..plain }),
        (_, false, true) => Ok(Git { branch: Some(revision.to_owned()), ..plain }),
        _ if is_short_id(revision) => {
            let commit = short(ctx, &what, &urls, revision)?;
            Ok(Git { commit: Some(commit.to_string()), ..plain })
        }
        _ => Err(Error::input(cannot())
            .because("its origin has no tag or branch of this name")
            .help("a commit that is on no branch is named by its 40 digits")),
    }
}

fn is_short_id(text: &str) -> bool {
    text.len() >= 7 && text.len() < 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The commit that begins so, of those that branches and tags lead to.
fn short(ctx: &Fetching<'_>, what: &str, urls: &[String], prefix: &str) -> Result<Commit> {
    let mirror = Mirror::of(ctx.layout, urls)?;
    if let Some(commit) = look_up(&mirror, prefix)? {
        return Ok(commit);
    }
    (ctx.say)(&format!("{what}: looking for {prefix} in all of its history; 40 digits are found at once"));
    ladder::everything(ctx, what, &mirror, urls)?;
    look_up(&mirror, prefix)?.ok_or_else(|| {
        Error::input(format!("no commit of {what} begins with {prefix}"))
            .help("a commit that is on no branch is named by its 40 digits")
    })
}

fn look_up(mirror: &Mirror, prefix: &str) -> Result<Option<Commit>> {
    if !mirror.dir().is_dir() {
        return Ok(None);
    }
    let cannot = || format!("cannot look for {prefix} in `{}`", mirror.dir().display());
    let repository = objects(mirror.dir())?;
    // libgit2 takes a short id as zeros behind it and its length.
    let odb = repository.odb().context(cannot)?;
    let padded = Oid::from_str(&format!("{prefix:0<40}")).context(cannot)?;
    let id = match odb.exists_prefix(padded, prefix.len()) {
        Ok(id) => id,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(Error::input(format!("{prefix} is not enough of an id")).because(error)),
    };
    let object = repository.find_object(id, None).and_then(|object| object.peel(ObjectType::Commit));
    object.map_or(Ok(None), |object| Commit::try_from(object.id().to_string()).map(Some).context(cannot))
}
