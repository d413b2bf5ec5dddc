//! What came of a flight, for people: a mail as osstest's, lines for a terminal. Only words; looks nothing up.

use std::fmt::Write;

use crate::classify::{Blocker, Class, Finding};
use crate::flow::{Judged, NotPushed, Ran};
use crate::model::{Flight, Tuple};
use crate::store::BranchStatus;

/// A branch in one line.
pub fn status_text(row: &BranchStatus, now: i64) -> String {
    let tested = match &row.tested {
        Some((tuple, at)) => format!("tested {} ago: {tuple}", age(now - at)),
        None => "nothing pushed yet".to_owned(),
    };
    let mut text = format!("{}: {tested}", row.branch);
    if let Some((flight, state, outcome, _)) = &row.last {
        let _ = write!(text, "; flight {flight}: {}", outcome.as_deref().unwrap_or(state.as_str()));
    }
    if let Some((since, attempts)) = row.failing {
        let _ = write!(text, "; not pushed since {} in {attempts} flights", age(now - since));
    }
    for order in &row.orders {
        let revision = order.revision.iter().map(|revision| format!(" {revision}")).collect::<String>();
        let _ = write!(text, "; {}{revision} by {}: {}", order.kind.as_str(), order.who, order.why);
    }
    text
}

/// `3d`, `5h`, `2m`, `7s`.
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s if s >= 2 * 86400 => format!("{}d", s / 86400),
        s if s >= 2 * 3600 => format!("{}h", s / 3600),
        s if s >= 120 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// A flight's jobs, with the steps that did not pass.
pub fn flight_text(flight: &Flight) -> String {
    let outcome = flight.outcome.as_deref().unwrap_or(flight.state.as_str());
    let mut text =
        format!("flight {} {} {}: {outcome}\n {}\n", flight.flight, flight.branch, flight.blessing, flight.tuple);
    for job in &flight.jobs {
        let why = job.runvars.get("reused").map(|from| format!(" (as {from})"));
        let why = why.or(job.runvars.get("blocked_by").map(|by| format!(" (by {by})"))).unwrap_or_default();
        let _ = writeln!(text, " {:<40} {}{why}", job.name, job.state);
        for step in job.steps.iter().filter(|step| !step.has_passed()) {
            let reason = step.reason.as_deref().unwrap_or_default();
            let _ = writeln!(text, "   {:<38} {} {reason}", step.testid, step.state);
        }
    }
    text
}

/// What a run came to, in one line.
pub fn ran_text(branch: &str, ran: &Ran) -> String {
    match ran {
        Ran::Stopped(order) => format!("{branch}: stopped by {}: {}\n", order.who, order.why),
        Ran::UpToDate(tuple) => format!("{branch}: up to date: {tuple}\n"),
        Ran::Rewound { tree, candidate, tested } => {
            format!("{branch}: {tree}: the candidate {candidate} does not contain what was tested, {tested}\n")
        }
        Ran::Unmet { tree, candidate, why } => format!("{branch}: {tree}: {} waits: {why}\n", candidate.short()),
        Ran::NoBaseline { flight } => {
            format!(
                "{branch}: the machine could not test the baseline (flight {flight}); nothing is said of a candidate\n"
            )
        }
        Ran::Pushed(judged) => judged_line(branch, judged, None),
        Ran::NotPushed(judged, why) => judged_line(branch, judged, Some(why)),
    }
}

fn judged_line(branch: &str, judged: &Judged, why: Option<&NotPushed>) -> String {
    format!("{}\n", subject(branch, judged, why))
}

/// The first line of the mail.
pub fn subject(branch: &str, judged: &Judged, why: Option<&NotPushed>) -> String {
    let end = match why {
        None if judged.forced => " - FORCED".to_owned(),
        None => " - PUSHED".to_owned(),
        Some(NotPushed::Blocked) => String::new(),
        Some(NotPushed::Ordered(order)) => format!(" - BLOCKED by {}: {}", order.who, order.why),
        Some(NotPushed::Refused(why)) => format!(" - push refused: {why}"),
        Some(NotPushed::Behind(ahead)) => format!(" - behind flight {ahead}, which was not pushed"),
    };
    format!("[{branch} test] {}: {}{end}", judged.flight, judged.verdict.outcome.as_str())
}

