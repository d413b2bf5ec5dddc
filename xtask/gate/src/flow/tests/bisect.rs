//! Bisections: asked for, and begun by a verdict.

use super::*;
use crate::bisect::{End, Hunt};
use crate::plan::Plan;

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
        world.commit(&Commit { tree: tree.to_owned(), breaks, repairs, ..Commit::default() }).unwrap();
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
        match (Gate { store: &mut store, world: &mut world, plan: &plan }).bisect(&hunt, None) {
            Ok(hunted) => break hunted.end.unwrap(),
            Err(_) => kills += 1,
        }
    };
    assert_eq!(end, End::Complete(23));
    assert!(kills > 3, "{kills}");
    // What a bisection tests is no history of the branch.
    let mut store = Store::open(&path).unwrap();
    assert!(!store.has_ever_passed("simulated", "guest", "run").unwrap());
    let fixed = Hunt { row: hunt.row.iter().rev().cloned().collect(), fixed: true, ..hunt };
    let ended = Gate { store: &mut store, world: &mut world, plan: &plan }.bisect(&fixed, None).unwrap();
    assert_eq!(ended.end, Some(End::Complete(64 - 23)), "{:?}", ended.seen);
}

const HUNTING: &str = "policy.bisect = true\n";

fn commits(count: usize) -> String {
    commit("xen", "").repeat(count)
}

/// How many points of bisections were tested.
fn points(store: &Store) -> usize {
    let flights = 1..=store.flight_count().unwrap();
    flights.filter(|number| store.flight(*number).unwrap().blessing == Blessing::Bisect).count()
}

#[test]
fn a_regression_is_hunted_and_its_culprit_is_not_hunted_twice() {
    let first = [commits(4), commit("xen", ", breaks = ['guest']"), commits(3), run("blocked")].concat();
    let (lines, store) = check(&format!("{HUNTING}{first}"));
    assert!(lines[0].ends_with("; culprit xen xen-5"), "{lines:?}");
    let hunted = points(&store);
    assert!((8..16).contains(&hunted), "{hunted}");
    assert_eq!(store.bisections("simulated").unwrap()[0].end, Some(End::Complete(5)));
    // Again, and with more on top, of which one is tried, and when somebody else's tree has its turn.
    let again =
        [run("blocked"), commits(2), run("blocked"), commit("qemu", ""), run("pushed"), run("blocked")].concat();
    let (lines, store) = check(&format!("{HUNTING}{first}{again}"));
    let named = lines.iter().filter(|line| line.ends_with("; culprit xen xen-5")).count();
    assert_eq!((named, points(&store)), (4, hunted + 1), "{lines:?}");
}

#[test]
fn what_is_flaky_or_broken_names_no_culprit() {
    let flaky = HEAD.replace("name = 'guest'", "name = 'guest'\nflaky = 60");
    let script = |seed: u64| {
        let events = [commits(1), run("pushed"), commits(6), run("blocked")].concat();
        Script::parse(&format!("seed = {seed}\n{HUNTING}{flaky}{events}")).unwrap()
    };
    let mut ends = Vec::new();
    for seed in 0..40 {
        let mut lines = Vec::new();
        let told = simulate(&script(seed), &mut Store::in_memory().unwrap(), &mut |ran, _| {
            lines.push(crate::simulate::line(ran));
            Ok(())
        });
        // Where chance had it pushed there is nothing to hunt.
        if told.is_ok() {
            ends.push(lines.pop().unwrap());
        }
    }
    assert!(ends.len() > 3 && ends.iter().all(|end| !end.contains("culprit")), "{ends:?}");
    let broken = "[[event]]\nbreak-host = { job = 'boot', runs = 9 }\n";
    let events = [commits(1), run("pushed"), commits(2), broken.to_owned(), run("blocked")].concat();
    let (lines, store) = check(&format!("{HUNTING}{events}"));
    assert_eq!(points(&store), 0, "{lines:?}");
}

/// The state of a gate that was killed in the middle of a hunt.
fn killed_while_hunting(dir: &std::path::Path, world: &mut SimWorld, plan: &Plan) -> Store {
    let path = dir.join("gate.db");
    let mut store = Store::open(&path).unwrap();
    store.die_after(110);
    Gate { store: &mut store, world, plan }.run().unwrap_err();
    drop(store);
    Store::open(&path).unwrap()
}

