//! `create`: the bytes of a new log, and what a failure leaves.

use snapbox::str;
use std::fs;

use crate::bench::Bench;
use crate::sample::log;

fn check(size: &str, size_bytes: u64, bitmap_bytes: usize) {
    for older in [None, Some(log(100 << 20, &[0xff; 200]))] {
        let bench = Bench::new();
        older.iter().for_each(|older| fs::write(bench.path("log"), older).unwrap());
        bench.run(["create", "-n", "log", "-s", size]).code(0).stdout_eq("").stderr_eq("");
        let expected = [&[0; 40][..], &size_bytes.to_ne_bytes(), &vec![0; bitmap_bytes]].concat();
        assert!(fs::read(bench.path("log")).unwrap() == expected, "{size}");
    }
}

#[test]
fn a_new_log_has_the_bytes_of_c() {
    check("1", 1, 1);
    check("524288", 524_288, 1);
    check("524289", 524_289, 2);
    check("10485760", 10_485_760, 20);
    check("2199023255552", 2_199_023_255_552, 4 << 20);
}

#[test]
fn the_last_value_counts_and_other_arguments_are_ignored() {
    let bench = Bench::new();
    bench.run(["create", "x", "-na", "-s1", "-n", "b", "y"]).code(0).stdout_eq("").stderr_eq("");
    assert!(!bench.path("a").exists() && bench.path("b").exists());
}

#[test]
fn a_place_that_is_not_there_is_named() {
    Bench::new().run(["create", "-n", "no/log", "-s", "1"]).code(2).stdout_eq("").stderr_eq(str![[r#"
error: cannot open `no/log`: No such file or directory (os error 2)

"#]]);
    Bench::new().run(["create", "-n", ".", "-s", "1"]).code(21).stdout_eq("");
}
