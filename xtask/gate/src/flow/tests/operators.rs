//! What operators order, and what they keep and take along.

use std::collections::BTreeSet;

use super::*;
use crate::store::Audit;

#[test]
fn operators_force_exactly_one_revision_and_block_and_stop() {
    let events = [
        commit("xen", ", breaks = ['boot']"),
        run("blocked"),
        event("force = { tree = 'xen' }"),
        run("forced"),
        commit("xen", ", breaks = ['guest', 'build-xen']"),
        run("blocked"),
        commit("xen", ", repairs = ['guest', 'build-xen']"),
        event("block = {}"),
        run("ordered"),
        event("stop = {}"),
        run("stopped"),
        event("resume = {}"),
        run("pushed"),
    ];
    check(&events.concat());
}

#[test]
fn a_flight_is_tested_once_more_where_the_machine_was_to_blame() {
    let retry = || event("retry = {}");
    let events = [
        commit("xen", ""),
        run("pushed"),
        commit("xen", ""),
        // A test, and what waited for it: only these run again, and the same flight is judged anew.
        broken("boot", 9),
        run("blocked"),
        broken("boot", 0),
        retry(),
        run("pushed"),
        run("up-to-date"),
        // A build: nothing excuses it but a flight of its own.
        commit("xen", ""),
        broken("build-xen", 9),
        run("blocked"),
        broken("build-xen", 0),
        retry(),
        run("pushed"),
        // Ordered, and overtaken: somebody pushed meanwhile.
        commit("xen", ", breaks = ['boot']"),
        run("blocked"),
        retry(),
        event("force = { tree = 'xen' }"),
        run("forced"),
        retry(),
        run("up-to-date"),
    ];
    let (lines, store) = check(&events.concat());
    let number =
        |line: &str| line.split(": flight ").nth(1).and_then(|rest| rest.split(':').next()?.parse::<u64>().ok());
    assert_eq!(number(&lines[1]), number(&lines[2]), "{lines:?}");
    let again = store.retries(number(&lines[2]).unwrap()).unwrap();
    let jobs = |flight: u64| store.flight(flight).unwrap().jobs.into_iter().map(|job| job.name).collect::<Vec<_>>();
    assert_eq!(jobs(*again.last().unwrap()), ["boot", "build-qemu", "guest", "never"]);
    assert_ne!(number(&lines[4]), number(&lines[5]));
    assert_eq!(store.orders("simulated").unwrap().len(), 0, "each order is used up");
    assert!(store.audit().unwrap().iter().any(|line| line.what.starts_with("retry flight ")));
}

/// Two weeks of everything.
fn lived() -> Store {
    let week = [
        commit("xen", ""),
        run("pushed"),
        commit("qemu", ", breaks = ['guest']"),
        run("blocked"),
        commit("qemu", ", repairs = ['guest']"),
        run("pushed"),
        broken("boot", 9),
        commit("xen", ""),
        run("blocked"),
        broken("boot", 0),
        event("retry = {}"),
        run("pushed"),
    ];
    check(&format!("policy.bisect = true\nrepeat = 10\n{}", week.concat())).1
}

#[test]
fn gc_forgets_what_nothing_refers_to_and_no_verdict_changes() {
    let mut store = lived();
    let before = store.flight_count().unwrap();
    let gone = store.unreferenced(3).unwrap();
    assert!(gone.flights.len() > before as usize / 2, "{} of {before}", gone.flights.len());
    let bisection = store.bisections("simulated").unwrap().pop().unwrap();
    assert!(gone.logs_kept.contains(&bisection.flight.unwrap()));
    let newest = store.branch_status("simulated").unwrap().last.unwrap().0;
    assert!(gone.logs_kept.contains(&newest) && !gone.flights.contains(&newest));
    let pushed: BTreeSet<u64> =
        (1..=before).filter(|number| store.was_pushed(&store.flight(*number).unwrap()).unwrap()).collect();
    assert!(gone.flights.iter().all(|flight| !pushed.contains(flight)), "what was pushed stays");
    let kept: Vec<Flight> = gone.logs_kept.iter().map(|number| store.flight(*number).unwrap()).collect();
    let line = Audit { at: 1, who: "o".to_owned(), what: "gc".to_owned(), branch: None, why: "w".to_owned() };
    store.forget(&gone.flights, &line).unwrap();
    assert_eq!(store.flight_count().unwrap(), before - gone.flights.len() as u64);
    for flight in kept {
        assert_eq!(store.flight(flight.flight).unwrap(), flight);
    }
    assert!(store.has_ever_passed("simulated", "guest", "run").unwrap());
    assert_eq!(store.bisections("simulated").unwrap().len(), 10);
    assert_eq!(store.audit().unwrap().last().unwrap(), &line);
    // Nothing is left to forget, and the file is whole.
    assert!(store.unreferenced(3).unwrap().flights.is_empty());
}

#[test]
fn an_export_has_everything_in_lines_of_one_form() {
    let store = lived();
    let mut out = Vec::new();
    store.export(None, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], serde_json::json!({ "sultana-gate": { "version": 1 } }));
    let of = |kind: &str| lines.iter().filter_map(|line| line.get(kind)).collect::<Vec<_>>();
    assert_eq!(of("flight").len() as u64, store.flight_count().unwrap());
    assert_eq!((of("tested").len(), of("bisection").len(), of("audit").len()), (30, 10, 10));
    // Version 1: whoever changes one of these changes the version.
    let keys = |kind: &str| {
        let all = of(kind).into_iter().flat_map(|line| line.as_object().unwrap().keys().cloned());
        all.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        keys("flight"),
        "ahead baseline blessing branch finished flight jobs outcome parent pushes started state tuple width"
    );
    assert_eq!(keys("bisection"), "begun bisection branch end ended flight hunt");
    assert_eq!(keys("order"), "at branch ended flight kind revision who why");
    assert_eq!(keys("audit"), "at branch what who why");
    assert_eq!(keys("passed"), "branch flight job testid");
    assert_eq!(keys("tested"), "at branch flight tuple");
    let job = &of("flight")[0]["jobs"][0];
    let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(job), ["advisory", "kind", "name", "runvars", "state", "steps", "tier"].map(str::to_owned).into());
    let step = ["finished", "log", "reason", "started", "state", "testid"].map(str::to_owned);
    assert_eq!(names(&job["steps"][0]), step.into());
    let mut none = Vec::new();
    store.export(Some("another"), &mut none).unwrap();
    assert!(!String::from_utf8(none).unwrap().lines().any(|line| line.starts_with("{\"flight\"")));
}
