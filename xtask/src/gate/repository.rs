//! One repository that a gate watches and pushes to, through a bare mirror of its own. The network is the git program's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use xtask_gate::model::Revision;
use xtask_gate::report::Commit;
use xtask_gate::world::Pushed;

use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::origin::git_program;
use crate::process::{Cancel, Program};

/// A repository.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    /// As git is told.
    pub(super) address: String,
    /// What of it is here.
    pub(super) mirror: PathBuf,
    /// Set when the user wants to stop.
    cancel: Cancel,
    /// Where refs over there were when they were looked at last.
    seen: Rc<RefCell<BTreeMap<String, Option<String>>>>,
}

/// A path in a definition is relative to the repository's root; all else is a URL.
pub(super) fn address(layout: &Layout, text: &str) -> String {
    let is_path = !text.contains("://") && !text.split('/').next().is_some_and(|host| host.contains(':'));
    if is_path { layout.root.join(text).display().to_string() } else { text.to_owned() }
}

/// A call of git on a repository.
pub(super) fn git(git_dir: &Path, arguments: &[&str]) -> Program {
    let dir = [OsStr::new("--git-dir"), git_dir.as_os_str()];
    git_program(dir.into_iter().chain(arguments.iter().map(OsStr::new)))
}

/// What a ref over there is called here.
fn mirrored(name: &str) -> String {
    format!("refs/gate/{}", name.trim_start_matches("refs/"))
}

impl Repository {
    pub(super) fn new(address: String, mirror: PathBuf, cancel: &Cancel) -> Repository {
        Repository { address, mirror, cancel: cancel.clone(), seen: Rc::default() }
    }

    /// What a call prints.
    pub(super) fn ask(&self, arguments: &[&str], what: impl FnOnce() -> String) -> Result<String> {
        self.made()?;
        let out = git(&self.mirror, arguments).run(&self.cancel)?.success(what)?;
        Ok(String::from_utf8_lossy(&out).trim().to_owned())
    }

    /// Makes the mirror where it is missing.
    fn made(&self) -> Result<()> {
        if self.mirror.join("HEAD").is_file() {
            return Ok(());
        }
        let cannot = || format!("cannot make `{}`", self.mirror.display());
        fs::create_dir_all(&self.mirror).context(cannot)?;
        git(&self.mirror, &["init", "--quiet", "--bare"]).run(&self.cancel)?.success(cannot).map(|_| ())
    }

    /// Where a ref is over there.
    pub(super) fn read_ref(&self, name: &str) -> Result<Option<String>> {
        let cannot = || format!("cannot read the refs of `{}`", self.address);
        let out = self.ask(&["ls-remote", "--refs", &self.address, name], cannot)?;
        // The pattern is matched from the end: refs/heads/x is also the end of refs/heads/refs/heads/x.
        let is_it = |line: &&str| line.split_once('\t').is_some_and(|(_, found)| found == name);
        let found = out.lines().find(is_it).and_then(|line| line.split_once('\t')).map(|(id, _)| id.to_owned());
        self.seen.borrow_mut().insert(name.to_owned(), found.clone());
        Ok(found)
    }

    /// Brings these refs here, those that exist, as they were when they were read last: what is here is not asked for again.
    pub(super) fn fetch(&self, refs: &[&str]) -> Result<()> {
        for name in refs {
            let seen = self.seen.borrow().get(*name).cloned();
            let there = seen.map_or_else(|| self.read_ref(name), Ok)?;
            if there.is_none() || there == self.here(name)? {
                continue;
            }
            let spec = format!("+{name}:{}", mirrored(name));
            let cannot = || format!("cannot fetch `{name}` from `{}`", self.address);
            self.ask(&["fetch", "--quiet", "--no-tags", &self.address, &spec], cannot)?;
            // It may have moved on since it was read.
            let here = self.here(name)?;
            self.seen.borrow_mut().insert((*name).to_owned(), here);
        }
        Ok(())
    }

    /// The commit that somebody names: by its id, or the beginning of it, where these refs have it; by a tag or a branch over there.
    pub(super) fn named(&self, text: &str, refs: &[&str]) -> Result<Revision> {
        self.fetch(refs)?;
        let commit = |name: &str| -> Result<Option<Revision>> {
            let found =
                self.mirrored()?.revparse_single(name).and_then(|object| object.peel_to_commit().map(|it| it.id()));
            Ok(found.ok().map(|id| Revision(id.to_string())))
        };
        if text.len() >= 7
            && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            && let Some(revision) = commit(text)?
        {
            return Ok(revision);
        }
        // Complete names only: what begins with `-` or has a `*` is none.
        let names = match text.starts_with("refs/") {
            true => vec![text.to_owned()],
            false => ["tags", "heads"].iter().map(|kind| format!("refs/{kind}/{text}")).collect(),
        };
        for name in names.iter().filter(|name| git2::Reference::is_valid_name(name)) {
            self.fetch(&[name])?;
            if self.here(name)?.is_some()
                && let Some(revision) = commit(&mirrored(name))?
            {
                return Ok(revision);
            }
        }
        Err(Error::input(format!("`{}` has no commit, tag or branch `{text}`", self.address))
            .help(format!("git ls-remote --refs {}", self.address)))
    }

    /// Where a ref was when it was brought here.
    fn here(&self, name: &str) -> Result<Option<String>> {
        let found = self.mirrored()?.refname_to_id(&mirrored(name));
        Ok(found.ok().map(|id| id.to_string()))
    }

