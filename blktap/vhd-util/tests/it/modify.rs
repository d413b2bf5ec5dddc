//! `modify`: relinking, footers elsewhere, dropping data.

use std::fs;

use vhd::{Disk, Image};

use crate::bench::Bench;
use crate::sample::dynamic;

/// `b.vhd` on `a.vhd`, and `new.vhd`, which is no parent yet; sectors 0 of a and new, and 1 of b, are written.
fn bench() -> Bench {
    let bench = Bench::with(&[("a.vhd", &dynamic(64)), ("raw.img", &[7; 4096])]);
    fs::create_dir(bench.path("d")).unwrap();
    bench.run(["create", "-n", "d/new.vhd", "-s", "64"]).code(0);
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    for (name, offset, value) in [("a.vhd", 0, 1), ("b.vhd", 512, 2), ("d/new.vhd", 0, 3)] {
        Disk::open_rw(&bench.path(name)).unwrap().write_at(offset, &[value; 512]).unwrap();
    }
    bench
}

fn sectors(bench: &Bench, name: &str) -> Vec<u8> {
    let mut bytes = [9; 1536];
    Disk::open(&bench.path(name)).unwrap().read_at(0, &mut bytes).unwrap();
    bytes.chunks(512).map(|sector| sector[0]).collect()
}

#[test]
fn a_child_gets_another_parent() {
    let bench = bench();
    assert_eq!(sectors(&bench, "b.vhd"), [1, 2, 0]);
    bench.run(["modify", "-n", "b.vhd", "-p", "d/new.vhd"]).code(0).stdout_eq("").stderr_eq("");
    assert_eq!(sectors(&bench, "b.vhd"), [3, 2, 0]);
    bench.run(["query", "-n", "b.vhd", "-pu"]).code(0).stdout_eq("./d/new.vhd\n");
    let image = Image::open(&bench.path("b.vhd")).unwrap();
    let header = image.header().unwrap();
    assert_eq!(header.parent_name.decode().unwrap(), "new.vhd");
    let paths = header.locators.iter().filter(|slot| slot.is_used()).map(|slot| image.locator_path(slot).unwrap());
    assert_eq!(paths.collect::<Vec<_>>(), ["./d/new.vhd"; 3].map(std::path::PathBuf::from));
    bench.run(["modify", "-n", "b.vhd", "-p", "raw.img", "-m"]).code(0).stdout_eq("");
    assert_eq!(sectors(&bench, "b.vhd"), [7, 2, 7]);
    bench.run(["modify", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    assert_eq!(sectors(&bench, "b.vhd"), [1, 2, 0]);
}

/// A change that must fail and leave the image as it was.
fn check(arguments: &[&str], status: i32, stdout: &str) {
    let bench = bench();
    let read = || ["a.vhd", "b.vhd"].map(|name| fs::read(bench.path(name)).unwrap());
    let before = read();
    bench.run([&["modify"], arguments].concat()).code(status).stdout_eq(stdout.to_owned());
    assert!(read() == before, "{arguments:?}");
}

#[test]
fn links_that_make_no_sense_are_refused() {
    // What a parent would be does not matter to a disk that has none.
    check(&["-n", "a.vhd", "-p", "nope"], 22, "failed to set parent to 'nope': -22\n");
    check(&["-n", "b.vhd", "-p", "nope"], 2, "failed to set parent to 'nope': -2\n");
    check(&["-n", "b.vhd", "-p", "raw.img"], 22, "failed to set parent to 'raw.img': -22\n");
    check(&["-n", "b.vhd", "-p", "b.vhd"], 22, "failed to set parent to 'b.vhd': -22\n");
    check(&["-n", "a.vhd", "-p", "b.vhd"], 22, "failed to set parent to 'b.vhd': -22\n");
    check(&["-n", "a.vhd", "-p", "d/new.vhd"], 22, "failed to set parent to 'd/new.vhd': -22\n");
    check(&["-n", "nope", "-p", "a.vhd"], 2, "error opening nope: -2\n");
}

#[test]
fn a_path_that_does_not_fit_is_refused() {
    let bench = bench();
    let deep = format!("{}/{}", "x".repeat(200), "y".repeat(200));
    fs::create_dir_all(bench.path(&deep)).unwrap();
    let parent = format!("{deep}/p.vhd");
    fs::copy(bench.path("a.vhd"), bench.path(&parent)).unwrap();
    bench.run(["modify", "-n", "b.vhd", "-p", &parent]).code(36);
    assert_eq!(sectors(&bench, "b.vhd"), [1, 2, 0]);
    // A new child makes the room that it needs.
    bench.run(["snapshot", "-n", "c.vhd", "-p", &parent]).code(0);
    assert_eq!(sectors(&bench, "c.vhd"), [1, 0, 0]);
}

#[test]
fn the_footer_moves_with_the_size() {
    let bench = bench();
    let len = fs::metadata(bench.path("b.vhd")).unwrap().len();
    let size = (len + (1 << 20)).to_string();
    bench.run(["modify", "-n", "b.vhd", "-s", &size]).code(0).stdout_eq("");
    assert_eq!(fs::metadata(bench.path("b.vhd")).unwrap().len(), len + (1 << 20));
    assert_eq!(sectors(&bench, "b.vhd"), [1, 2, 0]);
    let bytes = fs::read(bench.path("b.vhd")).unwrap();
    assert!(bytes[..512] == bytes[bytes.len() - 512..]);
    check(&["-n", "b.vhd", "-s", "4096"], 22, "failed to set physical size to 4096: -22\n");
    check(&["-n", "b.vhd", "-s", "0"], 22, "failed to set physical size to 0: -22\n");
}

#[test]
fn data_can_be_dropped() {
    let bench = bench();
    bench.run(["modify", "-n", "b.vhd", "-z"]).code(0).stdout_eq("");
    assert_eq!(sectors(&bench, "b.vhd"), [1, 0, 0]);
    let size = bench.run(["query", "-n", "b.vhd", "-s"]).code(0).get_output().stdout.clone();
    let len = fs::metadata(bench.path("b.vhd")).unwrap().len();
    assert_eq!(String::from_utf8(size).unwrap(), format!("{len}\n"), "the space is given back");
    bench.run(["query", "-n", "b.vhd", "-a"]).code(0).stdout_eq("0\n");
    Disk::open_rw(&bench.path("b.vhd")).unwrap().write_at(1024, &[5; 512]).unwrap();
    assert_eq!(sectors(&bench, "b.vhd"), [1, 0, 5]);
    // Before the size changes: a volume can shrink to what is left.
    bench.run(["modify", "-n", "b.vhd", "-z", "-s", "1048576"]).code(0).stdout_eq("");
    assert_eq!(sectors(&bench, "b.vhd"), [1, 0, 0]);
    assert_eq!(fs::metadata(bench.path("b.vhd")).unwrap().len(), 1 << 20);
    bench.run(["create", "-n", "f.vhd", "-s", "2", "-r"]).code(0);
    bench.run(["modify", "-n", "f.vhd", "-z"]).code(38).stdout_eq("failed to zero VHD: -38\n");
}
