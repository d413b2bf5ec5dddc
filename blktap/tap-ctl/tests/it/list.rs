//! `list`: tapdisks, disks and markers, and who is dead.

use std::os::unix::net::UnixListener;

use tap_proto::{ALL_MINORS, Listed, Reply, Request, Text};

use crate::bench::{Bench, Script, frames};

/// A tapdisk with these disks: minor, state, image.
fn script(pid: i32, disks: &[(i32, i32, &str)]) -> Script {
    let count = disks.len();
    let mut replies: Vec<Reply> = disks
        .iter()
        .enumerate()
        .map(|(index, &(minor, state, path))| {
            let count = i32::try_from(count - index).unwrap();
            Reply::List(Listed { count, minor, state, path: Text::new(path).unwrap() })
        })
        .collect();
    replies.push(Reply::List(Listed { count: 0, minor: -1, state: 0, path: Text::default() }));
    vec![(0, Request::Pid, frames(0, &[Reply::Pid(pid)])), (ALL_MINORS, Request::List, frames(ALL_MINORS, &replies))]
}

/// Lists with these options, beside a tapdisk with two disks and one without any, and four numbers that are taken.
fn check(options: &[&str], expected: &str) {
    let bench = Bench::new();
    for _ in 0..4 {
        bench.run(["allocate"]).code(0);
    }
    let disks = [(0, 0, "vhd:/sr/a b.vhd"), (2, 0x2a, "aio:/sr/x:y")];
    // Asked or not, according to the options.
    drop((bench.tapdisk(10, script(10, &disks)), bench.tapdisk(9, script(9, &[]))));
    // A dead one's socket.
    drop(UnixListener::bind(bench.path("ctl8")).unwrap());
    bench.run([&["list"], options].concat()).code(0).stdout_eq(expected.to_owned()).stderr_eq("");
}

#[test]
fn disks_come_by_tapdisk_the_last_first_then_markers() {
    let disks = "pid=10 minor=2 state=0x2a args=aio:/sr/x:y\npid=10 minor=0 state=0 args=vhd:/sr/a b.vhd\n";
    check(&[], &format!("{disks}pid=9\nminor=1\nminor=3\n"));
    check(&["-p", "10"], disks);
    check(&["-p", "9"], "pid=9\n");
    check(&["-p", "8"], "");
    check(&["-p", "7"], "");
}

#[test]
fn only_what_is_asked_for_is_listed() {
    let vhd = "pid=10 minor=0 state=0 args=vhd:/sr/a b.vhd\n";
    check(&["-t", "vhd"], vhd);
    check(&["-f", "/sr/a b.vhd"], vhd);
    check(&["-t", "vhd", "-f", "/sr/x:y"], "");
    check(&["-m", "1"], "minor=1\n");
    check(&["-m", "0"], vhd);
}

#[test]
fn json_has_null_for_what_is_unknown() {
    let expected = "\
{\"pid\":10,\"minor\":2,\"state\":42,\"type\":\"aio\",\"path\":\"/sr/x:y\"}
{\"pid\":10,\"minor\":0,\"state\":0,\"type\":\"vhd\",\"path\":\"/sr/a b.vhd\"}
{\"pid\":9,\"minor\":null,\"state\":null,\"type\":null,\"path\":null}
{\"pid\":null,\"minor\":1,\"state\":null,\"type\":null,\"path\":null}
{\"pid\":null,\"minor\":3,\"state\":null,\"type\":null,\"path\":null}
";
    check(&["--json"], expected);
}

#[test]
fn nothing_is_nothing() {
    Bench::new().run(["list"]).code(0).stdout_eq("").stderr_eq("");
}

#[test]
fn a_tapdisk_that_dies_while_it_lists_has_no_disks() {
    let bench = Bench::new();
    let mut script = script(10, &[(0, 0, "vhd:/a")]);
    script[1].2.truncate(600);
    let tapdisk = bench.tapdisk(10, script);
    bench.run(["list"]).code(0).stdout_eq("pid=10\n");
    tapdisk.join().unwrap();
}
