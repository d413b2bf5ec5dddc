//! The form of a script: trees, jobs, and what happens to them.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::model::{JobKind, Revision, Tier};
use crate::plan::{JobPlan, Plan, Policy, TreePlan};
use crate::world::Needed;

/// The gate's name in reports of a simulation.
pub const BRANCH: &str = "simulated";

/// A scripted history.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Script {
    /// What it shows, in one line.
    pub summary: String,
    /// Where chance begins; the same seed plays the same history.
    #[serde(default)]
    pub seed: u64,
    /// How often the events happen, one after the other.
    #[serde(default = "one")]
    pub repeat: u64,
    /// How the gate chooses candidates, and what it does of itself.
    #[serde(default)]
    pub policy: Policy,
    /// How many flights run beside one another.
    #[serde(default = "one")]
    pub machines: u64,
    /// The trees.
    pub tree: Vec<SimTree>,
    /// The jobs, each behind what it needs.
    pub job: Vec<SimJob>,
    /// What happens.
    pub event: Vec<Event>,
}

/// A tree; it begins with one good commit, which is tested.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SimTree {
    /// Its name.
    pub name: String,
    /// Candidates of it are tested.
    #[serde(default = "yes")]
    pub moves: bool,
    /// Its history is rewritten.
    #[serde(default)]
    pub rebasing: bool,
}

/// A job.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SimJob {
    /// Its name.
    pub name: String,
    /// It makes binaries.
    #[serde(default)]
    pub build: bool,
    /// It runs before those that are not.
    #[serde(default)]
    pub smoke: bool,
    /// Jobs that must have passed.
    #[serde(default)]
    pub needs: Vec<String>,
    /// How often it is tried again.
    #[serde(default)]
    pub retries: u32,
    /// Its failures stop nobody.
    #[serde(default)]
    pub advisory: bool,
    /// A pass of it may be used again.
    #[serde(default)]
    pub deterministic: bool,
    /// The trees that it is made of; all where nothing is said.
    #[serde(default)]
    pub trees: Vec<String>,
    /// Fails by chance, so many times in a hundred.
    #[serde(default)]
    pub flaky: u64,
    /// Fails always.
    #[serde(default)]
    pub fails: bool,
    /// How long it takes.
    #[serde(default)]
    pub minutes: u32,
}

/// Something that happens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Event {
    /// Somebody commits to the untested ref of a tree.
    Commit(Commit),
    /// Somebody resets that ref to an ancestor.
    Rewind(Rewind),
    /// A machine breaks.
    BreakHost(Host),
    /// An operator forces the candidate of a tree.
    Force(OfTree),
    /// An operator wants no pushes.
    Block(Nothing),
    /// An operator wants no flights.
    Stop(Nothing),
    /// An operator wants the last candidate tested once more.
    Retry(Nothing),
    /// An operator takes both back.
    Resume(Nothing),
    /// Time passes.
    Wait(Wait),
    /// The gate runs.
    Run(Run),
}

/// A commit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Commit {
    /// To which tree.
    pub tree: String,
    /// By whom.
    #[serde(default)]
    pub author: String,
    /// Jobs that fail from here on.
    #[serde(default)]
    pub breaks: BTreeSet<String>,
    /// Jobs that work again.
    #[serde(default)]
    pub repairs: BTreeSet<String>,
    /// Commits of other trees that it needs, as `qemu-3`: the third of `qemu`.
    #[serde(default)]
    pub depends_on: Vec<String>,
}

/// A ref that goes back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rewind {
    /// Of which tree.
    pub tree: String,
    /// By how many commits.
    pub by: usize,
}

/// A broken machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Host {
    /// Whose runs it breaks.
    pub job: String,
    /// How many of them.
    pub runs: u64,
}

/// Time that passes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Wait {
    /// So much of it.
    pub minutes: u32,
}

/// A tree, by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OfTree {
    /// Its name.
    pub tree: String,
}

/// `{}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Nothing {}

/// Runs of the gate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Run {
    /// How many.
    #[serde(default = "one")]
    pub times: u64,
    /// What must come of each.
    #[serde(default)]
    pub expect: Option<Expected>,
}

