//! Whatever happens, nothing untested is pushed, and what is used again changes no verdict.

use proptest::prelude::*;

use super::*;
use crate::plan::Policy;
use crate::store::Audit;

#[derive(Clone, Debug)]
enum Happens {
    Commit { tree: bool, breaks: Vec<usize>, repairs: Vec<usize>, depends_on: Option<usize> },
    Rewind { tree: bool },
    Broken { job: usize, runs: u64 },
    Force { tree: bool },
    Past { tree: bool },
    Retry,
    Forget,
    Run { die_after: Option<u64>, policy: Policy },
}

fn policy() -> impl Strategy<Value = Policy> {
    (any::<bool>(), any::<bool>(), 0..4u32, any::<bool>()).prop_map(|(bisect, each_commit, many, is_batch)| {
        let (window, batch) = if is_batch { (0, many) } else { (many, 0) };
        Policy { bisect, each_commit, window, batch }
    })
}

fn happens() -> impl Strategy<Value = Happens> {
    let jobs = || proptest::collection::vec(0..5usize, 0..2);
    let commit = (any::<bool>(), jobs(), jobs(), proptest::option::weighted(0.2, 0..4usize));
    prop_oneof![
        4 => commit.prop_map(|(tree, breaks, repairs, depends_on)| Happens::Commit { tree, breaks, repairs, depends_on }),
        1 => any::<bool>().prop_map(|tree| Happens::Rewind { tree }),
        1 => (0..5usize, 1..4u64).prop_map(|(job, runs)| Happens::Broken { job, runs }),
        1 => any::<bool>().prop_map(|tree| Happens::Force { tree }),
        1 => any::<bool>().prop_map(|tree| Happens::Past { tree }),
        1 => Just(Happens::Retry),
        1 => Just(Happens::Forget),
        6 => (proptest::option::of(0..60u64), policy()).prop_map(|(die_after, policy)| Happens::Run { die_after, policy }),
    ]
}

