//! `gate run` on real repositories, with real builds: what is pushed, what is not, what is recorded, and that a kill changes nothing.

use std::fs;

use super::gated::{BUILD, GATE, Gated};
use crate::build::checkout::Checkout;
use crate::build::run::ran;
use crate::origin::git::git_in;

#[test]
fn a_good_candidate_is_pushed_and_recorded_and_a_broken_one_is_neither() {
    let Some(gated) = Gated::new("true") else { return };
    gated.ends(0, &["up to date"]);
    let good = gated.commit("f", "two\n");
    let before = gated.checkout.read("manifests/m.lock");
    gated.ends(0, &["all pass - PUSHED", "X-Gate-Versions-This: a=", "set f to two"]);
    assert_eq!(gated.tested(), good);
    let message = gated.recorded();
    assert!(message.contains(&format!("Gate-Tested: a {good}")) && message.contains("Gate-Flight: 2"), "{message}");
    let lock = git_in(&gated.checkout.root(), &["show", "tested/g:manifests/m.lock"]);
    assert!(lock.contains(&good), "{lock}");
    // The operator's own checkout is as it was.
    assert_eq!(gated.checkout.read("manifests/m.lock"), before);
    assert_eq!(git_in(&gated.checkout.root(), &["status", "--porcelain"]), "");
    assert_eq!(git_in(&gated.checkout.root(), &["branch", "--show-current"]), "main");

    gated.commit("f", "broken\n");
    gated.ends(
        1,
        &["regressions - FAIL", "build/a", "REGR. vs. 2", "X-Gate-Failures: g:build:build/a:fail:REGR. vs. 2"],
    );
    assert_eq!(gated.tested(), good);
    let status = gated.checkout.run(&["gate", "status"]);
    assert!(status.stdout.contains("regressions - FAIL; not pushed since"), "{}", status.stdout);
    let history = gated.checkout.run(&["gate", "history", "g", "build"]);
    assert!(history.stdout.contains("build/a") && history.stdout.contains("fail"), "{}", history.stdout);

    let fixed = gated.commit("f", "three\n");
    gated.ends(0, &["all pass - PUSHED"]);
    assert_eq!(gated.tested(), fixed);
}

#[test]
fn a_bisection_names_the_planted_commit_and_builds_each_revision_once() {
    let Some(gated) = Gated::new("! grep -q bug \"$GATE_SOURCE_A/f\"") else { return };
    let mut culprit = String::new();
    for number in 1..=12 {
        let id = gated.commit("f", &format!("{number} {}\n", if number >= 8 { "bug" } else { "good" }));
        if number == 8 {
            culprit = id;
        }
    }
    gated.ends(1, &["regressions - FAIL"]);
    let ran = gated.checkout.run(&["gate", "bisect", "g", "test"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains(&format!("culprit: a {culprit}")) && ran.stdout.contains("set f to 8 bug"),
        "{}",
        ran.stdout
    );
    // Three times each for both sides of it.
    let of_culprit = format!("a {}: 0 good, 3 bad, 0 neither", &culprit[..12]);
    assert!(ran.stdout.contains(&of_culprit), "{}", ran.stdout);
    let points = ran.stdout.matches(" neither").count();
    assert!(points <= 7, "{}", ran.stdout);
    // However often a revision was tested, it was built once: else it was there, or came from the store.
    let logs = gated.checkout.path(".xtask/gate/log");
    let flights = fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().path().join("build/build-a.log"));
    let built = flights.filter(|log| fs::read_to_string(log).unwrap().contains("a: built in")).count();
    assert!(points <= built && built <= points + 1, "{built} builds of {points} revisions");
    // Asked again, it knows.
    let again = gated.checkout.run(&["gate", "bisect", "g", "test"]);
    assert_eq!(again.stdout, ran.stdout);
    assert!(!again.stderr.contains("(real-bisect)"), "{}", again.stderr);
}

