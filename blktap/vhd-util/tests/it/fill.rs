//! `fill`: every block has a place, and reads as before.

use vhd::Disk;

use crate::bench::Bench;
use crate::sample::dynamic;

#[test]
fn every_block_gets_a_place_and_keeps_its_data() {
    let bench = Bench::with(&[("a.vhd", &dynamic(8))]);
    Disk::open_rw(&bench.path("a.vhd")).unwrap().write_at(512, &[1; 512]).unwrap();
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    bench.run(["fill", "-n", "b.vhd"]).code(0).stdout_eq("").stderr_eq("");
    bench.run(["query", "-n", "b.vhd", "-a"]).code(0).stdout_eq("4\n");
    std::fs::write(bench.path("raw.img"), []).unwrap();
    bench.run(["modify", "-n", "b.vhd", "-p", "raw.img", "-m"]).code(0);
    let mut bytes = vec![9; 8 << 20];
    Disk::open(&bench.path("b.vhd")).unwrap().read_at(0, &mut bytes).unwrap();
    let expected = [vec![0; 512], vec![1; 512], vec![0; (8 << 20) - 1024]].concat();
    assert!(bytes == expected);
}

#[test]
fn what_is_missing_says_so() {
    let bench = Bench::with(&[("a.vhd", &dynamic(8))]);
    bench.run(["fill", "-n", "a.vhd", "-b"]).code(95).stdout_eq("");
    bench.run(["fill", "-n", "nope"]).code(2).stdout_eq("error opening nope: -2\n");
    bench.run(["query", "-n", "a.vhd", "-a"]).code(0).stdout_eq("0\n");
}
