//! The verdict on a flight: every step that did not pass is judged against history, by osstest's table, in its order. A pure
//! function of what it is shown.
//!
//! Stricter than osstest in four things. Only a pass of the very same *tuple* in another flight excuses a failure. A baseline
//! has passed a step when it did so in any flight of that tuple. What a broken or unfinished baseline did not show excuses
//! nothing. And a tuple whose moved trees no passed job was made of is never tolerable.

use serde::{Deserialize, Serialize};

use crate::allow::{self, Allowance};
use crate::model::{BUILT, Flight, FlightNo, Job, JobKind, JobState, REQUESTED, Step, StepState, Tuple};

/// What is known when a flight is judged.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The one to judge.
    pub flight: &'a Flight,
    /// Flights of the baseline's tuple; the one that ran all jobs first, then those that ran some of them again.
    pub basis: &'a [Flight],
    /// Other flights of the very same tuple, in the order in which they are preferred.
    pub others: &'a [Flight],
    /// Whether a job's step has ever passed on the branch.
    pub ever_passed: &'a dyn Fn(&str, &str) -> bool,
    /// Failures that somebody answers for.
    pub allowed: &'a [Allowance],
    /// Seconds since 1970.
    pub now: i64,
}

/// What a step that did not pass is. The numbers are flights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Other revisions were used than were asked for.
    Mismatch(String),
    /// No passed job was made of this tree's revision.
    NotTested(String),
    /// The job failed before it had a step.
    BrokenJob,
    /// What it needs did not pass, and is judged instead.
    NotApplicable,
    /// The flight was cut short.
    Unfinished,
    /// Neither failed nor broken.
    Strange,
    /// The job's definition says that it stops nobody.
    Advisory,
    /// It has never passed on this branch.
    NeverPass,
    /// The baseline could not run it either.
    BlockedIn(FlightNo),
    /// The baseline failed in the same way.
    Like(FlightNo),
    /// The baseline failed; now the machine is broken.
    FailedIn(FlightNo),
    /// The baseline has no run of it.
    BaselineUntested,
    /// The machine was broken, or the flight cut short, when the baseline ran it: nothing is known of it.
    BaselineBroken(FlightNo),
    /// The baseline passed.
    Regression(FlightNo),
    /// The same tuple passed it in another flight.
    PassIn(FlightNo),
    /// Somebody answers for it.
    Allowed(String),
}

/// Why a step stops a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Blocker {
    /// The candidate made it worse.
    Regression,
    /// The machine or the gate did not do its part.
    Broken,
    /// It did not come to its end.
    Unfinished,
}

/// A step that did not pass, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In which flight: the judged one, or one whose pass excuses something.
    pub flight: FlightNo,
    /// The job.
    pub job: String,
    /// The step; empty where the job has none.
    pub testid: String,
    /// Its state.
    pub state: StepState,
    /// What it is.
    pub class: Class,
    /// What it would have stopped, had nothing excused it.
    pub blocks: Option<Blocker>,
}

/// How a flight ended, in osstest's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No failures.
    Perfect,
    /// Failures, and none of them blocks.
    Tolerable,
    /// At least one is the candidate's fault.
    Regressions,
    /// Blocked by what is not the candidate's fault.
    Problems,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// All in all.
    pub outcome: Outcome,
    /// Everything that did not pass.
    pub findings: Vec<Finding>,
}

impl Outcome {
    /// As osstest writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Perfect => "all pass",
            Outcome::Tolerable => "tolerable FAIL",
            Outcome::Regressions => "regressions - FAIL",
            Outcome::Problems => "FAIL and problems with tests",
        }
    }

    /// It may be pushed.
    pub fn is_tolerable(self) -> bool {
        matches!(self, Outcome::Perfect | Outcome::Tolerable)
    }
}

impl Verdict {
    /// What stops the push.
    pub fn blockers(&self) -> impl Iterator<Item = (&Finding, Blocker)> {
        self.findings.iter().filter_map(|finding| finding.blocks.map(|kind| (finding, kind)))
    }
}

impl Finding {
    /// The summary that osstest's report has behind the step.
    pub fn summary(&self, judged: FlightNo) -> String {
        let text = match &self.class {
            Class::Mismatch(what) => format!("not what was asked for: {what}"),
            Class::NotTested(tree) => format!("no passed job is made of {tree}"),
            Class::BrokenJob => "broken-job".to_owned(),
            Class::NotApplicable => "n/a".to_owned(),
            Class::Unfinished => "unfinished".to_owned(),
            Class::Strange => format!("in state {}", self.state),
            Class::Advisory => "advisory".to_owned(),
            Class::NeverPass => "never pass".to_owned(),
            Class::BlockedIn(flight) => format!("blocked in {flight}"),
            Class::Like(flight) => format!("like {flight}"),
            Class::FailedIn(flight) => format!("failed in {flight}"),
            Class::BaselineUntested => "baseline untested".to_owned(),
            Class::BaselineBroken(flight) => format!("broken in {flight}"),
            Class::Regression(flight) => format!("REGR. vs. {flight}"),
            Class::PassIn(flight) => format!("pass in {flight}"),
            Class::Allowed(owner) => format!("allowable ({owner})"),
        };
        let elsewhere = (self.flight != judged).then(|| format!("{} in {} ", self.state, self.flight));
        elsewhere.unwrap_or_default() + &text
    }
}

