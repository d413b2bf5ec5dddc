//! The flow over simulated worlds: what is pushed, what is not, and that a kill changes nothing of it.

use proptest::prelude::*;

use super::*;
use crate::simulate::{Commit, Script, SimWorld, end_word, simulate};

const HEAD: &str = "
summary = 't'
[[tree]]
name = 'xen'
[[tree]]
name = 'qemu'
[[job]]
name = 'build-xen'
build = true
smoke = true
trees = ['xen']
[[job]]
name = 'build-qemu'
build = true
trees = ['qemu']
[[job]]
name = 'boot'
smoke = true
needs = ['build-xen']
retries = 1
[[job]]
name = 'guest'
needs = ['build-xen', 'build-qemu', 'boot']
retries = 1
[[job]]
name = 'never'
fails = true
";

/// Plays events, of which each run says what must come of it.
#[track_caller]
fn check(events: &str) -> (Vec<String>, Store) {
    let script = Script::parse(&format!("{HEAD}{events}")).unwrap();
    let mut store = Store::in_memory().unwrap();
    let mut lines = Vec::new();
    let told = simulate(&script, &mut store, &mut |line| lines.push(line.to_owned()));
    told.unwrap_or_else(|error| panic!("{}\n{}", error.report(), lines.join("\n")));
    (lines, store)
}

fn commit(tree: &str, more: &str) -> String {
    format!("[[event]]\ncommit = {{ tree = '{tree}'{more} }}\n")
}

fn run(expect: &str) -> String {
    format!("[[event]]\nrun = {{ expect = '{expect}' }}\n")
}

#[test]
fn a_good_candidate_is_pushed_and_what_never_passed_stops_nobody() {
    let (lines, store) = check(&[commit("xen", ""), run("pushed"), run("up-to-date")].concat());
    assert!(lines[0].contains("never run never pass"), "{lines:?}");
    // The baseline was not known, so it was tested first.
    assert_eq!(store.flight(1).unwrap().blessing, Blessing::Baseline);
    let status = store.branch_status("simulated").unwrap();
    assert_eq!(status.last.unwrap().2.unwrap(), "tolerable FAIL - PUSHED");
}

#[test]
fn a_candidate_that_breaks_is_not_pushed_until_it_is_repaired() {
    let events = [
        commit("xen", ", breaks = ['guest']"),
        run("blocked"),
        commit("xen", ", breaks = ['boot']"),
        run("blocked"),
        commit("xen", ", repairs = ['boot', 'guest']"),
        run("pushed"),
    ];
    let (lines, _) = check(&events.concat());
    assert!(lines[0].contains("guest run REGR. vs. 1"), "{lines:?}");
    // A smoke job failed: nothing of the full tier ran.
    assert!(lines[1].contains("boot run REGR. vs. 1") && lines[1].contains("guest  n/a"), "{lines:?}");
}

#[test]
fn a_broken_machine_is_never_the_candidates_fault() {
    let broken = |job: &str, runs: u32| format!("[[event]]\nbreak-host = {{ job = '{job}', runs = {runs} }}\n");
    let events = [
        commit("xen", ""),
        run("pushed"),
        // Once: tried again at once.
        broken("boot", 1),
        commit("xen", ""),
        run("pushed"),
        // For longer: this flight cannot say anything, a later one of the same revision can.
        broken("build-xen", 1),
        commit("xen", ""),
        run("blocked"),
        run("pushed"),
    ];
    let (lines, _) = check(&events.concat());
    assert!(lines[2].contains("FAIL and problems with tests"), "{lines:?}");
}

