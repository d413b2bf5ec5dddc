//! Which candidates are tested together: declared sets, each commit, windows, batches.

use super::*;

fn check_policy(policy: &str, events: &[String]) -> Vec<String> {
    check(&format!("{policy}\n{}", events.concat())).0
}

/// The words of the lines.
fn words(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.split(':').next()).collect()
}

#[test]
fn what_a_commit_depends_on_moves_with_it() {
    let events = [
        commit("qemu", ""),
        commit("qemu", ""),
        commit("xen", ", depends-on = ['qemu-1']"),
        // qemu's own tip waits its turn: the set has what is needed and no more.
        run("pushed"),
        run("pushed"),
        run("up-to-date"),
    ];
    let lines = check_policy("", &events);
    assert!(lines[0].contains("qemu qemu-1, xen xen-1"), "{lines:?}");
    assert!(lines[1].contains("qemu qemu-2, xen xen-1"), "{lines:?}");
}

#[test]
fn what_is_missing_holds_a_candidate_and_no_other() {
    let events = [
        commit("xen", ", depends-on = ['qemu-1']"),
        run("unmet"),
        commit("qemu", ", breaks = ['guest']"),
        // Now it is there; qemu's own candidate was not tested for longer either, and xen's brings it along.
        run("blocked"),
        run("blocked"),
        commit("qemu", ", repairs = ['guest']"),
        run("pushed"),
        run("pushed"),
    ];
    let lines = check_policy("", &events);
    assert!(
        lines[0].contains("xen xen-1 depends on qemu qemu-1, which is not among the candidates of qemu"),
        "{lines:?}"
    );
    assert!(lines[3].contains("qemu qemu-2, xen xen-0"), "{lines:?}");
}

#[test]
fn trees_that_depend_on_one_another_move_together_and_that_is_told() {
    let events = [
        commit("xen", ", depends-on = ['qemu-1']"),
        commit("qemu", ", depends-on = ['xen-1']"),
        run("pushed"),
        run("up-to-date"),
    ];
    let script = Script::parse(&format!("{HEAD}{}", events.concat())).unwrap();
    let (mut world, mut store, plan) = (SimWorld::new(&script), Store::in_memory().unwrap(), script.plan());
    world.lines = Some(Vec::new());
    for event in &script.event {
        if let crate::simulate::Event::Commit(commit) = event {
            world.commit(commit).unwrap();
        }
    }
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert!(matches!(&ran, Ran::Pushed(judged) if judged.tuple.to_string() == "qemu qemu-1, xen xen-1"), "{ran:?}");
    let said = world.lines.unwrap().join("\n");
    assert!(said.contains("qemu and xen depend on one another"), "{said}");
    check_policy("", &events);
}

#[test]
fn each_commit_has_its_turn_and_only_good_ones_are_pushed() {
    let events = [
        commit("xen", ""),
        commit("xen", ", breaks = ['boot']"),
        commit("xen", ""),
        commit("xen", ", repairs = ['boot']"),
        commit("xen", ""),
        run("pushed"),
        run("up-to-date"),
    ];
    let lines = check_policy("policy.each-commit = true", &events);
    assert_eq!(words(&lines), ["pushed", "blocked", "blocked", "pushed", "pushed", "up-to-date"]);
    for (line, commit) in lines.iter().zip(1..=5) {
        assert!(line.contains(&format!("xen xen-{commit}, ")), "{line}");
    }
    // At the end all is broken: the tip is looked at once more each time, and no other.
    let events =
        [commit("xen", ""), commit("xen", ", breaks = ['boot']"), commit("xen", ""), run("blocked"), run("blocked")];
    let lines = check_policy("policy.each-commit = true", &events);
    assert_eq!(words(&lines), ["pushed", "blocked", "blocked", "blocked"]);
    assert!(lines[3].contains("xen xen-3"), "{lines:?}");
}

#[test]
fn a_window_is_pushed_in_its_order_and_halves_on_failure() {
    let three =
        |breaks: &str| [commit("xen", ""), commit("xen", breaks), commit("xen", ""), commit("qemu", "")].concat();
    let policy = "machines = 4\npolicy = { each-commit = true, window = 4 }";
    let lines = check_policy(policy, &[three(""), run("pushed")]);
    assert_eq!(words(&lines), ["pushed"; 4]);
    assert!(lines[3].contains("qemu qemu-1, xen xen-3"), "{lines:?}");
    // The second fails: what stood on it was tested for nothing, and two of them are tested again.
    let lines =
        check_policy(policy, &[three(", breaks = ['boot']"), commit("xen", ", repairs = ['boot']"), run("pushed")]);
    assert_eq!(words(&lines)[..4], ["pushed", "blocked", "behind", "behind"], "{lines:#?}");
    assert!(words(&lines)[4..].iter().filter(|word| **word == "pushed").count() == 2, "{lines:#?}");
    assert!(lines.last().unwrap().contains("xen xen-4"), "{lines:#?}");
}

