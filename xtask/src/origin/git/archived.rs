//! What `git archive` gives of a commit where it is not what a checkout has: without the files that attributes leave out
//! (`export-ignore`), and with the commit in those that are to name it (`export-subst`). git itself is asked, in a repository that has
//! the objects, the tag that the manifest names and nothing else: no branch, configuration or attribute of this machine decides.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{PipeReader, Read};
use std::path::Path;

use tar::EntryType;

use super::super::scratch::Scratch;
use super::program;
use super::refs::{self, Refs};
use crate::definition::{Commit, Git, Name, Pin};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::process::Cancel;
use crate::tree::{Node, Rooted, Tree};

/// Placeholders of `$Format:…$` that say another thing each day or on each machine: ages, and signatures by whoever's keys.
const UNSTEADY: [&str; 5] = ["ar", "cr", "ah", "ch", "G"];

/// How the archive of a tree differs from it.
#[derive(Debug, Default)]
pub struct Archived {
    left_out: BTreeSet<String>,
    changed: BTreeMap<String, Vec<u8>>,
}

impl Archived {
    /// The tree as the archive has it.
    pub fn tree(&self, tree: Rooted) -> Rooted {
        if self.left_out.is_empty() && self.changed.is_empty() {
            return tree;
        }
        let mut tree = tree.into_tree();
        tree.0.retain(|path, _| !self.left_out.contains(path));
        for (path, bytes) in &self.changed {
            if let Some(Node::File { digest, .. }) = tree.0.get_mut(path) {
                *digest = Digest::of(bytes);
            }
        }
        tree.into()
    }

    /// Files with other bytes than the checkout's.
    pub fn into_changed(self) -> BTreeMap<String, Vec<u8>> {
        self.changed
    }
}

/// One repository of a checkout: its path in there, empty for the top, and its commit.
type Part<'a> = (&'a str, &'a Commit);

/// Asks git how an archive of the checkout at `place`, whose files are `tree`, differs from it.
pub(in crate::origin) fn archived(
    layout: &Layout,
    (source, git, pin): (&Name, &Git, &Pin),
    (place, tree): (&Path, &Tree),
    cancel: &Cancel,
) -> Result<Archived> {
    let mut archived = Archived::default();
    let Some(commit) = pin.commit.as_ref().filter(|_| has_exports(place, tree)) else { return Ok(archived) };
    let tag = git.tag.as_ref().map(|tag| (format!("refs/tags/{tag}"), pin.signed_tag.as_ref().unwrap_or(commit)));
    let parts: Vec<Part<'_>> =
        [("", commit)].into_iter().chain(pin.submodules.iter().map(|it| (&it.path[..], &it.commit))).collect();
    for part @ (at, commit) in &parts {
        let cannot = || format!("cannot tell what `git archive` makes of source `{source}` at {commit}");
        let scratch = Scratch::new(&layout.work().join("tmp"), "archive")?;
        let tags = tag.iter().filter(|_| at.is_empty()).map(|(name, id)| (name.clone(), id.to_string())).collect();
        bare(scratch.path(), &place.join(at).join(".git"), commit, &tags).context(cannot)?;
        let files = |path: &str| match tree.0.get(&inside(at, path)) {
            Some(Node::File { digest, .. }) => Some(*digest),
            _ => None,
        };
        let (ours, theirs) = std::io::pipe().context(cannot)?;
        let git_dir = format!("--git-dir={}", scratch.path().display());
        let words = ["-c", "core.abbrev=12", &git_dir, "archive", "--format=tar", commit.as_str()].map(OsStr::new);
        let program = program(words)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_COUNT", "0")
            .dir(scratch.path())
            .piped(None, theirs);
        let listed = std::thread::scope(|scope| {
            let listed = scope.spawn(|| list(ours, &files));
            let help = format!("cargo xtask force-update {source}   # checks it out again");
            let ended = program.run(cancel).and_then(|ended| ended.success(cannot).map_err(|error| error.help(help)));
            let listed = listed.join().unwrap_or_else(|_| Err(Error::machine("a thread that reads an archive died")));
            ended.and(listed)
        })?;
        for path in tree.0.keys() {
            // What is in another repository below is as that one's archive has it, if its place is in this one.
            let below = parts.iter().find(|(other, _)| is_below(at, other) && is_below(other, path));
            let ours = below.map_or(&path[..], |(other, _)| other);
            if is_below(at, path) && !listed.paths.contains(ours[at.len()..].trim_start_matches('/')) {
                archived.left_out.insert(path.clone());
            }
        }
        for (path, bytes) in listed.changed {
            steady(source, place, &inside(part.0, &path))?;
            archived.changed.insert(inside(at, &path), bytes);
        }
    }
    archived.changed.retain(|path, _| !archived.left_out.contains(path));
    Ok(archived)
}

