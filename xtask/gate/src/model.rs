//! Flight, job, step, run variable, tuple of revisions. Values only; the words of states are osstest's.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

words! {
    /// Where a job stands.
    JobState {
        /// Not begun.
        Queued = "queued",
        /// Its inputs are being brought.
        Preparing = "preparing",
        /// Its steps run.
        Running = "running",
        /// It failed and will be tried again.
        Retriable = "retriable",
        /// All steps passed.
        Pass = "pass",
        /// A step failed: the candidate may be to blame.
        Fail = "fail",
        /// The machine could not; the candidate is not to blame.
        Broken = "broken",
        /// A job that it needs did not pass.
        Blocked = "blocked",
        /// Somebody stopped it.
        Aborted = "aborted",
    }
}

impl JobState {
    /// Nothing will happen to it any more.
    pub fn is_final(self) -> bool {
        use JobState::*;
        matches!(self, Pass | Fail | Broken | Blocked | Aborted)
    }
}

words! {
    /// Where a step stands.
    StepState {
        /// It did what it should.
        Pass = "pass",
        /// It did not.
        Fail = "fail",
        /// The machine could not.
        Broken = "broken",
        /// What it needs did not pass.
        Blocked = "blocked",
        /// Still going, or cut short.
        Running = "running",
        /// A word that this gate does not know, written by a newer one.
        Unknown = "unknown",
    }
}

words! {
    /// What a flight is for. Only the first three count as history of a branch.
    Blessing {
        /// A candidate.
        Real = "real",
        /// The tuple that candidates are compared with.
        Baseline = "baseline",
        /// Jobs of a candidate that failed, again.
        Retry = "retry",
        /// A point of a bisection.
        Bisect = "real-bisect",
        /// For a person to look at.
        Play = "play",
    }
}

impl Blessing {
    /// What passed in it has passed on the branch.
    pub fn is_history(self) -> bool {
        matches!(self, Blessing::Real | Blessing::Baseline | Blessing::Retry)
    }
}

words! {
    /// Where a flight stands.
    FlightState {
        /// Jobs are left.
        Running = "running",
        /// All jobs ended; not judged yet.
        Ended = "ended",
        /// Judged: its refs are being pushed.
        Pushing = "pushing",
        /// Judged, and nothing is left to do.
        Done = "done",
    }
}

words! {
    /// What a job makes.
    JobKind {
        /// Binaries. A failure of it is never a matter of chance.
        Build = "build",
        /// Knowledge.
        Test = "test",
    }
}

words! {
    /// When a job runs.
    Tier {
        /// First; when one of these blocks, the others are not run.
        Smoke = "smoke",
        /// After all smoke jobs.
        Full = "full",
    }
}

/// An exact revision of one tree: a commit, a version, a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Revision(pub String);

impl Revision {
    /// As a person reads it.
    pub fn short(&self) -> &str {
        let is_hash = self.0.len() >= 40 && self.0.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash { &self.0[..12] } else { &self.0 }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One revision of every tree of a gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Tuple(pub BTreeMap<String, Revision>);

impl Tuple {
    /// The same with one tree somewhere else.
    pub fn with(&self, tree: &str, revision: &Revision) -> Tuple {
        let mut tuple = self.clone();
        tuple.0.insert(tree.to_owned(), revision.clone());
        tuple
    }

    /// The trees whose revisions differ, each with the one here and the one there.
    pub fn moved_from<'a>(&'a self, old: &'a Tuple) -> Vec<(&'a str, Option<&'a Revision>, &'a Revision)> {
        let moved = self.0.iter().filter(|(tree, revision)| old.0.get(*tree) != Some(revision));
        moved.map(|(tree, revision)| (tree.as_str(), old.0.get(tree), revision)).collect()
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Vec<String> = self.0.iter().map(|(tree, revision)| format!("{tree} {}", revision.short())).collect();
        f.write_str(&text.join(", "))
    }
}

/// The number of a flight.
pub type FlightNo = u64;

/// One run of jobs on one tuple.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flight {
    /// Its number.
    pub flight: FlightNo,
    /// The gate that it belongs to.
    pub branch: String,
    /// What it is for.
    pub blessing: Blessing,
    /// Where it stands.
    pub state: FlightState,
    /// What is tested.
    pub tuple: Tuple,
    /// What it is compared with.
    pub baseline: Option<Tuple>,
    /// Seconds since 1970.
    pub started: i64,
    /// Seconds since 1970.
    pub finished: Option<i64>,
    /// What came of it, in one of osstest's words.
    pub outcome: Option<String>,
    /// The flight whose jobs it runs again.
    pub parent: Option<FlightNo>,
    /// The flight of the queue that must be pushed first.
    pub ahead: Option<FlightNo>,
    /// How many candidates the queue tested at once when it began.
    pub width: u32,
    /// In the order in which they run.
    pub jobs: Vec<Job>,
}

impl Flight {
    /// The job of that name.
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == name)
    }
}

/// One job of a flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Its name, the same in every flight.
    pub name: String,
    /// What it makes.
    pub kind: JobKind,
    /// When it runs.
    pub tier: Tier,
    /// Its definition says that a failure stops nobody.
    pub advisory: bool,
    /// Where it stands.
    pub state: JobState,
    /// In the order in which they ran.
    pub steps: Vec<Step>,
    /// What was asked for and what came out: `revision_TREE`, `built_revision_TREE`, `NEEDjob`, ...
    pub runvars: BTreeMap<String, String>,
}

/// The step that brings sources to what is tested.
pub const CHECKOUT: &str = "checkout";
/// The step that fetches what a test reads.
pub const FETCH: &str = "fetch";
/// The step that installs what is booted.
pub const DIST: &str = "dist";
/// Steps of a test that come before the test itself.
pub const PREPARATIONS: [&str; 3] = [CHECKOUT, FETCH, DIST];

/// The prefix of the run variables that say what was to be built.
pub const REQUESTED: &str = "revision_";
/// The prefix of the run variables that say what really was built.
pub const BUILT: &str = "built_revision_";

/// One step of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is compared between flights.
    pub testid: String,
    /// Where it stands.
    pub state: StepState,
    /// Seconds since 1970.
    pub started: i64,
    /// Seconds since 1970.
    pub finished: Option<i64>,
    /// Why it did not pass, in one line.
    pub reason: Option<String>,
    /// Its log, relative to the state's directory.
    pub log: Option<String>,
}