#[test]
fn a_window_on_a_machine_that_stays_broken_comes_to_an_end() {
    let events = [commit("xen", "").repeat(4), run("pushed"), commit("xen", "").repeat(4), broken("boot", 10_000)];
    let events = [&events[..], &[run("behind")]].concat();
    let lines = check_policy("machines = 4\npolicy = { each-commit = true, window = 4 }", &events);
    assert_eq!(words(&lines)[4..], ["blocked", "behind", "behind", "behind"], "{lines:#?}");
}

#[test]
fn what_was_told_stays_told_wherever_a_run_ends() {
    let script = "machines = 2\npolicy = { each-commit = true, window = 2 }";
    let script = Script::parse(&format!("{script}{HEAD}{}", run("pushed"))).unwrap();
    let plan = script.plan();
    let play = |die_after: Option<u64>| {
        let (mut world, mut store) = (SimWorld::new(&script), Store::in_memory().unwrap());
        for breaks in [None, None, Some("boot".to_owned()), None] {
            let breaks = breaks.into_iter().collect();
            world.commit(&Commit { tree: "xen".to_owned(), breaks, ..Commit::default() }).unwrap();
        }
        die_after.into_iter().for_each(|changes| store.die_after(changes));
        let mut lines = Vec::new();
        let mut tell = |ran: &Ran, _: &Store, _: &SimWorld| {
            lines.push(crate::simulate::line(ran));
            Ok(())
        };
        let ended = Gate { store: &mut store, world: &mut world, plan: &plan }.round_telling(&mut tell);
        (lines, ended.is_ok(), world.waits.len())
    };
    let (all, ..) = play(None);
    assert_eq!(words(&all), ["pushed", "pushed", "blocked", "behind", "blocked"]);
    let mut seen = 0;
    for changes in 0.. {
        let (lines, is_whole, pushed) = play(Some(changes));
        assert_eq!(lines, all[..lines.len()], "killed before change {changes}");
        // A kill may come between a push and its record, and nowhere else.
        assert!(pushed <= lines.len() + 1, "killed before change {changes}: {lines:?}");
        if is_whole {
            break;
        }
        seen = seen.max(lines.len());
    }
    assert_eq!(seen, 4, "some kills came after all but the last were told");
}

#[test]
fn a_window_in_a_world_that_runs_one_flight_at_a_time_tests_nothing_for_nothing() {
    let events =
        [commit("xen", ""), commit("xen", ", breaks = ['boot']"), commit("xen", ", repairs = ['boot']"), run("pushed")];
    let lines = check_policy("policy = { each-commit = true, window = 4 }", &events);
    assert_eq!(words(&lines), ["pushed", "blocked", "pushed"]);
}

#[test]
fn a_batch_is_one_flight_and_halves_until_one_is_to_blame() {
    let policy = "policy = { each-commit = true, batch = 8 }";
    let good = [commit("xen", "").repeat(7), commit("qemu", ""), run("pushed")];
    let (lines, store) = check(&format!("{policy}\n{}", good.concat()));
    assert_eq!(words(&lines), ["pushed"]);
    assert_eq!(store.flight_count().unwrap(), 2, "the baseline and one for eight commits");
    let bad = [
        commit("xen", "").repeat(5),
        commit("xen", ", breaks = ['guest']"),
        commit("xen", "").repeat(2),
        run("blocked"),
    ];
    let lines = check_policy(policy, &bad);
    assert_eq!(words(&lines)[0], "blocked");
    let pushed = lines.iter().rfind(|line| line.starts_with("pushed")).unwrap();
    assert!(pushed.contains("xen xen-5"), "{lines:#?}");
    // The sixth was tested by itself, on top of the fifth.
    assert!(lines.iter().any(|line| line.starts_with("blocked") && line.contains("xen xen-6")), "{lines:#?}");
}

#[test]
fn a_batch_over_trees_blames_the_tree_that_broke_it() {
    let policy = "policy = { batch = 4, bisect = true }";
    let events =
        [commit("xen", ", breaks = ['guest']"), commit("qemu", ""), run("blocked"), run("pushed"), run("blocked")];
    let lines = check_policy(policy, &events);
    assert_eq!(words(&lines), ["blocked", "blocked", "pushed", "blocked"]);
    assert!(lines[1].ends_with("culprit xen xen-1"), "{lines:#?}");
    assert!(lines[2].contains("qemu qemu-1, xen xen-0"), "{lines:#?}");
}

#[test]
fn policies_differ_in_flights_and_in_how_long_commits_wait() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/simulate/policies.toml")).unwrap();
    let told = |window, batch| {
        let mut script = Script::parse(&text).unwrap();
        script.expect_nothing();
        (script.policy.window, script.policy.batch) = (window, batch);
        simulate(&script, &mut Store::in_memory().unwrap(), &mut |_, _| Ok(())).unwrap()
    };
    let (single, window, batch) = (told(0, 0), told(4, 0), told(0, 4));
    assert!(window.flights > single.flights && window.median_wait < single.median_wait, "{single:?} {window:?}");
    assert!(batch.flights < single.flights && batch.median_wait < single.median_wait, "{single:?} {batch:?}");
    assert!([&single, &window, &batch].iter().all(|told| told.commits > 100), "{single:?} {window:?} {batch:?}");
}
