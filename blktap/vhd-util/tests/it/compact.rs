//! `compact`: what it says, what it gives back, and what a kill leaves behind.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use snapbox::str;

use crate::bench::Bench;
use crate::oracle::{check, write};
use crate::sample::{dynamic, edit_footers};

const MIB: usize = 1 << 20;

/// `a.vhd` of 64 MiB with six blocks, of which the second and the fourth are zeros, and what it reads.
fn bench() -> (Bench, Vec<u8>) {
    let bench = Bench::with(&[("a.vhd", &dynamic(64))]);
    let mut oracle = vec![0; 64 * MIB];
    for (block, value) in [1, 0, 2, 0, 3, 4].into_iter().enumerate() {
        write(&bench.path("a.vhd"), 2 * MIB * block, &vec![value; 2 * MIB], &mut oracle);
    }
    (bench, oracle)
}

#[test]
fn blocks_of_zeros_become_holes() {
    let (bench, oracle) = bench();
    let before = fs::metadata(bench.path("a.vhd")).unwrap();
    bench.run(["compact", "-n", "a.vhd", "--dry-run"]).code(0).stderr_eq("").stdout_eq(str![[r#"
a.vhd: 2 of 6 blocks can be dropped, 4195328 bytes

"#]]);
    bench.run(["compact", "-n", "a.vhd"]).code(0).stderr_eq("").stdout_eq(str![[r#"
a.vhd: dropped 2 of 6 blocks, 4195328 bytes; moved 0; file 12608000 -> 12608000 bytes, on disk [..] -> [..]

"#]]);
    check(&bench, "a.vhd", &oracle);
    let after = fs::metadata(bench.path("a.vhd")).unwrap();
    assert!(after.blocks() * 512 <= before.blocks() * 512 - 4 * MIB as u64);
    bench.run(["query", "-a", "-n", "a.vhd"]).code(0).stdout_eq("4\n");
}

#[test]
fn with_move_the_file_ends_earlier() {
    let (bench, oracle) = bench();
    bench.run(["compact", "--name", "a.vhd", "--move", "--json"]).code(0).stderr_eq("").stdout_eq(str![[r#"
{"file":"a.vhd","dry_run":false,"blocks":6,"dropped":2,"dropped_bytes":4195328,"moved":2,"file_bytes_before":12608000,"file_bytes":8405504,"used_bytes_before":[..],"used_bytes":[..]}

"#]]);
    check(&bench, "a.vhd", &oracle);
    bench.run(["compact", "-n", "a.vhd", "--dry-run", "--json"]).code(0).stdout_eq(str![[r#"
{"file":"a.vhd","dry_run":true,"blocks":4,"dropped":0,"dropped_bytes":0}

"#]]);
}

#[test]
fn zeros_that_hide_what_a_parent_holds_stay() {
    let (bench, mut oracle) = bench();
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    // Over data of the parent, and over zeros of it.
    write(&bench.path("b.vhd"), 0, &[0; 512], &mut oracle);
    write(&bench.path("b.vhd"), 2 * MIB, &[0; 2 * MIB], &mut oracle);
    write(&bench.path("b.vhd"), 32 * MIB, &[0; 512], &mut oracle);
    bench.run(["compact", "-n", "b.vhd", "--json", "--dry-run"]).code(0).stdout_eq(str![[r#"
{"file":"b.vhd","dry_run":true,"blocks":3,"dropped":2,"dropped_bytes":4195328}

"#]]);
    bench.run(["compact", "-n", "b.vhd", "--move"]).code(0);
    check(&bench, "b.vhd", &oracle);
}

#[test]
fn what_cannot_be_compacted_is_told_and_left_alone() {
    let mut journaled = dynamic(64);
    edit_footers(&mut journaled, |footer| footer.is_poisoned = true);
    let mut in_use = dynamic(64);
    in_use[3072..].fill(0xc7);
    let bench = Bench::with(&[("j.vhd", &journaled), ("u.vhd", &in_use)]);
    bench.run(["create", "-n", "f.vhd", "-s", "4", "-r"]).code(0);
    for (name, status, text) in [
        ("j.vhd", 22, "error: `j.vhd` is in the middle of a resize: revert its journal first\n"),
        (
            "u.vhd",
            22,
            "error: cannot compact `u.vhd`: its footers differ: somebody has it open, or did not close it (`vhd-util \
             repair` writes both)\n",
        ),
        (
            "f.vhd",
            22,
            "error: cannot compact `f.vhd`: it has no blocks, only a dynamic or differencing disk does\n\
             help: `vhd-util convert --to dynamic` makes a disk that takes no space for zeros\n",
        ),
        ("none", 2, "error: cannot open `none` for writing: No such file or directory (os error 2)\n"),
    ] {
        let before = fs::read(bench.path(name)).ok();
        bench.run(["compact", "-n", name]).code(status).stdout_eq("").stderr_eq(text);
        assert!(before == fs::read(bench.path(name)).ok());
    }
    for (arguments, why) in [(&["compact"][..], "-n is missing"), (&["compact", "-m"], "invalid option '-m'")] {
        bench.run(arguments).code(22).stdout_eq("").stderr_eq(format!("error: {why}\nhelp: vhd-util compact --help\n"));
    }
    let help = bench.run(["compact", "--help"]).code(0).get_output().stdout.clone();
    assert!(String::from_utf8(help).unwrap().contains("Examples:"));
}

#[test]
fn a_killed_compact_is_run_again() {
    let (bench, mut oracle) = bench();
    for block in 6..30 {
        let bytes = vec![u8::try_from(block % 3).unwrap(); 2 * MIB];
        write(&bench.path("a.vhd"), 2 * MIB * block, &bytes, &mut oracle);
    }
    fs::copy(bench.path("a.vhd"), bench.path("full.vhd")).unwrap();
    let mut kills = 0;
    for step in 0..24u64 {
        fs::copy(bench.path("full.vhd"), bench.path("a.vhd")).unwrap();
        let mut compact = Command::new(snapbox::cmd::cargo_bin!("vhd-util"));
        compact.args(["compact", "--move", "-n", "a.vhd"]).current_dir(bench.path("."));
        let mut compact = compact.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(step * step * 250));
        compact.kill().unwrap();
        kills += u32::from(!compact.wait().unwrap().success());
        check(&bench, "a.vhd", &oracle);
        bench.run(["compact", "--move", "-n", "a.vhd"]).code(0);
        check(&bench, "a.vhd", &oracle);
        bench.run(["query", "-as", "-n", "a.vhd"]).code(0).stdout_eq("42025472\n20\n");
    }
    assert!(kills > 0, "the first is killed before it begins");
}