/// Judges a flight.
pub fn classify(evidence: &Evidence<'_>) -> Verdict {
    let mut examined = vec![evidence.flight];
    let mut findings = Vec::new();
    let mut next = 0;
    while let Some(flight) = examined.get(next).copied() {
        next += 1;
        for job in &flight.jobs {
            findings.extend(mismatch(flight, job));
            for (testid, state) in not_passed(job) {
                let mut class = judge(evidence, job, testid, state);
                let mut blocks = blocks(&class, state);
                if blocks.is_some() {
                    if let Some(other) = passed_elsewhere(evidence, &examined, flight, job, testid) {
                        class = Class::PassIn(other.flight);
                        blocks = None;
                        if !examined.iter().any(|known| known.flight == other.flight) {
                            examined.push(other);
                        }
                    } else if let Some(line) = covering(evidence, &job.name, testid) {
                        class = Class::Allowed(line.owner.clone());
                        blocks = None;
                    }
                }
                let (flight, job, testid) = (flight.flight, job.name.clone(), testid.to_owned());
                findings.push(Finding { flight, job, testid, state, class, blocks });
            }
        }
    }
    never_run(evidence, &examined, &mut findings);
    findings.extend(not_tested(evidence, &examined));
    let has = |wanted: fn(Blocker) -> bool| findings.iter().filter_map(|finding| finding.blocks).any(wanted);
    let outcome = match () {
        () if findings.is_empty() => Outcome::Perfect,
        () if has(|kind| kind == Blocker::Regression) => Outcome::Regressions,
        () if has(|_| true) => Outcome::Problems,
        () => Outcome::Tolerable,
    };
    Verdict { outcome, findings }
}

/// Every step of a job that did not pass; the job itself, with an empty testid, where no step tells why it did not.
fn not_passed(job: &Job) -> Vec<(&str, StepState)> {
    let steps = job.steps.iter().filter(|step| step.state != StepState::Pass);
    let mut found: Vec<(&str, StepState)> = steps.map(|step| (step.testid.as_str(), step.state)).collect();
    if found.is_empty() && job.state != JobState::Pass {
        let state = match job.state {
            JobState::Fail => StepState::Fail,
            JobState::Blocked => StepState::Blocked,
            JobState::Broken | JobState::Aborted => StepState::Broken,
            _ => StepState::Running,
        };
        found.push(("", state));
    } else if !found.is_empty() && !job.state.is_final() {
        // Steps that are still to come have no record yet.
        found.push(("", StepState::Running));
    }
    found
}

/// The table, in its order.
fn judge(evidence: &Evidence<'_>, job: &Job, testid: &str, state: StepState) -> Class {
    match state {
        StepState::Blocked => return Class::NotApplicable,
        StepState::Running => return Class::Unfinished,
        StepState::Pass | StepState::Unknown => return Class::Strange,
        StepState::Fail | StepState::Broken if testid.is_empty() => return Class::BrokenJob,
        StepState::Fail | StepState::Broken if job.advisory => return Class::Advisory,
        StepState::Fail | StepState::Broken => {}
    }
    if !(evidence.ever_passed)(&job.name, testid) {
        return Class::NeverPass;
    }
    let runs = |flight: &'_ Flight| flight.job(&job.name).map(|old| (flight.flight, find(old, testid), old.state));
    let all: Vec<_> = evidence.basis.iter().filter_map(runs).collect();
    if let Some((flight, ..)) = all.iter().find(|(_, step, _)| *step == Some(StepState::Pass)) {
        return Class::Regression(*flight);
    }
    let told = all.iter().find(|(_, step, _)| step.is_some());
    match told.or(all.first()) {
        None => Class::BaselineUntested,
        Some((flight, Some(old), _)) => match (old, state) {
            (StepState::Blocked, _) => Class::BlockedIn(*flight),
            (StepState::Fail, StepState::Fail) => Class::Like(*flight),
            (StepState::Fail, _) => Class::FailedIn(*flight),
            (StepState::Broken | StepState::Running | StepState::Unknown | StepState::Pass, _) => {
                Class::BaselineBroken(*flight)
            }
        },
        // The job is there and never came to this step.
        Some((flight, None, JobState::Blocked)) => Class::BlockedIn(*flight),
        Some((_, None, JobState::Pass | JobState::Fail)) => Class::BaselineUntested,
        Some((flight, None, _)) => Class::BaselineBroken(*flight),
    }
}

