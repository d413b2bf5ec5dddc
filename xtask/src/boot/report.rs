//! What a boot test came to: its checks, one after the other, and the outcome that follows from them.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it must be.
    Passed,
    /// Not as it must be, or never heard of.
    Failed,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// What.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub text: String,
    /// Seconds since the scenario began.
    pub seconds: u64,
}

/// What all checks together mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every check was made, and passed.
    Passed,
    /// One was not.
    Failed,
    /// Nothing was tested.
    NotRun,
}

/// A scenario that was run, or could not be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Which.
    pub scenario: String,
    /// What it came to.
    pub outcome: Outcome,
    /// Why it was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// Console, command line, list of what was booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artefacts: Option<PathBuf>,
    /// How long it took.
    pub seconds: u64,
    #[serde(skip)]
    started: Instant,
}

impl Report {
    pub(super) fn new(scenario: &str) -> Self {
        Report {
            scenario: scenario.to_owned(),
            // Until it is concluded, whatever happens.
            outcome: Outcome::Failed,
            reason: None,
            checks: Vec::new(),
            artefacts: None,
            seconds: 0,
            started: Instant::now(),
        }
    }

    /// One more check.
    pub(super) fn add(&mut self, name: &str, is_good: bool, text: impl Into<String>, said: &dyn Fn(&Check)) {
        let verdict = if is_good { Verdict::Passed } else { Verdict::Failed };
        let seconds = self.started.elapsed().as_secs();
        let check = Check { name: name.to_owned(), verdict, text: text.into(), seconds };
        said(&check);
        self.checks.push(check);
    }

    pub(super) fn conclude(&mut self) {
        let is_good = !self.checks.is_empty() && self.checks.iter().all(|check| check.verdict == Verdict::Passed);
        self.outcome = if is_good { Outcome::Passed } else { Outcome::Failed };
        self.seconds = self.started.elapsed().as_secs();
    }

    pub(super) fn not_run(&mut self, reason: String) {
        self.outcome = Outcome::NotRun;
        self.reason = Some(reason);
        self.seconds = self.started.elapsed().as_secs();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_at_has_not_passed() {
        let outcome = |verdicts: &[bool]| {
            let mut report = Report::new("x");
            verdicts.iter().for_each(|is_good| report.add("one", *is_good, "", &|_| {}));
            report.conclude();
            report.outcome
        };
        assert_eq!(outcome(&[]), Outcome::Failed);
        assert_eq!(outcome(&[true, true]), Outcome::Passed);
        assert_eq!(outcome(&[true, false, true]), Outcome::Failed);
        let mut report = Report::new("x");
        report.not_run("no emulator".into());
        assert_eq!((report.outcome, report.reason.as_deref()), (Outcome::NotRun, Some("no emulator")));
    }
}
