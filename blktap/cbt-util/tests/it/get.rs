//! `get`: one field at a time, the bitmap byte for byte, and files that are no logs.

use snapbox::{IntoData, str};

use crate::bench::Bench;
use crate::sample::{CHILD, PARENT, log};

fn check(bytes: &[u8], option: &str, status: i32, stdout: impl IntoData, stderr: impl IntoData) {
    let bench = Bench::with(&[("log", bytes)]);
    bench.run(["get", "-n", "log", option]).code(status).stdout_eq(stdout).stderr_eq(stderr);
    assert!(std::fs::read(bench.path("log")).unwrap() == bytes);
}

#[test]
fn fields_are_printed_as_in_c() {
    let mut bytes = log(10 << 20, &[0; 20]);
    check(&bytes, "-p", 0, format!("{PARENT}\n"), "");
    check(&bytes, "-c", 0, format!("{CHILD}\n"), "");
    check(&bytes, "-cc", 0, format!("{CHILD}\n"), "");
    check(&bytes, "-f", 0, "1\n", "");
    check(&bytes, "-s", 0, "10485760\n", "");
    bytes[32..36].copy_from_slice(&(-3i32).to_ne_bytes());
    bytes[40..48].copy_from_slice(&u64::MAX.to_ne_bytes());
    check(&bytes, "-f", 0, "-3\n", "");
    check(&bytes, "-s", 0, "18446744073709551615\n", "");
    // Fields need no bitmap.
    check(&bytes[..48], "-p", 0, format!("{PARENT}\n"), "");
}

#[test]
fn the_bitmap_is_printed_byte_for_byte() {
    let bitmap: Vec<u8> = (0..=255).chain(b"\n\0\xff".iter().copied()).cycle().take((2 << 20) + 3).collect();
    let bytes = log(bitmap.len() as u64 * 8 * 65536, &bitmap);
    let bench = Bench::with(&[("log", &[&bytes[..], b"more"].concat())]);
    let output = bench.run(["get", "-n", "log", "-b"]).code(0).stderr_eq("").get_output().stdout.clone();
    assert!(output == bitmap);
}

#[test]
fn what_is_no_log_is_named() {
    check(
        &log(1, &[])[..47],
        "-s",
        22,
        "",
        str![[r#"
Failed to read CBT metadata from file log
error: `log` has 47 bytes, the header of a log has 48

"#]],
    );
    check(
        &log(10 << 20, &[1; 19]),
        "-b",
        22,
        "",
        str![[r#"
Failed to read bitmap from file log
error: `log` has 67 bytes, the log of a disk of 10485760 bytes has 68

"#]],
    );
    check(
        &log(u64::MAX, &[1; 19]),
        "-b",
        22,
        "",
        str![[r#"
Failed to read bitmap from file log
error: `log` has 67 bytes, the log of a disk of 18446744073709551615 bytes has 35184372088880

"#]],
    );
    check(
        &[0; 100],
        "-b",
        22,
        "",
        str![[r#"
Failed to read bitmap from file log
error: `log` has no bitmap: it says that its disk has 0 bytes

"#]],
    );
    Bench::new().run(["get", "-n", "nope", "-s"]).code(2).stdout_eq("").stderr_eq(str![[r#"
Failed to open log file nope
error: cannot open `nope`: No such file or directory (os error 2)

"#]]);
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let bench = Bench::with(&[("log", &log(1 << 40, &vec![0; 2 << 20]))]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(snapbox::cmd::cargo_bin!());
    let output = command.args(["get", "-bn"]).arg(bench.path("log")).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(28));
}