#[test]
fn a_broken_machine_makes_no_baseline() {
    let broken = "[[event]]\nbreak-host = { job = 'guest', runs = 9 }\n";
    // What never passed says nothing: the first baseline is usable as it is.
    check(&[broken.to_owned(), commit("xen", ""), run("pushed")].concat());
    let script = Script::parse(&format!("{HEAD}event = []\n"))
        .unwrap_or_else(|_| Script::parse(&format!("{HEAD}{}", run("up-to-date"))).unwrap());
    let (mut world, mut store, plan) = (SimWorld::new(&script), Store::in_memory().unwrap(), script.plan());
    let to_xen = Commit { tree: "xen".to_owned(), author: String::new(), breaks: [].into(), repairs: [].into() };
    world.commit(&to_xen).unwrap();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert_eq!(end_word(&ran).as_str(), "pushed");
    // Somebody else moves the tested ref: that is a baseline that nobody tested.
    world.commit(&to_xen).unwrap();
    world.push_past_the_gate("xen").unwrap();
    world.commit(&to_xen).unwrap();
    world.break_host("boot", 2).unwrap();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert!(matches!(ran, Ran::NoBaseline { .. }), "{ran:?}");
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert_eq!(end_word(&ran).as_str(), "pushed");
}

#[test]
fn operators_force_exactly_one_revision_and_block_and_stop() {
    let event = |what: &str| format!("[[event]]\n{what}\n");
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
fn a_candidate_that_loses_what_was_tested_is_not_begun() {
    let rewind = "[[event]]\nrewind = { tree = 'xen', by = 1 }\n";
    let events = [commit("xen", ""), run("pushed"), rewind.to_owned(), commit("xen", ""), run("rewound")];
    check(&events.concat());
}

#[test]
fn two_trees_take_turns() {
    let (lines, _) =
        check(&[commit("xen", ", breaks = ['boot']"), commit("qemu", ""), run("blocked"), run("pushed")].concat());
    assert!(lines[0].contains("xen xen-1") && lines[1].contains("qemu qemu-1, xen xen-0"), "{lines:?}");
}

#[test]
fn a_tuple_whose_other_tree_moved_meanwhile_is_not_pushed() {
    let script = Script::parse(&format!("{HEAD}{}", run("pushed"))).unwrap();
    let (mut world, mut store, plan) = (SimWorld::new(&script), Store::in_memory().unwrap(), script.plan());
    let to =
        |tree: &str| Commit { tree: tree.to_owned(), author: String::new(), breaks: [].into(), repairs: [].into() };
    world.commit(&to("xen")).unwrap();
    let first = Gate { store: &mut store, world: &mut world, plan: &plan }.begin_candidate().unwrap();
    world.commit(&to("qemu")).unwrap();
    world.push_past_the_gate("qemu").unwrap();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert!(matches!(&ran, Ran::NotPushed(judged, NotPushed::Refused(_)) if judged.flight == first), "{ran:?}");
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert_eq!(end_word(&ran).as_str(), "pushed");
}

#[derive(Clone, Debug)]
enum Happens {
    Commit { tree: bool, breaks: Vec<usize>, repairs: Vec<usize> },
    Rewind { tree: bool },
    Broken { job: usize, runs: u64 },
    Force { tree: bool },
    Past { tree: bool },
    Run { die_after: Option<u64> },
}

fn happens() -> impl Strategy<Value = Happens> {
    let jobs = || proptest::collection::vec(0..5usize, 0..2);
    prop_oneof![
        4 => (any::<bool>(), jobs(), jobs()).prop_map(|(tree, breaks, repairs)| Happens::Commit { tree, breaks, repairs }),
        1 => any::<bool>().prop_map(|tree| Happens::Rewind { tree }),
        1 => (0..5usize, 1..4u64).prop_map(|(job, runs)| Happens::Broken { job, runs }),
        1 => any::<bool>().prop_map(|tree| Happens::Force { tree }),
        1 => any::<bool>().prop_map(|tree| Happens::Past { tree }),
        6 => proptest::option::of(0..60u64).prop_map(|die_after| Happens::Run { die_after }),
    ]
}

impl Gate<'_, SimWorld> {
    /// As if the gate had been killed before the first job of a candidate of xen.
    fn begin_candidate(&mut self) -> Result<FlightNo> {
        let tested = self.tested()?;
        let tuple = tested.with("xen", &self.world.candidate("xen")?);
        let jobs = self.all_jobs();
        self.begin(Blessing::Real, &tuple, &tested, None, jobs)
    }
}