/// What may come of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// The verdict let it pass.
    Pushed,
    /// An operator did.
    Forced,
    /// The verdict stopped it.
    Blocked,
    /// An operator stopped the push.
    Ordered,
    /// The ref was somewhere else.
    Refused,
    /// There was nothing to test.
    UpToDate,
    /// The candidate loses what was tested.
    Rewound,
    /// An operator stopped the gate.
    Stopped,
    /// There was nothing to compare with.
    NoBaseline,
    /// It depends on what is not there.
    Unmet,
    /// What it stood on was not pushed.
    Behind,
}

impl Expected {
    /// As a script has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Expected::Pushed => "pushed",
            Expected::Forced => "forced",
            Expected::Blocked => "blocked",
            Expected::Ordered => "ordered",
            Expected::Refused => "refused",
            Expected::UpToDate => "up-to-date",
            Expected::Rewound => "rewound",
            Expected::Stopped => "stopped",
            Expected::NoBaseline => "no-baseline",
            Expected::Unmet => "unmet",
            Expected::Behind => "behind",
        }
    }
}

impl Script {
    /// Reads one; names in it must be those of its trees and jobs.
    pub fn parse(text: &str) -> Result<Script> {
        let script: Script =
            toml::from_str(text).map_err(|error| Error::input("cannot read the script").because(error))?;
        let trees: Vec<&String> = script.tree.iter().map(|tree| &tree.name).collect();
        let jobs: Vec<&String> = script.job.iter().map(|job| &job.name).collect();
        let known = |what: &str, known: &[&String], name: &String| match known.contains(&name) {
            true => Ok(()),
            false => Err(Error::input(format!("cannot use the script: it has no {what} `{name}`"))),
        };
        for (place, job) in script.job.iter().enumerate() {
            job.trees.iter().try_for_each(|name| known("tree", &trees, name))?;
            job.needs.iter().try_for_each(|name| known("earlier job", &jobs[..place], name))?;
        }
        for event in &script.event {
            match event {
                Event::Commit(commit) => {
                    known("tree", &trees, &commit.tree)?;
                    commit.breaks.iter().chain(&commit.repairs).try_for_each(|name| known("job", &jobs, name))?;
                    commit.depends_on.iter().try_for_each(|commit| known("tree", &trees, &needed(commit).tree))?;
                }
                Event::Rewind(rewind) => known("tree", &trees, &rewind.tree)?,
                Event::Force(force) => known("tree", &trees, &force.tree)?,
                Event::BreakHost(host) => known("job", &jobs, &host.job)?,
                Event::Block(_) | Event::Stop(_) | Event::Retry(_) | Event::Resume(_) => {}
                Event::Wait(_) | Event::Run(_) => {}
            }
        }
        Ok(script)
    }

    /// Under another policy other things come of the runs.
    pub fn expect_nothing(&mut self) {
        for event in &mut self.event {
            if let Event::Run(run) = event {
                run.expect = None;
            }
        }
    }

    /// What a gate over it is told to do.
    pub fn plan(&self) -> Plan {
        let tree = |tree: &SimTree| TreePlan { name: tree.name.clone(), moves: tree.moves, rebasing: tree.rebasing };
        let job = |job: &SimJob| JobPlan {
            name: job.name.clone(),
            kind: if job.build { JobKind::Build } else { JobKind::Test },
            tier: if job.smoke { Tier::Smoke } else { Tier::Full },
            needs: job.needs.clone(),
            retries: job.retries,
            advisory: job.advisory,
            deterministic: job.deterministic,
        };
        Plan {
            branch: BRANCH.to_owned(),
            trees: self.tree.iter().map(tree).collect(),
            jobs: self.job.iter().map(job).collect(),
            policy: self.policy,
        }
    }
}

/// `qemu-3`.
pub(super) fn needed(commit: &str) -> Needed {
    let tree = commit.rsplit_once('-').map_or(commit, |(tree, _)| tree);
    Needed { tree: tree.to_owned(), revision: Revision(commit.to_owned()) }
}

fn one() -> u64 {
    1
}

fn yes() -> bool {
    true
}
