//! `kill -9` of xtask at every stage: nothing of it is left running, nobody ever sees a part of a file, and the same command again
//! does the rest.

use std::fs;

use rustix::process::Signal;

use super::checkout::{Checkout, How, files};
use super::run::{Running, wait_until};
use crate::origin::{Fault, Server, write_tar_gz};

/// Kills xtask and waits until everything that it had started is gone.
fn kill(checkout: &Checkout, running: Running) {
    assert!(!checkout.processes().is_empty(), "the mark is found while something runs");
    running.signal(Signal::KILL, false);
    assert_eq!(running.ended().code, None);
    wait_until("nothing is left", || checkout.processes().is_empty());
}

#[test]
fn during_a_step() {
    for how in How::all() {
        let checkout = Checkout::new();
        checkout.manifest(&["a"], "");
        checkout.script("a", "", "(trap '' TERM; sleep 1000) & echo half > $STAGE/x; $GATE; echo whole > $STAGE/x");
        let running = checkout.start(how.args());
        checkout.at_gate("a");
        kill(&checkout, running);
        assert!(!checkout.path("dist").exists());
        checkout.close_gate("a");
        let again = checkout.start(how.args());
        checkout.open_gate("a");
        let ran = again.ended();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(checkout.read("dist/x"), "whole\n");
    }
}

#[test]
fn what_a_killed_run_left_in_a_session_of_its_own_ends_with_the_next() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "setsid sleep 1000 & $GATE");
    let running = checkout.start(How::Plain.args());
    checkout.at_gate("a");
    wait_until("the daemon runs", || checkout.processes().iter().any(|line| line.ends_with(" sleep 1000 ")));
    running.signal(Signal::KILL, false);
    running.ended();
    checkout.script("a", "", "true");
    checkout.built(How::Plain.args());
    assert_eq!(checkout.processes(), [""; 0]);
}

#[test]
fn during_a_fetch() {
    let checkout = Checkout::new();
    let served = checkout.path("served");
    let text = "some text\n".repeat(100_000);
    write_tar_gz(&served.join("a-1.tar.gz"), &[("a-1/x", &text)]);
    // The lock's own connection, then one that hangs, then good ones.
    let fault = |connection| if connection == 1 { Fault::HangsAfter(500) } else { Fault::None };
    let server = Server::http(served, fault);
    checkout.script("a", "", "cp x $STAGE/x");
    let url = server.url("http", "a-1.tar.gz");
    checkout.write(
        "manifests/m.toml",
        &format!("summary = 'm'\ncomponents = ['a']\n[sources]\na.archive.urls = ['{url}']\n"),
    );
    assert_eq!(checkout.run(&["update"]).code, Some(0));
    // What `update` kept would make a fetch unnecessary.
    fs::remove_dir_all(checkout.store()).unwrap();
    fs::remove_dir_all(checkout.path(".xtask")).unwrap();
    let running = checkout.start(&["--no-sandbox"]);
    wait_until("the server hangs", || server.connections() == 2);
    kill(&checkout, running);
    checkout.built(&["--no-sandbox"]);
    assert_eq!(checkout.read("dist/x"), text);
    for dir in [checkout.path(".xtask/tmp"), checkout.store().join("tmp"), checkout.store().join("incoming")] {
        assert!(files(&dir).is_empty(), "something is left in {}", dir.display());
    }
}

/// 500 files that say which version they are, long enough that a part of one is seen to be one.
pub fn content(version: usize, number: usize) -> String {
    format!("version {version} of {number}\n").repeat(100)
}

pub fn many(checkout: &Checkout, version: usize) {
    let program = format!(
        "BEGIN {{ for (i = 0; i < 500; i++) {{ l = \"version {version} of \" i \"\\n\"; t = \"\"; \
         for (k = 0; k < 100; k++) t = t l; printf \"%s\", t > (\"$STAGE/d/f\" i); close(\"$STAGE/d/f\" i) }} }}"
    );
    checkout.script("a", "", &format!("mkdir $STAGE/d; awk '\\''{program}'\\''").replace("'\\''", "'"));
}

#[test]
fn during_an_install() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    many(&checkout, 0);
    let how = How::all()[0].args();
    checkout.built(how);
    let mut in_the_middle = 0;
    for version in 1..6 {
        many(&checkout, version);
        // Files are installed in the order of their names.
        let (first, last) = (checkout.path("dist/d/f0"), checkout.path("dist/d/f99"));
        let is = |path, number| fs::read_to_string(path).unwrap_or_default() == content(version, number);
        let running = checkout.start(how);
        wait_until("the first file is there", || is(&first, 0));
        running.signal(Signal::KILL, false);
        running.ended();
        in_the_middle += usize::from(!is(&last, 99));
        for (path, (_, bytes)) in files(&checkout.path("dist/d")) {
            let number = path[1..].parse().unwrap();
            let whole = [version, version - 1]
                .map(|version| content(version, number))
                .contains(&String::from_utf8(bytes).unwrap());
            assert!(whole, "{path} is neither the old file nor the new one");
        }
        let again = checkout.built(how);
        again.never_says(&["nobody here installed", "building"]);
        let there = checkout.dist();
        assert_eq!(there.len(), 500, "nothing more, nothing less");
        assert!((0..500).all(|number| there[&format!("d/f{number}")].1 == content(version, number).as_bytes()));
        if in_the_middle > 0 {
            return;
        }
    }
    crate::tier::skip("this machine installs 500 files before a kill reaches it");
}
