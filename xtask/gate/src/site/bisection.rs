//! A bisection: its graph of revisions as a picture, and the same as a table.

use serde::Serialize;

use super::branch::{Branch, Link};
use super::output::Output;
use super::place;
use crate::error::Result;
use crate::model::{Revision, Tuple};
use crate::report::{Bisection, Culprit};

/// Pixels from one revision to the next, and from one tree to the next.
const DOWN: usize = 44;
const ACROSS: usize = 190;
const MARGIN: usize = 30;
/// Letters of a tree's name that fit.
const LABEL: usize = 18;
/// Revisions that are drawn: those that were tested, and gaps for the others.
const MOST_POINTS: usize = 300;

#[derive(Debug, Serialize)]
struct Page<'a> {
    branch: Link,
    flight: Option<Link>,
    bisection: &'a Bisection,
    culprit: Option<&'a Culprit>,
    trees: Vec<Lane>,
    points: Vec<Drawn<'a>>,
    left_out: usize,
    width: usize,
    height: usize,
}

/// A tree's column.
#[derive(Debug, Serialize)]
struct Lane {
    /// Its name, as much of it as fits.
    label: String,
    x: usize,
}

/// A tuple in the picture, or several that were not tested.
#[derive(Debug, Serialize)]
struct Drawn<'a> {
    /// The tree that moved to it, from the one before.
    tree: &'a str,
    revision: Option<&'a Revision>,
    tuple: &'a Tuple,
    good: u32,
    bad: u32,
    neither: u32,
    /// `good`, `bad`, `unclear`, or `skipped`.
    kind: &'static str,
    /// How many of them.
    count: usize,
    is_culprit: bool,
    x: usize,
    y: usize,
}

/// Writes its page; gives the link to it.
pub(super) fn write(branch: &Branch<'_>, number: usize, bisection: &Bisection, output: &mut Output) -> Result<Link> {
    let path = place::bisection(branch.name, number);
    // The flight itself may be forgotten.
    let is_known = branch.flights.iter().any(|row| row.flight == bisection.flight);
    let link = Link { text: format!("{} since flight {}", bisection.job, bisection.flight), href: path.clone() };
    output.pages(&path, &(is_known, format!("{bisection:?}")), || {
        let title = format!("Bisection of {} on {}", bisection.job, branch.name);
        let page = page(branch, bisection, is_known);
        Ok(vec![branch.renderer.page("bisection.html", &path, &title, &page)?])
    })?;
    Ok(link)
}

fn page<'a>(branch: &Branch<'_>, bisection: &'a Bisection, is_known: bool) -> Page<'a> {
    let trees =
        bisection.points.first().map(|point| point.tuple.0.keys().map(String::as_str).collect()).unwrap_or_default();
    let trees: Vec<&str> = trees;
    let x = |tree: &str| MARGIN + trees.iter().position(|known| *known == tree).unwrap_or(0) * ACROSS;
    let mut points: Vec<Drawn<'_>> = Vec::new();
    let mut before: Option<&Tuple> = None;
    for point in &bisection.points {
        let moved = before.and_then(|before| point.tuple.moved_from(before).into_iter().next());
        before = Some(&point.tuple);
        let (tree, revision) = match moved {
            Some((tree, _, revision)) => (tree, Some(revision)),
            None => (trees.first().copied().unwrap_or_default(), None),
        };
        let seen = point.seen;
        let kind = match () {
            () if seen.bad > 0 => "bad",
            () if seen.good > 0 => "good",
            () if seen.neither > 0 => "unclear",
            () => "skipped",
        };
        if let Some(last) = points.last_mut().filter(|last| kind == "skipped" && last.kind == kind) {
            last.count += 1;
            continue;
        }
        let is_culprit = bisection
            .culprit
            .as_ref()
            .is_some_and(|culprit| culprit.tree == tree && revision == Some(&culprit.revision));
        let (good, bad, neither) = (seen.good, seen.bad, seen.neither);
        let y = MARGIN + (points.len() + 1) * DOWN;
        let tuple = &point.tuple;
        points.push(Drawn { tree, revision, tuple, good, bad, neither, kind, count: 1, is_culprit, x: x(tree), y });
    }
    let left_out = points.len().saturating_sub(MOST_POINTS);
    points.truncate(MOST_POINTS);
    Page {
        branch: branch.link(),
        flight: is_known.then(|| branch.flight_link(bisection.flight)),
        bisection,
        culprit: bisection.culprit.as_ref(),
        width: MARGIN + trees.len().max(1) * ACROSS + 160,
        height: MARGIN + (points.len() + 1) * DOWN,
        trees: trees.iter().map(|tree| Lane { label: tree.chars().take(LABEL).collect(), x: x(tree) }).collect(),
        points,
        left_out,
    }
}
