//! `snapshot`: links, which image a child goes on, limits, and what is never overwritten.

use std::fs;
use std::path::PathBuf;

use snapbox::{IntoData, str};
use vhd::{Disk, Image, chain};

use crate::bench::Bench;
use crate::sample::{dynamic, edit_footers};

/// `a.vhd` of 64 MiB with one block; `b.vhd` on it, empty.
fn bench() -> Bench {
    let bench = Bench::with(&[("a.vhd", &dynamic(64)), ("raw.img", &[7; 3 << 20])]);
    Disk::open_rw(&bench.path("a.vhd")).unwrap().write_at(0, &[1; 512]).unwrap();
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0).stdout_eq("").stderr_eq("");
    bench
}

fn parent(bench: &Bench, name: &str) -> PathBuf {
    chain::stored_parent(&Image::open(&bench.path(name)).unwrap()).unwrap().unwrap()
}

#[test]
fn a_snapshot_has_the_layout_of_libvhd() {
    let bench = bench();
    let bytes = fs::read(bench.path("b.vhd")).unwrap();
    assert_eq!(bytes.len(), 5120);
    assert_eq!(bytes[3072..][..14], *b"file://./a.vhd");
    let image = Image::open(&bench.path("b.vhd")).unwrap();
    let locators = image.header().unwrap().locators;
    let places: Vec<_> =
        locators.iter().filter(|locator| locator.is_used()).map(|at| (at.offset, at.space.0)).collect();
    assert_eq!(places, [(3072, 512), (3584, 512), (4096, 512)]);
    for locator in &locators[..3] {
        assert_eq!(image.locator_path(locator).unwrap(), PathBuf::from("./a.vhd"));
    }
    let base = Image::open(&bench.path("a.vhd")).unwrap();
    assert_eq!(image.header().unwrap().parent_uuid, base.footer().uuid);
    assert_eq!(image.header().unwrap().parent_name.decode().unwrap(), "a.vhd");
    assert_eq!(image.footer().current_bytes, 64 << 20);
}

#[test]
fn a_child_is_as_large_as_a_parent_that_another_program_made() {
    let mut image = dynamic(64);
    // As qemu rounds 8 MiB to its geometry.
    crate::sample::edit_footers(&mut image, |footer| footer.current_bytes = 8_390_656);
    let bench = Bench::with(&[("a.vhd", &image)]);
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    let image = Image::open(&bench.path("b.vhd")).unwrap();
    assert_eq!((image.footer().current_bytes, image.header().unwrap().max_bat_entries), (8_390_656, 5));
    bench.run(["check", "-n", "b.vhd"]).code(0);
}

#[test]
fn an_empty_parent_is_left_out_unless_asked_for() {
    let bench = bench();
    bench.run(["snapshot", "-n", "c.vhd", "-p", "b.vhd"]).code(0);
    bench.run(["snapshot", "-n", "d.vhd", "-p", "b.vhd", "-e"]).code(0);
    assert_eq!((parent(&bench, "c.vhd"), parent(&bench, "d.vhd")), ("./a.vhd".into(), "./b.vhd".into()));
    Disk::open_rw(&bench.path("b.vhd")).unwrap().write_at(512, &[2; 512]).unwrap();
    bench.run(["snapshot", "-n", "c.vhd", "-p", "b.vhd"]).code(0);
    assert_eq!(parent(&bench, "c.vhd"), PathBuf::from("./b.vhd"));
}

#[test]
fn a_child_has_the_key_hash_of_its_parent() {
    let mut image = dynamic(64);
    image[2048 + 29] = 1;
    image[2048 + 30..2048 + 94].fill(0x5a);
    let bench = Bench::with(&[("a.vhd", &image)]);
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    bench.run(["snapshot", "-n", "c.vhd", "-p", "b.vhd", "-e", "-S", "2097152"]).code(0);
    let key_hash = |name: &str| {
        let image = Image::open(&bench.path(name)).unwrap();
        image.batmap().unwrap().unwrap().header().key_hash
    };
    assert!(key_hash("a.vhd").is_some());
    assert_eq!((key_hash("b.vhd"), key_hash("c.vhd")), (key_hash("a.vhd"), key_hash("a.vhd")));
    bench.run(["query", "-n", "c.vhd", "-vS"]).code(0).stdout_eq("64\n2097152\n");
}

