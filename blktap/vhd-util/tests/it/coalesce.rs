//! `coalesce`: outputs of C blktap 4 byte for byte, and what a kill leaves behind.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use vhd::{Disk, Image};

use crate::bench::Bench;
use crate::oracle::{check, write};
use crate::sample::{dynamic, edit_footers};

const MIB: usize = 1 << 20;

/// `a.vhd` of 64 MiB with a block, and `b.vhd` on it with a block and three sectors.
fn bench() -> (Bench, Vec<u8>) {
    let bench = Bench::with(&[("a.vhd", &dynamic(64))]);
    let mut oracle = vec![0; 64 * MIB];
    write(&bench.path("a.vhd"), 0, &[1; 2 * MIB], &mut oracle);
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    write(&bench.path("b.vhd"), 4 * MIB, &[2; 2 * MIB], &mut oracle);
    write(&bench.path("b.vhd"), 512, &[3; 1536], &mut oracle);
    (bench, oracle)
}

#[test]
fn the_parent_reads_what_the_child_read() {
    let (bench, oracle) = bench();
    let child = fs::read(bench.path("b.vhd")).unwrap();
    bench.run(["coalesce", "--debug", "-n", "b.vhd"]).code(0).stdout_eq("Coalesced 4099 sectors").stderr_eq("");
    check(&bench, "a.vhd", &oracle);
    check(&bench, "b.vhd", &oracle);
    assert!(fs::read(bench.path("b.vhd")).unwrap() == child);
    // Again is nothing new.
    let size = fs::metadata(bench.path("a.vhd")).unwrap().len();
    bench.run(["coalesce", "-n", "b.vhd"]).code(0).stdout_eq("Coalesced 4099 sectors");
    assert_eq!(fs::metadata(bench.path("a.vhd")).unwrap().len(), size);
}

#[test]
fn progress_is_a_line_that_is_written_over() {
    let (bench, _) = bench();
    let percents: String = (0..32).map(|block| format!("\r{:6.2}%", f64::from(block) / 32.0 * 100.0)).collect();
    let expected = format!("opening for sparse writes\n{percents}\r100.00%\nCoalesced 4099 sectors");
    bench.run(["coalesce", "-n", "b.vhd", "-s", "-p"]).code(0).stdout_eq(expected).stderr_eq("");
}

#[test]
fn a_raw_parent_is_written_and_grows() {
    let bench = Bench::with(&[("raw.img", &[7; 4 * MIB])]);
    bench.run(["snapshot", "-n", "b.vhd", "-p", "raw.img", "-m"]).code(0);
    fs::File::options().write(true).open(bench.path("raw.img")).unwrap().set_len(3 * MIB as u64).unwrap();
    let mut oracle = vec![7; 3 * MIB];
    oracle.resize(4 * MIB, 0);
    write(&bench.path("b.vhd"), 3 * MIB - 512, &[1; 1024], &mut oracle);
    bench.run(["coalesce", "-n", "b.vhd"]).code(0).stdout_eq("Coalesced 2 sectors");
    assert!(fs::read(bench.path("raw.img")).unwrap() == oracle[..3 * MIB + 512]);
    check(&bench, "b.vhd", &oracle);
}

#[test]
fn what_cannot_be_coalesced_is_told_as_libvhd_does() {
    let usage = "options: <-n name> [-s sparse] [-p progress] [-h help]\n";
    let (bench, _) = bench();
    for arguments in [&["coalesce"][..], &["coalesce", "-n", "b.vhd", "x"], &["coalesce", "-h"]] {
        bench.run(arguments).code(22).stdout_eq(usage);
    }
    bench.run(["coalesce", "-n", "none"]).code(2).stdout_eq("error opening none: -2\nerror coalescing: -2\n");
    let text = "coalescing of non-differencing disks is not supported\nerror coalescing: -22\n";
    bench.run(["coalesce", "-n", "a.vhd"]).code(22).stdout_eq(text);
    fs::rename(bench.path("a.vhd"), bench.path("c.vhd")).unwrap();
    let text = "error finding b.vhd parent: -2\nerror coalescing: -2\n";
    bench.run(["coalesce", "-n", "b.vhd"]).code(2).stdout_eq(text);
    fs::write(bench.path("a.vhd"), "no image").unwrap();
    let path = bench.path("a.vhd").canonicalize().unwrap();
    let text = format!("error opening {}: -22\nerror coalescing: -22\n", path.display());
    bench.run(["coalesce", "-n", "b.vhd"]).code(22).stdout_eq(text);
}

