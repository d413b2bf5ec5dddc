//! `resize`: what it says, its statuses, and the disks that it leaves.

use std::fs;

use snapbox::{IntoData, str};
use vhd::Disk;

use crate::bench::Bench;
use crate::sample::dynamic;

/// `a.vhd` of 64 MiB with data at both ends, `room.vhd` with tables for 1000 MiB, `fixed.vhd` of 4 MiB.
pub(crate) fn bench() -> Bench {
    let bench = Bench::with(&[("a.vhd", &dynamic(64)), ("raw.img", &[0; 4096])]);
    bench.run(["create", "-n", "room.vhd", "-s", "64", "-S", "1000"]).code(0);
    bench.run(["create", "-n", "fixed.vhd", "-s", "4", "-r"]).code(0);
    for name in ["a.vhd", "room.vhd", "fixed.vhd"] {
        let mut disk = Disk::open_rw(&bench.path(name)).unwrap();
        disk.write_at(0, &[1; 512]).unwrap();
        disk.write_at(disk.size_bytes() - 512, &[2; 512]).unwrap();
        disk.flush().unwrap();
    }
    bench
}

/// The sectors that [`bench`] wrote, and the last one of the disk.
pub(crate) fn sectors(bench: &Bench, name: &str, old_mib: u64) -> [u8; 3] {
    let disk = Disk::open(&bench.path(name)).unwrap();
    [0, (old_mib << 20) - 512, disk.size_bytes() - 512].map(|at| {
        let mut bytes = [9; 512];
        disk.read_at(at, &mut bytes).unwrap();
        bytes[0]
    })
}

#[test]
fn disks_grow_with_a_journal_and_without() {
    let bench = bench();
    for (name, old_mib, arguments, mib) in [
        ("a.vhd", 64, &["-s", "127", "-j", "j"][..], "128"),
        ("a.vhd", 64, &["-s", "128", "-j", "j"], "128"),
        ("a.vhd", 64, &["-s", "2088960", "-j", "j"], "2088960"),
        ("room.vhd", 64, &["-s", "99", "-f"], "100"),
        ("room.vhd", 64, &["-s", "99", "-f"], "100"),
        ("room.vhd", 64, &["-s", "200", "-j", "j"], "200"),
        ("room.vhd", 64, &["-s", "1000", "-f"], "1000"),
        ("room.vhd", 64, &["-s", "1002", "-j", "j"], "1002"),
        ("fixed.vhd", 4, &["-s", "7", "-j", "j"], "7"),
    ] {
        bench.run([&["resize", "-n", name], arguments].concat()).code(0).stdout_eq("").stderr_eq("");
        bench.run(["query", "-n", name, "-v"]).code(0).stdout_eq(format!("{mib}\n"));
        bench.run(["check", "-n", name]).code(0).stderr_eq("");
        assert_eq!(sectors(&bench, name, old_mib), [1, 2, 0]);
        assert!(!bench.path("j").exists(), "the journal is removed");
    }
    assert_eq!(fs::metadata(bench.path("fixed.vhd")).unwrap().len(), (7 << 20) + 512);
}

#[test]
fn children_and_the_room_for_their_parents_paths_grow() {
    let bench = bench();
    bench.run(["snapshot", "-n", "child.vhd", "-p", "a.vhd"]).code(0);
    bench.run(["resize", "-n", "child.vhd", "-s", "40000", "-j", "j"]).code(0);
    assert_eq!(sectors(&bench, "child.vhd", 64), [1, 2, 0]);
    bench.run(["check", "-n", "child.vhd", "-p"]).code(0);
    bench
        .run(["query", "-n", "child.vhd", "-vp"])
        .code(0)
        .stdout_eq(format!("40000\n{}\n", bench.path("a.vhd").display()));
}

/// A resize that must fail and change nothing.
fn check(arguments: &[&str], status: i32, stdout: impl IntoData, stderr: impl IntoData) {
    let bench = bench();
    fs::write(bench.path("taken"), b"mine").unwrap();
    let read = || ["a.vhd", "room.vhd", "fixed.vhd", "taken"].map(|name| fs::read(bench.path(name)).unwrap());
    let before = read();
    bench.run([&["resize"], arguments].concat()).code(status).stdout_eq(stdout).stderr_eq(stderr);
    assert!(read() == before && !bench.path("j").exists(), "{arguments:?}");
}

