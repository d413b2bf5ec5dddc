//! A kill before every change resumes to the same verdict.

use super::*;

/// Something that happens before a run.
enum Before {
    Commit(Commit),
    /// So many runs of `boot` are broken.
    Broken(u64, Commit),
    /// The last candidate once more, on a machine that works.
    Retry,
}

fn to(tree: &str, breaks: &[&str], repairs: &[&str]) -> Commit {
    let named = |jobs: &[&str]| jobs.iter().map(|job| (*job).to_owned()).collect();
    Commit { tree: tree.to_owned(), breaks: named(breaks), repairs: named(repairs), ..Commit::default() }
}

/// What came of each run of a story, the tuple that is tested then, and how often it was killed.
fn play(script: &Script, story: &[Before], die_after: Option<u64>) -> (Vec<String>, String, u32) {
    let plan = script.plan();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    let open = || {
        let store = Store::open(&path).unwrap();
        store.do_not_sync().unwrap();
        store
    };
    let mut world = SimWorld::new(script);
    let (mut ends, mut left, mut kills) = (Vec::new(), die_after, 0);
    for before in story {
        match before {
            Before::Commit(commit) => world.commit(commit).unwrap(),
            Before::Broken(runs, commit) => {
                world.commit(commit).unwrap();
                world.break_host("boot", *runs).unwrap();
            }
            Before::Retry => {
                world.break_host("boot", 0).unwrap();
                let last = open().branch_status("simulated").unwrap().last;
                let flight = last.map(|(flight, ..)| flight);
                open().order(&Order { flight, ..Order::new(OrderKind::Retry, "o", "w", 0) }).unwrap();
            }
        }
        let ran = loop {
            let mut store = open();
            if let Some(changes) = left.take() {
                store.die_after(changes);
            }
            match (Gate { store: &mut store, world: &mut world, plan: &plan }).run() {
                Ok(ran) => {
                    // Not used up: the next run goes on counting.
                    left = store.changes_left();
                    break ran;
                }
                Err(_) => kills += 1,
            }
        };
        ends.push(crate::simulate::line(&ran));
    }
    (ends, tuple(&mut world).to_string(), kills)
}

/// Plays a story once for each change that it makes, killed before that change; gives what came of it.
#[track_caller]
fn check_kills(keys: &str, story: &[Before]) -> Vec<String> {
    let script = Script::parse(&format!("{keys}{HEAD}{}", run("pushed"))).unwrap();
    let (ends, tested, _) = play(&script, story, None);
    let mut points = 0;
    loop {
        let (after, now, kills) = play(&script, story, Some(points));
        assert_eq!((&after, &now), (&ends, &tested), "killed before change {points}");
        if kills == 0 {
            break;
        }
        points += 1;
    }
    assert!(points > 60, "{points} changes were tried");
    ends
}

#[test]
fn of_pushes_regressions_and_broken_machines() {
    let story = [
        Before::Commit(to("xen", &[], &[])),
        Before::Commit(to("qemu", &["guest"], &[])),
        Before::Broken(1, to("qemu", &[], &["guest"])),
        Before::Commit(to("xen", &["build-xen"], &[])),
    ];
    let ends = check_kills("seed = 7\n", &story);
    let words: Vec<&str> = ends.iter().filter_map(|end| end.split(':').next()).collect();
    assert_eq!(words, ["pushed", "blocked", "pushed", "blocked"], "{ends:?}");
}

#[test]
fn of_a_bisection_that_a_verdict_began() {
    let story = [Before::Commit(to("xen", &[], &[])), Before::Commit(to("qemu", &["guest"], &[]))];
    let ends = check_kills("policy.bisect = true\n", &story);
    assert!(ends[1].ends_with("culprit qemu qemu-1"), "{ends:?}");
}

#[test]
fn of_a_flight_that_an_operator_wants_once_more() {
    let story = [Before::Commit(to("xen", &[], &[])), Before::Broken(99, to("xen", &[], &[])), Before::Retry];
    let ends = check_kills("", &story);
    assert!(ends[1].starts_with("blocked") && ends[2].starts_with("pushed"), "{ends:?}");
}

/// The same of queues: what was pushed and what was stopped, whatever else was tested for nothing, until nothing waits.
#[track_caller]
fn check_kills_of_queue(policy: &str, commits: &[Commit]) {
    let script = Script::parse(&format!("{policy}\n{HEAD}{}", run("pushed"))).unwrap();
    let plan = script.plan();
    let play = |die_after: Option<u64>| {
        let dir = tempfile::tempdir().unwrap();
        let mut world = SimWorld::new(&script);
        commits.iter().for_each(|commit| world.commit(commit).unwrap());
        let (mut verdicts, mut left, mut kills) = (std::collections::BTreeSet::new(), die_after, 0);
        for _ in 0..40 {
            let mut store = Store::open(&dir.path().join("gate.db")).unwrap();
            store.do_not_sync().unwrap();
            if let Some(changes) = left.take() {
                store.die_after(changes);
            }
            let Ok(round) = (Gate { store: &mut store, world: &mut world, plan: &plan }).round() else {
                kills += 1;
                continue;
            };
            left = store.changes_left();
            if matches!(round.last(), Some(Ran::UpToDate(_))) {
                return (verdicts, tuple(&mut world), kills);
            }
            for ran in &round {
                if let Ran::Pushed(judged) | Ran::NotPushed(judged, NotPushed::Blocked) = ran {
                    verdicts.insert((end_word(ran).as_str(), judged.tuple.clone()));
                }
            }
        }
        panic!("it comes to no end: {verdicts:?}");
    };
    let (verdicts, tested, _) = play(None);
    let mut points = 0;
    loop {
        let (after, now, kills) = play(Some(points));
        assert_eq!(now, tested, "killed before change {points}");
        // What was pushed before its verdict was told has its tuple tested; nothing else is ever pushed or stopped.
        assert!(after.is_subset(&verdicts), "killed before change {points}: {after:?}, not {verdicts:?}");
        if kills == 0 {
            break;
        }
        points += 1;
    }
    assert!(points > 40, "{points} changes were tried");
}

/// The second breaks what the third repairs; a commit of another tree stands on the third.
fn broken_and_repaired() -> Vec<Commit> {
    let needing = Commit { depends_on: vec!["xen-3".to_owned()], ..to("qemu", &[], &[]) };
    vec![to("xen", &[], &[]), to("xen", &["boot"], &[]), to("xen", &[], &["boot"]), needing]
}

#[test]
fn of_a_window() {
    check_kills_of_queue("machines = 3\npolicy = { each-commit = true, window = 3 }", &broken_and_repaired());
}

#[test]
fn of_a_batch() {
    check_kills_of_queue("policy = { each-commit = true, batch = 4 }", &broken_and_repaired());
}

#[test]
fn of_a_declared_set() {
    check_kills_of_queue("", &broken_and_repaired());
}
