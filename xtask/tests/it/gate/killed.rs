//! kill -9 in the middle of a run, at every change of its state: the next run comes to the same end.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use super::gated::Gated;
use crate::tier::{self, Tier};

/// Kills the gate, not what it starts, when it hands the history's bytes to the disk for the nth time: each transaction does once.
fn killed_at(gated: &Gated, nth: usize) -> bool {
    let kill = format!("inject=fsync,fdatasync:signal=KILL:when={nth}");
    let wrapper = ["strace", "--quiet=all", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &kill];
    let mut command = gated.checkout.through(&wrapper, &["gate", "run", "g"]);
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    // strace dies of what its program died of.
    ended.signal() == Some(9)
}

/// Runs candidates of which each is killed once, at one place later than the last, until one is through before that.
fn every_kill(text: impl Fn(usize) -> String, is_pushed: bool, end: &str) {
    let Some(gated) = Gated::new("! grep -q wrong \"$GATE_SOURCE_A/f\"") else { return };
    gated.ends(0, &["up to date"]);
    gated.commit("f", "first\n");
    gated.ends(0, &["all pass - PUSHED"]);
    let mut kills = 0;
    for nth in 1.. {
        let before = gated.tested();
        let candidate = gated.commit("f", &text(nth));
        let killed = killed_at(&gated, nth);
        kills += usize::from(killed);
        crate::build::run::wait_until("nothing is left of it", || gated.checkout.processes().is_empty());
        // One more run goes on with what was begun, or begins it.
        let ran = gated.run();
        let is_known = ran.stdout.contains(end) || ran.stdout.contains("up to date");
        assert!(is_known, "killed at {nth}: {}\n{}", ran.stdout, ran.stderr);
        assert_eq!(gated.tested(), if is_pushed { candidate.clone() } else { before }, "killed at {nth}");
        if is_pushed {
            assert!(gated.recorded().contains(&format!("Gate-Tested: a {candidate}")), "killed at {nth}");
        }
        if !killed {
            break;
        }
    }
    assert!(kills > 10, "only {kills} changes of state were seen");
}

#[test]
fn a_good_candidate_is_pushed_once_wherever_the_gate_was_killed() {
    if tier::need(Tier::Standard) && has_strace() {
        every_kill(|nth| format!("good {nth}\n"), true, "all pass - PUSHED");
    }
}

#[test]
fn a_bad_candidate_is_never_pushed_wherever_the_gate_was_killed() {
    if tier::need(Tier::Standard) && has_strace() {
        every_kill(|nth| format!("wrong {nth}\n"), false, "regressions - FAIL");
    }
}

fn has_strace() -> bool {
    let works = std::process::Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        tier::skip("strace is not on this machine, or may not watch");
    }
    works
}
