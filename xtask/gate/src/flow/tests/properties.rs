//! Whatever happens, nothing untested is pushed.

use proptest::prelude::*;

use super::*;

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
                    let order = Order { kind: OrderKind::Force, branch: None, revision: Some(revision), flight: None, who: text("o"), why: text("w"), at: 0 };
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
