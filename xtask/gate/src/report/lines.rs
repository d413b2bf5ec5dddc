//! One line, or a few, for a terminal.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use crate::flow::{Judged, NotPushed, Ran};
use crate::model::{Flight, FlightState};
use crate::store::{BranchStatus, OrderKind};

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

/// How long something took: `1h 05m`, `2m 07s`, `9s`.
pub fn seconds(seconds: i64) -> String {
    match seconds.max(0) {
        s if s >= 3600 => format!("{}h {:02}m", s / 3600, s / 60 % 60),
        s if s >= 60 => format!("{}m {:02}s", s / 60, s % 60),
        s => format!("{s}s"),
    }
}

/// A time as people read it, UTC.
pub fn when(at: i64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(at.max(0) as u64);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.replace('T', " ").trim_end_matches('Z').to_owned()
}

/// Where a branch stands, in one word.
pub fn status_word(status: &BranchStatus) -> &'static str {
    let is_ordered = |kind| status.orders.iter().any(|order| order.kind == kind);
    match &status.last {
        _ if is_ordered(OrderKind::Stop) => "stopped",
        Some((_, state, ..)) if *state != FlightState::Done => "testing",
        _ if is_ordered(OrderKind::Block) => "no pushes",
        _ if status.failing.is_some() => "failing",
        Some(_) if status.tested.is_some() => "pushed",
        _ => "never pushed",
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
fn subject(branch: &str, judged: &Judged, why: Option<&NotPushed>) -> String {
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

/// Why a candidate was not pushed.
pub(super) fn not_pushed(why: &NotPushed) -> String {
    match why {
        NotPushed::Blocked => "blocked by what failed".to_owned(),
        NotPushed::Ordered(order) => format!("ordered by {}: {}", order.who, order.why),
        NotPushed::Refused(why) => format!("refused: {why}"),
        NotPushed::Behind(ahead) => format!("behind flight {ahead}, which was not pushed"),
    }
}