    /// The mirror, to read.
    fn mirrored(&self) -> Result<git2::Repository> {
        self.made()?;
        git2::Repository::open_bare(&self.mirror).context(|| format!("cannot read `{}`", self.mirror.display()))
    }

    /// Going from `old` to `new` loses nothing. Both are here, or `new` cannot contain `old`.
    pub(super) fn contains(&self, new: &str, old: &str) -> Result<bool> {
        let cannot = || format!("cannot read `{}`", self.mirror.display());
        let repository = self.mirrored()?;
        let id = |text: &str| git2::Oid::from_str(text).context(|| format!("`{text}` is no commit id"));
        let (new, old) = (id(new)?, id(old)?);
        let objects = repository.odb().context(cannot)?;
        if !objects.exists(new) || !objects.exists(old) {
            return Ok(false);
        }
        let contains = repository.graph_descendant_of(new, old).context(cannot)?;
        Ok(contains || new == old)
    }

    /// Moves a ref over there from exactly `old`. The lease makes looking and moving one thing.
    pub(super) fn push(&self, name: &str, old: Option<&str>, new: &str) -> Result<Pushed> {
        self.made()?;
        let lease = format!("--force-with-lease={name}:{}", old.unwrap_or_default());
        let spec = format!("{new}:{name}");
        let ended =
            git(&self.mirror, &["push", "--quiet", "--porcelain", &lease, &self.address, &spec]).run(&self.cancel)?;
        if ended.status.success() {
            self.ask(&["update-ref", &mirrored(name), new], || format!("cannot note `{name}`"))?;
            self.seen.borrow_mut().insert(name.to_owned(), Some(new.to_owned()));
            return Ok(Pushed::Done);
        }
        let said = String::from_utf8_lossy(&ended.stdout);
        // Porcelain: a line that begins with `!` is a ref that the server or the lease refused; else the server was not reached.
        let refused = said.lines().find_map(|line| line.strip_prefix("!\t"));
        match refused.map(|line| line.split('\t').next_back().unwrap_or(line).to_owned()) {
            Some(why) => Ok(Pushed::Refused(format!("`{}` refused `{name}`: {why}", self.address))),
            None => Err(Error::machine(format!("cannot push `{name}` to `{}`", self.address))
                .because(String::from_utf8_lossy(&ended.stderr).trim().to_owned())),
        }
    }

    /// The commits along first parents up to `new` that these do not have, oldest first, each with its date.
    pub(super) fn commits(&self, new: &str, have: &[&str]) -> Result<Vec<(i64, String)>> {
        let arguments = ["rev-list", "--reverse", "--topo-order", "--timestamp", "--first-parent", new, "--not"];
        let arguments = [&arguments[..], have].concat();
        let out = self.ask(&arguments, || format!("cannot list the commits of `{}`", self.address))?;
        let line = |line: &str| line.split_once(' ').and_then(|(date, id)| Some((date.parse().ok()?, id.to_owned())));
        Ok(out.lines().filter_map(line).collect())
    }

    /// What a merge brought, as `World::merged` has it. A side with a root of its own has nothing below it that could be good.
    pub(super) fn merged(&self, merge: &str) -> Result<Vec<Vec<String>>> {
        let parents = self.parents(merge)?;
        let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
        let mut sides = Vec::new();
        for (place, side) in parents.iter().enumerate().skip(1) {
            let commits = self.commits(side, &parents[..place])?;
            let Some((_, oldest)) = commits.first() else { continue };
            if let Some(left) = self.parents(oldest)?.into_iter().next() {
                sides.push(std::iter::once(left).chain(commits.into_iter().map(|(_, commit)| commit)).collect());
            }
        }
        Ok(sides)
    }

    fn parents(&self, commit: &str) -> Result<Vec<String>> {
        let arguments = ["rev-list", "--parents", "--max-count=1", commit];
        let out = self.ask(&arguments, || format!("cannot read the commits of `{}`", self.address))?;
        Ok(out.split_whitespace().skip(1).map(str::to_owned).collect())
    }

    /// The values of a footer of the commits after `old` up to `new`, a line each.
    pub(super) fn footers(&self, key: &str, old: &str, new: &str) -> Result<String> {
        let (range, format) = (format!("{old}..{new}"), format!("--format=%(trailers:key={key},valueonly,unfold)"));
        self.ask(&["log", &format, &range], || format!("cannot read the commits of `{}`", self.address))
    }

    /// Who made what between two commits.
    pub(super) fn shortlog(&self, old: &str, new: &str) -> Result<Vec<String>> {
        let range = format!("{old}..{new}");
        let out = self.ask(&["shortlog", &range], || format!("cannot list the commits of `{}`", self.address))?;
        Ok(out.lines().map(str::to_owned).collect())
    }

    /// The commits between two, newest first.
    pub(super) fn log(&self, tree: &str, old: &str, new: &str) -> Result<Vec<Commit>> {
        let arguments = ["log", "--format=%H%x00%an <%ae>%x00%s", &format!("{old}..{new}")];
        let out = self.ask(&arguments, || format!("cannot list the commits of `{}`", self.address))?;
        let commit = |line: &str| {
            let mut parts = line.split('\0').map(str::to_owned);
            let (id, author, subject) = (Revision(parts.next()?), parts.next()?, parts.next()?);
            Some(Commit { tree: tree.to_owned(), id, author, subject })
        };
        Ok(out.lines().filter_map(commit).collect())
    }
}
