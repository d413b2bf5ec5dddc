//! `key`: hashes as blktap 4 computes and stores them, in batmap headers and in attributes; keys that do not fit.

use std::fs;

use snapbox::{IntoData, str};
use vhd::Disk;

use crate::bench::Bench;
use crate::sample::{dynamic, edit_footers};

const KEY_HASH: &str = "user.com.citrix.xenclient.backend.keyhash";
const MARKER: &str = "user.com.citrix.xenclient.backend.marker";
const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Hashes of the keys 0, 1, 2, … of 256 and 512 bits without a nonce, as blktap 4 prints them.
const HASH_256: &str = "bb2275c49f28ad52cae6d55e34a974a58c7a3ba26f976e8ecbbe7a536918dc73";
const HASH_512: &str = "dc7a48014fc1fac8b52af39bc7ea5cafafabf8bb81fb8f880fdf3b4a4566795c";

/// The key 0, 1, 2, …
pub(crate) fn key(bits: u8) -> Vec<u8> {
    (0..bits).collect()
}

/// `a.vhd`, empty, and keys under its name; `full.vhd`, with data.
fn bench() -> Bench {
    let (long, short) = (key(64), key(32));
    let bench = Bench::with(&[
        ("a.vhd", &dynamic(4)),
        ("full.vhd", &dynamic(4)),
        ("long", &long),
        ("short", &short),
        ("long+1", &key(65)),
        ("a,aes-xts-plain,512.key", &long),
        ("a,aes-xts-plain,256.key", &short),
        ("full,aes-xts-plain,512.key", &short),
    ]);
    Disk::open_rw(&bench.path("full.vhd")).unwrap().write_at(0, &[1; 512]).unwrap();
    bench
}

/// An empty disk of another creator, which has no batmap.
fn foreign() -> Vec<u8> {
    let mut image = dynamic(4);
    edit_footers(&mut image, |footer| footer.creator.app = *b"vpc ");
    image
}

/// Whether files of the bench can have attributes; said where not.
fn has_attributes(bench: &Bench, test: &str) -> bool {
    let set = rustix::fs::setxattr(bench.path("long"), "user.probe", b"1", rustix::fs::XattrFlags::empty());
    if let Err(errno) = set {
        println!("SKIPPED {test}: files for tests cannot have attributes ({errno})");
    }
    set.is_ok()
}

fn check(arguments: &[&str], status: i32, stdout: impl IntoData, stderr: impl IntoData) {
    bench().run([&["key"], arguments].concat()).code(status).stdout_eq(stdout).stderr_eq(stderr);
}

#[test]
fn hashes_are_computed_as_by_blktap() {
    let nonce = "aA".repeat(32);
    check(&["-C", "-k", "short"], 0, format!("{HASH_256}\n"), "");
    check(&["-C", "-k", "long"], 0, format!("{HASH_512}\n"), "");
    let expected = "ba41eb115a13e3b0ea595fdc61e325fcbd38f214f461676674de5b28667bc967\n";
    check(&["-C", "-k", "long", "-N", &nonce], 0, expected, "");
}

