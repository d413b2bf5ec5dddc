//! `revert`, and the variables that interrupt a command for it.

use std::fs;

use snapbox::cmd::OutputAssert;
use snapbox::str;

use crate::bench::Bench;
use crate::resize::{bench, sectors};

fn interrupted(bench: &Bench, point: &str, arguments: &[&str]) -> OutputAssert {
    let point = format!("VHD_UTIL_TEST_FAIL_{point}");
    bench.command().env(&point, "1").args(arguments).assert().stdout_eq(format!("Failing at {point}\n")).code(22)
}

#[test]
fn a_resize_that_was_interrupted_is_taken_back() {
    let bench = bench();
    for (name, mib) in [("a.vhd", "40000"), ("room.vhd", "200"), ("fixed.vhd", "8")] {
        let before = fs::read(bench.path(name)).unwrap();
        for point in ["BEGIN", "DATA_MOVED", "METADATA_MOVED", "END"] {
            if point.ends_with("MOVED") && name != "a.vhd" {
                continue;
            }
            interrupted(&bench, &format!("RESIZE_{point}"), &["resize", "-n", name, "-s", mib, "-j", "j"]);
            // Nobody uses it in between.
            bench
                .run(["resize", "-n", name, "-s", mib, "-j", "k"])
                .code(22)
                .stdout_eq(format!("error opening {name}: -22\n"))
                .stderr_eq(format!(
                    "error: `{name}` is in the middle of a resize\nhelp: vhd-util revert -n {name} -j JOURNAL\n"
                ));
            bench.run(["fill", "-n", name]).code(22);
            bench.run(["revert", "-n", name, "-j", "j"]).code(0).stdout_eq("").stderr_eq("");
            assert!(fs::read(bench.path(name)).unwrap() == before, "{name} at {point}");
            assert!(!bench.path("j").exists() && !bench.path("k").exists());
        }
        bench.run(["resize", "-n", name, "-s", mib, "-j", "j"]).code(0);
    }
    assert_eq!(sectors(&bench, "a.vhd", 64), [1, 2, 0]);
}

#[test]
fn an_image_that_is_whole_stays() {
    let bench = bench();
    interrupted(&bench, "RESIZE_BEGIN", &["resize", "-n", "a.vhd", "-s", "128", "-j", "j"]);
    fs::copy(bench.path("j"), bench.path("copy")).unwrap();
    bench.run(["revert", "-n", "a.vhd", "-j", "j"]).code(0);
    vhd::Disk::open_rw(&bench.path("a.vhd")).unwrap().write_at(4 << 20, &[5; 512]).unwrap();
    let used = fs::read(bench.path("a.vhd")).unwrap();
    for journal in ["copy", "empty"] {
        if journal == "empty" {
            fs::write(bench.path("empty"), []).unwrap();
        }
        bench
            .run(["revert", "-n", "a.vhd", "-j", journal])
            .code(0)
            .stdout_eq("")
            .stderr_eq("note: `a.vhd` is whole and was left as it is\n");
        assert!(fs::read(bench.path("a.vhd")).unwrap() == used && !bench.path(journal).exists());
    }
}

#[test]
fn an_image_that_may_have_been_used_is_reverted_if_one_insists() {
    let bench = bench();
    interrupted(&bench, "RESIZE_END", &["resize", "-n", "a.vhd", "-s", "40000", "-j", "j"]);
    let marked = fs::read(bench.path("j")).unwrap();
    bench.run(["revert", "-n", "a.vhd", "-j", "j"]).code(0);
    let before = fs::read(bench.path("a.vhd")).unwrap();
    fs::write(bench.path("j"), marked).unwrap();
    // A sector of a block that had been in the way of the tables, which has its place already.
    vhd::Disk::open_rw(&bench.path("a.vhd")).unwrap().write_at(0, &[5; 512]).unwrap();
    let used = fs::read(bench.path("a.vhd")).unwrap();
    bench.run(["revert", "-n", "a.vhd", "-j", "j"]).code(22).stdout_eq("opening journal failed: -22\n").stderr_eq(
        str![[r#"
error: `a.vhd` was written to since `j` was made, or is half reverted
help: if the disk was in use since: remove `j`
help: if a revert was interrupted: vhd-util revert -n a.vhd -j j --force

"#]],
    );
    assert!(fs::read(bench.path("a.vhd")).unwrap() == used);
    bench.run(["revert", "-n", "a.vhd", "-j", "j", "--force"]).code(0).stdout_eq("").stderr_eq("");
    assert!(fs::read(bench.path("a.vhd")).unwrap() == before && !bench.path("j").exists());
}

#[test]
fn what_is_no_journal_of_the_image_is_refused_and_stays() {
    let bench = bench();
    interrupted(&bench, "RESIZE_END", &["resize", "-n", "a.vhd", "-s", "128", "-j", "j"]);
    fs::write(bench.path("text"), b"hello").unwrap();
    let names = ["a.vhd", "room.vhd", "j", "text"];
    let read = || names.map(|name| fs::read(bench.path(name)).unwrap());
    let before = read();
    let refused = |image: &str, journal: &str, status: i32| {
        let run = bench.run(["revert", "-n", image, "-j", journal]).code(status);
        run.stdout_eq(format!("opening journal failed: -{status}\n"))
    };
    refused("a.vhd", "text", 22);
    refused("a.vhd", "room.vhd", 22);
    refused("a.vhd", "nope", 2);
    refused("nope", "j", 2);
    refused("room.vhd", "j", 22);
    refused("a.vhd", "a.vhd", 22).stderr_eq("error: `a.vhd` is the image itself, not its journal\n");
    refused("room.vhd", "text", 22).stderr_eq(str![[r#"
error: cannot use journal `text`: header is 512 bytes at 0, `text` has 5
help: `room.vhd` is in the middle of no resize

"#]]);
    assert!(read() == before);
}

#[test]
fn relinking_can_be_interrupted() {
    for (point, parent) in [("BEGIN", "a.vhd"), ("LOCATOR", "room.vhd"), ("END", "room.vhd")] {
        let bench = bench();
        bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
        interrupted(&bench, &format!("REPARENT_{point}"), &["modify", "-n", "b.vhd", "-p", "room.vhd"]);
        // Whatever it left, the image has a parent and can be given it again.
        let path = bench.path(parent).display().to_string();
        bench.run(["query", "-n", "b.vhd", "-p"]).code(0).stdout_eq(format!("{path}\n"));
        bench.run(["modify", "-n", "b.vhd", "-p", "room.vhd"]).code(0);
        bench.run(["check", "-n", "b.vhd"]).code(0);
    }
}
