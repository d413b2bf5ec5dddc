//! Local work: finds what a person changed or committed in a checkout since fetch put it there. Only looks; starts no process.

use std::fmt;
use std::path::Path;

use super::git;
use super::stamp::{Recorded, Stamp, Stamps, recipe};
use crate::definition::{Name, Origin, Pin};
use crate::error::Result;
use crate::layout::Layout;
use crate::stat_index::{Modes, scan};
use crate::tree::Tree;

/// How a source stands against its pin; what `status` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A `path` origin: as it is.
    Local,
    /// Not fetched yet.
    Missing,
    /// Exactly the tree of the pin; or, without a lock, exactly what was fetched.
    AtPin,
    /// Untouched, but of another revision than the pin's.
    OffPin {
        /// Which: a commit, a version or a tree.
        at: String,
    },
    /// Somebody works in it.
    Worked {
        /// Edited, added and removed files.
        changes: Vec<Change>,
        /// Commits that exist only here, newest first: short id and subject.
        commits: Vec<String>,
    },
    /// Something stands there that fetch did not make.
    Foreign,
}

/// One file that differs from what was checked out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Path in the tree.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// Content, mode or kind differ.
    Edited,
    /// It is gone.
    Removed,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.kind {
            ChangeKind::Added => "added",
            ChangeKind::Edited => "edited",
            ChangeKind::Removed => "removed",
        };
        write!(f, "{} ({word})", self.path)
    }
}

/// How a source stands against its pin. Reads the tree; starts no process.
pub fn state(layout: &Layout, source: &Name, origin: &Origin, pin: Option<&Pin>) -> Result<State> {
    if let Origin::Path(_) = origin {
        return Ok(State::Local);
    }
    Ok(match look(layout, source, origin, &Stamps::of(layout, source), pin)? {
        Found::Missing => State::Missing,
        Found::Untouched(stamp) if is_that(&stamp, pin) => State::AtPin,
        Found::Untouched(Stamp { pin, .. }) => {
            let commit = pin.commit.map(|commit| commit.to_string());
            State::OffPin { at: commit.or(pin.version).unwrap_or_else(|| pin.tree.to_string()) }
        }
        Found::HeadMoved { at, .. } => State::OffPin { at },
        Found::Worked { changes, commits, .. } => State::Worked { changes, commits },
        Found::Foreign => State::Foreign,
    })
}

/// What no commit and no pin has of a local directory; `None` where no repository is around it, so that nobody can tell.
pub fn uncommitted_in(dir: &Path) -> Result<Option<Vec<Change>>> {
    git::uncommitted_below(dir)
}

/// Branches and stashes that would go with the checkout of a source, whatever it is at: nothing else has their commits. `uses` are
/// all origins and pins that manifests give it.
pub fn only_here(layout: &Layout, source: &Name, uses: &[(&Origin, Option<&Pin>)]) -> Result<Vec<String>> {
    let place = layout.source(source);
    let (mut places, mut mirrors) = (vec![place.clone()], Vec::new());
    for (origin, pin) in uses {
        if let Origin::Git(origin) = origin {
            mirrors.extend(git::mirrors(layout, origin, *pin));
            places.extend(pin.iter().flat_map(|pin| &pin.submodules).map(|submodule| place.join(&submodule.path)));
        }
    }
    places.sort();
    places.dedup();
    git::only_here(&places, &mirrors)
}

/// What stands at the place of a source, of any manifest or none, is exactly what fetch put there.
pub fn is_untouched(layout: &Layout, source: &Name) -> Result<bool> {
    let recorded = Stamps::of(layout, source).read();
    let now = scan(&layout.source(source), &layout.source_index(source), Modes::Source, &[])?;
    Ok(recorded.all().any(|stamp| stamp.pin.tree == now.root().hash))
}

/// What stands at the place of a source.
pub(super) enum Found {
    /// Nothing.
    Missing,
    /// What fetch put there, and nothing else.
    Untouched(Stamp),
    /// A person checked out another known commit; nothing would be lost.
    HeadMoved { stamp: Stamp, at: String },
    /// Local work on top of what fetch put there.
    Worked { stamp: Stamp, changes: Vec<Change>, commits: Vec<String> },
    /// Something else.
    Foreign,
}

