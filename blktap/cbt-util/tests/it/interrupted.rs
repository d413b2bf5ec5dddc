//! Writes that end in the middle: the old log stays, or one that is not marked consistent.

use std::fs;
use std::process::Command;

use snapbox::cmd::cargo_bin;

use crate::bench::Bench;
use crate::sample::log;

/// Where writes end: at a limit on file size, which stands in for a kill and for a full disk.
const LIMIT_BYTES: usize = 4096;

/// Runs the program, which must meet the limit.
fn check(bench: &Bench, arguments: &[&str]) {
    let script = format!("ulimit -f {}; trap '' XFSZ; exec \"$@\"", LIMIT_BYTES / 512);
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(cargo_bin!()).args(arguments).current_dir(bench.path(""));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(27), "{output:?}");
}

#[test]
fn without_space_nothing_changes() {
    let older = log(10 << 20, &[0xaa; 20]);
    let bench = Bench::with(&[("log", &older)]);
    check(&bench, &["create", "-n", "new", "-s", "1099511627776"]);
    assert!(!bench.path("new").exists());
    check(&bench, &["create", "-n", "log", "-s", "1099511627776"]);
    check(&bench, &["set", "-n", "log", "-f", "0", "-s", "1099511627776"]);
    assert!(fs::read(bench.path("log")).unwrap() == older);
}

#[test]
fn half_a_new_log_is_not_consistent() {
    let older = log(80 << 30, &[0xaa; 160 << 10]);
    let bench = Bench::with(&[("log", &older)]);
    check(&bench, &["create", "-n", "log", "-s", "8589934592"]);
    bench.run(["get", "-n", "log", "-f"]).code(0).stdout_eq("0\n");
    let bytes = fs::read(bench.path("log")).unwrap();
    assert_eq!((bytes[LIMIT_BYTES - 1], bytes[LIMIT_BYTES]), (0, 0xaa));
}

#[test]
fn half_a_growth_leaves_the_old_log() {
    let older = log(10 << 20, &[0xaa; 20]);
    let bench = Bench::with(&[("log", &[&older[..], &[0xee; 160 << 10]].concat())]);
    check(&bench, &["set", "-n", "log", "-f", "0", "-s", "8589934592"]);
    let bytes = fs::read(bench.path("log")).unwrap();
    assert_eq!((bytes[LIMIT_BYTES - 1], bytes[LIMIT_BYTES]), (0, 0xee));
    assert!(bytes[..older.len()] == older);
}
