//! `copy`: all of a disk, encrypted as blktap 4 does it; and whatever goes wrong, no half of one.

use std::fs;
use std::os::unix::fs::symlink;

use blockcrypto::{Cipher, Key};
use snapbox::{IntoData, str};
use vhd::{Disk, Image};

use crate::bench::Bench;
use crate::key::key;
use crate::sample::{dynamic, edit_footers};

const USAGE: &str =
    "options: -n <name> -N <new VHD name> [-k <keyfile> | -E (pass encryption key on stdin)] [-h help] \n";

/// `a.vhd` of 8 MiB with parts of two blocks, `b.vhd` on it with a sector of its own in the first one.
fn bench() -> Bench {
    let bench = Bench::with(&[
        ("a.vhd", &dynamic(8)),
        ("long", &key(64)),
        ("short", &key(32)),
        ("odd", &key(33)),
        ("equal", &[7; 64]),
    ]);
    let mut disk = Disk::open_rw(&bench.path("a.vhd")).unwrap();
    disk.write_at(512, &[1; 1024]).unwrap();
    disk.write_at(5 << 20, &[2; 1 << 20]).unwrap();
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    Disk::open_rw(&bench.path("b.vhd")).unwrap().write_at(0, &[3; 1024]).unwrap();
    bench
}

fn read(bench: &Bench, name: &str) -> Vec<u8> {
    let disk = Disk::open(&bench.path(name)).unwrap();
    let mut bytes = vec![9; usize::try_from(disk.size_bytes()).unwrap()];
    disk.read_at(0, &mut bytes).unwrap();
    bytes
}

/// What a machine with the key reads: sectors that the image holds are decrypted, others are zeros.
fn decrypted(bench: &Bench, name: &str, key: &[u8]) -> Vec<u8> {
    let cipher = Cipher::new(&Key::new(key).unwrap()).unwrap();
    let mut bytes = read(bench, name);
    let disk = Disk::open(&bench.path(name)).unwrap();
    let mut at = 0;
    for run in disk.map(0, disk.size_bytes()).unwrap() {
        let range = usize::try_from(at).unwrap()..usize::try_from(at + run.len_bytes).unwrap();
        if run.place != vhd::map::Place::Zero {
            cipher.decrypt(at / 512, bytes[range].as_chunks_mut().0);
        }
        at += run.len_bytes;
    }
    bytes
}

fn names(bench: &Bench) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn a_copy_reads_as_its_source_and_has_no_parent() {
    let bench = bench();
    for name in ["a.vhd", "b.vhd"] {
        bench.run(["copy", "-n", name, "-N", "c.vhd"]).code(0).stdout_eq("").stderr_eq("");
        bench.run(["query", "-n", "c.vhd", "-vpa"]).code(0).stdout_eq("8\nc.vhd has no parent\n2\n");
        bench.run(["check", "-n", "c.vhd"]).code(0);
        bench.run(["key", "-p", "-n", "c.vhd"]).code(0).stdout_eq("none\n");
        assert!(read(&bench, "c.vhd") == read(&bench, name), "{name}");
        let uuid = |name: &str| Image::open(&bench.path(name)).unwrap().footer().uuid;
        assert_ne!(uuid("c.vhd"), uuid(name));
        fs::remove_file(bench.path("c.vhd")).unwrap();
    }
    assert_eq!(names(&bench).len(), 6);
}

#[test]
fn fixed_and_foreign_disks_are_copied_too() {
    let bench = bench();
    bench.run(["create", "-n", "fixed.vhd", "-s", "4", "-r"]).code(0);
    Disk::open_rw(&bench.path("fixed.vhd")).unwrap().write_at(1536, &[5; 512]).unwrap();
    // A disk that is no whole number of blocks, as others make them: the copy ends with the block.
    let mut odd = dynamic(4);
    edit_footers(&mut odd, |footer| footer.current_bytes -= 512);
    fs::write(bench.path("odd.vhd"), odd).unwrap();
    Disk::open_rw(&bench.path("odd.vhd")).unwrap().write_at((4 << 20) - 1024, &[6; 512]).unwrap();
    for name in ["fixed.vhd", "odd.vhd"] {
        bench.run(["copy", "-n", name, "-N", "c.vhd", "-k", "long"]).code(0).stdout_eq("");
        let mut expected = read(&bench, name);
        expected.resize(4 << 20, 0);
        assert!(decrypted(&bench, "c.vhd", &key(64))[..expected.len() - 512] == expected[..expected.len() - 512]);
        fs::remove_file(bench.path("c.vhd")).unwrap();
    }
}