#[test]
fn a_path_leads_from_the_child_to_the_parent() {
    let bench = bench();
    fs::create_dir_all(bench.path("x/y")).unwrap();
    bench.run(["snapshot", "-n", "x/y/c.vhd", "-p", "./a.vhd"]).code(0);
    assert_eq!(parent(&bench, "x/y/c.vhd"), PathBuf::from("../../a.vhd"));
    bench.run(["snapshot", "-n", "d.vhd", "-e", "-p", "x/y/c.vhd"]).code(0);
    assert_eq!(parent(&bench, "d.vhd"), PathBuf::from("./x/y/c.vhd"));
    bench.run(["query", "-n", "d.vhd", "-d"]).code(0).stdout_eq("chain depth: 3\n");
}

#[test]
fn a_raw_parent_has_no_identity_and_ends_the_chain() {
    let bench = bench();
    bench.run(["snapshot", "-n", "c.vhd", "-p", "raw.img", "-m", "-l", "1"]).code(0).stdout_eq("");
    bench.run(["snapshot", "-n", "d.vhd", "-p", "c.vhd"]).code(0);
    for name in ["c.vhd", "d.vhd"] {
        let image = Image::open(&bench.path(name)).unwrap();
        assert_eq!((image.header().unwrap().parent_uuid.is_nil(), image.footer().current_bytes), (true, 3 << 20));
        assert_eq!(parent(&bench, name), PathBuf::from("./raw.img"));
    }
    let mut bytes = vec![1; 3 << 20];
    let mut disk = Disk::open_rw(&bench.path("d.vhd")).unwrap();
    disk.write_at(512, &[9; 512]).unwrap();
    disk.read_at(0, &mut bytes).unwrap();
    let expected = [vec![7; 512], vec![9; 512], vec![7; (3 << 20) - 1024]].concat();
    assert!(bytes == expected);
}

#[test]
fn children_read_through_and_leave_their_parents_alone() {
    let bench = bench();
    let before = fs::read(bench.path("a.vhd")).unwrap();
    Disk::open_rw(&bench.path("b.vhd")).unwrap().write_at(512, &[2; 512]).unwrap();
    bench.run(["snapshot", "-n", "c.vhd", "-p", "b.vhd"]).code(0);
    let mut disk = Disk::open_rw(&bench.path("c.vhd")).unwrap();
    disk.write_at(1024, &[3; 512]).unwrap();
    disk.write_at((64 << 20) - 512, &[4; 512]).unwrap();
    let mut bytes = [9; 2048];
    Disk::open(&bench.path("c.vhd")).unwrap().read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes.chunks(512).map(|sector| sector[0]).collect::<Vec<_>>(), [1, 2, 3, 0]);
    assert!(fs::read(bench.path("a.vhd")).unwrap() == before);
}

#[test]
fn a_parent_that_is_not_the_one_that_was_linked_is_refused() {
    let bench = bench();
    fs::remove_file(bench.path("a.vhd")).unwrap();
    bench.run(["create", "-n", "a.vhd", "-s", "64"]).code(0);
    assert_eq!(Disk::open(&bench.path("b.vhd")).unwrap_err().errno(), 22);
}