const JOBS: [&str; 5] = ["build-xen", "build-qemu", "boot", "guest", "never"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever happens, chance, kills, queues and used-again passes included: a tuple that became the tested one by a push was built
    /// and tested as that tuple, with every job passed that ever passed on its baseline's side, or exactly those revisions were
    /// forced.
    #[test]
    fn nothing_untested_is_pushed(
        seed: u64,
        flaky in 0..40u64,
        machines in 1..4u64,
        deterministic: bool,
        events in proptest::collection::vec(happens(), 1..40),
    ) {
        let script = Script::parse(&format!("{HEAD}{}", run("pushed"))).unwrap();
        let mut script = Script { seed, machines, ..script };
        script.job[2].flaky = flaky;
        script.job.iter_mut().for_each(|job| job.deterministic = deterministic && job.flaky == 0);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate.db");
        let mut plan = script.plan();
        let mut world = SimWorld::new(&script);
        let mut forced: Vec<String> = Vec::new();
        let name = |tree: bool| if tree { "xen" } else { "qemu" };
        let open = || {
            let store = Store::open(&path).unwrap();
            store.do_not_sync().unwrap();
            store
        };
        let order = |kind, revision, flight| {
            open().order(&Order { revision, flight, ..Order::new(kind, "o", "w", 0) }).unwrap();
        };
        for event in events {
            match event {
                Happens::Commit { tree, breaks, repairs, depends_on } => {
                    let named = |jobs: Vec<usize>| jobs.into_iter().map(|job| JOBS[job].to_owned()).collect();
                    let (breaks, repairs) = (named(breaks), named(repairs));
                    let depends_on = depends_on.map(|number| format!("{}-{number}", name(!tree))).into_iter().collect();
                    let commit = Commit { tree: name(tree).to_owned(), breaks, repairs, depends_on, ..Commit::default() };
                    world.commit(&commit).unwrap();
                }
                Happens::Rewind { tree } => world.rewind(name(tree), 1).unwrap(),
                Happens::Broken { job, runs } => world.break_host(JOBS[job], runs).unwrap(),
                Happens::Force { tree } => {
                    let revision = world.candidate(name(tree)).unwrap().0;
                    forced.push(revision.clone());
                    order(OrderKind::Force, Some(revision), None);
                }
                // Between the refs of a declared set nobody can keep others away; the gate goes on and is refused.
                Happens::Past { .. } if world.half_pushed.is_some() => {}
                Happens::Past { tree } => world.push_past_the_gate(name(tree)).unwrap(),
                Happens::Retry => {
                    let last = open().branch_status("simulated").unwrap().last;
                    if let Some((flight, ..)) = last {
                        order(OrderKind::Retry, None, Some(flight));
                    }
                }
                Happens::Forget => {
                    let mut store = open();
                    let gone = store.unreferenced(1).unwrap().flights;
                    let line = Audit { at: 0, who: "o".to_owned(), what: "gc".to_owned(), branch: None, why: "w".to_owned() };
                    store.forget(&gone, &line).unwrap();
                }
                Happens::Run { die_after, policy } => {
                    plan.policy = policy;
                    world.pushed.clear();
                    let before = tuple(&mut world);
                    let mut store = open();
                    if let Some(changes) = die_after {
                        store.die_after(changes);
                    }
                    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.round();
                    prop_assert!(ran.is_ok() || die_after.is_some(), "{ran:?}");
                    let pushed = world.pushed.clone();
                    let settled = pushed.last().map_or(&before, |(_, tuple)| tuple);
                    prop_assert!(world.half_pushed.is_some() || *settled == tuple(&mut world));
                    for (base, after) in &pushed {
                        let moved = after.moved_from(base);
                        if moved.iter().all(|(_, _, revision)| forced.contains(&revision.0)) {
                            continue;
                        }
                        // Of inputs that are equal a pass counts as one of this tuple, where passes are used again.
                        let is_same = |job: &str, other: &Tuple, tuple: &Tuple| {
                            other == tuple || deterministic && world.inputs(job, other) == world.inputs(job, tuple)
                        };
                        let has = |job: &str, tuple: &Tuple, wanted: JobState| {
                            let mut same = world.truth.iter().filter(|(other, _)| is_same(job, other, tuple));
                            same.any(|(_, ends)| ends.iter().any(|(name, state)| name == job && *state == wanted))
                        };
                        let passed = |job: &str, tuple: &Tuple| has(job, tuple, JobState::Pass);
                        // Tests are made of all trees here.
                        let is_tested = passed("boot", after) || passed("guest", after);
                        for (tree, _, _) in &moved {
                            prop_assert!(is_tested || passed(&format!("build-{tree}"), after), "{after} was never built");
                        }
                        // A pass that a kill kept from being recorded, or one of a bisection, is none of the baseline's.
                        let history = store.flights_of("simulated", base).unwrap();
                        let history: Vec<_> = history.iter().map(|(flight, _)| store.flight(*flight).unwrap()).collect();
                        let has_passed = |job: &str, flight: &Flight| flight.job(job).is_some_and(|job| job.state == JobState::Pass);
                        let is_recorded = |job: &str| history.iter().any(|flight| has_passed(job, flight));
                        for job in JOBS {
                            let failed = has(job, after, JobState::Fail) && !passed(job, after);
                            prop_assert!(!(failed && is_recorded(job)), "{job} passed on {base}, not on {after}");
                        }
                    }
                }
            }
        }
    }

    /// Where equal inputs give equal results, using a pass again changes no verdict: it only saves runs.
    #[test]
    fn what_is_used_again_changes_no_verdict(policy in policy(), events in proptest::collection::vec(happens(), 1..40)) {
        let play = |deterministic: bool| {
            let mut script = Script::parse(&format!("{HEAD}{}", run("pushed"))).unwrap();
            script.job.iter_mut().for_each(|job| job.deterministic = deterministic);
            let plan = Plan { policy, ..script.plan() };
            let (mut world, mut store) = (SimWorld::new(&script), Store::in_memory().unwrap());
            let name = |tree: bool| if tree { "xen" } else { "qemu" };
            let mut lines = Vec::new();
            for event in &events {
                match event {
                    Happens::Commit { tree, breaks, repairs, .. } => {
                        let named = |jobs: &[usize]| jobs.iter().map(|job| JOBS[*job].to_owned()).collect();
                        let (tree, breaks, repairs) = (name(*tree).to_owned(), named(breaks), named(repairs));
                        world.commit(&Commit { tree, breaks, repairs, ..Commit::default() }).unwrap();
                    }
                    Happens::Rewind { tree } => world.rewind(name(*tree), 1).unwrap(),
                    Happens::Past { tree } => world.push_past_the_gate(name(*tree)).unwrap(),
                    Happens::Run { .. } => {
                        let round = Gate { store: &mut store, world: &mut world, plan: &plan }.round().unwrap();
                        lines.extend(round.iter().map(crate::simulate::line));
                    }
                    Happens::Broken { .. } | Happens::Force { .. } | Happens::Retry | Happens::Forget => {}
                }
            }
            let runs: usize = world.truth.values().map(Vec::len).sum();
            (lines, tuple(&mut world), runs)
        };
        let (run, again) = (play(false), play(true));
        prop_assert_eq!((&run.0, &run.1), (&again.0, &again.1));
        prop_assert!(again.2 <= run.2);
    }
}
