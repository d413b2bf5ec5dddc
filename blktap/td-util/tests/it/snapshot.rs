//! `snapshot`: what td-util adds to vhd-util's command of that name.

use snapbox::{IntoData, str};

use crate::bench::Bench;
use crate::sample::dynamic;

/// Makes a snapshot in a directory with a VHD and a raw disk, and asks for the child's size, parent and depth.
fn check(arguments: &[&str], status: i32, stdout: impl IntoData, queried: &str) {
    let bench = Bench::with(&[("a.vhd", &dynamic(64)), ("raw", &[7; 4 << 20])]);
    bench.run([&["snapshot", "vhd"], arguments].concat()).code(status).stdout_eq(stdout);
    let directory = bench.path("").display().to_string();
    let status = if queried.is_empty() { 2 } else { 0 };
    let output = bench.run(["query", "vhd", "-vpd", "child"]).code(status).get_output().stdout.clone();
    let queried = if queried.is_empty() { "failed opening child: -2\n" } else { queried };
    assert_eq!(String::from_utf8(output).unwrap().replace(&directory, "/"), queried);
}

#[test]
fn a_vhd_goes_on_top_of_a_vhd_or_a_raw_disk() {
    check(&["child", "a.vhd"], 0, "", "64\n/a.vhd\nchain depth: 2\n");
    check(&["-m", "child", "raw"], 0, "", "4\n/raw\nchain depth: 2\n");
    check(&["child", "raw", "-m"], 0, "", "4\n/raw\nchain depth: 2\n");
}

#[test]
fn the_limit_counts_the_new_image() {
    check(&["-l", "2", "child", "a.vhd"], 0, "", "64\n/a.vhd\nchain depth: 2\n");
    check(&["-l1", "child", "a.vhd"], 28, "snapshot depth exceeded: current depth: 1, limit: 1\n", "");
}

#[test]
fn a_parent_that_is_no_vhd_is_refused() {
    check(&["child", "raw"], 22, "", "");
}

#[test]
fn a_parent_that_is_missing_is_named() {
    let bench = Bench::new();
    bench.run(["snapshot", "vhd", "-b", "child", "nope"]).code(2).stdout_eq("").stderr_eq(str![[r#"
File nope not found
error: No such file or directory (os error 2)

"#]]);
}

#[test]
fn a_fixed_size_of_the_file_is_refused_by_vhd_util_as_in_c() {
    check(
        &["-b", "child", "a.vhd"],
        22,
        str![[r#"
options: <-n name> <-p parent name> [-l snapshot depth limit] [-m parent_is_raw] [-S size (MB) for metadata preallocation (see vhd-util resize)] [-e link to supplied parent name even if it's empty] [-h help]

"#]],
        "",
    );
}