#[test]
fn nothing_is_coalesced_out_of_or_into_an_image_in_the_middle_of_a_resize() {
    for (name, shown) in [("b.vhd", "b.vhd".to_owned()), ("a.vhd", "[..]/a.vhd".to_owned())] {
        let (bench, _) = bench();
        let mut image = fs::read(bench.path(name)).unwrap();
        edit_footers(&mut image, |footer| footer.is_poisoned = true);
        fs::write(bench.path(name), image).unwrap();
        let parent = fs::read(bench.path("a.vhd")).unwrap();
        let text = format!("error opening {shown}: -22\nerror coalescing: -22\n");
        bench.run(["coalesce", "-n", "b.vhd"]).code(22).stdout_eq(text);
        assert!(fs::read(bench.path("a.vhd")).unwrap() == parent);
    }
}

#[test]
fn a_damaged_child_is_no_transient_error() {
    let (bench, _) = bench();
    let mut bytes = fs::read(bench.path("b.vhd")).unwrap();
    bytes[1536..1540].copy_from_slice(&(1u32 << 30).to_be_bytes());
    fs::write(bench.path("b.vhd"), bytes).unwrap();
    bench.run(["coalesce", "-n", "b.vhd"]).code(22).stdout_eq("error coalescing: -22\n");
}

#[test]
fn a_killed_coalesce_is_run_again() {
    let (bench, mut oracle) = bench();
    for block in (8..60).step_by(2) {
        write(&bench.path("b.vhd"), block * MIB, &vec![u8::try_from(block).unwrap(); MIB], &mut oracle);
    }
    let mut kills = 0;
    for micros in (0..40).map(|step| step * step * 40) {
        let mut coalesce = Command::new(snapbox::cmd::cargo_bin!("vhd-util"));
        coalesce.args(["coalesce", "-n", "b.vhd"]).current_dir(bench.path("."));
        let mut coalesce = coalesce.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(micros));
        coalesce.kill().unwrap();
        kills += u32::from(!coalesce.wait().unwrap().success());
        let mut bytes = vec![0; oracle.len()];
        Disk::open(&bench.path("b.vhd")).unwrap().read_at(0, &mut bytes).unwrap();
        assert!(bytes == oracle, "killed after {micros} us");
        bench.run(["repair", "-n", "a.vhd"]).code(0);
        bench.run(["check", "-n", "a.vhd"]).code(0);
    }
    assert!(kills > 0, "the first is killed before it begins");
    bench.run(["coalesce", "-n", "b.vhd"]).code(0);
    check(&bench, "a.vhd", &oracle);
    assert_eq!(Image::open(&bench.path("a.vhd")).unwrap().bat().unwrap().allocated_blocks(), 28);
}

#[test]
fn options_that_blktap_only_knows_by_name_are_refused() {
    let (bench, _) = bench();
    let parent = fs::read(bench.path("a.vhd")).unwrap();
    let usage = "options: <-n name> [-s sparse] [-p progress] [-h help]\n";
    for option in ["-o", "-a", "-x"] {
        bench.run(["coalesce", "-n", "b.vhd", option, "c.vhd"]).code(22).stdout_eq(usage);
    }
    assert!(fs::read(bench.path("a.vhd")).unwrap() == parent && !bench.path("c.vhd").exists());
}
