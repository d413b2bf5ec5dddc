//! What a gate is told to do: its trees and its jobs. Parsed elsewhere, from files or from a script.

use serde::Deserialize;

use crate::model::{JobKind, Tier};

/// One gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name, as in osstest.
    pub branch: String,
    /// Every tree of its tuples.
    pub trees: Vec<TreePlan>,
    /// In an order in which each stands behind what it needs.
    pub jobs: Vec<JobPlan>,
    /// How it chooses and what it does of itself.
    pub policy: Policy,
}

/// How a gate chooses candidates, and what it does of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Hunts the culprit of a regression.
    pub bisect: bool,
    /// Every commit along first parents is a candidate of its own, not the tip alone.
    pub each_commit: bool,
    /// At most so many candidates are tested on top of one another; 0 and 1: one after the other.
    pub window: u32,
    /// At most so many candidates are tested as one; 0 and 1: each by itself.
    pub batch: u32,
}

/// One tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreePlan {
    /// Its name.
    pub name: String,
    /// Candidates of it are tested; else it stays where it is.
    pub moves: bool,
    /// Its history is rewritten: a candidate need not contain what was tested.
    pub rebasing: bool,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlan {
    /// Its name.
    pub name: String,
    /// What it makes.
    pub kind: JobKind,
    /// When it runs.
    pub tier: Tier,
    /// Jobs that must have passed.
    pub needs: Vec<String>,
    /// How often a broken machine or a failed test is tried again.
    pub retries: u32,
    /// Its failures stop nobody.
    pub advisory: bool,
    /// The same inputs always give the same result, so that a pass may be used again.
    pub deterministic: bool,
}

impl Plan {
    /// The job of that name.
    pub fn job(&self, name: &str) -> Option<&JobPlan> {
        self.jobs.iter().find(|job| job.name == name)
    }
}
