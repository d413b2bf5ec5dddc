//! `info`, and `query --json`: everything about an image, for people and for machines.

use snapbox::{IntoData, str};
use vhd::Disk;
use vhd::footer::Creator;

use crate::bench::Bench;
use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers};

/// `b.vhd` on `a.vhd`, which has a block; `raw.vhd` on a raw disk.
fn bench() -> Bench {
    let over = |parent: &str, uuid| child(parent.as_ref(), uuid, &LIBVHD_CODES);
    let files: &[(&str, &[u8])] = &[
        ("a.vhd", &dynamic(64)),
        ("b.vhd", &over("./a.vhd", BASE_UUID)),
        ("c.vhd", &over("./nope.vhd", BASE_UUID)),
        ("r.vhd", &over("./raw.img", uuid::Uuid::nil())),
        ("w.vhd", &over("./a.vhd", uuid::Uuid::from_u128(9))),
        ("raw.img", &[0; 512]),
    ];
    let bench = Bench::with(files);
    Disk::open_rw(&bench.path("a.vhd")).unwrap().write_at(0, &[1; 512]).unwrap();
    bench
}

fn check(arguments: &[&str], status: i32, stdout: impl IntoData) {
    bench().run(arguments).code(status).stdout_eq(stdout);
}

#[test]
fn people_get_lines() {
    check(
        &["info", "-n", "b.vhd"],
        0,
        str![[r#"
File:          b.vhd
Kind:          differencing
Size:          64 MiB (67108864 bytes)
Takes:         5 KiB (5120 bytes)
Blocks:        0 of 32 allocated, 2 MiB (2097152 bytes) each
Batmap:        version 1.2, 0 blocks full
UUID:          00000000-0000-0000-0000-000000000002
Created:       2026-10-29T14:40:00Z by tap 1.3
Hidden:        no
Marker:        0
Encrypted:     no
Parent 1:      [..]/a.vhd

"#]],
    );
    check(
        &["info", "-n", "c.vhd"],
        0,
        str![[r#"
File:          c.vhd
...
Parent 1:      ./nope.vhd (not found)
Warning:       cannot find parent `./nope.vhd` of `c.vhd`: No such file or directory (os error 2)

"#]],
    );
    check(
        &["info", "-n", "r.vhd"],
        0,
        str![[r#"
File:          r.vhd
...
Parent 1:      [..]/raw.img (raw)

"#]],
    );
    check(
        &["info", "-n", "w.vhd"],
        0,
        str![[r#"
File:          w.vhd
...
Parent 1:      [..]/a.vhd
Warning:       parent `[..]/a.vhd` has the identity 00000000-0000-0000-0000-00000badcafe, not 00000000-0000-0000-0000-000000000009: it is another image

"#]],
    );
}

#[test]
fn machines_get_an_object() {
    check(
        &["info", "--json", "-n", "b.vhd"],
        0,
        str![[r#"
{"file":"b.vhd","kind":"differencing","virtual_bytes":67108864,"physical_bytes":5120,"file_bytes":5120,"block_bytes":2097152,"blocks":32,"allocated_blocks":0,"max_virtual_bytes":67108864,"batmap":{"version":"1.2","full_blocks":0},"uuid":"00000000-0000-0000-0000-000000000002","created":"2026-10-29T14:40:00Z","creator":{"application":"tap","version":"1.3"},"hidden":0,"marker":0,"keyhash":"","resizing":false,"parents":[{"stored":"./a.vhd","path":"[..]/a.vhd","found":true,"kind":"vhd","uuid":"00000000-0000-0000-0000-00000badcafe"}],"warnings":[]}

"#]],
    );
    check(
        &["info", "-n", "nope", "--json"],
        2,
        str![[r#"
{"file":"nope","errno":2,"error":"cannot open `nope`: No such file or directory (os error 2)"}

"#]],
    );
    bench().run(["info", "-n", "nope"]).code(2).stdout_eq("");
}

#[test]
fn every_key_is_documented() {
    let bench = bench();
    let output =
        |arguments: &[&str]| String::from_utf8(bench.run(arguments).code(0).get_output().stdout.clone()).unwrap();
    for command in ["info", "query"] {
        let help = output(&[command, "--help"]);
        let object: serde_json::Value = serde_json::from_str(&output(&[command, "--json", "-n", "b.vhd"])).unwrap();
        for key in object.as_object().unwrap().keys() {
            assert!(help.contains(&format!("  {key} ")) || help.contains(&format!("`{key}`")), "{command}: {key}");
        }
    }
}

/// An image of its own: a part of what is printed about it.
fn check_image(image: &[u8], wanted: &[&str]) {
    let bench = Bench::with(&[("t.vhd", image)]);
    let output = bench.run(["info", "-n", "t.vhd"]).code(0).get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    for line in wanted {
        assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
    }
    assert_eq!(
        text.matches("Warning:").count(),
        wanted.iter().filter(|line| line.starts_with("Warning:")).count(),
        "{text}"
    );
}

#[test]
fn odd_images_have_warnings() {
    let edited = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut image = dynamic(64);
        edit(&mut image);
        image
    };
    check_image(&edited(&|i| edit_footers(i, |f| f.hidden = 1)), &["Hidden:        yes (1)"]);
    check_image(
        &edited(&|i| edit_footers(i, |f| f.creator = Creator { app: *b"vpc ", ..Creator::TAP })),
        &[
            "Created:       2026-10-29T14:40:00Z by vpc 1.3",
            "Batmap:        none",
            "Warning:       creator is `vpc `, not `tap`: without a batmap, XenServer cannot resize the disk",
        ],
    );
    check_image(
        &edited(&|i| edit_footers(i, |f| f.is_poisoned = true)),
        &["Warning:       image is in the middle of a resize: revert its journal first"],
    );
    check_image(&edited(&|i| i[3072 + 100] ^= 1), &["Warning:       primary footer invalid: invalid checksum"]);
    check_image(
        &edited(&|i| i.extend([0; 512])),
        &[
            "Takes:         3.5 KiB (3584 bytes)",
            "File size:     4 KiB (4096 bytes)",
            "Warning:       primary footer invalid: invalid cookie",
        ],
    );
    let mut looped = child("./t.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    edit_footers(&mut looped, |footer| footer.uuid = BASE_UUID);
    let bench = Bench::with(&[("t.vhd", &looped)]);
    let output = bench.run(["info", "-n", "t.vhd"]).code(0).get_output().stdout.clone();
    assert!(String::from_utf8(output).unwrap().contains("Warning:       chain comes back to `"));
}

#[test]
fn fixed_disks_have_no_blocks() {
    let bench = Bench::new();
    bench.run(["create", "-n", "f.vhd", "-s", "2", "-r"]).code(0);
    let output = bench.run(["info", "-n", "f.vhd"]).code(0).get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    assert!(
        text.contains("Kind:          fixed\n") && !text.contains("Blocks:") && !text.contains("Warning:"),
        "{text}"
    );
    bench.run(["query", "--json", "-n", "f.vhd"]).code(0).stdout_eq(str![[r#"
{"file":"f.vhd","virtual_bytes":2097152,"physical_bytes":2097664,"parent":null,"hidden":0,"marker":0,"chain_depth":1,"allocated_blocks":null,"max_virtual_bytes":null,"errors":[]}

"#]]);
}

#[test]
fn wrong_options_print_the_usage() {
    let usage = "options: <-n name> [--json] [-h help]\n";
    for arguments in [&[][..], &["-n", "a.vhd", "x"]] {
        check(&[&["info"], arguments].concat(), 22, usage);
    }
    check(&["info", "-h"], 0, usage);
}

#[test]
fn queries_are_objects_of_what_is_asked_for() {
    check(
        &["query", "--json", "-n", "b.vhd"],
        0,
        str![[r#"
{"file":"b.vhd","virtual_bytes":67108864,"physical_bytes":5120,"parent":"[..]/a.vhd","hidden":0,"marker":0,"chain_depth":2,"allocated_blocks":0,"max_virtual_bytes":67108864,"errors":[]}

"#]],
    );
    check(
        &["query", "-fv", "--json", "-n", "b.vhd"],
        0,
        str![[r#"
{"file":"b.vhd","virtual_bytes":67108864,"hidden":0,"errors":[]}

"#]],
    );
    check(
        &["query", "--json", "-pu", "-n", "c.vhd"],
        0,
        str![[r#"
{"file":"c.vhd","parent":"./nope.vhd","errors":[]}

"#]],
    );
    check(
        &["query", "--json", "-pv", "-n", "c.vhd"],
        2,
        str![[r#"
{"file":"c.vhd","virtual_bytes":67108864,"parent":null,"errors":[{"property":"parent","errno":2,"error":"cannot find parent `./nope.vhd` of `c.vhd`: No such file or directory (os error 2)"}]}

"#]],
    );
    check(
        &["query", "--json", "-v", "-n", "nope"],
        2,
        str![[r#"
{"file":"nope","errno":2,"error":"cannot open `nope`: No such file or directory (os error 2)"}

"#]],
    );
}
