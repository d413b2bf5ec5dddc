//! A mail as osstest's: what failed, by class; versions this and that; how old the question is; who touched what.

use std::fmt::Write;

use super::{Candidate, Commit, Failure, Report, Since, age, when};
use crate::classify::{Blocker, Class};
use crate::model::Tuple;

/// More lines of people and commits are left out, as osstest does.
const MOST_LINES: usize = 300;
const RULE: &str = "\n------------------------------------------------------------\n";

/// The mail: headers, an empty line, the body.
pub fn mail(report: &Report) -> String {
    let mut text = format!("Subject: {}\n", one_line(&report.line));
    let Some(candidate) = &report.candidate else { return text };
    let branch = &report.branch;
    for Failure { job, testid, state, summary, .. } in &candidate.findings {
        let _ = writeln!(text, "X-Gate-Failures: {}", one_line(&format!("{branch}:{job}:{testid}:{state}:{summary}")));
    }
    for (which, of) in [("This", &candidate.tuple), ("That", &candidate.baseline)] {
        for (tree, revision) in &of.0 {
            let _ = writeln!(text, "X-Gate-Versions-{which}: {tree}={}", one_line(&revision.0));
        }
    }
    let _ = writeln!(text, "\nflight {} {branch} {}\n\n{}", candidate.flight, candidate.blessing, mood(candidate));
    failures(&mut text, candidate);

    text.push_str("\nversion targeted for testing:\n");
    tuple(&mut text, &candidate.tuple);
    text.push_str("baseline version:\n");
    tuple(&mut text, &candidate.baseline);
    ages(&mut text, candidate, report.at);
    people(&mut text, &candidate.commits);

    text.push_str("\njobs:\n");
    for job in &candidate.jobs {
        let _ = writeln!(text, " {:<60} {}", job.name, job.state);
    }
    text.push_str(RULE);
    match &candidate.not_pushed {
        None => pushed(&mut text, candidate),
        Some(why) => {
            let _ = writeln!(text, "Not pushed: {why}");
        }
    }
    if let Some(bisection) = &candidate.bisection {
        text.extend(["\n", &bisection.text()]);
    }
    revisions(&mut text, &candidate.commits);
    text
}

/// A header is one line, whatever was put into it.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// osstest's first line.
fn mood(candidate: &Candidate) -> &'static str {
    let regression = candidate.findings.iter().any(|failure| failure.blocks == Some(Blocker::Regression));
    match () {
        () if candidate.findings.is_empty() => "Perfect :-)\nAll tests in this flight passed as required",
        () if regression => "Regressions :-(",
        () if candidate.findings.iter().any(|failure| failure.blocks.is_some()) => {
            "Failures and problems with tests :-("
        }
        () => "Failures :-/ but no regressions.",
    }
}

/// Which failures stand under a title.
type IsMeant<'a> = &'a dyn Fn(&Failure) -> bool;

fn failures(text: &mut String, candidate: &Candidate) {
    let is_blocking = |one: &Failure| one.blocks.is_some();
    let is_chance = |one: &Failure| !is_blocking(one) && matches!(one.class, Class::PassIn(_));
    let is_allowed = |one: &Failure| !is_blocking(one) && matches!(one.class, Class::Allowed(_));
    let is_rest = |one: &Failure| !is_blocking(one) && !is_chance(one) && !is_allowed(one);
    let regressions = candidate.findings.iter().any(|one| one.blocks == Some(Blocker::Regression));
    let blocking = match regressions {
        true => "Regressions and others which are blocking:",
        false => "Failures which are blocking, none of them a regression:",
    };
    let classes: [(&str, IsMeant<'_>); 4] = [
        (blocking, &is_blocking),
        ("Tests which are failing intermittently (not blocking):", &is_chance),
        ("Failures which are allowable (not blocking):", &is_allowed),
        ("Tests which did not succeed, but are not blocking:", &is_rest),
    ];
    for (title, is_meant) in classes {
        let mut meant = candidate.findings.iter().filter(|one| is_meant(one)).peekable();
        if meant.peek().is_some() {
            let _ = writeln!(text, "\n{title}");
        }
        for Failure { job, testid, step, state, summary, .. } in meant {
            let step = step.map(|step| step.to_string()).unwrap_or_default();
            let _ = writeln!(text, " {job:<28} {step:>2} {testid:<20} {state:<8} {summary}");
        }
    }
}

fn tuple(text: &mut String, of: &Tuple) {
    for (tree, revision) in &of.0 {
        let _ = writeln!(text, " {tree:<20} {revision}");
    }
}

fn ages(text: &mut String, candidate: &Candidate, now: i64) {
    let ages = &candidate.ages;
    let rows = [
        ("Last test of basis", &ages.basis, false),
        ("Failing since", &ages.failing, true),
        ("Testing same since", &ages.same, true),
    ];
    text.push('\n');
    for (what, since, counts) in rows {
        let Some(Since { flight, at, attempts }) = since else { continue };
        let attempts = if counts {
            format!("  {attempts} attempt{}", if *attempts == 1 { "" } else { "s" })
        } else {
            String::new()
        };
        let _ = writeln!(text, "{what:<18} {flight:>6}  {}  {:>4} ago{attempts}", when(*at), age(now - at));
    }
}

fn people(text: &mut String, commits: &[Commit]) {
    let mut names: Vec<&str> = commits.iter().map(|commit| commit.author.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return;
    }
    text.push_str(RULE);
    text.push_str("People who touched revisions under test:\n");
    match names.len() > MOST_LINES {
        true => {
            let _ = writeln!(text, "  ({} people, not listed)", names.len());
        }
        false => names.iter().for_each(|name| text.extend(["  ", name, "\n"])),
    }
}

fn pushed(text: &mut String, candidate: &Candidate) {
    text.push_str("Pushed:\n");
    for (tree, old, new) in candidate.tuple.moved_from(&candidate.baseline) {
        let old = old.map_or("nothing", |old| old.short());
        let _ = writeln!(text, " {tree:<20} {old}..{}", new.short());
    }
}

/// The log of revisions, by author as `git shortlog` has it.
fn revisions(text: &mut String, commits: &[Commit]) {
    if commits.is_empty() {
        return;
    }
    if commits.len() > MOST_LINES {
        let _ = writeln!(text, "\n(No revision log; it would be {} lines long.)", commits.len());
        return;
    }
    text.push_str("\nRevision log:\n");
    for Commit { tree, id, author, subject } in commits {
        let name = author.split(" <").next().unwrap_or(author);
        let _ = writeln!(text, " {tree} {} {subject} ({name})", id.short());
    }
}