/// What a mail also tells.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The flight, whole.
    pub flight: &'a Flight,
    /// Where its branch stands.
    pub status: &'a BranchStatus,
    /// People and commits of the moved trees: `git shortlog`'s words, as lines.
    pub shortlog: &'a [String],
    /// Seconds since 1970.
    pub now: i64,
}

/// More lines of people and commits are left out, as osstest does.
const MOST_LINES: usize = 300;

/// The whole mail.
pub fn mail(judged: &Judged, why: Option<&NotPushed>, around: &Around<'_>) -> String {
    let branch = &around.flight.branch;
    let mut text = format!("Subject: {}\n", subject(branch, judged, why));
    for finding in &judged.verdict.findings {
        let class = finding.summary(judged.flight);
        let Finding { job, testid, state, .. } = finding;
        let _ = writeln!(text, "X-Gate-Failures: {branch}:{job}:{testid}:{state}:{class}");
    }
    headers(&mut text, "This", &judged.tuple);
    headers(&mut text, "That", &judged.baseline);
    let _ = writeln!(text, "\nflight {} {branch} {}", judged.flight, around.flight.blessing);
    let is_blocking = |finding: &&Finding| finding.blocks.is_some();
    let is_allowed = |finding: &&Finding| matches!(finding.class, Class::Allowed(_));
    let is_chance = |finding: &&Finding| matches!(finding.class, Class::PassIn(_));
    let findings = || judged.verdict.findings.iter();
    let regressions = findings().any(|finding| finding.blocks == Some(Blocker::Regression));
    let blocking = match regressions {
        true => "Regressions and others which are blocking:",
        false => "Failures which are blocking, none of them a regression:",
    };
    section(&mut text, blocking, judged, findings().filter(is_blocking));
    section(&mut text, "Tests which are failing intermittently (not blocking):", judged, findings().filter(is_chance));
    section(&mut text, "Failures which are allowable (not blocking):", judged, findings().filter(is_allowed));
    let rest = findings().filter(|one| !is_blocking(one) && !is_allowed(one) && !is_chance(one));
    section(&mut text, "Tests which did not succeed, but are not blocking:", judged, rest);

    text.push_str("\nversion targeted for testing:\n");
    tuple(&mut text, &judged.tuple);
    text.push_str("baseline version:\n");
    tuple(&mut text, &judged.baseline);
    text.push('\n');
    let status = around.status;
    if let Some((_, at)) = &status.tested {
        let _ = writeln!(text, "Last test of basis   {} ago", age(around.now - at));
    }
    if let Some((since, attempts)) = status.failing {
        let _ = writeln!(text, "Failing since        {} ago, {attempts} attempts", age(around.now - since));
    }
    text.push_str("\njobs:\n");
    for job in &around.flight.jobs {
        let _ = writeln!(text, " {:<60} {}", job.name, job.state);
    }
    if !around.shortlog.is_empty() {
        text.push_str("\nPeople who touched revisions under test, with their commits:\n");
        if around.shortlog.len() > MOST_LINES {
            let _ = writeln!(text, "({} lines, left out)", around.shortlog.len());
        } else {
            around.shortlog.iter().for_each(|line| text.extend(["  ", line, "\n"]));
        }
    }
    text
}

fn headers(text: &mut String, which: &str, of: &Tuple) {
    for (tree, revision) in &of.0 {
        let _ = writeln!(text, "X-Gate-Versions-{which}: {tree}={revision}");
    }
}

fn section<'a>(text: &mut String, title: &str, judged: &Judged, findings: impl Iterator<Item = &'a Finding>) {
    let lines: Vec<String> = findings
        .map(|finding| {
            let Finding { job, testid, state, .. } = finding;
            format!(" {job:<28} {testid:<20} {state:<8} {}\n", finding.summary(judged.flight))
        })
        .collect();
    if !lines.is_empty() {
        let _ = write!(text, "\n{title}\n{}", lines.concat());
    }
}

fn tuple(text: &mut String, of: &Tuple) {
    for (tree, revision) in &of.0 {
        let _ = writeln!(text, " {tree:<20} {revision}");
    }
}
