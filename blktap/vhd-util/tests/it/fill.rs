//! `fill`: every block has a place, and reads as before.

use std::fs;

use vhd::Disk;

use crate::bench::Bench;
use crate::sample::{dynamic, edit_footers};

#[test]
fn every_block_gets_a_place_and_keeps_its_data() {
    let bench = Bench::with(&[("a.vhd", &dynamic(8))]);
    Disk::open_rw(&bench.path("a.vhd")).unwrap().write_at(512, &[1; 512]).unwrap();
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    bench.run(["fill", "-n", "b.vhd"]).code(0).stdout_eq("").stderr_eq("");
    bench.run(["query", "-n", "b.vhd", "-a"]).code(0).stdout_eq("4\n");
    fs::write(bench.path("raw.img"), []).unwrap();
    bench.run(["modify", "-n", "b.vhd", "-p", "raw.img", "-m"]).code(0);
    let mut bytes = vec![9; 8 << 20];
    Disk::open(&bench.path("b.vhd")).unwrap().read_at(0, &mut bytes).unwrap();
    let expected = [vec![0; 512], vec![1; 512], vec![0; (8 << 20) - 1024]].concat();
    assert!(bytes == expected);
}

/// `fill -b` of an image with one sector of data: which blocks have a place then (`read -B`), which sectors are there.
fn check_places(image: &str, options: &[&str], blocks: u8, extents: &str) {
    let bench = Bench::with(&[("a.vhd", &dynamic(16))]);
    Disk::open_rw(&bench.path("a.vhd")).unwrap().write_at(4096 * 512, &[1; 512]).unwrap();
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    let data = |name| bench.run(["read", "-n", name, "-r", "0", "-c", "32768"]).code(0).get_output().stdout.clone();
    let before = data(image);
    bench.run(["fill", "-b", "-n", image].iter().chain(options)).code(0).stdout_eq("").stderr_eq("");
    let found = bench.run(["read", "-n", image, "-B"]).code(0).get_output().stdout.clone();
    assert_eq!(found, [blocks], "{image} {options:?}: {found:?}");
    assert!(data(image) == before, "{image} {options:?}");
    bench.run(["read", "-n", image, "-e", "0", "-c", "32768"]).code(0).stdout_eq(extents.to_owned());
    bench.run(["check", "-b", "-n", image]).code(0).stdout_eq(format!("{image} is valid\n"));
}

#[test]
fn b_gives_blocks_a_place_and_leaves_the_data_alone() {
    check_places("a.vhd", &[], 0xff, "0 4097\n8192 24576\n");
    check_places("a.vhd", &["-f", "8191", "-t", "12288"], 0b0111_0000, "4096 1\n8192 8192\n");
    check_places("a.vhd", &["-f", "28672"], 0b0100_0001, "4096 1\n28672 4096\n");
    check_places("a.vhd", &["-t", "0", "-B"], 0b1100_0000, "0 4097\n");
    // The data of a parent shows through.
    check_places("b.vhd", &[], 0xff, "");
}

#[test]
fn b_does_not_look_for_parents() {
    let bench = Bench::with(&[("a.vhd", &dynamic(8))]);
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    fs::remove_file(bench.path("a.vhd")).unwrap();
    bench.run(["fill", "-n", "b.vhd", "-b"]).code(0);
    bench.run(["query", "-n", "b.vhd", "-a"]).code(0).stdout_eq("4\n");
    bench.run(["fill", "-n", "b.vhd"]).code(2).stdout_eq("");
}

#[test]
fn b_stops_at_what_a_bat_can_name() {
    let mut image = dynamic(8);
    // A last block behind which nothing can begin.
    image[1540..1544].copy_from_slice(&0xffff_f000u32.to_be_bytes());
    let bench = Bench::with(&[("a.vhd", &image)]);
    let stdout = "sector offset for extent 0 exceeds the 2 TB limit\n";
    bench.run(["fill", "-n", "a.vhd", "-b"]).code(75).stdout_eq(stdout).stderr_eq("");
    let warning = "warning: 3 blocks from 0 on get no place\n";
    bench.run(["fill", "-n", "a.vhd", "-b", "-B"]).code(0).stdout_eq("").stderr_eq(warning);
    bench.run(["fill", "-n", "a.vhd", "-b", "-f", "4096", "-t", "4096"]).code(0).stdout_eq("").stderr_eq("");
    assert!(fs::read(bench.path("a.vhd")).unwrap() == image);
}

#[test]
fn what_cannot_be_filled_says_so() {
    let mut poisoned = dynamic(8);
    edit_footers(&mut poisoned, |footer| footer.is_poisoned = true);
    let bench = Bench::with(&[("a.vhd", &dynamic(8)), ("poisoned.vhd", &poisoned)]);
    bench.run(["create", "-n", "fixed.vhd", "-s", "2", "-r"]).code(0);
    for options in [&[][..], &["-b"]] {
        let run = |name| bench.run(["fill", "-n", name].iter().chain(options));
        run("nope").code(2).stdout_eq("error opening nope: -2\n");
        run("poisoned.vhd").code(22).stdout_eq("error opening poisoned.vhd: -22\n");
        run("fixed.vhd").code(22).stdout_eq("");
    }
    for options in [&["-f", "16384"][..], &["-t", "16384"], &["-f", "18446744073709551615"]] {
        bench.run(["fill", "-n", "a.vhd", "-b"].iter().chain(options)).code(34).stdout_eq("");
    }
    assert!(fs::read(bench.path("a.vhd")).unwrap() == dynamic(8));
}