#[test]
fn what_cannot_be_resized_is_left_as_it_is() {
    check(
        &["-n", "a.vhd", "-s", "62", "-j", "j"],
        38,
        str![[r#"
dynamic shrink not fully implemented
resize failed: -38

"#]],
        str![[r#"
error: disk has 67108864 bytes, it cannot shrink to 65011712

"#]],
    );
    check(
        &["-n", "fixed.vhd", "-s", "2", "-j", "j"],
        38,
        "resize failed: -38\n",
        "error: disk has 4194304 bytes, it cannot shrink to 2097152\n",
    );
    check(&["-n", "room.vhd", "-s", "62", "-f"], 22, "room.vhd: size (65011712) < curr size (67108864)\n", "");
    check(
        &["-n", "room.vhd", "-s", "1001", "-f"],
        22,
        "",
        str![[r#"
error: cannot make `room.vhd` as large as 1049624576 bytes: tables have room for 1048576000 bytes
help: vhd-util resize -n room.vhd -s 1001 -j JOURNAL, while nobody uses the disk

"#]],
    );
    check(
        &["-n", "fixed.vhd", "-s", "8", "-f"],
        22,
        "",
        str![[r#"
error: cannot make `fixed.vhd` as large as 8388608 bytes: `fixed.vhd` has no header: its disk type is 2
help: vhd-util resize -n fixed.vhd -s 8 -j JOURNAL, while nobody uses the disk

"#]],
    );
    check(&["-n", "nope", "-s", "128", "-j", "j"], 2, "error opening nope: -2\n", "...\n");
    check(&["-n", "raw.img", "-s", "128", "-j", "j"], 22, "error opening raw.img: -22\n", "...\n");
}

#[test]
fn a_journal_is_a_new_file_or_a_device() {
    check(
        &["-n", "a.vhd", "-s", "128", "-j", "taken"],
        17,
        "creating journal failed: -17\n",
        str![[r#"
error: cannot create journal `taken`: cannot create `taken`: File exists (os error 17)
help: if a resize was interrupted: vhd-util revert -n a.vhd -j taken; else name another file

"#]],
    );
    check(&["-n", "a.vhd", "-s", "128", "-j", "no/j"], 2, "creating journal failed: -2\n", "...\n");
    check(&["-n", "a.vhd", "-s", "128", "-j", "a.vhd"], 17, "creating journal failed: -17\n", "...\n");
}

#[test]
fn disks_that_cannot_be_filled_are_refused() {
    let stderr = str![[r#"
error: a disk of 2088961 MiB could not be filled: block addresses end at 2 TiB
help: the largest disk is -s 2088960 (MiB); use qcow2 for larger ones, or add --force

"#]];
    check(&["-n", "a.vhd", "-s", "2088961", "-j", "j"], 22, "", stderr.clone());
    check(&["-n", "room.vhd", "-s", "2088961", "-f"], 22, "", stderr);
    let bench = bench();
    bench.run(["resize", "--force", "-n", "a.vhd", "-s", "2097152", "-j", "j"]).code(0).stderr_eq("");
    bench.run(["query", "-n", "a.vhd", "-v"]).code(0).stdout_eq("2097152\n");
    bench.run(["resize", "--force", "-n", "a.vhd", "-s", "99999999999999999", "-j", "j"]).code(27);
}

#[test]
fn only_images_of_blktap_are_resized() {
    let mut image = dynamic(64);
    crate::sample::edit_footers(&mut image, |footer| footer.creator.app = *b"vpc ");
    let bench = Bench::with(&[("v.vhd", &image)]);
    for way in [&["-f"][..], &["-j", "j"]] {
        bench
            .run([&["resize", "-n", "v.vhd", "-s", "128"], way].concat())
            .code(22)
            .stdout_eq("v.vhd not created by xen; resize not supported\n")
            .stderr_eq("error: only images that blktap or this program made can be resized\n");
    }
    assert!(fs::read(bench.path("v.vhd")).unwrap() == image);
}

#[test]
fn a_disk_that_is_full_leaves_the_image_as_it_was() {
    let bench = bench();
    let before = fs::read(bench.path("a.vhd")).unwrap();
    // A limit on file size stands in for a full disk: the journal fits, what goes to the end does not. In KiB.
    let limit = before.len() / 1024 + 100;
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -f {limit}; trap '' XFSZ; exec \"$@\""), "sh"])
        .arg(snapbox::cmd::cargo_bin!("vhd-util"))
        .args(["resize", "-s", "2088960", "-n", "a.vhd", "-j", "j"])
        .current_dir(bench.path("."))
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(27), &b"creating journal failed: -27\n"[..]));
    assert!(fs::read(bench.path("a.vhd")).unwrap() == before && !bench.path("j").exists());
}
