//! Mails to the letter, and JSON as its schema says.

use serde_json::Value;

use super::*;
use crate::model::Revision;
use crate::simulate::{Script, simulate};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/schema.json");

/// What each run of a script reports.
fn reports(script: &str) -> Vec<Report> {
    let mut reports = Vec::new();
    let mut store = Store::in_memory().unwrap();
    let mut on_run = |ran: &Ran, store: &Store| {
        let commit = |tree: &str, author: &str, subject: &str| Commit {
            tree: tree.to_owned(),
            id: Revision("0123456789".repeat(4)),
            author: author.to_owned(),
            subject: subject.to_owned(),
        };
        let commits = vec![
            commit("xen", "Bob <bob@xenproject.org>", "boot: go faster"),
            commit("xen", "Ann <ann@xenproject.org>", "boot: say so"),
            commit("xen", "Bob <bob@xenproject.org>", "boot: what is this"),
        ];
        let mut report = Report::of(store, "simulated", ran, (commits, vec!["Bob (1):".to_owned()]), 1_000_090_000)?;
        // What the simulator's clock says depends on how often it was asked.
        if let Some(candidate) = &mut report.candidate {
            let Ages { basis, failing, same } = &mut candidate.ages;
            [basis, failing, same].into_iter().flatten().for_each(|since| since.at = 1_000_000_000);
        }
        reports.push(report);
        Ok(())
    };
    simulate(&Script::parse(script).unwrap(), &mut store, &mut on_run).unwrap();
    reports
}

fn example(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../../ci/simulate/{name}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn a_week() -> String {
    example("a-week")
}

/// Compares with a file beside this one; `UPDATE_GOLDEN=1` writes it.
#[track_caller]
fn golden(name: &str, found: &str) {
    let path = format!("{}/src/report/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == found, "{name} is not what it was:\n{found}");
}

#[test]
fn mails_have_all_that_osstests_have() {
    let reports = reports(&a_week());
    let of = |end: &str| reports.iter().find(|report| report.end == end && report.candidate.is_some()).unwrap();
    golden("pushed.txt", &of("pushed").text());
    golden("blocked.txt", &of("blocked").text());
    let culprit = self::reports(&example("a-culprit"))
        .into_iter()
        .find(|report| report.candidate.as_ref().is_some_and(|one| one.bisection.is_some()));
    golden("bisected.txt", &culprit.unwrap().text());
    assert_eq!(
        reports.last().unwrap().text(),
        "simulated: xen: the candidate xen-5 does not contain what was tested, xen-4\n"
    );
}

#[test]
fn a_header_is_one_line_whatever_is_put_into_it() {
    let mut report = reports(&a_week()).swap_remove(0);
    report.line = "[b test] 1: push refused: no\nBcc: everybody@xenproject.org\r\n\r\n".to_owned();
    let headers = report.text();
    let headers = headers.split("\n\n").next().unwrap();
    assert!(headers.lines().all(|line| line.starts_with("Subject: ") || line.starts_with("X-Gate-")), "{headers}");
}

#[test]
fn long_lists_of_commits_and_people_are_counted_instead() {
    let mut report = reports(&a_week()).swap_remove(0);
    let commits = &mut report.candidate.as_mut().unwrap().commits;
    let one = commits[0].clone();
    commits.extend((0..301).map(|number| Commit { author: format!("{number}"), ..one.clone() }));
    let text = report.text();
    assert!(
        text.contains("(No revision log; it would be 304 lines long.)") && text.contains("(303 people, not listed)"),
        "{text}"
    );
}

#[test]
fn the_schema_is_that_of_the_types_and_every_report_is_as_it_says() {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let mut generator = settings.into_generator();
    let (report, bisection) = (generator.subschema_for::<Report>(), generator.subschema_for::<Bisection>());
    let schema = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "what `cargo xtask gate run --json` and `gate bisect --json` print, form 1",
        "anyOf": [report, { "type": "array", "items": report }, bisection],
        "$defs": generator.take_definitions(true),
    });
    let text = format!("{schema:#}\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(SCHEMA, &text).unwrap();
    }
    assert!(std::fs::read_to_string(SCHEMA).unwrap_or_default() == text, "{SCHEMA} is not that of the types");

    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("report.json", schema).unwrap();
    let index = compiler.compile("report.json", &mut schemas).unwrap();
    let is_valid = |value: &Value| schemas.validate(value, index).is_ok();
    let all = reports(&a_week());
    assert!(all.len() > 5);
    for report in &all {
        let value = serde_json::to_value(report).unwrap();
        assert!(is_valid(&value), "{value:#}");
        assert_eq!(serde_json::from_value::<Report>(value).unwrap(), *report);
    }
    for (name, wrong) in [("version", Value::from("one")), ("end", Value::Null), ("candidate", Value::from(7))] {
        let mut value = serde_json::to_value(&all[0]).unwrap();
        value[name] = wrong;
        assert!(!is_valid(&value), "{name}");
    }
}