#[test]
fn with_the_key_an_encrypted_copy_reads_as_its_source() {
    let bench = bench();
    for (file, bits) in [("short", 256), ("long", 512)] {
        let key = fs::read(bench.path(file)).unwrap();
        bench.run(["copy", "-n", "b.vhd", "-N", "c.vhd", "-k", file]).code(0).stdout_eq("").stderr_eq("");
        let plain = read(&bench, "b.vhd");
        assert!(decrypted(&bench, "c.vhd", &key) == plain);
        let stored = read(&bench, "c.vhd");
        assert!(stored.chunks(512).zip(plain.chunks(512)).take(4096).all(|(stored, plain)| stored != plain));
        bench.run(["query", "-n", "c.vhd", "-a"]).stdout_eq("2\n");

        let named = format!("c,aes-xts-plain,{bits}.key");
        fs::rename(bench.path(file), bench.path(&named)).unwrap();
        bench.run(["key", "-c", "-n", "c.vhd", "-k", &named]).code(0);
        fs::remove_file(bench.path("c.vhd")).unwrap();
    }
}

/// The source has one whole block; blktap 4's copies of it hold these bytes at these places.
#[test]
fn an_encrypted_copy_has_the_bytes_of_blktap() {
    let places = [1536, 2077, 4096, 4096 + (1 << 20), 4096 + (2 << 20) - 16];
    let zeros = "0".repeat(64);
    let golden = [
        (
            32,
            [
                "ffffffff00000007",
                &format!("01{zeros}bb2275c49f28ad52cae6d55e34a974a58c7a3ba26f976e8ecbbe7a536918dc73"),
                "34bfa8bf464ad5dc4933958f07067d91",
                "4634b233ca05060b0a368c0f05479e44",
                "34b3bd2cae3b47bb234afabcf3280a49",
            ],
        ),
        (
            64,
            [
                "ffffffff00000007",
                &format!("01{zeros}dc7a48014fc1fac8b52af39bc7ea5cafafabf8bb81fb8f880fdf3b4a4566795c"),
                "bf9916a9beab71332a699f4a65ca3dd0",
                "a742e42d4c47032e54c5b16d5770df90",
                "52c8242d83fa4eede21e2eae3b078759",
            ],
        ),
    ];
    let bench = Bench::with(&[("a.vhd", &dynamic(4))]);
    let block: Vec<u8> = (4096..8192u32).flat_map(|sector| [u8::try_from(sector % 251).unwrap(); 512]).collect();
    Disk::open_rw(&bench.path("a.vhd")).unwrap().write_at(2 << 20, &block).unwrap();
    for (key_bytes, expected) in golden {
        let run = bench.command().args(["copy", "-n", "a.vhd", "-N", "c.vhd", "-E"]).stdin(key(key_bytes)).assert();
        run.code(0).stdout_eq("").stderr_eq("");
        let copy = fs::read(bench.path("c.vhd")).unwrap();
        for (place, expected) in places.into_iter().zip(expected) {
            assert_eq!(base16ct::lower::encode_string(&copy[place..][..expected.len() / 2]), expected, "{place}");
        }
        assert_eq!(copy.len(), 2_101_760);
        fs::remove_file(bench.path("c.vhd")).unwrap();
    }
}

/// A copy that must fail, and leave everything as it was.
fn check(bench: &Bench, arguments: &[&str], status: i32, stdout: impl IntoData, stderr: impl IntoData) {
    let look = || {
        let contents = |name: &std::ffi::OsString| fs::read(bench.path(name.to_str().unwrap())).ok();
        let names = names(bench);
        (names.iter().map(contents).collect::<Vec<_>>(), names)
    };
    let before = look();
    let run = bench.command().arg("copy").args(arguments).stdin(key(33)).assert();
    run.code(status).stdout_eq(stdout).stderr_eq(stderr);
    assert!(look() == before, "{arguments:?}");
}

