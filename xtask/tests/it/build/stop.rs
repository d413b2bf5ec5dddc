//! Ctrl-C and time-outs: whole trees end, whatever they think of SIGTERM, and the same command again does the rest.

use rustix::process::Signal;

use super::checkout::{Checkout, How};

/// A script whose children and grandchildren, one in a session of its own, do not want to end.
const STUBBORN: &str = "trap '' TERM INT HUP; (sleep 1000; true) & sh -c '(sleep 1000; true) & sleep 1000' & \
                        setsid sleep 1000 & $GATE; echo done > $STAGE/x";

fn stubborn() -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", STUBBORN);
    checkout
}

#[test]
fn ctrl_c_ends_everything() {
    for how in How::all() {
        for whole_group in [false, true] {
            let checkout = stubborn();
            let running = checkout.start(how.args());
            checkout.at_gate("a");
            running.signal(Signal::INT, whole_group);
            let ran = running.ended();
            assert_eq!(ran.code, Some(130), "{}", ran.stderr);
            ran.says(&["stopped; what was finished is kept"]);
            ran.never_says(&["failed"]);
            assert_eq!(checkout.processes(), [""; 0]);
            checkout.close_gate("a");
            let again = checkout.start(how.args());
            checkout.open_gate("a");
            let ran = again.ended();
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
            assert_eq!(checkout.processes(), [""; 0], "a daemon that a step left behind");
            assert_eq!(checkout.read("dist/x"), "done\n");
        }
    }
}

#[test]
fn a_step_that_hangs_is_killed_with_everything_it_started() {
    for how in How::all() {
        let checkout = stubborn();
        let ran = checkout.build(&[how.args(), &["--timeout", "500ms"]].concat());
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        ran.says(&["step `run` of `a` failed: killed with everything it had started, after 500ms", "ran: sh -ec"]);
        assert_eq!(checkout.processes(), [""; 0]);
    }
}

#[test]
fn a_killed_make_takes_no_jobs_with_it() {
    let checkout = Checkout::new();
    checkout.manifest(&["a", "b", "c"], "");
    // `a` holds two of three jobs when it is killed; `b` starts after that, and hangs unless all three are there again.
    let all_at_once = |targets: &str| {
        let wait = "@touch $@.on; until [ `ls *.on | wc -l` = `echo $(T) | wc -w` ]; do sleep 0.02; done";
        format!("T = {targets}\nall: $(T)\n$(T):\n\t{wait}\ninstall:\n")
    };
    checkout.component("a", "[build.make]\n");
    checkout.write("a/Makefile", &all_at_once("x y").replace("; done", "; done; kill -9 $$PPID; sleep 1000"));
    checkout.component("b", "needs = ['c']\n[build.make]\n");
    checkout.write("b/Makefile", &all_at_once("x y z"));
    checkout.script("c", "", "$GATE");
    let running = checkout.start(&[How::all()[0].args(), &["--keep-going", "--jobs", "3"]].concat());
    checkout.at_gate("c");
    running.said("a: failed");
    checkout.open_gate("c");
    let ran = running.ended();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.says(&["b: built", "step `make` of `a` failed"]);
}
