//! Which tuple made a job fail, or pass again. `next` is pure: from everything that was seen to what to test now, or to the end; a
//! bisection that was killed goes on because it is asked again. `flow/bisect.rs` runs it.
//!
//! The tuples stand in a row in which one tree moves by one commit from each to the next, along first parents, so that a culprit has one
//! name and its neighbour is its parent. What a merge brought has rows of its own.

use serde::{Deserialize, Serialize};

use crate::model::{Revision, Tuple};

/// How often a machine may break at a point, and how often both sides of a culprit must be seen.
pub const REPEATS: u32 = 3;
/// A failure that shows more rarely than once in so many runs is not hunted.
const MOST_PASSES: u32 = 20;
/// A point passes when a failure as frequent as at the bad end would have shown, but for this.
const DOUBT: f64 = 0.05;

/// What is sought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hunt {
    /// The job.
    pub job: String,
    /// Its step; the whole job where nothing is said.
    pub testid: Option<String>,
    /// The first tuple was taken for good, the last for bad; one tree moves by one commit from each to the next.
    pub row: Vec<Tuple>,
    /// When was it fixed: the first fails, the last passes.
    pub fixed: bool,
}

impl Hunt {
    /// The tree that moved to this place of the row, from where and to where.
    pub fn moved_to(&self, place: usize) -> Option<(&str, Option<&Revision>, &Revision)> {
        let (before, at) = self.row.get(place.checked_sub(1)?).zip(self.row.get(place))?;
        at.moved_from(before).into_iter().next()
    }
}

/// What a hunt came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hunted {
    /// What was sought.
    pub hunt: Hunt,
    /// How it ended; nothing: it is interrupted.
    pub end: Option<End>,
    /// What was seen at each place of the row.
    pub seen: Vec<Seen>,
}

impl Hunted {
    /// The tree that went bad, with its last good revision and its first bad one.
    pub fn culprit(&self) -> Option<(&str, Option<&Revision>, &Revision)> {
        match self.end {
            Some(End::Complete(place)) => self.hunt.moved_to(place),
            _ => None,
        }
    }
}

/// What was seen at one tuple.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Seen {
    /// Like the good end.
    pub good: u32,
    /// Like the bad end.
    pub bad: u32,
    /// The machine could not, or it does not build.
    pub neither: u32,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Next {
    /// Test this one, by its place in the row.
    Test(usize),
    /// It is over.
    End(End),
}

/// How a bisection ends, as osstest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// From the tuple before this place to this one it went bad, each seen three times.
    Complete(usize),
    /// Between these two places nothing can be tested.
    Inconclusive {
        /// The last good one.
        good: usize,
        /// The first bad one.
        bad: usize,
    },
    /// A good one stands behind a bad one: there is more than one change.
    Inconsistent {
        /// The bad one.
        bad: usize,
        /// The good one behind it.
        good: usize,
    },
    /// An end is not what it was taken for.
    Unreproducible(usize),
    /// The good end fails at times too, or the bad one fails too rarely to tell.
    Doubtful(usize),
}

impl End {
    /// osstest's word.
    pub fn as_str(self) -> &'static str {
        match self {
            End::Complete(_) => "complete",
            End::Inconclusive { .. } => "inconclusive",
            End::Inconsistent { .. } => "inconsistent",
            End::Unreproducible(_) => "unreproducible",
            End::Doubtful(_) => "doubtful",
        }
    }
}

