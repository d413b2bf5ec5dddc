//! `set`: both footers, the marker, and what has neither.

use std::fs;

use crate::bench::Bench;
use crate::sample::{dynamic, edit_footers};

/// Sets a field of `a.vhd` and queries it.
fn check(image: &[u8], field: &str, value: &str, status: i32, queried: &str) {
    let bench = Bench::with(&[("a.vhd", image)]);
    bench.run(["set", "-n", "a.vhd", "-f", field, "-v", value]).code(status).stdout_eq("");
    bench.run(["query", "-n", "a.vhd", "-vfm"]).stdout_eq(queried.to_owned());
    let after = fs::read(bench.path("a.vhd")).unwrap();
    assert_eq!(after.len(), image.len());
    assert!(after[..512] == after[after.len() - 512..], "footers differ");
}

#[test]
fn hidden_and_marker_are_set_and_taken_back() {
    let image = dynamic(64);
    check(&image, "hidden", "1", 0, "64\nhidden: 1\nmarker: 0\n");
    check(&image, "marker", "7", 0, "64\nhidden: 0\nmarker: 7\n");
    check(&image, "marker", "255", 0, "64\nhidden: 0\nmarker: -1\n");
    let mut hidden = image.clone();
    edit_footers(&mut hidden, |footer| footer.hidden = 1);
    check(&hidden, "hidden", "0", 0, "64\nhidden: 0\nmarker: 0\n");
    check(&hidden, "hidden", "1", 0, "64\nhidden: 1\nmarker: 0\n");
}

#[test]
fn a_primary_footer_that_is_damaged_is_written_anew() {
    let mut image = dynamic(64);
    let end = image.len() - 512;
    image[end..].fill(0xc7);
    check(&image, "hidden", "1", 0, "64\nhidden: 1\nmarker: 0\n");
}

#[test]
fn a_fixed_disk_can_be_hidden() {
    let bench = Bench::new();
    bench.run(["create", "-n", "a.vhd", "-s", "2", "-r"]).code(0);
    bench.run(["set", "-n", "a.vhd", "-f", "hidden", "-v", "1"]).code(0);
    bench.run(["query", "-n", "a.vhd", "-sf"]).code(0).stdout_eq("2097664\nhidden: 1\n");
    assert!(fs::read(bench.path("a.vhd")).unwrap()[..2 << 20].iter().all(|&byte| byte == 0));
}

#[test]
fn an_image_under_a_journal_is_left_alone() {
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.is_poisoned = true);
    let bench = Bench::with(&[("a.vhd", &image)]);
    bench.run(["set", "-n", "a.vhd", "-f", "hidden", "-v", "1"]).code(22).stdout_eq("error opening a.vhd: -22\n");
    assert!(fs::read(bench.path("a.vhd")).unwrap() == image);
    bench.run(["set", "-n", "nope", "-f", "hidden", "-v", "1"]).code(2).stdout_eq("error opening nope: -2\n");
}