#[test]
fn what_exists_is_never_overwritten() {
    let bench = bench();
    symlink("nowhere", bench.path("link")).unwrap();
    fs::create_dir(bench.path("d")).unwrap();
    for target in ["a.vhd", "b.vhd", "./b.vhd", "short", "link", "d", "."] {
        let expected = format!("VHD file {target} already exists, chose a different name\n");
        check(&bench, &["-n", "b.vhd", "-N", target], 22, expected.clone(), "");
        check(&bench, &["-n", "b.vhd", "-N", target, "-k", "short"], 22, expected, "");
    }
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    let bench = bench();
    check(&bench, &["-n", "nope", "-N", "c.vhd"], 2, "error opening nope: -2\n", "error: [..]\n");
    check(&bench, &["-n", "short", "-N", "c.vhd"], 22, "error opening short: -22\n", "error: [..]\n");
    check(&bench, &["-n", "a.vhd", "-N", "x/c.vhd"], 2, "error creating x/c.vhd: -2\n", "error: [..]\n");
    check(&bench, &["-n", "a.vhd", "-N", ""], 2, "error creating : -2\n", "error: [..]\n");
    // The second block is cut off.
    let image = fs::read(bench.path("a.vhd")).unwrap();
    let footer = &image[image.len() - 512..];
    fs::write(bench.path("a.vhd"), [&image[..3 << 20], footer].concat()).unwrap();
    check(
        &bench,
        &["-n", "a.vhd", "-N", "c.vhd", "-k", "long"],
        22,
        "Failed to encrypt block 2: -22\n",
        "error: [..]\n",
    );
    fs::remove_file(bench.path("a.vhd")).unwrap();
    check(&bench, &["-n", "b.vhd", "-N", "c.vhd"], 2, "error opening b.vhd: -2\n", "error: [..]\n");
}

#[test]
fn encrypted_disks_are_not_copied() {
    let bench = bench();
    bench.run(["create", "-n", "e.vhd", "-s", "8"]).code(0);
    bench.run(["key", "-s", "-n", "e.vhd", "-H", &"a".repeat(64)]).code(0);
    bench.run(["snapshot", "-e", "-n", "f.vhd", "-p", "e.vhd"]).code(0);
    for name in ["e.vhd", "f.vhd"] {
        let expected = format!("error: cannot copy an encrypted disk: `{name}`\n");
        check(&bench, &["-n", name, "-N", "c.vhd"], 95, "", expected.clone());
        check(&bench, &["-n", name, "-N", "c.vhd", "-k", "long"], 95, "", expected);
    }
}

#[test]
fn what_is_no_key_is_refused_where_it_stands() {
    let bench = bench();
    let refused = |arguments: &[&str], status, stdout: &str, stderr: &str| {
        let all = [&["-n", "a.vhd", "-N", "c.vhd"], arguments].concat();
        check(&bench, &all, status, stdout.to_owned(), stderr.to_owned());
    };
    let size = "Unsupported keysize, use either 256 bit or 512 bit key\nerror: key has 33 bytes, not 32 or 64\n";
    refused(&["-k", "odd"], 1, "", size);
    refused(&["-E"], 1, "", size);
    refused(&["-k", "nope"], 2, "Failed to open key file nope: 2\n", "error: [..]\n");
    refused(&["-k", "nope", "-h"], 2, "Failed to open key file nope: 2\n", "error: [..]\n");
    refused(&["-k", "."], 1, "", "Unsupported keysize, use either 256 bit or 512 bit key\nerror: [..]\n");
    refused(&["-k", "short", "-k", "long"], 1, "", "Only supply -E or -k once\n");
    refused(&["-k", "short", "-E"], 1, "", "Only supply -E or -k once\n");
    refused(&["-k", "equal"], 22, "", "error: first and second half of the key are equal\n");
}

#[test]
fn wrong_options_print_the_usage() {
    const HELP: &str = "help: vhd-util copy --help\n";
    let bench = bench();
    check(&bench, &["-h"], 22, USAGE, HELP);
    check(&bench, &["-Z"], 22, USAGE, format!("copy: invalid option -- 'Z'\n{HELP}"));
    check(&bench, &["-n", "a.vhd", "-N", "c.vhd", "long"], 22, USAGE, HELP);
    for arguments in [&[][..], &["-n", "a.vhd"], &["-N", "c.vhd"]] {
        check(
            &bench,
            arguments,
            22,
            USAGE,
            str![[r#"
Must supply both existing and new VHD names
help: vhd-util copy --help

"#]],
        );
    }
}