/// From what was seen at each place of the row, whose first was taken for good and whose last for bad.
pub fn next(row: &[Seen]) -> Next {
    let last = row.len().saturating_sub(1);
    let (Some(good_end), Some(bad_end)) = (row.first(), row.get(last).filter(|_| last > 0)) else {
        return Next::End(End::Unreproducible(0));
    };
    // Both ends first: nothing is learned from a failure that does not show again.
    if bad_end.bad + bad_end.good < REPEATS {
        return match bad_end.neither < REPEATS {
            true => Next::Test(last),
            false => Next::End(End::Unreproducible(last)),
        };
    }
    if bad_end.bad == 0 {
        return Next::End(End::Unreproducible(last));
    }
    let Some(wanted) = passes_wanted(bad_end) else { return Next::End(End::Doubtful(last)) };
    match good_end {
        Seen { good: 0, bad: 1.., .. } => return Next::End(End::Unreproducible(0)),
        Seen { bad: 1.., .. } => return Next::End(End::Doubtful(0)),
        Seen { neither, good, .. } if *good < wanted => {
            return match *neither < REPEATS {
                true => Next::Test(0),
                false => Next::End(End::Unreproducible(0)),
            };
        }
        Seen { .. } => {}
    }
    let is_good = |seen: &Seen| seen.bad == 0 && seen.good >= wanted;
    let good = row.iter().rposition(is_good).unwrap_or(0);
    let bad = row.iter().position(|seen| seen.bad > 0).unwrap_or(last);
    if bad < good {
        return Next::End(End::Inconsistent { bad, good });
    }
    // What was begun is finished before anything else.
    let is_open = |place: &usize| row[*place].good > 0 && row[*place].bad == 0 && row[*place].neither < REPEATS;
    if let Some(open) = (good + 1..bad).find(is_open) {
        return Next::Test(open);
    }
    let middle = good + (bad - good) / 2;
    let can_be_tested = |place: &usize| row[*place].neither < REPEATS;
    if let Some(place) = (good + 1..bad).filter(can_be_tested).min_by_key(|place| place.abs_diff(middle)) {
        return Next::Test(place);
    }
    if bad - good > 1 {
        return Next::End(End::Inconclusive { good, bad });
    }
    // Machines that break here were not broken before, so this is no endless loop: each side was seen at least once.
    if row[good].good < REPEATS.max(wanted) && row[good].neither < REPEATS {
        return Next::Test(good);
    }
    if row[bad].bad < REPEATS && row[bad].neither < REPEATS && row[bad].good < MOST_PASSES {
        return Next::Test(bad);
    }
    match row[good].good >= REPEATS && row[bad].bad >= REPEATS {
        true => Next::End(End::Complete(bad)),
        false => Next::End(End::Doubtful(bad)),
    }
}

/// What an earlier hunt for the same came to, in a row that has its commits too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its end, at places of this row.
    pub end: End,
    /// Where its bad end is in this row.
    pub tip: usize,
}

/// The same where an end is known for the first part of the row. It is the whole row's too, unless what was bad then was good in between:
/// mended or reverted, and something else broke it again. Testing all that came since would cost a flight for each commit, and a
/// whole hunt a dozen of them for each new tip of a branch that nobody mends. So, from the new tip backwards, places at 1, 2, 4, 8, ...
/// are tried once each, which costs nothing where one commit came. They hit every good stretch that is as long as what stands on top
/// of it; the first good one has the whole row hunted, and that then ends behind it.
pub fn next_since(row: &[Seen], known: Known) -> Next {
    let mut back = 1;
    while let Some(place) = row.len().checked_sub(1 + back).filter(|place| *place > known.tip) {
        match row[place] {
            Seen { good: 1.., .. } => return next(row),
            Seen { bad: 0, neither: 0, .. } => return Next::Test(place),
            Seen { .. } => back *= 2,
        }
    }
    Next::End(known.end)
}

/// How often a good one must pass before a failure of that frequency would have shown.
fn passes_wanted(bad_end: &Seen) -> Option<u32> {
    if bad_end.good == 0 {
        return Some(1);
    }
    let passes = f64::from(bad_end.good) / f64::from(bad_end.good + bad_end.bad);
    (1..=MOST_PASSES).find(|count| passes.powi(*count as i32) < DOUBT)
}

#[cfg(test)]
mod tests;
