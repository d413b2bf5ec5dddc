//! `query`: lines, their order, and numbers of failures.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use snapbox::{IntoData, str};

use crate::bench::Bench;
use crate::sample::{BASE_UUID, LIBVHD_CODES, LOCATORS_AT, child, dynamic, edit_footers, edit_header};

fn over(parent: &str) -> Vec<u8> {
    child(parent.as_ref(), BASE_UUID, &LIBVHD_CODES)
}

/// Queries `t.vhd` beside an `a.vhd` without parent; standard output only.
fn check(image: &[u8], options: &str, status: i32, stdout: impl IntoData) {
    let bench = Bench::with(&[("a.vhd", &dynamic(64)), ("t.vhd", image)]);
    bench.run(["query", "-n", "t.vhd", options]).code(status).stdout_eq(stdout);
}

#[test]
fn lines_come_in_a_fixed_order() {
    let stdout = || {
        str![[r#"
64
3584
t.vhd has no parent
hidden: 0
marker: 0
chain depth: 1
0
64

"#]]
    };
    check(&dynamic(64), "-vspfmdaS", 0, stdout());
    check(&dynamic(64), "-Sadmfpsv", 0, stdout());
    check(&dynamic(64), "-u", 0, str![]);
}

#[test]
fn a_parent_is_found_or_printed_as_stored() {
    check(
        &over("./a.vhd"),
        "-vspd",
        0,
        str![[r#"
64
5120
[..]/a.vhd
chain depth: 2

"#]],
    );
    check(
        &over("./a.vhd"),
        "-pu",
        0,
        str![[r#"
./a.vhd

"#]],
    );
    check(
        &over("./é字.vhd"),
        "-pu",
        0,
        str![[r#"
./é字.vhd

"#]],
    );
}

#[test]
fn numbers_of_one_byte_are_signed_as_in_c() {
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.hidden = 255);
    image[2048 + 28] = 255;
    check(
        &image,
        "-fm",
        0,
        str![[r#"
hidden: -1
marker: -1

"#]],
    );
}

#[test]
fn allocated_blocks_count_and_take_space() {
    let mut image = dynamic(64);
    image[1536..1540].copy_from_slice(&7u32.to_be_bytes());
    check(
        &image,
        "-sa",
        0,
        str![[r#"
2101760
1

"#]],
    );
}

#[test]
fn a_fixed_disk_has_no_blocks() {
    let bench = Bench::new();
    bench.run(["create", "-n", "t.vhd", "-s", "4", "-r"]).code(0);
    bench.run(["query", "-n", "t.vhd", "-vspfmdaS"]).code(22).stdout_eq(str![[r#"
4
4194816
t.vhd has no parent
hidden: 0
marker: 0
chain depth: 1
error reading bat: -22
0

"#]]);
}

#[test]
fn a_failure_is_a_line_and_the_first_one_counts() {
    let mut image = over("./nope.vhd");
    edit_header(&mut image, |header| header.max_bat_entries = 1);
    check(
        &image,
        "-vspfmdaS",
        22,
        str![[r#"
64
failed to get physical size: -22
query failed
hidden: 0
marker: 0
error checking chain depth: -2
error reading bat: -22
2

"#]],
    );
    check(
        &image,
        "-pa",
        2,
        str![[r#"
query failed
error reading bat: -22

"#]],
    );
    check(
        &dynamic(64)[..1536],
        "-vspfmdaS",
        32,
        str![[r#"
64
failed to get physical size: -32
t.vhd has no parent
hidden: 0
error checking 'marker' field: -32
chain depth: 1
error reading bat: -32
64

"#]],
    );
}

#[test]
fn an_undecodable_parent_is_no_usage_error() {
    let mut image = over("./a.vhd");
    for slot in 0..3 {
        image[LOCATORS_AT + 512 * slot..][..3].copy_from_slice(b"\xff\xdf\x00");
    }
    check(
        &image,
        "-pd",
        22,
        str![[r#"
query failed
error checking chain depth: -22

"#]],
    );
}

#[test]
fn a_chain_that_is_a_loop_ends() {
    check(
        &over("./t.vhd"),
        "-d",
        40,
        str![[r#"
error checking chain depth: -40

"#]],
    );
}

#[test]
fn what_cannot_be_opened_is_told_on_both_outputs() {
    let bench = Bench::with(&[("z.vhd", &[0; 4096])]);
    bench.run(["query", "-n", "nope", "-v"]).code(2).stdout_eq("error opening nope: -2\n").stderr_eq(str![[r#"
error: cannot open `nope`: No such file or directory (os error 2)

"#]]);
    bench.run(["query", "-vn", "z.vhd"]).code(22).stdout_eq("error opening z.vhd: -22\n").stderr_eq(str![[r#"
error: cannot read footer of `z.vhd`: cookie is "/x00/x00/x00/x00/x00/x00/x00/x00", not "conectix"

"#]]);
    bench.run(["query", "-n", ".", "-v"]).code(21).stdout_eq("error opening .: -21\n");
}

#[test]
fn paths_need_not_be_utf_8() {
    let bench = Bench::new();
    let name = OsString::from_vec(b"\xff.vhd".to_vec());
    std::fs::write(bench.path("").join(&name), dynamic(64)).unwrap();
    let output = bench.command().args(["query", "-p", "-n"]).arg(&name).assert().code(0).get_output().stdout.clone();
    assert_eq!(output, [name.as_bytes(), b" has no parent\n"].concat());
}