#[test]
fn a_parent_whose_own_parent_is_lost_is_a_parent() {
    let bench = bench();
    Disk::open_rw(&bench.path("b.vhd")).unwrap().write_at(512, &[2; 512]).unwrap();
    fs::remove_file(bench.path("a.vhd")).unwrap();
    // Also onto a file that exists, like every logical volume.
    fs::write(bench.path("c.vhd"), [0; 512]).unwrap();
    for options in [&["-e"][..], &[]] {
        bench.run(["snapshot", "-n", "c.vhd", "-p", "b.vhd"].iter().chain(options)).code(0).stdout_eq("");
        assert_eq!(parent(&bench, "c.vhd"), PathBuf::from("./b.vhd"));
    }
}

#[test]
fn an_image_under_a_journal_is_no_parent() {
    let mut poisoned = dynamic(64);
    edit_footers(&mut poisoned, |footer| footer.is_poisoned = true);
    let bench = bench();
    fs::write(bench.path("a.vhd"), poisoned).unwrap();
    bench.run(["snapshot", "-n", "c.vhd", "-p", "a.vhd"]).code(22).stdout_eq("");
    bench.run(["snapshot", "-n", "c.vhd", "-p", "b.vhd"]).code(22).stdout_eq("");
    let stdout = "error checking snapshot depth: -22\n";
    bench.run(["snapshot", "-n", "c.vhd", "-p", "b.vhd", "-e", "-l", "9"]).code(22).stdout_eq(stdout);
    let stdout = "failed to set parent to 'a.vhd': -22\n";
    bench.run(["modify", "-n", "b.vhd", "-p", "a.vhd"]).code(22).stdout_eq(stdout);
    bench.run(["query", "-n", "b.vhd", "-d"]).code(22).stdout_eq("error checking chain depth: -22\n");
    assert!(!bench.path("c.vhd").exists());
}

/// A snapshot that must fail and leave `a.vhd` and `b.vhd` as they are.
fn check(arguments: &[&str], status: i32, stdout: impl IntoData, stderr: impl IntoData) {
    let bench = bench();
    let read = || (fs::read(bench.path("a.vhd")).unwrap(), fs::read(bench.path("b.vhd")).unwrap());
    let before = read();
    bench.run([&["snapshot"], arguments].concat()).code(status).stdout_eq(stdout).stderr_eq(stderr);
    assert!(read() == before && !bench.path("c.vhd").exists(), "{arguments:?}");
}

#[test]
fn chains_have_a_limit() {
    check(
        &["-n", "c.vhd", "-p", "b.vhd", "-e", "-l", "2"],
        28,
        str![[r#"
snapshot depth exceeded: current depth: 2, limit: 2

"#]],
        "",
    );
    // The empty parent is left out before the limit is looked at.
    let bench = bench();
    bench.run(["snapshot", "-n", "c.vhd", "-p", "b.vhd", "-l", "2"]).code(0);
    bench.run(["snapshot", "-n", "d.vhd", "-p", "b.vhd", "-e", "-l", "3"]).code(0);
}

#[test]
fn a_snapshot_never_overwrites_what_it_stands_on() {
    for name in ["a.vhd", "b.vhd", "./a.vhd"] {
        check(
            &["-n", name, "-e", "-p", "b.vhd"],
            22,
            "",
            str![[r#"
[..]: failed to create: -22
error: `[..]` is part of the chain that its own snapshot would need

"#]],
        );
    }
}

#[test]
fn what_cannot_be_a_parent_is_told() {
    check(
        &["-n", "c.vhd", "-p", "nope"],
        2,
        "",
        str![[r#"
error: cannot open `nope`: No such file or directory (os error 2)

"#]],
    );
    check(
        &["-n", "c.vhd", "-p", "raw.img"],
        22,
        "",
        str![[r#"
error: cannot read footer of `raw.img`: cookie is [..]

"#]],
    );
    check(
        &["-n", "c.vhd", "-p", "a.vhd", "-S", "32"],
        22,
        "",
        str![[r#"
c.vhd: failed to create: -22
error: cannot create `c.vhd`: room for 33554432 bytes cannot hold a disk of 67108864

"#]],
    );
}
