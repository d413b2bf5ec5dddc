//! What a gate knows of earlier: the numbers of flights, what a flight was made of, what is in its mirrors.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::gated::Gated;
use crate::build::run::ran;
use crate::origin::git::git_in;

#[test]
fn a_state_that_is_an_old_copy_takes_no_other_flights_logs() {
    let Some(gated) = Gated::new("true") else { return };
    let gate = |path: &str| gated.checkout.path(&format!(".xtask/gate/{path}"));
    gated.commit("f", "two\n");
    gated.ends(0, &["[g test] 2: all pass - PUSHED"]);
    fs::copy(gate("gate.db"), gate("copy")).unwrap();
    gated.commit("f", "three\n");
    gated.ends(0, &["[g test] 3: all pass - PUSHED"]);
    let kept = |flight: u32| fs::read(gate(&format!("log/{flight}/report.json"))).unwrap();
    let before = [2, 3].map(kept);
    fs::rename(gate("copy"), gate("gate.db")).unwrap();
    // What flight 3 pushed was never tested, as far as this state knows.
    let good = gated.commit("f", "four\n");
    let ran = gated.run();
    assert!(ran.stdout.contains("[g test] 5: all pass - PUSHED"), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("does not know flight 3, whose logs are kept"), "{}", ran.stderr);
    assert_eq!((gated.tested(), [2, 3].map(kept)), (good, before));
    // A state that is lost altogether.
    fs::remove_file(gate("gate.db")).unwrap();
    gated.commit("f", "five\n");
    gated.ends(0, &["[g test] 7: all pass - PUSHED"]);
}

#[test]
fn what_is_tested_once_more_has_the_definitions_that_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let flag = dir.path().join("flag");
    let Some(gated) = Gated::new(&format!("! [ -e {} ] || exit 77", flag.display())) else { return };
    let project = |flight: u32| gated.checkout.read(&format!(".xtask/gate/log/{flight}/project"));
    gated.commit("f", "two\n");
    fs::write(&flag, "").unwrap();
    // The baseline could not be tested, so what could not be tested here either never passed.
    gated.ends(0, &["PUSHED"]);
    fs::remove_file(&flag).unwrap();
    gated.commit("f", "three\n");
    gated.ends(0, &["PUSHED"]);
    fs::write(&flag, "").unwrap();
    gated.commit("f", "four\n");
    gated.ends(3, &["[g test] 4: FAIL and problems with tests"]);
    fs::remove_file(&flag).unwrap();
    gated.checkout.write("README", "The project goes on.\n");
    git_in(&gated.checkout.root(), &["add", "-A"]);
    git_in(&gated.checkout.root(), &["commit", "-q", "-m", "more"]);
    let retry = gated.checkout.run(&["gate", "retry", "g", "--who", "ann", "--why", "repaired"]);
    assert_eq!(retry.code, Some(0), "{}", retry.stderr);
    gated.ends(0, &["[g test] 4: tolerable FAIL - PUSHED", "pass in 5"]);
    assert_eq!(project(5), project(4));
    gated.commit("f", "five\n");
    gated.ends(0, &["PUSHED"]);
    assert_ne!(project(6), project(4));
}

#[test]
fn what_is_in_a_mirror_is_not_fetched_again() {
    let Some(gated) = Gated::new("true") else { return };
    gated.commit("f", "two\n");
    gated.ends(0, &["PUSHED"]);
    // Each call of git on a mirror of the gate.
    let dir = tempfile::tempdir().unwrap();
    let (git, log) = (which::which("git").unwrap(), dir.path().join("log"));
    let shim = format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", log.display(), git.display());
    fs::create_dir(dir.path().join("bin")).unwrap();
    fs::write(dir.path().join("bin/git"), shim).unwrap();
    fs::set_permissions(dir.path().join("bin/git"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.path().join("bin").display(), std::env::var("PATH").unwrap());
    let fetches = |commits: usize| {
        (0..commits).for_each(|number| drop(gated.commit("f", &format!("{commits} {number}\n"))));
        fs::write(&log, "").unwrap();
        let mut command = gated.checkout.command(&["gate", "run", "g", "--each-commit"]);
        let ran = ran(command.env("PATH", &path));
        assert_eq!(ran.stdout.matches("all pass - PUSHED").count(), commits, "{}\n{}", ran.stdout, ran.stderr);
        let log = fs::read_to_string(&log).unwrap();
        log.lines().filter(|line| line.contains("/gate/git/") && line.contains(" fetch ")).count()
    };
    // The tip of the candidates; all else was here, or has come from here.
    assert_eq!([fetches(2), fetches(4)], [1, 1]);
}