#[test]
fn a_bisection_goes_between_the_revisions_that_somebody_names() {
    let Some(gated) = Gated::new("! grep -q bug \"$GATE_SOURCE_A/f\"") else { return };
    let first = gated.commit("f", "good\n");
    let culprit = gated.commit("f", "bug\n");
    gated.commit("f", "bug, and more\n");
    gated.upstream.git(&["push", "-q", "origin", "HEAD:refs/tags/bad"]);
    gated.commit("f", "good again\n");
    gated.ends(0, &["all pass - PUSHED"]);
    let bisect = |more: &[&str]| gated.checkout.run(&[&["gate", "bisect", "g", "test"], more].concat());
    let ran = bisect(&["--good", &format!("a={}", &first[..9]), "--bad", "a=bad"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains(&format!("culprit: a {culprit}")), "{}", ran.stdout);
    // The tip is good: asked when it was mended, from the same tag on.
    let mended = bisect(&["--fixed", "--bad", "a=bad"]);
    assert!(mended.stdout.contains(&format!("fixed by: a {}", gated.tested())), "{}\n{}", mended.stdout, mended.stderr);
    // Each is kept: the one does not replace the other.
    assert_eq!(fs::read_dir(gated.checkout.path(".xtask/gate/bisection")).unwrap().count(), 2);

    let refused: [(&[&str], &str); 5] = [
        (&["--good", "b=bad"], "the gate has no tree `b`; it has a"),
        (&["--good", "a=nothing"], "has no commit, tag or branch `nothing`"),
        (&["--good", "a=--upload-pack=x"], "has no commit, tag or branch `--upload-pack=x`"),
        (&["--good", "a=staging", "--bad", "a=bad"], "is not in the other's history"),
        (&["--good", "a=staging"], "nothing moves between the ends"),
    ];
    for (arguments, why) in refused {
        let ran = bisect(arguments);
        assert!(ran.code == Some(2) && ran.stderr.contains(why), "{arguments:?}: {:?} {}", ran.code, ran.stderr);
    }
}

#[test]
fn a_regression_is_bisected_by_the_run_that_found_it() {
    let Some(gated) = Gated::new("! grep -q bug \"$GATE_SOURCE_A/f\"") else { return };
    gated.checkout.write("ci/gates/g.toml", &gated.checkout.read("ci/gates/g.toml").replace("bisect = false\n", ""));
    gated.commit("f", "good\n");
    let culprit = gated.commit("f", "bug\n");
    gated.commit("f", "bug, and more\n");
    let ran = gated.checkout.run(&["gate", "run", "g", "--no-bisect"]);
    assert!(ran.code == Some(1) && !ran.stdout.contains("bisection"), "{}\n{}", ran.stdout, ran.stderr);
    gated.ends(
        1,
        &["regressions - FAIL", "bisection of test test complete", &format!("culprit: a {culprit}"), "set f to bug"],
    );
    assert_eq!(gated.tested(), git_in(&gated.upstream.dir, &["rev-parse", "HEAD~3"]));
}

#[test]
fn what_never_passed_and_what_the_machine_cannot_do_blame_no_candidate() {
    let Some(gated) = Gated::new("exit \"$(cat \"$GATE_SOURCE_A/t\" 2>/dev/null || echo 1)\"") else { return };
    gated.commit("f", "two\n");
    gated.ends(0, &["tolerable FAIL - PUSHED", "never pass"]);
    gated.commit("t", "0\n");
    gated.ends(0, &["all pass - PUSHED"]);
    // It says that this machine cannot run it: not passed, and not the candidate's fault.
    let tested = gated.tested();
    gated.commit("t", "77\n");
    gated.ends(3, &["FAIL and problems with tests", "none of them a regression"]);
    gated.commit("t", "1\n");
    gated.ends(1, &["regressions - FAIL"]);
    assert_eq!(gated.tested(), tested);
    // An operator knows better, and again, and then: exactly this one.
    let force = |more: &[&str]| {
        gated.checkout.run(&[&["gate", "force", "g", "--who", "ann", "--why", "the test is wrong"], more].concat())
    };
    assert_eq!(force(&[]).code, Some(0));
    assert_eq!(force(&["--end"]).stdout, "1 taken back\n");
    gated.ends(1, &["regressions - FAIL"]);
    let forced = force(&[]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    gated.ends(0, &["FORCED"]);
    assert_ne!(gated.tested(), tested);
    let audit = gated.checkout.run(&["gate", "audit"]);
    assert!(audit.stdout.contains("ann: end of force"), "{}", audit.stdout);
    assert!(audit.stdout.contains("ann: force") && audit.stdout.contains("the test is wrong"), "{}", audit.stdout);
}

#[test]
fn a_test_that_writes_into_its_source_spoils_no_other_flight() {
    let Some(gated) = Gated::new("cd \"$GATE_SOURCE_A\"; [ ! -e made.o ]; echo object > made.o; echo more >> f") else {
        return;
    };
    for text in ["two\n", "three\n"] {
        let good = gated.commit("f", text);
        gated.ends(0, &["all pass - PUSHED"]);
        assert_eq!(gated.tested(), good);
    }
}

#[test]
fn a_test_that_crashes_has_failed_and_one_that_was_killed_says_nothing() {
    let Some(gated) = Gated::new("kill -s \"$(cat \"$GATE_SOURCE_A/t\" 2>/dev/null || echo 0)\" $$") else { return };
    gated.commit("f", "two\n");
    gated.ends(0, &["all pass - PUSHED"]);
    for signal in ["KILL", "TERM"] {
        gated.commit("t", signal);
        gated.ends(3, &["FAIL and problems with tests", "none of them a regression"]);
    }
    for signal in ["SEGV", "ABRT"] {
        gated.commit("t", signal);
        gated.ends(1, &["regressions - FAIL"]);
    }
}

#[test]
fn what_is_judged_is_reported_though_a_later_candidate_is_interrupted() {
    // What starts the test is the gate.
    let Some(gated) = Gated::new("! grep -q stop \"$GATE_SOURCE_A/f\" || { kill -INT $PPID; sleep 1000; }") else {
        return;
    };
    let good = gated.commit("f", "two\n");
    gated.commit("f", "stop\n");
    let ran = gated.checkout.run(&["gate", "run", "g", "--each-commit"]);
    assert_eq!(ran.code, Some(130), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("[g test] 2: all pass - PUSHED"), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(gated.tested(), good);
    assert!(gated.checkout.read(".xtask/gate/log/2/report.txt").contains("all pass - PUSHED"));
}

#[test]
fn a_rewound_candidate_is_not_begun() {
    let Some(gated) = Gated::new("true") else { return };
    gated.commit("f", "two\n");
    gated.ends(0, &["PUSHED"]);
    gated.upstream.git(&["reset", "-q", "--hard", "HEAD~1"]);
    gated.upstream.commit("f", "other\n");
    gated.upstream.git(&["push", "-q", "-f", "origin", "HEAD:staging"]);
    gated.ends(1, &["does not contain what was tested"]);
}

#[test]
fn every_mistake_of_a_gate_is_shown_at_once() {
    let checkout = Checkout::new();
    checkout.write("ci/gates/g.toml", &GATE.replace("'refs/heads/master'", "'master'").replace("'build']", "'built']"));
    checkout.write("ci/jobs/build.toml", BUILD);
    checkout.write(
        "ci/jobs/test.toml",
        "summary = 't'\nneeds = ['else']\nretrys = 1\n[run.test]\nargv = []\nsources = []\n",
    );
    let ran = checkout.run(&["gate", "run", "g"]);
    assert_eq!(ran.code, Some(2));
    ran.says(&[
        "no full name of a ref",
        "there is no job `built`",
        "did you mean `build`?",
        "`else` is not one of",
        "retrys",
        "it runs nothing",
    ]);
    let ran = checkout.run(&["gate", "run", "h"]);
    assert_eq!(ran.code, Some(2));
    ran.says(&["there is no gate `h`", "did you mean `g`?"]);
    checkout.write("ci/gates/log.toml", GATE);
    let ran = checkout.run(&["gate", "run", "log"]);
    assert_eq!(ran.code, Some(2));
    ran.says(&["no gate can be called `log`", "git mv ci/gates/log.toml"]);
}

#[test]
fn what_operators_say_is_of_a_gate_that_is_there_and_stands_where_they_do() {
    let Some(gated) = Gated::new("true") else { return };
    let gate = |dir: &str, arguments: &[&str]| {
        let mut command = gated.checkout.command(&[&["gate"], arguments].concat());
        ran(command.current_dir(gated.checkout.path(dir)))
    };
    // Nothing is made by a look, and a state that is not there forgets nothing.
    gated.checkout.write(".xtask/gate/log/1/report.txt", "all pass\n");
    for gc in [&["gc", "--dry-run"][..], &["gc"]] {
        let said = gate("", gc);
        assert_eq!(said.code, Some(2), "{}", said.stdout);
        said.says(&["no gate has run here", "cargo xtask gate run BRANCH"]);
    }
    assert!(gated.checkout.path(".xtask/gate/log/1/report.txt").exists());
    fs::remove_dir_all(gated.checkout.path(".xtask/gate/log")).unwrap();
    assert!(!gated.checkout.path(".xtask/gate/gate.db").exists());
    let who = ["--who", "ann", "--why", "holidays"];
    for order in [&["block", "gg"][..], &["stop", "gg"], &["force-rev", "gg", "1"], &["retry", "gg"], &["force", "gg"]]
    {
        let said = gate("", &[order, &who].concat());
        assert_eq!(said.code, Some(2), "{order:?}: {}", said.stdout);
        said.says(&["there is no branch `gg`", "did you mean `g`?"]);
    }
    gate("", &[&["allow", "test", "test", "--for", "1d", "--branch", "gg"], &who[..]].concat())
        .says(&["no branch `gg`"]);
    assert!(!gated.checkout.path(".xtask/gate/gate.db").exists());
    // A gate that has not run yet can be stopped; a relative state is the same to every command.
    let state = ["--state", "here/gate.db"];
    let said = gate("ci", &[&["stop", "g"], &who[..], &state].concat());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(gated.checkout.path("ci/here/gate.db").is_file());
    let said = gate("ci", &[&["run", "g"], &state[..]].concat());
    assert!(said.stdout.contains("holidays"), "{}\n{}", said.stdout, said.stderr);
    assert!(!gated.checkout.path("here").exists());
    // Of a gate whose file is gone the checkout is forgotten, and nothing else.
    gated.ends(0, &["up to date"]);
    gated.commit("f", "two\n");
    gated.ends(0, &["PUSHED"]);
    fs::remove_file(gated.checkout.path("ci/gates/g.toml")).unwrap();
    gated.checkout.write(".xtask/gate/g/kept", "");
    assert_eq!(gate("", &["gc"]).code, Some(0));
    let is_there = |path: &str| gated.checkout.path(path).exists();
    assert!(is_there(".xtask/gate/g/kept") && !is_there(".xtask/gate/g/checkout"));
}

#[test]
fn the_example_of_a_simulation_plays_as_it_says() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/simulate/a-week.toml");
    let checkout = Checkout::new();
    let ran = checkout.run(&["gate", "simulate", script]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("boot run REGR. vs. 2") && ran.stdout.ends_with("1 rewound\n"), "{}", ran.stdout);
    checkout.write("wrong.toml", &fs::read_to_string(script).unwrap().replacen("\"pushed\"", "\"blocked\"", 1));
    let ran = checkout.run(&["gate", "simulate", "wrong.toml", "--quiet"]);
    assert_eq!(ran.code, Some(1));
    ran.says(&["event 2 of the script: pushed", "expected blocked"]);
}

#[test]
fn operators_have_a_flight_tested_once_more_and_forget_and_take_along_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let flag = dir.path().join("flag");
    let Some(gated) = Gated::new(&format!("! [ -e {} ] || exit 77", flag.display())) else { return };
    gated.commit("f", "two\n");
    gated.ends(0, &["all pass - PUSHED"]);
    let good = gated.commit("f", "three\n");
    fs::write(&flag, "").unwrap();
    gated.ends(3, &["FAIL and problems with tests"]);
    fs::remove_file(&flag).unwrap();
    let retry = |arguments: &[&str]| gated.checkout.run(&[&["gate", "retry"], arguments].concat());
    let who = ["--who", "ann", "--why", "the disk is there again"];
    retry(&[&["g", "--flight", "2"], &who[..]].concat()).says(&["flight 2 cannot be tested once more: it was pushed"]);
    retry(&[&["h", "--flight", "3"], &who[..]].concat()).says(&["there is no branch `h`", "did you mean `g`?"]);
    let ran = retry(&[&["g"], &who[..]].concat());
    assert!(ran.code == Some(0) && ran.stdout.contains("the next run tests flight 3 once more"), "{}", ran.stderr);
    gated.ends(0, &["[g test] 3: tolerable FAIL - PUSHED", "pass in 4"]);
    assert_eq!(gated.tested(), good);

    // A report that was lost is made again.
    let report = || gated.checkout.run(&["gate", "report", "g"]);
    let kept = report();
    assert!(kept.stdout.contains("tolerable FAIL - PUSHED") && kept.stdout.contains("pass in 4"), "{}", kept.stderr);
    for name in ["report.json", "report.txt"] {
        fs::remove_file(gated.checkout.path(&format!(".xtask/gate/log/3/{name}"))).unwrap();
    }
    let again = report();
    assert!(again.stdout.contains("tolerable FAIL - PUSHED") && again.stdout.contains("pass in 4"), "{}", again.stderr);
    assert!(gated.checkout.path(".xtask/gate/log/3/report.json").exists());
    let abandon = gated.checkout.run(&[&["gate", "abandon", "g"], &who[..]].concat());
    assert_eq!(abandon.code, Some(2), "{}", abandon.stdout);
    abandon.says(&["`g` has no flight that is open"]);

    let export = gated.checkout.run(&["gate", "export", "g"]).stdout;
    let lines: Vec<serde_json::Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["flight"].is_object()).count(), 4, "{export}");
    assert!(export.contains("retry flight 3"), "{export}");

    for number in 4..8 {
        gated.commit("f", &format!("{number}\n"));
        gated.ends(0, &["PUSHED"]);
    }
    let log = |flight: u32| gated.checkout.path(&format!(".xtask/gate/log/{flight}"));
    assert!((1..=8).all(|flight| log(flight).is_dir()));
    let gc = |more: &[&str]| gated.checkout.run(&[&["gate", "gc", "--keep", "1"], more].concat());
    // The untested baseline and the retry; what was pushed is kept without its logs.
    assert!(
        gc(&["--dry-run"]).stdout.starts_with("would forget 2 flights, 6 directories"),
        "{}",
        gc(&["--dry-run"]).stdout
    );
    assert!((1..=8).all(|flight| log(flight).is_dir()));
    let ran = gc(&[]);
    assert!(ran.stdout.starts_with("forgot 2 flights, 6 directories"), "{}{}", ran.stdout, ran.stderr);
    assert!((1..=8).all(|flight| log(flight).is_dir() == (flight > 6)));
    assert!(gc(&[]).stdout.starts_with("forgot 0 flights, 0 directories"));
    gated.ends(0, &["up to date"]);

    let words = |line: &[&str]| {
        let ran = gated.checkout.run(&[&["complete", "--", "xtask", "gate"], line].concat());
        let words = ran.stdout.lines().map(str::to_owned).filter(|word| !word.starts_with('-'));
        words.collect::<Vec<_>>()
    };
    assert_eq!(words(&["run", ""]), ["g"]);
    assert_eq!(words(&["history", "g", "t"]), ["test"]);
    assert_eq!(words(&["show", ""]), ["8", "7"]);
}