#[test]
fn a_hash_is_set_checked_and_shown() {
    let bench = bench();
    let print = |name: &str, expected: &str| {
        bench.run(["key", "-p", "-n", name]).code(0).stdout_eq(format!("{expected}\n")).stderr_eq("");
    };
    let before = fs::read(bench.path("a.vhd")).unwrap();
    print("a.vhd", "none");
    bench.run(["key", "-s", "-n", "a.vhd", "-k", "a,aes-xts-plain,256.key"]).code(0).stdout_eq("").stderr_eq("");
    print("a.vhd", &format!("{ZEROS} {HASH_256}"));
    let after = fs::read(bench.path("a.vhd")).unwrap();
    let raw = [vec![1], vec![0; 32], base16ct::lower::decode_vec(HASH_256).unwrap()].concat();
    assert!(after == [&before[..2048 + 29], &raw, &before[2048 + 29 + 65..]].concat());

    bench.run(["key", "-c", "-n", "a.vhd", "-k", "a,aes-xts-plain,256.key"]).code(0).stdout_eq("").stderr_eq("");
    bench.run(["key", "-c", "-n", "a.vhd", "-k", "a,aes-xts-plain,512.key"]).code(22).stdout_eq("").stderr_eq(str![[
        r#"
error: `a,aes-xts-plain,512.key` is not the key of `a.vhd`
key check failed: -22

"#
    ]]);

    let nonce = "b".repeat(64);
    bench.run(["key", "-s", "-n", "a.vhd", "-H", &"C".repeat(64), "-N", &nonce]).code(0).stdout_eq("");
    print("a.vhd", &format!("{nonce} {}", "c".repeat(64)));
    bench.run(["check", "-n", "a.vhd"]).code(0).stdout_eq("a.vhd is valid\n");
    let line =
        format!("vhd=a.vhd capacity=4194304 size=3584 hidden=0 marker=0 keyhash={} parent=none\n", "c".repeat(64));
    bench.run(["scan", "-M", "a.vhd"]).code(0).stdout_eq(line);
    bench.run(["set", "-n", "a.vhd", "-f", "marker", "-v", "7"]).code(0);
    bench.run(["snapshot", "-e", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    print("b.vhd", &format!("{nonce} {}", "c".repeat(64)));
}

#[test]
fn what_holds_data_can_have_no_key() {
    let bench = bench();
    bench.run(["create", "-n", "fixed.vhd", "-s", "2", "-r"]).code(0);
    for (name, why) in [("full.vhd", "holds data already"), ("fixed.vhd", "is a fixed disk")] {
        let before = fs::read(bench.path(name)).unwrap();
        let expected = format!("error: `{name}` {why}: it can have no key\nsetting key failed: -22\n");
        bench.run(["key", "-s", "-n", name, "-k", "short"]).code(22).stdout_eq("").stderr_eq(expected);
        bench.run(["key", "-p", "-n", name]).code(0).stdout_eq("none\n");
        assert!(fs::read(bench.path(name)).unwrap() == before);
    }
}

#[test]
fn keys_are_named_for_their_image() {
    let named = |action: &str, key: &str, status, stderr: &str| {
        check(&[action, "-n", "a.vhd", "-k", key], status, "", stderr.to_owned());
    };
    let misnamed = "\
error: `short` is not named for `a.vhd`
help: name it `a,aes-xts-plain,512.key`, with the number of bits that the key has
setting key failed: -1
";
    named("-s", "short", 1, misnamed);
    named("-s", "full,aes-xts-plain,512.key", 1, &misnamed.replace("short", "full,aes-xts-plain,512.key"));
    named("-c", "a,aes-xts-plain,256.key", 22, "[..]not encrypted\nkey check failed: -22\n");
    let bench = bench();
    fs::copy(bench.path("a.vhd"), bench.path("full.vhd")).unwrap();
    bench.run(["key", "-s", "-n", "full.vhd", "-k", "full,aes-xts-plain,512.key"]).code(22).stderr_eq(str![[r#"
error: `full,aes-xts-plain,512.key` has a key of 256 bits; its name says 512
setting key failed: -22

"#]]);
    bench.run(["key", "-s", "-n", "a.vhd", "-k", "nowhere/a,aes-xts-plain,512.key"]).code(2).stdout_eq("");
}

#[test]
fn printing_hides_no_failure() {
    check(&["-s", "-p", "-n", "full.vhd", "-k", "short"], 22, "none\n", "...\nsetting key failed: -22\n");
    check(&["-c", "-p", "-n", "a.vhd", "-k", "a,aes-xts-plain,512.key"], 22, "none\n", "...\nkey check failed: -22\n");
    let printed = format!("{ZEROS} {HASH_512}\n");
    check(&["-s", "-p", "-n", "a.vhd", "-k", "a,aes-xts-plain,512.key"], 0, printed, "");
}

#[test]
fn what_is_no_key_and_no_hash_is_refused() {
    check(&["-C", "-k", "nope"], 2, "", "error: cannot read `nope`: No such file or directory (os error 2)\n");
    check(&["-C", "-k", "."], 21, "", "error: cannot read `.`: Is a directory (os error 21)\n");
    check(&["-C", "-k", "long+1"], 22, "", "error: cannot use `long+1`: key has more than 64 bytes, not 32 or 64\n");
    for digits in ["", "zz", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
        check(&["-C", "-k", "short", "-N", digits], 22, "", "error: nonce is not 64 digits in hexadecimal: `[..]`\n");
        let expected = "error: hash is not 64 digits in hexadecimal: `[..]`\nsetting key failed: -22\n";
        check(&["-s", "-n", "a.vhd", "-H", digits], 22, "", expected);
    }
    check(&["-p", "-n", "long"], 22, "", "failed to open long: -22\nerror: [..]\n");
    check(&["-p", "-n", "nope"], 2, "", "failed to open nope: -2\nerror: cannot open `nope`: [..]\n");
}

#[test]
fn wrong_options_print_the_usage_on_standard_error() {
    let usage = str![[r#"
...
usage:
-C -k KEYPATH [-N NONCE]: calculate keyhash for KEYPATH
-s -n NAME <-k KEYPATH> | -H HASH> [-N NONCE]: set keyhash for NAME
-c -n NAME <-k KEYPATH>: check keyhash for NAME
-p -n NAME: print keyhash for NAME
-h help

"#]];
    let set = ["-s", "-n", "a.vhd"];
    let wrong = [
        &[][..],
        &["-Z"],
        &["-C"],
        &["-p"],
        &["-n", "a.vhd"],
        &["-p", "-n", "a.vhd", "more"],
        &set,
        &[&set[..], &["-k", "short", "-H", HASH_256]].concat(),
        &[&set[..], &["-c", "-k", "short"]].concat(),
        &["-c", "-n", "a.vhd"],
        &["-c", "-n", "a.vhd", "-k", "short", "-N", ZEROS],
        &["-c", "-n", "a.vhd", "-k", "short", "-H", ZEROS],
    ];
    for arguments in wrong {
        check(arguments, 22, "", usage.clone());
    }
    check(&["-h"], 0, "", usage.clone());
    check(&["-s", "-h", "-Z"], 0, "", usage);
}

#[test]
fn without_a_batmap_attributes_hold_hash_and_marker() {
    let bench = bench();
    if !has_attributes(&bench, "without_a_batmap_attributes_hold_hash_and_marker") {
        return;
    }
    let image = foreign();
    fs::write(bench.path("a.vhd"), &image).unwrap();
    bench.run(["key", "-p", "-n", "a.vhd"]).code(0).stdout_eq("none\n");
    bench.run(["query", "-m", "-n", "a.vhd"]).code(0).stdout_eq("marker: 0\n");
    bench.run(["key", "-s", "-n", "a.vhd", "-k", "a,aes-xts-plain,512.key"]).code(0).stdout_eq("").stderr_eq("");
    bench.run(["set", "-n", "a.vhd", "-f", "marker", "-v", "200"]).code(0);
    assert!(fs::read(bench.path("a.vhd")).unwrap() == image);

    let attribute = |name| {
        let mut bytes = [0; 100];
        let len = rustix::fs::getxattr(bench.path("a.vhd"), name, &mut bytes[..]).unwrap();
        bytes[..len].to_vec()
    };
    let raw = [vec![1], vec![0; 32], base16ct::lower::decode_vec(HASH_512).unwrap()].concat();
    assert_eq!((attribute(KEY_HASH), attribute(MARKER)), (raw, vec![200]));
    bench.run(["key", "-p", "-n", "a.vhd"]).code(0).stdout_eq(format!("{ZEROS} {HASH_512}\n"));
    bench.run(["key", "-c", "-n", "a.vhd", "-k", "a,aes-xts-plain,512.key"]).code(0);
    bench.run(["query", "-m", "-n", "a.vhd"]).code(0).stdout_eq("marker: -56\n");
    let line = format!("[..] hidden=0 marker=200 keyhash={HASH_512} parent=none\n");
    bench.run(["scan", "-M", "a.vhd"]).code(0).stdout_eq(line);
    bench.run(["create", "-n", "fixed.vhd", "-s", "2", "-r"]).code(0);
    bench.run(["set", "-n", "fixed.vhd", "-f", "marker", "-v", "9"]).code(0).stdout_eq("");
    bench.run(["query", "-n", "fixed.vhd", "-sm"]).code(0).stdout_eq("2097664\nmarker: 9\n");
    // The child is ours and has a batmap.
    bench.run(["snapshot", "-e", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    bench.run(["key", "-p", "-n", "b.vhd"]).code(0).stdout_eq(format!("{ZEROS} {HASH_512}\n"));
}

#[test]
fn attributes_of_a_wrong_length_are_errors() {
    let bench = bench();
    if !has_attributes(&bench, "attributes_of_a_wrong_length_are_errors") {
        return;
    }
    fs::write(bench.path("a.vhd"), foreign()).unwrap();
    let set = |name: &str, len: usize| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(bench.path("a.vhd"), name, &vec![1; len], flags).unwrap();
    };
    for (len, status) in [(66, 34), (3, 22), (0, 22)] {
        set(KEY_HASH, len);
        bench
            .run(["key", "-p", "-n", "a.vhd"])
            .code(status)
            .stdout_eq("")
            .stderr_eq("error: cannot read attribute [..]\n");
        let line = format!("vhd=a.vhd scan-error=-{status} error-message='checking markers'\n");
        bench.run(["scan", "-M", "a.vhd"]).code(status).stdout_eq(line);
        bench.run(["scan", "a.vhd"]).code(0).stdout_eq("vhd=a.vhd [..]\n");
        bench.run(["snapshot", "-e", "-n", "b.vhd", "-p", "a.vhd"]).code(status);
        assert!(!bench.path("b.vhd").exists());
    }
    set(MARKER, 2);
    bench.run(["query", "-m", "-n", "a.vhd"]).code(34).stdout_eq("error checking 'marker' field: -34\n");
}
