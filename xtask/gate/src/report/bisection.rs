//! What a bisection came to: a value with a version, and its story for people.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::VERSION;
use crate::bisect::{End, Hunted, Seen};
use crate::model::{FlightNo, Revision, Tuple};

/// What a bisection came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Bisection {
    /// The version of this form: 1.
    pub version: u32,
    /// The gate.
    pub branch: String,
    /// The flight in which the job failed.
    pub flight: FlightNo,
    /// The job.
    pub job: String,
    /// Its step; nothing: the whole job.
    pub testid: Option<String>,
    /// It was asked when it was fixed, not when it broke.
    pub fixed: bool,
    /// `complete`, `inconclusive`, `inconsistent`, `unreproducible`, `doubtful`, or `interrupted`.
    pub end: String,
    /// The same for people, in one line.
    pub line: String,
    /// What did it.
    pub culprit: Option<Culprit>,
    /// From good to bad, one tree by one commit a step.
    pub points: Vec<Point>,
}

/// What made a job fail, or pass again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Culprit {
    /// The tree that moved.
    pub tree: String,
    /// To where.
    pub revision: Revision,
    /// Who made what there: lines of `git shortlog`.
    pub commits: Vec<String>,
}

/// A tuple of a bisection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Point {
    /// The tuple.
    pub tuple: Tuple,
    /// What was seen there.
    pub seen: Seen,
}

impl Bisection {
    /// Of a hunt for what failed in a flight; `commits` are people and commits of the culprit, `git shortlog`'s words.
    pub fn of(branch: &str, flight: FlightNo, hunted: &Hunted, commits: Vec<String>) -> Bisection {
        let hunt = &hunted.hunt;
        let step = hunt.testid.iter().map(|testid| format!(" {testid}")).collect::<String>();
        let culprit = hunted.culprit().map(|(tree, _, revision)| (tree.to_owned(), revision.clone()));
        let points = hunt.row.iter().zip(&hunted.seen).map(|(tuple, seen)| Point { tuple: tuple.clone(), seen: *seen });
        Bisection {
            version: VERSION,
            branch: branch.to_owned(),
            flight,
            job: hunt.job.clone(),
            testid: hunt.testid.clone(),
            fixed: hunt.fixed,
            end: hunted.end.map_or("interrupted", End::as_str).to_owned(),
            line: format!("{branch}: bisection of {}{step} {}", hunt.job, how(hunted)),
            culprit: culprit.map(|(tree, revision)| Culprit { tree, revision, commits }),
            points: points.collect(),
        }
    }

    /// The whole story.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.line);
        if let Some(Culprit { tree, revision, commits }) = &self.culprit {
            let _ = writeln!(text, "{}: {tree} {revision}", if self.fixed { "fixed by" } else { "culprit" });
            commits.iter().for_each(|line| text.extend(["  ", line, "\n"]));
        }
        for Point { tuple, seen } in self.points.iter().filter(|point| point.seen != Seen::default()) {
            let _ = writeln!(text, "  {tuple}: {} good, {} bad, {} neither", seen.good, seen.bad, seen.neither);
        }
        text
    }
}

fn how(hunted: &Hunted) -> String {
    let at = |place: usize| hunted.hunt.row.get(place).map_or_else(String::new, ToString::to_string);
    match hunted.end {
        None => "interrupted: the next run of the gate goes on".to_owned(),
        Some(End::Complete(place)) => format!("complete: {}", at(place)),
        Some(End::Inconclusive { good, bad }) => {
            format!("inconclusive: nothing between {} and {} can be tested", at(good), at(bad))
        }
        Some(End::Inconsistent { bad, good }) => {
            format!("inconsistent: {} stands behind {}, which is bad", at(good), at(bad))
        }
        Some(End::Unreproducible(place)) => format!("unreproducible: {} is not as it was", at(place)),
        Some(End::Doubtful(place)) => format!("doubtful: {} passes and fails", at(place)),
    }
}