#[test]
fn a_deterministic_test_is_not_run_again_for_what_was_built_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let ran = dir.path().join("ran");
    let Some(gated) = Gated::new(&format!("echo ran >> {}", ran.display())) else { return };
    let count = || fs::read_to_string(&ran).unwrap_or_default().lines().count();
    // A test of what is built, not of the source; and it says that it always ends the same.
    let job = gated.checkout.read("ci/jobs/test.toml").replace("sources = ['a']", "sources = []");
    gated.checkout.write("ci/jobs/test.toml", &format!("deterministic = true\n{job}"));
    gated.commit("f", "two\n");
    gated.ends(0, &["all pass - PUSHED"]);
    assert_eq!(count(), 2, "the baseline, and another build");
    // Something that is not built in: the same bytes come out.
    let good = gated.commit("README", "two\n");
    gated.ends(0, &["all pass - PUSHED"]);
    assert_eq!((gated.tested(), count()), (good, 2));
    let show = gated.checkout.run(&["gate", "show", "3"]).stdout;
    assert!(show.contains("(as 2.test)"), "{show}");
    gated.commit("f", "three\n");
    gated.ends(0, &["all pass - PUSHED"]);
    assert_eq!(count(), 3);
    // Another command is another test.
    gated
        .checkout
        .write("ci/jobs/test.toml", &format!("deterministic = true\n{}", job.replace("echo ran", "echo  ran")));
    gated.commit("README", "three\n");
    gated.ends(0, &["all pass - PUSHED"]);
    assert_eq!(count(), 4);
}

