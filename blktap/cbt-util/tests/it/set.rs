//! `set`: all of what was asked, or nothing.

use std::fs;

use snapbox::{IntoData, str};

use crate::bench::Bench;
use crate::sample::log;

const NEW: &str = "0F0e0d0c-0b0a-0908-0706-050403020100";
const NEW_BYTES: [u8; 16] = [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];

/// Sets fields of a log of 10 MiB and compares all of its bytes with those that `edit` makes of it.
fn check(arguments: &[&str], edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = log(10 << 20, &[0xaa; 20]);
    let bench = Bench::with(&[("log", &bytes)]);
    bench.run([&["set", "-n", "log"], arguments].concat()).code(0).stdout_eq("").stderr_eq("");
    edit(&mut bytes);
    assert_eq!(fs::read(bench.path("log")).unwrap(), bytes, "{arguments:?}");
}

#[test]
fn one_field_changes_and_the_rest_stays() {
    check(&["-p", NEW], |bytes| bytes[..16].copy_from_slice(&NEW_BYTES));
    check(&["-c", NEW], |bytes| bytes[16..32].copy_from_slice(&NEW_BYTES));
    for flag in [0, 1, 7, -3] {
        check(&["-f", &flag.to_string()], |bytes| bytes[32..36].copy_from_slice(&i32::to_ne_bytes(flag)));
    }
    check(&["-s", "10485760", "ignored"], |_| {});
}

#[test]
fn a_larger_disk_gets_bits_that_are_not_set() {
    check(&["-s", "10485761"], |bytes| {
        bytes[40..48].copy_from_slice(&10_485_761u64.to_ne_bytes());
        bytes.push(0);
    });
    check(&["-s", "20971520", "-f", "0", "-p", NEW, "-c", NEW], |bytes| {
        bytes[..16].copy_from_slice(&NEW_BYTES);
        bytes[16..32].copy_from_slice(&NEW_BYTES);
        bytes[32..36].fill(0);
        bytes[40..48].copy_from_slice(&20_971_520u64.to_ne_bytes());
        bytes.extend([0; 20]);
    });
}

/// A call that must fail and leave the log as it is.
fn check_failure(bytes: &[u8], arguments: &[&str], status: i32, stderr: impl IntoData) {
    let bench = Bench::with(&[("log", bytes)]);
    bench.run([&["set", "-n", "log"], arguments].concat()).code(status).stdout_eq("").stderr_eq(stderr);
    assert!(fs::read(bench.path("log")).unwrap() == bytes, "{arguments:?}");
}

#[test]
fn a_failure_changes_nothing() {
    check_failure(
        &log(10 << 20, &[0xaa; 20]),
        &["-f", "0", "-p", NEW, "-s", "10485759"],
        22,
        str![[r#"
Size smaller than current file size (10485760)
error: the log `log` cannot shrink: its disk has 10485760 bytes, more than 10485759

"#]],
    );
    check_failure(
        &log(10 << 20, &[0xaa; 19]),
        &["-f", "0", "-s", "20971520"],
        22,
        str![[r#"
error: `log` has 67 bytes, the log of a disk of 10485760 bytes has 68

"#]],
    );
    check_failure(
        &log(1, &[])[..47],
        &["-f", "0"],
        22,
        str![[r#"
Failed to read CBT metadata from file log
error: `log` has 47 bytes, the header of a log has 48

"#]],
    );
    for size in ["4611686018427387904", "18446744073709551615"] {
        let bench = Bench::with(&[("log", &log(1, &[1]))]);
        bench.run(["set", "-n", "log", "-s", size]).code(28).stdout_eq("");
        assert_eq!(fs::read(bench.path("log")).unwrap(), log(1, &[1]));
    }
}

#[test]
fn a_log_that_is_missing_is_not_made() {
    let bench = Bench::new();
    bench.run(["set", "-n", "nope", "-f", "1"]).code(2).stdout_eq("");
    assert!(!bench.path("nope").exists());
    bench.run(["set", "-n", ".", "-f", "1"]).code(21).stdout_eq("");
}
