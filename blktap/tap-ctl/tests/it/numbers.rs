//! `allocate`, `free`, `spawn`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use rustix::fs::{FlockOperation, flock};

use crate::bench::Bench;

#[test]
fn the_lowest_free_number_is_taken() {
    let bench = Bench::new();
    let marker = |minor: u32| format!("{}\n", bench.path(&format!("tapdisk/tapdisk-{minor}")).display());
    for minor in [0, 1, 2] {
        bench.run(["allocate"]).code(0).stdout_eq(marker(minor)).stderr_eq("");
    }
    bench.run(["free", "-m", "1"]).code(0).stdout_eq("").stderr_eq("");
    bench.run(["allocate"]).code(0).stdout_eq(marker(1));
    let mode = |name: &str| fs::metadata(bench.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("tapdisk"), mode("tapdisk/tapdisk-0")), (0o700, 0o600));
    bench.run(["list"]).code(0).stdout_eq("minor=0\nminor=1\nminor=2\n");
}

#[test]
fn a_number_that_is_served_or_free_cannot_be_freed() {
    let bench = Bench::new();
    bench.run(["free", "-m", "0"]).code(2).stderr_eq("error: [..]\nNo such file or directory\n");
    bench.run(["allocate"]).code(0);
    let marker = File::open(bench.path("tapdisk/tapdisk-0")).unwrap();
    flock(&marker, FlockOperation::LockExclusive).unwrap();
    bench.run(["free", "-m", "0"]).code(11).stderr_eq("error: [..]\nResource temporarily unavailable\n");
    drop(marker);
    bench.run(["free", "-m", "0"]).code(0);
    bench.run(["free", "-m", "0"]).code(2);
}

/// Spawns this shell script instead of a tapdisk.
fn check(script: &str, status: i32, why: &str) {
    let bench = Bench::new();
    let path = bench.path("tapdisk-program");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let output = bench.run(["spawn"]).code(status).stdout_eq("").get_output().stderr.clone();
    let stderr = String::from_utf8(output).unwrap();
    assert!(stderr.contains(why), "{stderr}");
}

#[test]
fn a_daemon_that_does_not_come_up_is_a_failure() {
    Bench::new().run(["spawn"]).code(2).stdout_eq("").stderr_eq("error: [..]\nNo such file or directory\n");
    check("exit 3", 3, "ended with status 3");
    check("kill -9 $$", 4, "was killed by signal 9");
    check("echo hello", 1, "prints no control socket, but \"hello\\n\"");
    // It said that it was ready, and is gone.
    check("echo $BLKTAP_RUN_DIR/ctl4711", 1, "tapdisk 4711 said that it was ready and does not answer");
}