fn find(job: &Job, testid: &str) -> Option<StepState> {
    job.steps.iter().find(|step| step.testid == testid).map(|step| step.state)
}

/// Whether a class stops a push.
fn blocks(class: &Class, state: StepState) -> Option<Blocker> {
    match class {
        Class::Regression(_) if state == StepState::Broken => Some(Blocker::Broken),
        Class::Regression(_) => Some(Blocker::Regression),
        Class::Unfinished => Some(Blocker::Unfinished),
        Class::Mismatch(_) | Class::NotTested(_) | Class::BrokenJob | Class::Strange | Class::BaselineBroken(_) => {
            Some(Blocker::Broken)
        }
        Class::NotApplicable
        | Class::Advisory
        | Class::NeverPass
        | Class::BlockedIn(_)
        | Class::Like(_)
        | Class::FailedIn(_)
        | Class::BaselineUntested
        | Class::PassIn(_)
        | Class::Allowed(_) => None,
    }
}

/// Another flight of the very same tuple in which it passed: one that is examined already, else the first of the others. Never
/// for builds.
fn passed_elsewhere<'a>(
    evidence: &Evidence<'a>,
    examined: &[&'a Flight],
    flight: &Flight,
    job: &Job,
    testid: &str,
) -> Option<&'a Flight> {
    if job.kind == JobKind::Build {
        return None;
    }
    let passed = |other: &&Flight| {
        let is_same = other.flight != flight.flight && other.tuple == flight.tuple;
        is_same
            && other.job(&job.name).is_some_and(|other| match testid {
                "" => other.state == JobState::Pass,
                testid => find(other, testid) == Some(StepState::Pass),
            })
    };
    examined.iter().copied().find(passed).or_else(|| evidence.others.iter().find(passed))
}

fn covering<'a>(evidence: &Evidence<'a>, job: &str, testid: &str) -> Option<&'a Allowance> {
    allow::covering(evidence.allowed, &evidence.flight.branch, job, testid, evidence.now)
}

/// A job that waited for what failed here and passed elsewhere must have run there: its cause is excused, and it is not.
fn never_run(evidence: &Evidence<'_>, examined: &[&Flight], findings: &mut [Finding]) {
    if !findings.iter().any(|finding| matches!(finding.class, Class::PassIn(_))) {
        return;
    }
    let has_run = |flight: &Flight, job: &str| {
        flight.job(job).is_some_and(|job| matches!(job.state, JobState::Pass | JobState::Fail))
    };
    for finding in findings.iter_mut().filter(|finding| finding.class == Class::NotApplicable) {
        let ran = examined.iter().any(|flight| has_run(flight, &finding.job));
        let is_wanted = evidence.basis.iter().any(|flight| has_run(flight, &finding.job));
        if is_wanted && !ran {
            finding.blocks = Some(Blocker::Unfinished);
        }
    }
}

/// Revisions that are not the tuple's. Nothing excuses them.
fn mismatch(flight: &Flight, job: &Job) -> Option<Finding> {
    let wrong = job.runvars.iter().find_map(|(name, value)| {
        let tree = name.strip_prefix(BUILT).or_else(|| name.strip_prefix(REQUESTED))?;
        let wanted = flight.tuple.0.get(tree).map_or("nothing", |revision| revision.0.as_str());
        (wanted != value).then(|| format!("{tree} is {value}, wanted {wanted}"))
    })?;
    let (class, state) = (Class::Mismatch(wrong), StepState::Broken);
    let (job, testid) = (job.name.clone(), String::new());
    Some(Finding { flight: flight.flight, job, testid, state, class, blocks: Some(Blocker::Broken) })
}

/// Moved trees that no passed job was made of.
fn not_tested(evidence: &Evidence<'_>, examined: &[&Flight]) -> Vec<Finding> {
    let flight = evidence.flight;
    let nothing = Tuple::default();
    let moved = flight.tuple.moved_from(flight.baseline.as_ref().unwrap_or(&nothing));
    let passed = || {
        let jobs = examined.iter().flat_map(|flight| &flight.jobs);
        jobs.filter(|job| job.state == JobState::Pass && job.steps.iter().any(Step::has_passed))
    };
    let is_tested = |tree: &str, revision: &str| {
        let name = format!("{BUILT}{tree}");
        passed().any(|job| job.runvars.get(&name).is_some_and(|built| built == revision))
    };
    let untested = moved.into_iter().filter(|(tree, _, revision)| !is_tested(tree, &revision.0));
    let finding = |(tree, _, _): (&str, _, _)| Finding {
        flight: flight.flight,
        job: String::new(),
        testid: String::new(),
        state: StepState::Unknown,
        class: Class::NotTested(tree.to_owned()),
        blocks: Some(Blocker::Broken),
    };
    untested.map(finding).collect()
}

impl Step {
    /// It did what it should.
    pub fn has_passed(&self) -> bool {
        self.state == StepState::Pass
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