const JOBS: [&str; 5] = ["build-xen", "build-qemu", "boot", "guest", "never"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever happens, chance and kills included: a tuple that became the tested one by a push was built and tested as that
    /// tuple, with every job passed that ever passed on its baseline's side, or exactly that revision was forced.
    #[test]
    fn nothing_untested_is_pushed(seed: u64, flaky in 0..40u64, events in proptest::collection::vec(happens(), 1..40)) {
        let script = Script::parse(&format!("{HEAD}{}", run("pushed"))).unwrap();
        let mut script = Script { seed, ..script };
        script.job[2].flaky = flaky;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate.db");
        let plan = script.plan();
        let mut world = SimWorld::new(&script);
        let mut forced: Vec<String> = Vec::new();
        let name = |tree: bool| if tree { "xen" } else { "qemu" };
        for event in events {
            match event {
                Happens::Commit { tree, breaks, repairs } => {
                    let named = |jobs: Vec<usize>| jobs.into_iter().map(|job| JOBS[job].to_owned()).collect();
                    let (breaks, repairs) = (named(breaks), named(repairs));
                    world.commit(&Commit { tree: name(tree).to_owned(), author: String::new(), breaks, repairs }).unwrap();
                }
                Happens::Rewind { tree } => world.rewind(name(tree), 1).unwrap(),
                Happens::Broken { job, runs } => world.break_host(JOBS[job], runs).unwrap(),
                Happens::Force { tree } => {
                    let revision = world.candidate(name(tree)).unwrap().0;
                    forced.push(revision.clone());
                    let text = str::to_owned;
                    let order = Order { kind: OrderKind::Force, branch: None, revision: Some(revision), who: text("o"), why: text("w"), at: 0 };
                    Store::open(&path).unwrap().order(&order).unwrap();
                }
                Happens::Past { tree } => world.push_past_the_gate(name(tree)).unwrap(),
                Happens::Run { die_after } => {
                    let before = tuple(&mut world);
                    let mut store = Store::open(&path).unwrap();
                    store.do_not_sync().unwrap();
                    if let Some(changes) = die_after {
                        store.die_after(changes);
                    }
                    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run();
                    let after = tuple(&mut world);
                    let moved = after.moved_from(&before);
                    prop_assert!(moved.len() <= 1, "one tree moves: {before} to {after}");
                    prop_assert!(ran.is_ok() || die_after.is_some());
                    for (tree, _, revision) in moved {
                        if forced.contains(&revision.0) {
                            continue;
                        }
                        let none = Vec::new();
                        let ends = world.truth.get(&after).unwrap_or(&none);
                        let passed = |job: &str| ends.iter().any(|(name, state)| name == job && *state == JobState::Pass);
                        prop_assert!(passed(&format!("build-{tree}")) || tested_by_a_test(ends), "{after} was never built: {ends:?}");
                        let base = world.truth.get(&before).unwrap_or(&none);
                        for job in JOBS {
                            let passed_before = base.iter().any(|(name, state)| name == job && *state == JobState::Pass);
                            let failed = ends.iter().any(|(name, _)| name == job) && !passed(job);
                            prop_assert!(!(passed_before && failed), "{job} passed on {before}, not on {after}: {ends:?}");
                        }
                    }
                }
            }
        }
    }
}

/// In this world tests are made of all trees.
fn tested_by_a_test(ends: &[(String, JobState)]) -> bool {
    ends.iter().any(|(name, state)| !name.starts_with("build") && *state == JobState::Pass)
}

fn tuple(world: &mut SimWorld) -> Tuple {
    let trees = ["xen", "qemu"].map(|tree| (tree.to_owned(), world.tested(tree).unwrap().unwrap()));
    Tuple(trees.into_iter().collect())
}