#[test]
fn a_hunt_waits_while_the_gate_is_stopped() {
    let events = [commits(3), commit("xen", ", breaks = ['guest']"), commits(3), run("blocked")].concat();
    let script = Script::parse(&format!("{HUNTING}{HEAD}{events}")).unwrap();
    let (mut world, plan) = (SimWorld::new(&script), script.plan());
    for event in &script.event {
        if let crate::simulate::Event::Commit(commit) = event {
            world.commit(commit).unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut store = killed_while_hunting(dir.path(), &mut world, &plan);
    assert!(points(&store) > 0 && store.bisections("simulated").unwrap()[0].end.is_none());
    store.order(&Order::new(OrderKind::Stop, "o", "w", 0)).unwrap();
    // Nothing is new about it: it is told once, when its end is known.
    for _ in 0..2 {
        let round = Gate { store: &mut store, world: &mut world, plan: &plan }.round().unwrap();
        assert!(matches!(round[..], [Ran::Stopped(_)]), "{round:?}");
    }
    store.end_orders(&Order::new(OrderKind::Stop, "o", "w", 0)).unwrap();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert!(crate::simulate::line(&ran).ends_with("; culprit xen xen-4"), "{ran:?}");
}

#[test]
fn a_regression_is_told_though_its_hunt_ends_in_an_error() {
    let events = [commits(3), commit("xen", ", breaks = ['guest']"), commits(3), run("blocked")].concat();
    let script = Script::parse(&format!("{HUNTING}{HEAD}{events}")).unwrap();
    let (mut world, mut store, plan) = (SimWorld::new(&script), Store::in_memory().unwrap(), script.plan());
    for event in &script.event {
        if let crate::simulate::Event::Commit(commit) = event {
            world.commit(commit).unwrap();
        }
    }
    store.die_after(110);
    let mut lines = Vec::new();
    let mut tell = |ran: &Ran, _: &Store, _: &SimWorld| {
        lines.push(crate::simulate::line(ran));
        Ok(())
    };
    Gate { store: &mut store, world: &mut world, plan: &plan }.round_telling(&mut tell).unwrap_err();
    assert!(store.bisections("simulated").unwrap()[0].end.is_none());
    assert!(
        lines.len() == 1 && lines[0].starts_with("blocked: flight 2") && !lines[0].contains("bisection"),
        "{lines:?}"
    );
}

fn world(head: &str) -> (SimWorld, Store, Plan) {
    let script = Script::parse(&format!("{head}{}", run("pushed"))).unwrap();
    (SimWorld::new(&script), Store::in_memory().unwrap(), script.plan())
}

/// For what breaks a job, which is this one of so many commits.
fn hunt(world: &mut SimWorld, job: &str, culprit: usize, count: usize) -> Hunt {
    let mut row = vec![tuple(world)];
    for number in 1..=count {
        let breaks = (number == culprit).then(|| job.to_owned()).into_iter().collect();
        world.commit(&Commit { tree: "xen".to_owned(), breaks, ..Commit::default() }).unwrap();
        row.push(row[0].with("xen", &world.candidate("xen").unwrap()));
    }
    Hunt { job: job.to_owned(), testid: None, row, fixed: false }
}

#[test]
fn a_hunt_that_a_broken_machine_ended_can_be_begun_again() {
    let (mut world, mut store, plan) = world(HEAD);
    let hunt = hunt(&mut world, "boot", 2, 3);
    let mut hunted = |broken| {
        world.break_host("boot", broken).unwrap();
        Gate { store: &mut store, world: &mut world, plan: &plan }.bisect(&hunt, None).unwrap()
    };
    let first = hunted(99);
    assert_eq!(first.end, Some(End::Unreproducible(3)), "{first:?}");
    let second = hunted(0);
    assert_eq!(second.end, Some(End::Complete(2)), "{second:?}");
}

#[test]
fn a_culprit_that_was_reverted_is_not_blamed_for_what_broke_behind_it() {
    let first = [commits(4), commit("xen", ", breaks = ['guest']"), commits(3), run("blocked")].concat();
    let (_, store) = check(&format!("{HUNTING}{first}"));
    let hunted = points(&store);
    // Between two runs it is reverted, and something else breaks the same; the second one has work on top of it.
    for behind in [0, 3] {
        let again = [
            commits(2),
            commit("xen", ", repairs = ['guest']"),
            commits(behind),
            commit("xen", ", breaks = ['guest']"),
            commits(behind / 2),
            run("blocked"),
        ];
        let (lines, store) = check(&format!("{HUNTING}{first}{}", again.concat()));
        assert!(lines[0].ends_with("; culprit xen xen-5"), "{lines:?}");
        assert!(lines[1].ends_with(&format!("; culprit xen xen-{}", 12 + behind)), "{lines:?}");
        assert!(points(&store) <= hunted + 16, "{} after {hunted}", points(&store));
    }
}

#[test]
fn a_hunt_that_named_nobody_is_not_begun_again_by_every_run() {
    // What breaks `guest` is among commits that do not build.
    let events = [
        commits(1),
        commit("xen", ", breaks = ['build-xen']"),
        commit("xen", ", breaks = ['guest']"),
        commit("xen", ", repairs = ['build-xen']"),
        run("blocked"),
    ];
    let (lines, store) = check(&format!("{HUNTING}{}", events.concat()));
    assert!(lines[0].ends_with("; bisection inconclusive"), "{lines:?}");
    let hunted = points(&store);
    let again = [run("blocked"), run("blocked")];
    let (lines, store) = check(&format!("{HUNTING}{}{}", events.concat(), again.concat()));
    let told = lines.iter().filter(|line| line.ends_with("; bisection inconclusive")).count();
    assert_eq!((told, points(&store)), (3, hunted), "{lines:?}");
    // Another tip is another hunt.
    let (lines, store) = check(&format!("{HUNTING}{}{}{}", events.concat(), commits(1), run("blocked")));
    assert!(lines[1].ends_with("; bisection inconclusive") && points(&store) > hunted, "{lines:?}");
}

#[test]
fn a_hunt_that_a_broken_machine_ended_is_begun_again_by_the_next_run() {
    let (mut world, _, plan) = world(&format!("{HUNTING}{HEAD}"));
    hunt(&mut world, "guest", 4, 7);
    let dir = tempfile::tempdir().unwrap();
    let mut store = killed_while_hunting(dir.path(), &mut world, &plan);
    let mut run = |broken| {
        world.break_host("guest", broken).unwrap();
        let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
        (crate::simulate::line(&ran), points(&store))
    };
    let (first, hunted) = run(99);
    assert!(first.contains("; bisection ") && !first.contains("interrupted"), "{first}");
    let (second, again) = run(0);
    assert!(second.ends_with("; culprit xen xen-4") && again > hunted, "{second}");
}

#[test]
fn a_hunt_that_is_begun_again_goes_by_what_it_sees_itself() {
    // Nothing passes the test, until somebody mends it.
    let wrong = HEAD.replace("name = 'guest'", "name = 'guest'\nflaky = 100");
    let (_, mut store, _) = world(HEAD);
    let mut hunted = |head: &str| {
        let (mut world, _, plan) = world(head);
        let hunt = hunt(&mut world, "guest", 2, 3);
        let hunted = Gate { store: &mut store, world: &mut world, plan: &plan }.bisect(&hunt, None).unwrap();
        (hunted, points(&store))
    };
    assert_eq!(hunted(&wrong).0.end, Some(End::Unreproducible(0)));
    let mended = hunted(HEAD);
    assert_eq!(mended.0.end, Some(End::Complete(2)), "{:?}", mended.0.seen);
    // A culprit is known for good.
    assert_eq!(hunted(HEAD), mended);
}

#[test]
fn points_are_tested_with_the_definitions_that_their_hunt_began_with() {
    let (mut world, mut store, plan) = world(HEAD);
    let hunt = hunt(&mut world, "boot", 2, 3);
    let mut bisect = |is_full, like| {
        world.is_full = is_full;
        Gate { store: &mut store, world: &mut world, plan: &plan }.bisect(&hunt, Some(like))
    };
    // Its first point begins, and what it is to be made of cannot be noted.
    bisect(true, 7).unwrap_err();
    // Whatever flight is named by who goes on with it.
    assert_eq!(bisect(false, 8).unwrap().end, Some(End::Complete(2)));
    let alike: Vec<_> = (1..=points(&store) as FlightNo).map(|point| (point, 7)).collect();
    assert_eq!(world.alike, alike);
}
