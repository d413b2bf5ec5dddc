//! `convert`: what it says, and what is at DST when it fails or is killed.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use snapbox::{IntoData, str};
use vhd::Disk;

use crate::bench::Bench;
use crate::sample::dynamic;

const MIB: usize = 1 << 20;

/// A raw disk of 3 MiB and a sector, with data at both ends.
fn raw() -> Vec<u8> {
    let mut bytes = vec![0; 3 * MIB + 512];
    bytes[..5000].fill(1);
    bytes[3 * MIB..].fill(2);
    bytes
}

fn bench() -> Bench {
    Bench::with(&[("a.raw", &raw()), ("a.vhd", &dynamic(64))])
}

fn check(bench: &Bench, arguments: &[&str], status: i32, stdout: impl IntoData, stderr: impl IntoData) {
    bench.run([&["convert"], arguments].concat()).code(status).stdout_eq(stdout).stderr_eq(stderr);
}

#[test]
fn every_format_becomes_every_other() {
    let bench = bench();
    check(
        &bench,
        &["-n", "a.raw", "--from", "raw", "-o", "d.vhd", "--to", "dynamic"],
        0,
        str![[r#"
d.vhd: dynamic, 4194304 bytes, 12288 of them data

"#]],
        str![[r#"
note: the disk has 3146240 bytes; the VHD is rounded up to 2 MiB with zeros

"#]],
    );
    check(
        &bench,
        &["--debug", "--name=d.vhd", "--output", "f.vhd", "--to=fixed", "--no-sync"],
        0,
        str![[r#"
f.vhd: fixed, 4194304 bytes, 12288 of them data

"#]],
        str![],
    );
    check(
        &bench,
        &["-nf.vhd", "-ob.raw", "--to", "raw", "--json", "--preallocate"],
        0,
        str![[r#"
{"source":"f.vhd","source_size_bytes":4194304,"target":"b.raw","format":"raw","size_bytes":4194304,"data_bytes":12288,"blocks":null,"file_bytes":4194304}

"#]],
        str![],
    );
    assert!(fs::read(bench.path("b.raw")).unwrap()[..raw().len()] == raw());
    bench.run(["check", "-b", "-n", "d.vhd"]).code(0).stdout_eq("d.vhd is valid\n");
    bench.run(["query", "-vaS", "-n", "d.vhd"]).code(0).stdout_eq("4\n2\n4\n");
}

#[test]
fn a_chain_is_flattened() {
    let bench = bench();
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd", "-e"]).code(0);
    for (name, offset, value) in [("a.vhd", 0, 1), ("b.vhd", 512, 2), ("b.vhd", 10 << 20, 3)] {
        Disk::open_rw(&bench.path(name)).unwrap().write_at(offset, &[value; 512]).unwrap();
    }
    check(
        &bench,
        &["-n", "b.vhd", "-o", "c.vhd", "--to", "dynamic", "-S", "1024", "--json"],
        0,
        str![[r#"
{"source":"b.vhd","source_size_bytes":67108864,"target":"c.vhd","format":"dynamic","size_bytes":67108864,"data_bytes":8192,"blocks":2,"file_bytes":4207104}

"#]],
        str![],
    );
    let mut bytes = [0; 1024];
    Disk::open(&bench.path("c.vhd")).unwrap().read_at(0, &mut bytes).unwrap();
    assert_eq!((bytes[0], bytes[512]), (1, 2));
    bench.run(["query", "-pS", "-n", "c.vhd"]).code(0).stdout_eq("c.vhd has no parent\n1024\n");
}

#[test]
fn what_is_at_dst_stays_unless_it_may_go() {
    let bench = bench();
    fs::write(bench.path("b"), "old").unwrap();
    check(
        &bench,
        &["-n", "a.vhd", "-o", "b", "--to", "raw"],
        17,
        str![],
        str![[r#"
error: cannot convert to `b`: it exists
help: `--force` replaces it

"#]],
    );
    assert_eq!(fs::read(bench.path("b")).unwrap(), b"old");
    check(
        &bench,
        &["-n", "a.vhd", "-o", "./a.vhd", "--to", "raw", "--force"],
        22,
        str![],
        str![[r#"
error: cannot convert to `./a.vhd`: `./a.vhd` is `a.vhd`, which is part of what is converted

"#]],
    );
    bench.run(["convert", "-n", "a.vhd", "-o", "b", "--to", "raw", "--force"]).code(0);
    assert_eq!(fs::metadata(bench.path("b")).unwrap().len(), 64 << 20);
}

#[test]
fn wrong_options_are_told_with_a_way_out() {
    let bench = bench();
    for (arguments, line) in [
        (&["-n", "a.vhd", "-o", "b"][..], "--to is missing"),
        (&["-o", "b", "--to", "raw"], "-n is missing"),
        (&["-n", "a.vhd", "--to", "raw"], "-o is missing"),
        (&["-n", "a.vhd", "-o", "b", "--to", "qcow2"], "--to is `qcow2`, not one of raw, fixed, dynamic"),
        (&["-n", "a.vhd", "-o", "b", "--to", "raw", "--from", "x"], "--from is `x`, not one of vhd, raw"),
        (&["-n", "a.vhd", "-o", "b", "--to", "dynamic", "-S", "1G"], "-S is `1G`, not a whole number"),
        (
            &["-n", "a.vhd", "-o", "b", "--to", "fixed", "-S", "64"],
            "-S makes room for a dynamic disk to grow, and this one is none",
        ),
        (&["-n", "a.vhd", "-Z"], "invalid option '-Z'"),
        (&["a.vhd"], "`a.vhd` is no option"),
        (&["-n"], "missing argument for option '-n'"),
        (&["--json=1"], "unexpected argument for option '--json': \"1\""),
    ] {
        let expected = format!("error: {line}\nhelp: vhd-util convert --help\n");
        check(&bench, arguments, 22, "", expected);
    }
    let help = bench.run(["convert", "--help"]).code(0).stderr_eq("").get_output().stdout.clone();
    assert!(String::from_utf8(help).unwrap().contains("Examples:"));
}

#[test]
fn sizes_and_sources_that_cannot_be_are_told() {
    let bench = bench();
    let sparse = fs::File::create(bench.path("large.raw")).unwrap();
    sparse.set_len((2040 << 30) + 1).unwrap();
    check(
        &bench,
        &["-n", "large.raw", "--from", "raw", "-o", "b", "--to", "dynamic"],
        22,
        str![],
        str![[r#"
error: `large.raw` has 2190433321472 bytes, more than 2040 GiB
help: XenServer takes no larger VHD; `--force` makes it anyway

"#]],
    );
    check(
        &bench,
        &["-n", "a.raw", "-o", "b", "--to", "raw"],
        22,
        str![],
        str![[r#"
error: cannot read footer of `a.raw`: cookie is "/x02/x02/x02/x02/x02/x02/x02/x02", not "conectix"
help: a raw disk is converted with `--from raw`

"#]],
    );
    bench.run(["convert", "-n", "none", "-o", "b", "--to", "raw"]).code(2).stdout_eq("");
    bench.run(["convert", "-n", "a.vhd", "-o", "none/b", "--to", "raw"]).code(2).stdout_eq("");
    assert!(!bench.path("b").exists());
}

#[test]
fn a_large_sparse_disk_is_quickly_done_in_both_directions() {
    let bench = bench();
    fs::File::create(bench.path("a")).unwrap().set_len(2040 << 30).unwrap();
    bench.run(["convert", "-n", "a", "--from", "raw", "-o", "b", "--to", "dynamic"]).code(0);
    bench.run(["convert", "-n", "b", "-o", "c", "--to", "raw"]).code(0);
    assert_eq!(fs::metadata(bench.path("c")).unwrap().len(), 2040 << 30);
    bench.run(["query", "-va", "-n", "b"]).code(0).stdout_eq("2088960\n0\n");
}

/// What stands in the directory besides what was converted.
fn left(bench: &Bench) -> Vec<String> {
    let names = fs::read_dir(bench.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| !["a.raw", "a.vhd"].contains(&name.as_str())).collect()
}

#[test]
fn a_killed_convert_leaves_nothing_or_all() {
    let bytes: Vec<u8> = (0..40 * MIB).map(|at| u8::try_from(at / 4096 % 255).unwrap() + 1).collect();
    let bench = Bench::with(&[("a.raw", &bytes)]);
    let mut kills = 0;
    for (step, to) in (0..36u64).zip(["dynamic", "fixed", "raw"].into_iter().cycle()) {
        let mut convert = Command::new(snapbox::cmd::cargo_bin!("vhd-util"));
        convert.args(["convert", "-n", "a.raw", "--from", "raw", "-o", "b", "--to", to]).current_dir(bench.path("."));
        let mut convert = convert.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(step * step * 200));
        convert.kill().unwrap();
        kills += u32::from(!convert.wait().unwrap().success());
        if left(&bench).is_empty() {
            continue;
        }
        assert_eq!(left(&bench), ["b"], "after {step}");
        let disk = match to {
            "raw" => Disk::open_raw(&bench.path("b")),
            _ => Disk::open(&bench.path("b")),
        };
        let mut found = vec![0; bytes.len()];
        disk.unwrap().read_at(0, &mut found).unwrap();
        assert!(found == bytes, "after {step}");
        fs::remove_file(bench.path("b")).unwrap();
    }
    assert!(kills > 0, "the first is killed before it begins");
}

#[test]
fn a_disk_that_is_full_leaves_nothing_at_dst() {
    let bench = Bench::with(&[("a.raw", &[7; 8 * MIB])]);
    // A limit on file size stands in for a full disk: both fail in the middle of the writes.
    let script = "ulimit -f 4096; trap '' XFSZ; exec \"$@\"";
    for arguments in [&["dynamic"][..], &["fixed"], &["raw"], &["dynamic", "--preallocate"], &["raw", "--no-sync"]] {
        let output = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(snapbox::cmd::cargo_bin!("vhd-util"))
            .args(["convert", "-n", "a.raw", "--from", "raw", "-o", "b", "--to"])
            .args(arguments)
            .current_dir(bench.path("."))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(27), "{output:?}");
        assert!(left(&bench).is_empty(), "{arguments:?}");
    }
}