/// A whole story: what never passed, a regression, a flaky test, a broken machine, a force.
fn story() -> (Script, Vec<Commit>) {
    let script = Script::parse(&format!("seed = 7\n{HEAD}{}", run("pushed"))).unwrap();
    let commit = |tree: &str, breaks: &[&str], repairs: &[&str]| Commit {
        tree: tree.to_owned(),
        author: String::new(),
        breaks: breaks.iter().map(|job| (*job).to_owned()).collect(),
        repairs: repairs.iter().map(|job| (*job).to_owned()).collect(),
    };
    let commits = vec![
        commit("xen", &[], &[]),
        commit("qemu", &["guest"], &[]),
        commit("qemu", &[], &["guest"]),
        commit("xen", &["build-xen"], &[]),
    ];
    (script, commits)
}

#[test]
fn a_kill_at_every_change_resumes_to_the_same_verdict() {
    let (script, commits) = story();
    let plan = script.plan();
    let play = |die_after: Option<u64>| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate.db");
        let mut world = SimWorld::new(&script);
        let mut ends = Vec::new();
        let mut left = die_after;
        let mut kills = 0;
        for (number, commit) in commits.iter().enumerate() {
            world.commit(commit).unwrap();
            if number == 2 {
                world.break_host("boot", 1).unwrap();
            }
            let ran = loop {
                let mut store = Store::open(&path).unwrap();
                store.do_not_sync().unwrap();
                if let Some(changes) = left.take() {
                    store.die_after(changes);
                }
                let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run();
                match ran {
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
    };
    let (ends, tested, _) = play(None);
    assert!(
        ends[1].starts_with("blocked") && ends[3].starts_with("blocked") && ends[0].starts_with("pushed"),
        "{ends:?}"
    );
    let mut points = 0;
    loop {
        let (after, now, kills) = play(Some(points));
        assert_eq!((&after, &now), (&ends, &tested), "killed before change {points}");
        if kills == 0 {
            break;
        }
        points += 1;
    }
    assert!(points > 60, "{points} changes were tried");
}

#[test]
fn a_killed_bisection_over_two_trees_names_the_planted_commit() {
    let script = Script::parse(&format!("{HEAD}{}", run("pushed"))).unwrap();
    let (mut world, plan) = (SimWorld::new(&script), script.plan());
    let mut row = vec![tuple(&mut world)];
    // Two trees by turns; the 23rd commit breaks `guest`, three others do not build.
    for number in 1..64 {
        let tree = if number % 2 == 0 { "xen" } else { "qemu" };
        let (mut breaks, mut repairs) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        if number == 23 {
            breaks.insert("guest".to_owned());
        }
        if number == 30 {
            breaks.insert("build-xen".to_owned());
        }
        if number == 36 {
            repairs.insert("build-xen".to_owned());
        }
        world.commit(&Commit { tree: tree.to_owned(), author: String::new(), breaks, repairs }).unwrap();
        row.push(row[number - 1].with(tree, &world.candidate(tree).unwrap()));
    }
    let hunt = Hunt { job: "guest".to_owned(), testid: None, row, fixed: false };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    let mut kills = 0;
    let end = loop {
        let mut store = Store::open(&path).unwrap();
        store.do_not_sync().unwrap();
        store.die_after(40);
        match (Gate { store: &mut store, world: &mut world, plan: &plan }).bisect(&hunt) {
            Ok((end, _)) => break end,
            Err(_) => kills += 1,
        }
    };
    assert_eq!(end, crate::bisect::End::Complete(23));
    assert!(kills > 3, "{kills}");
    // What a bisection tests is no history of the branch.
    let mut store = Store::open(&path).unwrap();
    assert!(!store.has_ever_passed("simulated", "guest", "run").unwrap());
    let fixed = Hunt { row: hunt.row.iter().rev().cloned().collect(), fixed: true, ..hunt };
    let ended = Gate { store: &mut store, world: &mut world, plan: &plan }.bisect(&fixed).unwrap();
    assert_eq!(ended.0, crate::bisect::End::Complete(64 - 23), "{:?}", ended.1);
}
