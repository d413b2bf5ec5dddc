//! What jobs and killed gates leave: processes, locks, flights that were begun.

use std::fs;

use rustix::process::{Pid, Signal};

use super::gated::Gated;

/// The processes of this machine that sleep so long.
fn sleepers(long: &str) -> Vec<Pid> {
    let line = format!("sleep\0{long}\0");
    let is_it =
        |entry: &fs::DirEntry| fs::read(entry.path().join("cmdline")).is_ok_and(|found| found == line.as_bytes());
    let all = fs::read_dir("/proc").unwrap().flatten().filter(is_it);
    all.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).collect()
}

#[test]
fn what_a_job_leaves_in_sessions_of_its_own_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody else sleeps so long: three daemons of which the second hides its environment, the third also its parent.
    let long = [1, 2, 3].map(|number| format!("1000.{}{number}", std::process::id()));
    let daemon = |number: usize| format!("setsid sh -c \"touch $d.{number}; exec sleep {}\"", long[number]);
    let script = format!(
        "d={}/$GATE_FLIGHT; {} & env -i {} & (env -i {} &)\n\
         until [ -e $d.0 ] && [ -e $d.1 ] && [ -e $d.2 ]; do sleep 0.02; done\n\
         touch $d; ! grep -q wait \"$GATE_SOURCE_A/f\" || sleep 1000",
        dir.path().display(),
        daemon(0),
        daemon(1),
        daemon(2)
    );
    let Some(gated) = Gated::new(&script) else { return };
    gated.commit("f", "two\n");
    gated.ends(0, &["all pass - PUSHED"]);
    assert!(["1", "2"].iter().all(|flight| dir.path().join(flight).exists()));
    assert!(long.iter().all(|long| sleepers(long).is_empty()));

    // Of a gate that was killed: what has its environment, when the next begins, whatever that does.
    gated.commit("f", "wait\n");
    let run = gated.checkout.start_command(&["gate", "run", "g"]);
    crate::build::run::wait_until("the test runs", || dir.path().join("3").exists());
    run.signal(Signal::KILL, false);
    run.ended();
    crate::build::run::wait_until("they sleep", || long.iter().all(|long| sleepers(long).len() == 1));
    let definition = gated.checkout.read("ci/gates/g.toml").replace("'test', ", "");
    gated.checkout.write("ci/gates/g.toml", &definition);
    gated.run();
    assert!(sleepers(&long[0]).is_empty());
    for pid in long.iter().flat_map(|long| sleepers(long)) {
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
}

#[test]
fn a_lock_that_a_killed_git_left_stops_no_gate() {
    let Some(gated) = Gated::new("true") else { return };
    gated.ends(0, &["up to date"]);
    let good = gated.commit("f", "two\n");
    for index in ["index", "record-index"] {
        gated.checkout.write(&format!(".xtask/gate/g/checkout.{index}.lock"), "");
    }
    // In the mirrors: of one ref, of all, of the configuration.
    for lock in ["a.git/refs/gate/heads/staging", "_record.git/packed-refs", "_record.git/config"] {
        gated.checkout.write(&format!(".xtask/gate/git/{lock}.lock"), "");
    }
    gated.ends(0, &["all pass - PUSHED"]);
    assert_eq!(gated.tested(), good);
}

#[test]
fn a_killed_run_is_gone_on_with_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (started, open) = (dir.path().join("started"), dir.path().join("open"));
    let wait = format!("touch {}; until [ -e {} ]; do sleep 0.02; done", started.display(), open.display());
    let Some(gated) = Gated::new(&wait) else { return };
    let good = gated.commit("f", "two\n");
    let running = gated.checkout.start_command(&["gate", "run", "g"]);
    crate::build::run::wait_until("the test runs", || started.exists());
    // Another gate on the same state does not begin.
    let other = gated.run();
    assert_eq!(other.code, Some(3));
    other.says(&["another gate works with the state"]);
    running.signal(Signal::KILL, false);
    running.ended();
    fs::write(&open, "").unwrap();
    crate::build::run::wait_until("nothing is left of it", || gated.checkout.processes().is_empty());
    gated.ends(0, &["all pass - PUSHED"]);
    assert_eq!(gated.tested(), good);
    let show = gated.checkout.run(&["gate", "show", "1"]);
    assert!(show.stdout.contains("2 of 2 passed"), "the flight that was killed came to its end: {}", show.stdout);
}
