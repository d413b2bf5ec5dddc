//! `query`: lines, their order, and what is printed of images that cannot be read.

use uuid::Uuid;

use crate::bench::Bench;
use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers};

/// Queries the image `a` and compares status and standard output, in which `$` is the directory.
fn check(image: &[u8], of: &str, options: &str, status: i32, stdout: &str) {
    let bench = Bench::with(&[("a", image), ("base.vhd", &dynamic(64))]);
    let output = bench.run(["query", of, options, "a"]).code(status).get_output().stdout.clone();
    let directory = bench.path("").display().to_string();
    assert_eq!(String::from_utf8(output).unwrap().replace(&directory, "$/"), stdout, "{options}");
}

#[test]
fn a_vhd_answers_in_a_fixed_order() {
    let image = dynamic(64);
    check(&image, "vhd", "-v", 0, "64\n");
    check(&image, "vhd", "-p", 0, "a has no parent\n");
    check(&image, "vhd", "-f", 0, "hidden: 0\n");
    check(&image, "vhd", "-d", 0, "chain depth: 1\n");
    check(&image, "vhd", "-b", 0, "");
    for options in ["-vpfd", "-dfpvb"] {
        check(&image, "vhd", options, 0, "64\na has no parent\nhidden: 0\nchain depth: 1\n");
    }
}

#[test]
fn a_child_names_its_parent() {
    let mut image = child("base.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    check(&image, "vhd", "-vpfd", 0, "64\n$/base.vhd\nhidden: 0\nchain depth: 2\n");
    edit_footers(&mut image, |footer| footer.hidden = 1);
    check(&image, "vhd", "-vpfb", 0, "64\n$/base.vhd\nhidden: 1\n");
    let raw = child("base.vhd".as_ref(), Uuid::nil(), &LIBVHD_CODES);
    check(&raw, "vhd", "-pd", 0, "$/base.vhd\nchain depth: 2\n");
}

#[test]
fn a_parent_that_is_missing_is_a_line_and_the_rest_goes_on() {
    let image = child("gone.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    let stdout = "64\nfailed getting parent: -2\nhidden: 0\nerror checking chain depth: -2\n";
    check(&image, "vhd", "-vpfd", 2, stdout);
    check(&image, "vhd", "-d", 2, "error checking chain depth: -2\n");
}

#[test]
fn the_copy_at_the_start_counts_where_it_is_asked_for() {
    let mut image = dynamic(64);
    let end = image.len() - 512;
    image[end..].fill(0xc7);
    check(&image, "vhd", "-vf", 0, "64\nhidden: 0\n");
    check(&image, "vhd", "-vfb", 0, "64\nhidden: 0\n");
    let mut image = dynamic(64);
    let primary = image[end..].to_vec();
    edit_footers(&mut image, |footer| (footer.current_bytes, footer.hidden) = (32 << 20, 1));
    image[end..].copy_from_slice(&primary);
    check(&image, "vhd", "-vf", 0, "64\nhidden: 0\n");
    check(&image, "vhd", "-vfb", 0, "32\nhidden: 1\n");
    image[..512].fill(0);
    check(&image, "vhd", "-vf", 0, "64\nhidden: 0\n");
    check(&image, "vhd", "-vfb", 22, "failed opening a: -22\n");
}

#[test]
fn a_fixed_disk_has_no_copy_at_its_start() {
    let bench = Bench::new();
    bench.run(["create", "vhd", "-r", "2", "a"]).code(0);
    let image = std::fs::read(bench.path("a")).unwrap();
    check(&image, "vhd", "-vpf", 0, "2\na has no parent\nhidden: 0\n");
    check(&image, "vhd", "-vpfb", 22, "failed opening a: -22\n");
}

#[test]
fn what_is_no_vhd_cannot_be_opened() {
    check(&[], "vhd", "-v", 32, "failed opening a: -32\n");
    check(&[7; 4096], "vhd", "-vpfd", 22, "failed opening a: -22\n");
    Bench::new().run(["query", "vhd", "-v", "nope"]).code(2).stdout_eq("failed opening nope: -2\n");
    Bench::new().run(["query", "vhd", "-v", "."]).code(21).stdout_eq("failed opening .: -21\n");
}

#[test]
fn an_image_under_a_resize_journal_cannot_be_opened() {
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.is_poisoned = true);
    check(&image, "vhd", "-vpf", 22, "failed opening a: -22\n");
    check(&image, "vhd", "-vpfb", 22, "failed opening a: -22\n");
}

#[test]
fn a_raw_disk_has_a_size_and_nothing_else() {
    check(&[0; 3 << 20], "aio", "-v", 0, "3\n");
    check(&[0; (3 << 20) - 1], "aio", "-dfpvb", 0, "2\na has no parent\nhidden: 0\n");
    check(&[], "aio", "-v", 0, "0\n");
    check(&[], "aio", "-d", 0, "");
    let nope = |options, status, stdout: &'static str| {
        Bench::new().run(["query", "aio", options, "nope"]).code(status).stdout_eq(stdout);
    };
    nope("-v", 2, "failed opening nope: 2\n");
    nope("-pf", 0, "nope has no parent\nhidden: 0\n");
}
