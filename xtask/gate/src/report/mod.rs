//! What came of a run: one value, with a version, that is printed as JSON and kept beside the logs of its flight. Mail and pages are
//! made of it.
//!
//! `lines.rs`: a line or a few for a terminal. `mail.rs`: a mail as osstest's. `bisection.rs`: what a bisection came to. `kept.rs`:
//! reports as files.

mod bisection;
pub mod kept;
mod lines;
mod mail;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use bisection::{Bisection, Culprit, Point};
pub use lines::{age, flight_text, ran_text, seconds, status_text, status_word, when};
pub use mail::mail;

use crate::classify::{Blocker, Class, Finding};
use crate::error::Result;
use crate::flow::{Judged, NotPushed, Ran};
use crate::model::{Blessing, Flight, FlightNo, Job, JobKind, JobState, Revision, StepState, Tier, Tuple};
use crate::simulate::end_word;
use crate::store::Store;

/// The version of the form. Another one where a reader of this one would be misled; new members do not change it.
pub const VERSION: u32 = 1;

/// What came of one run of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The version of this form: 1.
    pub version: u32,
    /// The gate.
    pub branch: String,
    /// When it was written, in seconds since 1970.
    pub at: i64,
    /// `pushed`, `forced`, `blocked`, `ordered`, `refused`, `behind`, `up-to-date`, `rewound`, `unmet`, `stopped` or `no-baseline`.
    pub end: String,
    /// The same for people, in one line.
    pub line: String,
    /// The candidate, where one was tested.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub candidate: Option<Candidate>,
}

/// A candidate that was tested and judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Candidate {
    /// Its flight.
    pub flight: FlightNo,
    /// What that was for.
    pub blessing: Blessing,
    /// osstest's words for the verdict.
    pub outcome: String,
    /// Why it was not pushed; nothing where it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_pushed: Option<String>,
    /// What was tested.
    pub tuple: Tuple,
    /// What it was compared with.
    pub baseline: Tuple,
    /// Seconds since 1970.
    pub started: i64,
    /// Seconds since 1970.
    pub finished: Option<i64>,
    /// Everything that did not pass, judged.
    pub findings: Vec<Failure>,
    /// Every job of the flight.
    pub jobs: Vec<JobLine>,
    /// How old the question is.
    pub ages: Ages,
    /// What moved, newest first.
    pub commits: Vec<Commit>,
    /// What the bisection of its first regression came to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bisection: Option<Bisection>,
}

/// A step that did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// In which flight: the judged one, or one whose pass excuses something.
    pub flight: FlightNo,
    /// The job.
    pub job: String,
    /// The step; empty where the job has none.
    pub testid: String,
    /// Its place among the steps of the job, from 1; nothing where it is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step: Option<usize>,
    /// Its state.
    pub state: StepState,
    /// What it is. Numbers are flights.
    pub class: Class,
    /// The same in osstest's words.
    pub summary: String,
    /// What it stops.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blocks: Option<Blocker>,
}

/// A job, all in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct JobLine {
    /// Its name.
    pub name: String,
    /// What it makes.
    pub kind: JobKind,
    /// When it runs.
    pub tier: Tier,
    /// How it ended.
    pub state: JobState,
}

/// The push gate's age.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Ages {
    /// The last test of the baseline.
    pub basis: Option<Since>,
    /// The first candidate since the last push that was not pushed.
    pub failing: Option<Since>,
    /// The first test of this very candidate.
    pub same: Option<Since>,
}

/// Since when, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Since {
    /// The flight that began it.
    pub flight: FlightNo,
    /// When, in seconds since 1970.
    pub at: i64,
    /// How many flights there were.
    pub attempts: u64,
}

/// A commit that is in the candidate and not in the baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Commit {
    /// Of which tree.
    pub tree: String,
    /// Its id.
    pub id: Revision,
    /// `Name <address>`.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
}

impl Report {
    /// Of a run; `commits` are those of the candidate that the baseline has not, newest first, `culprits` people and commits of what a
    /// bisection found.
    pub fn of(
        store: &Store,
        branch: &str,
        ran: &Ran,
        (commits, culprits): (Vec<Commit>, Vec<String>),
        at: i64,
    ) -> Result<Report> {
        let judged = match ran {
            Ran::Pushed(judged) => Some((judged, None)),
            Ran::NotPushed(judged, why) => Some((judged, Some(why))),
            _ => None,
        };
        let candidate = judged.map(|(judged, why)| {
            let bisection = judged.hunted.as_ref().map(|hunted| Bisection::of(branch, judged.flight, hunted, culprits));
            Ok(Candidate { commits, bisection, ..candidate(store, judged, why)? })
        });
        let candidate = candidate.transpose()?;
        let line = lines::ran_text(branch, ran).trim_end().to_owned();
        let end = end_word(ran).as_str().to_owned();
        Ok(Report { version: VERSION, branch: branch.to_owned(), at, end, line, candidate })
    }

    /// As a person reads it: the mail of a candidate, else the line.
    pub fn text(&self) -> String {
        if self.candidate.is_some() { mail(self) } else { format!("{}\n", self.line) }
    }
}

fn candidate(store: &Store, judged: &Judged, why: Option<&NotPushed>) -> Result<Candidate> {
    let flight = store.flight(judged.flight)?;
    let job = |job: &Job| JobLine { name: job.name.clone(), kind: job.kind, tier: job.tier, state: job.state };
    Ok(Candidate {
        flight: judged.flight,
        blessing: flight.blessing,
        outcome: judged.verdict.outcome.as_str().to_owned(),
        not_pushed: why.map(lines::not_pushed),
        tuple: judged.tuple.clone(),
        baseline: judged.baseline.clone(),
        started: flight.started,
        finished: flight.finished,
        findings: judged.verdict.findings.iter().map(|finding| failure(finding, &flight)).collect(),
        jobs: flight.jobs.iter().map(job).collect(),
        ages: store.ages(judged.flight)?,
        commits: Vec::new(),
        bisection: None,
    })
}

fn failure(finding: &Finding, flight: &Flight) -> Failure {
    let Finding { flight: number, job, testid, state, class, blocks } = finding.clone();
    let of_it = flight.job(&job).filter(|_| number == flight.flight);
    let place = of_it.and_then(|job| job.steps.iter().position(|step| step.testid == testid));
    let summary = finding.summary(flight.flight);
    Failure { flight: number, job, testid, step: place.map(|place| place + 1), state, class, summary, blocks }
}