/// Some attributes say what an archive has. Without any it has everything, and nobody need be asked.
fn has_exports(place: &Path, tree: &Tree) -> bool {
    let attributes = tree.0.keys().filter(|path| path.rsplit('/').next() == Some(".gitattributes"));
    let mut texts = attributes.filter_map(|path| fs::read(place.join(path)).ok());
    texts.any(|text| String::from_utf8_lossy(&text).contains("export-"))
}

/// A path of a part as one of the whole checkout.
fn inside(at: &str, path: &str) -> String {
    if at.is_empty() { path.to_owned() } else { format!("{at}/{path}") }
}

fn is_below(at: &str, path: &str) -> bool {
    at.is_empty() && !path.is_empty() || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'))
}

/// Makes a repository at `dir` with the objects of another one, and no more refs than these.
fn bare(dir: &Path, of: &Path, head: &Commit, tags: &Refs) -> Result<()> {
    for made in ["objects/info", "refs"] {
        let made = dir.join(made);
        fs::create_dir_all(&made).context(|| format!("cannot make `{}`", made.display()))?;
    }
    let objects = format!("{}\n", of.join("objects").display());
    let config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
    for (name, text) in [("HEAD", &*format!("{head}\n")), ("config", config), ("objects/info/alternates", &objects)] {
        crate::atomic::write(&dir.join(name), text.as_bytes())?;
    }
    refs::write_packed(dir, tags)
}

/// What an archive has.
struct Listed {
    paths: BTreeSet<String>,
    changed: BTreeMap<String, Vec<u8>>,
}

/// Reads an archive, and keeps the files that are not as `known` has them.
fn list(from: PipeReader, known: &dyn Fn(&str) -> Option<Digest>) -> Result<Listed> {
    let cannot = || "cannot read what `git archive` gives".to_owned();
    let mut listed = Listed { paths: BTreeSet::new(), changed: BTreeMap::new() };
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries().context(cannot)? {
        let mut entry = entry.context(cannot)?;
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned();
        if kind == EntryType::Regular {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).context(cannot)?;
            if known(&path).is_some_and(|known| known != Digest::of(&bytes)) {
                listed.changed.insert(path.clone(), bytes);
            }
        }
        listed.paths.insert(path);
    }
    // Padding to a whole record: git is to be able to write it.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).context(cannot)?;
    Ok(listed)
}

/// An error if what a file says of its commit would be another thing tomorrow, or elsewhere.
fn steady(source: &Name, place: &Path, path: &str) -> Result<()> {
    let text = fs::read(place.join(path)).context(|| format!("cannot read `{path}` of source `{source}`"))?;
    let text = String::from_utf8_lossy(&text);
    match text.split("$Format:").skip(1).filter_map(|rest| rest.split('$').next()).find_map(unsteady) {
        None => Ok(()),
        Some(found) => {
            Err(Error::input(format!("cannot release source `{source}`: its `{path}` does not stay the same"))
                .because(format!("it says `%{found}`, for which git writes another thing each day or on each machine"))
                .help("a commit of that source in which it says `%cI` or `%H`"))
        }
    }
}

/// The first placeholder of a format that is unsteady.
fn unsteady(format: &str) -> Option<&'static str> {
    let mut rest = format;
    while let Some((_, after)) = rest.split_once('%') {
        let name = after.strip_prefix(['+', '-', ' ']).unwrap_or(after);
        if let Some(found) = UNSTEADY.into_iter().find(|it| name.starts_with(it)) {
            return Some(found);
        }
        rest = after.strip_prefix('%').unwrap_or(after);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_signatures_are_unsteady_and_nothing_else() {
        for steady in ["%H", "%cD %aI %an", "%%ar", "%C(auto)%d", "%(describe)", ""] {
            assert_eq!(unsteady(steady), None, "{steady}");
        }
        for (format, found) in [("%H %cr", "cr"), ("%+ar", "ar"), ("%%%G?", "G"), ("%h%ch", "ch")] {
            assert_eq!(unsteady(format), Some(found), "{format}");
        }
    }

    #[test]
    fn a_path_is_below_whole_names() {
        assert!(is_below("", "a") && is_below("a", "a/b") && !is_below("a", "ab/c") && !is_below("a", "a"));
    }
}
