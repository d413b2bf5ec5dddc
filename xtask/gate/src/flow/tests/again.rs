//! Passes that are used again, and those that are not.

use super::*;

const DETERMINISTIC: &str = "name = 'boot'\ntrees = ['xen']\ndeterministic = true";

/// What came of it with a `boot` that is made of xen alone, and whose pass each flight used again.
fn play(head: &str, events: &str) -> (Store, Vec<(Blessing, Option<String>)>) {
    let script = Script::parse(&format!("{head}{events}")).unwrap();
    let mut store = Store::in_memory().unwrap();
    simulate(&script, &mut store, &mut |_, _| Ok(())).unwrap();
    let flights = (1..=store.flight_count().unwrap()).map(|number| store.flight(number).unwrap());
    let used = flights.map(|flight| {
        let boot = flight.job("boot").and_then(|boot| boot.runvars.get("reused").cloned());
        (flight.blessing, boot)
    });
    let used = used.collect();
    (store, used)
}

#[test]
fn a_pass_of_equal_inputs_is_used_again_by_candidates() {
    let events =
        [commit("qemu", ""), run("pushed"), commit("xen", ""), run("pushed"), commit("qemu", ""), run("pushed")];
    let (_, used) = play(&HEAD.replace("name = 'boot'", DETERMINISTIC), &events.concat());
    // qemu's candidates change nothing that the boot is made of; xen's does. The baseline is measured.
    let from = |flight: u64| Some(format!("{flight}.boot"));
    let real = Blessing::Real;
    assert_eq!(used, [(Blessing::Baseline, None), (real, from(1)), (real, None), (real, from(3))]);
}

#[test]
fn what_failed_or_was_broken_is_never_used_again() {
    let events = [
        commit("xen", ", breaks = ['boot']"),
        run("blocked"),
        run("blocked"),
        commit("xen", ", repairs = ['boot']"),
        broken("boot", 99),
        run("blocked"),
        broken("boot", 0),
        run("pushed"),
    ];
    let (_, used) = play(&HEAD.replace("name = 'boot'", DETERMINISTIC), &events.concat());
    assert!(used.len() > 5 && used.iter().all(|(_, used)| used.is_none()), "{used:?}");
}

#[test]
fn a_pass_is_not_used_again_once_the_same_inputs_have_failed() {
    let flaky = HEAD.replace("name = 'boot'", &format!("{DETERMINISTIC}\nflaky = 50"));
    let (store, used) =
        play(&flaky, &[commit("qemu", ""), "[[event]]\nrun = { times = 3 }\n".to_owned()].concat().repeat(20));
    let has_failed = |number: &u64| {
        let flight = store.flight(*number).unwrap();
        flight.job("boot").is_some_and(|boot| boot.state == JobState::Fail)
    };
    let first = (1..=used.len() as u64).find(has_failed).expect("half of the runs fail");
    assert!(
        used.len() > first as usize + 3 && used[first as usize..].iter().all(|(_, used)| used.is_none()),
        "{used:?}"
    );
}
