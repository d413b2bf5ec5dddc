//! `coalesce`: what it adds, and what it refuses. The bits themselves are tested in `cbt`.

use std::fs;

use snapbox::{IntoData, str};

use crate::bench::Bench;
use crate::sample::log;

/// Coalesces twice, since the second time must change nothing, and compares the child.
fn check(parent: &[u8], child: &[u8], status: i32, stderr: impl IntoData + Clone, expected: &[u8]) {
    let bench = Bench::with(&[("parent", parent), ("child", child)]);
    for _ in 0..2 {
        let run = bench.run(["coalesce", "-p", "parent", "-c", "child"]);
        run.code(status).stdout_eq("").stderr_eq(stderr.clone());
        assert_eq!(fs::read(bench.path("child")).unwrap(), expected);
        assert_eq!(fs::read(bench.path("parent")).unwrap(), parent);
    }
}

#[test]
fn a_child_has_the_blocks_of_both() {
    let parent = log(1 << 20, &[0x81, 0x01]);
    check(&parent, &log(2 << 20, &[0x10, 0x00, 0xff, 0x00]), 0, "", &log(2 << 20, &[0x91, 0x01, 0xff, 0x00]));
    check(&parent, &log(600_000, &[0x01, 0x80]), 0, "", &log(600_000, &[0x81, 0x81]));
}

#[test]
fn a_parent_with_the_longer_bitmap_is_refused() {
    let child = log(1 << 20, &[0, 0]);
    check(
        &log(2 << 20, &[1; 4]),
        &child,
        22,
        str![[r#"
Parent bitmap larger than child bitmap, can't coalesce
error: the bitmap of `parent` has 4 bytes, more than the 2 of `child`

"#]],
        &child,
    );
}

#[test]
fn half_a_log_is_refused_before_anything_is_written() {
    let (whole, half) = (log(1 << 20, &[1, 1]), log(1 << 20, &[2]));
    check(
        &half,
        &whole,
        22,
        str![[r#"
error: `parent` has 49 bytes, the log of a disk of 1048576 bytes has 50

"#]],
        &whole,
    );
    check(
        &whole,
        &half,
        22,
        str![[r#"
error: `child` has 49 bytes, the log of a disk of 1048576 bytes has 50

"#]],
        &half,
    );
    check(
        &whole[..47],
        &whole,
        22,
        str![[r#"
Failed to read CBT metadata from file parent
error: `parent` has 47 bytes, the header of a log has 48

"#]],
        &whole,
    );
}

#[test]
fn a_log_that_is_missing_is_named() {
    let bench = Bench::with(&[("log", &log(1, &[1]))]);
    for (parent, child) in [("nope", "log"), ("log", "nope")] {
        bench.run(["coalesce", "-p", parent, "-c", child]).code(2).stdout_eq("").stderr_eq(str![[r#"
Failed to open log file nope
error: cannot open `nope`[..]: No such file or directory (os error 2)

"#]]);
    }
    assert!(!bench.path("nope").exists());
}
