//! Moves of pins and how they are shown: what a source was at, what it is at now, and the commits in between. Asks origins for
//! history; writes no lock.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::definition::{Lock, Name, Origin, Pin};
use crate::error::{Kind, Result};
use crate::origin::{self, Entry, Fetching, Story};

/// Commits of a source that are named; the others are counted.
const SHOWN: usize = 30;

/// One source whose pin differs between two locks.
#[derive(Debug, Serialize)]
pub struct Move {
    source: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Pin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Pin>,
    rewound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    commits: Option<Story>,
    /// Why the commits are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

/// Where history comes from.
pub type Origins = BTreeMap<Name, Origin>;

/// What differs between two locks, in the order of names.
pub fn moves(ctx: &Fetching<'_>, origins: &Origins, old: &Lock, new: &Lock) -> Result<Vec<Move>> {
    let mut names: Vec<&Name> = old.sources.keys().chain(new.sources.keys()).collect();
    names.sort();
    names.dedup();
    let mut moves = Vec::new();
    for source in names {
        let (from, to) = (old.sources.get(source), new.sources.get(source));
        if from == to {
            continue;
        }
        let mut moved = Move {
            source: source.clone(),
            from: from.cloned(),
            to: to.cloned(),
            rewound: false,
            commits: None,
            unknown: None,
        };
        if let (Some(origin), Some(from), Some(to)) = (origins.get(source), from, to) {
            // That the commits cannot be told keeps nobody from moving.
            match origin::story(ctx, source, origin, from, to) {
                Ok(story) => {
                    moved.rewound = story.as_ref().is_some_and(|story| !story.lost.is_empty() || story.gone.is_some());
                    moved.commits = story;
                }
                Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                Err(error) => moved.unknown = Some(format!("{error}: {}", crate::error::causes(&error))),
            }
        }
        moves.push(moved);
    }
    Ok(moves)
}

impl Move {
    /// As a person reads it, several lines.
    pub fn text(&self) -> String {
        let name = &self.source;
        let mut text = match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!("{name}: {} -> {}", exact(from), exact(to)),
            (None, Some(to)) => format!("{name}: {} (new)", exact(to)),
            (Some(from), None) => format!("{name}: no longer a source (was {})", exact(from)),
            (None, None) => name.to_string(),
        };
        if let (Some(from), Some(to)) = (&self.from, &self.to)
            && exact(from) == exact(to)
        {
            text.push_str(", the same revision with another tree");
        }
        if let Some(unknown) = &self.unknown {
            text += &format!("\n  commits not shown: {unknown}");
        }
        let Some(Story { gained, lost, gone }) = &self.commits else { return text };
        if let Some(gone) = gone {
            text += &format!("\n  REWOUND: the new revision does not contain the old one; {gone}");
        } else if lost.is_empty() {
            text += &format!("\n  {}", counted(gained));
            shortlog(&mut text, gained, "    ");
        } else {
            let counts = (counted(gained), counted(lost));
            text += &format!("\n  REWOUND: the new revision does not contain the old one\n  new: {}", counts.0);
            shortlog(&mut text, gained, "    ");
            text += &format!("\n  gone: {}", counts.1);
            shortlog(&mut text, lost, "    ");
        }
        text
    }
}

/// A pin in one word.
pub fn exact(pin: &Pin) -> String {
    let exact = pin.version.clone().or(pin.commit.as_ref().map(ToString::to_string));
    let file = || pin.files.first().map(|file| format!("{} (sha256 {})", file.path, &file.sha256.to_string()[..12]));
    exact.or_else(file).unwrap_or_else(|| format!("tree {}", &pin.tree.to_string()[..12]))
}

/// `3 commits by 2 authors`.
fn counted(entries: &[Entry]) -> String {
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut authors: Vec<&str> = entries.iter().map(|entry| entry.author.as_str()).collect();
    authors.sort_unstable();
    authors.dedup();
    format!("{} by {}", plural(entries.len(), "commit"), plural(authors.len(), "author"))
}

/// As `git shortlog` has it: by author, those with most commits first; oldest commit first.
fn shortlog(text: &mut String, entries: &[Entry], indent: &str) {
    let mut authors: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in entries.iter().rev() {
        authors.entry(&entry.author).or_default().push(entry);
    }
    let mut authors: Vec<(&str, Vec<&Entry>)> = authors.into_iter().collect();
    authors.sort_by_key(|(_, entries)| std::cmp::Reverse(entries.len()));
    let mut left = SHOWN;
    for (author, entries) in authors {
        if left == 0 {
            break;
        }
        *text += &format!("\n{indent}{author} ({}):", entries.len());
        for entry in entries.iter().take(left) {
            *text += &format!("\n{indent}  {} {}", &entry.commit[..12], entry.subject);
        }
        left = left.saturating_sub(entries.len());
    }
    if entries.len() > SHOWN {
        *text += &format!("\n{indent}and {} more commits", entries.len() - SHOWN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: usize, author: &str) -> Vec<Entry> {
        let entry = |number| Entry {
            commit: format!("{number:040}"),
            author: author.to_owned(),
            subject: format!("change {number}"),
        };
        (0..count).rev().map(entry).collect()
    }

    #[test]
    fn commits_are_grouped_by_author_and_only_the_first_are_named() {
        let mut text = String::new();
        shortlog(&mut text, &[entries(2, "Ann"), entries(31, "Bob")].concat(), " ");
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines[..2], [" Bob (31):", "   000000000000 change 0"]);
        assert_eq!(lines.len(), 1 + SHOWN + 1);
        assert_eq!(lines.last(), Some(&" and 3 more commits"));
        let mut text = String::new();
        shortlog(&mut text, &entries(1, "Ann"), "");
        assert_eq!(text, "\nAnn (1):\n  000000000000 change 0");
        assert_eq!(counted(&entries(1, "Ann")), "1 commit by 1 author");
    }
}