#[test]
fn a_queue_of_single_commits_pushes_each_good_one() {
    let Some(gated) = Gated::new("! grep -q bug \"$GATE_SOURCE_A/f\"") else { return };
    let commits = ["one more\n", "bug\n", "repaired\n"].map(|text| gated.commit("f", text));
    let ran = gated.checkout.run(&["gate", "run", "g", "--each-commit", "--window", "2"]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout.matches("PUSHED").count(), 2, "{}", ran.stdout);
    assert_eq!(gated.tested(), commits[2]);
    assert_eq!(ran.stderr.matches("(real): a ").count(), 3, "{}", ran.stderr);
    // As one: the last is bad, and that is searched for by halves.
    let commits = ["a\n", "b\n", "c\n", "bug\n"].map(|text| gated.commit("f", text));
    let ran = gated.checkout.run(&["gate", "run", "g", "--each-commit", "--batch", "4"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("searching among them"), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(gated.tested(), commits[2]);
    let ran = gated.checkout.run(&["gate", "run", "g", "--window", "2", "--batch", "2"]);
    assert_eq!(ran.code, Some(2));
}

#[test]
fn a_commit_that_depends_on_what_is_not_there_waits() {
    let Some(gated) = Gated::new("true") else { return };
    let commit = "0123456789".repeat(4);
    gated.commit("f", "two\n");
    gated.upstream.git(&["commit", "-q", "--amend", "-m", &format!("needs more\n\nDepends-On: a {commit}")]);
    gated.upstream.git(&["push", "-q", "-f", "origin", "HEAD:staging"]);
    gated.ends(1, &["waits: a ", &format!("depends on a {}", &commit[..12]), "which is not among the candidates of a"]);
}