/// The quick answer, without reading the tree: fetch has nothing to do.
pub(super) fn is_untouched_at(
    layout: &Layout,
    source: &Name,
    origin: &Origin,
    pin: Option<&Pin>,
    recorded: &Recorded,
) -> bool {
    let Recorded { at: Some(stamp), next: None } = recorded else { return false };
    let place = layout.source(source);
    if !is_that(stamp, pin) || stamp.recipe != recipe(origin) {
        return false;
    }
    match &stamp.pin.commit {
        Some(commit) => git::head(&place).as_deref() == Some(commit.as_str()),
        None => place.is_dir(),
    }
}

/// The stamp is of that pin, or no pin is asked for.
pub(super) fn is_that(stamp: &Stamp, pin: Option<&Pin>) -> bool {
    pin.is_none_or(|pin| *pin == stamp.pin)
}

/// Looks at every file. A tree that nobody recorded but that is exactly the pin's is taken as untouched: a run was killed after it
/// put it there, or the state directory was lost.
pub(super) fn look(
    layout: &Layout,
    source: &Name,
    origin: &Origin,
    stamps: &Stamps,
    pin: Option<&Pin>,
) -> Result<Found> {
    let place = layout.source(source);
    if !place.is_dir() {
        return Ok(Found::Missing);
    }
    let now = scan(&place, &layout.source_index(source), Modes::Source, &[])?;
    let tree = now.root().hash;
    let recorded = stamps.read();
    let lost = pin.map(|pin| Stamp::new(origin, pin));
    let head = git::head(&place);
    let at_head =
        |stamp: &Stamp| stamp.pin.commit.as_ref().is_none_or(|commit| Some(commit.as_str()) == head.as_deref());
    if let Some(stamp) = recorded.all().chain(&lost).find(|stamp| stamp.pin.tree == tree && at_head(stamp)) {
        return Ok(Found::Untouched(stamp.clone()));
    }
    let Some(stamp) = recorded.all().find(|stamp| at_head(stamp)).or(recorded.all().next()) else {
        return Ok(Found::Foreign);
    };
    let stamp = stamp.clone();
    if let Some(head) = &head
        && !at_head(&stamp)
    {
        let commits = git::local_commits(layout, origin, &place, head, &stamp.pin);
        let changes = git::uncommitted(&place)?;
        return Ok(if commits.is_empty() && changes.is_empty() {
            Found::HeadMoved { stamp, at: head.clone() }
        } else {
            Found::Worked { stamp, changes, commits }
        });
    }
    let changes = match stamps.listing(stamp.pin.tree) {
        Some(before) => compare(&before, &now),
        None => vec![Change {
            path: "(which files is not known: the list of them is lost)".into(),
            kind: ChangeKind::Edited,
        }],
    };
    Ok(Found::Worked { stamp, changes, commits: Vec::new() })
}

/// What differs, in order of the paths.
fn compare(before: &Tree, now: &Tree) -> Vec<Change> {
    let change = |path: &String, kind| Change { path: path.clone(), kind };
    let mut changes: Vec<Change> = now
        .0
        .iter()
        .filter_map(|(path, node)| match before.0.get(path) {
            None => Some(change(path, ChangeKind::Added)),
            Some(old) if old != node => Some(change(path, ChangeKind::Edited)),
            Some(_) => None,
        })
        .chain(before.0.keys().filter(|path| !now.0.contains_key(*path)).map(|path| change(path, ChangeKind::Removed)))
        .collect();
    changes.sort();
    changes
}

/// Local work, named in one line.
pub fn lines(place: &Path, changes: &[Change], commits: &[String]) -> String {
    const SHOWN: usize = 10;
    let items: Vec<String> =
        commits.iter().map(|commit| format!("commit {commit}")).chain(changes.iter().map(Change::to_string)).collect();
    let mut text = format!("in `{}`: {}", place.display(), items[..items.len().min(SHOWN)].join(", "));
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_in_order() {
        let tree = |files: [(&str, &str); 2]| {
            let mut tree = Tree::default();
            files.iter().for_each(|(path, text)| tree.insert_file(path, text.as_bytes(), 0o644));
            tree
        };
        let (before, now) = (tree([("a", "1"), ("c", "1")]), tree([("b", "1"), ("c", "2")]));
        let shown: Vec<String> = compare(&before, &now).iter().map(Change::to_string).collect();
        assert_eq!(shown, ["a (removed)", "b (added)", "c (edited)"]);
        assert_eq!(compare(&now, &now), []);
    }
}
