//! `repair`: what C blktap 4 makes of the same damage, byte for byte.

use snapbox::str;

use crate::bench::Bench;
use crate::sample::{dynamic, edit_footers};

type Edit = fn(&mut Vec<u8>);

/// Repairs a damaged image; `expected` is what it becomes, or the first line and the status of the refusal.
fn check(name: &str, damage: Edit, options: &[&str], expected: Result<Vec<u8>, (i32, &str)>) {
    let mut image = dynamic(64);
    damage(&mut image);
    let bench = Bench::with(&[("t.vhd", &image)]);
    let run = bench.run(["repair", "-n", "t.vhd"].iter().chain(options));
    let found = std::fs::read(bench.path("t.vhd")).unwrap();
    match expected {
        Ok(expected) => {
            run.code(0).stdout_eq("");
            assert!(found == expected, "{name} {options:?}: {} bytes", found.len());
            bench.run(["check", "-n", "t.vhd"]).code(0);
        }
        Err((status, line)) => {
            run.code(status).stdout_eq(format!("{line}\n"));
            assert!(found == image, "{name}: what is refused is left alone");
        }
    }
}

/// Puts one block at sector 7, as long a file as it takes.
fn with_block(image: &mut Vec<u8>) {
    let footer = image.split_off(3072);
    image[1536..1540].copy_from_slice(&7u32.to_be_bytes());
    image.resize(7 * 512 + 4097 * 512, 0);
    image.extend(footer);
}

#[test]
fn footers_are_written_where_the_data_ends() {
    let good = dynamic(64);
    let mut full = good.clone();
    with_block(&mut full);
    let cases: &[(&str, Edit, &[&str], Vec<u8>)] = &[
        ("good", |_| (), &[], good.clone()),
        ("primary", |i| i[3072 + 100] ^= 1, &[], good.clone()),
        ("primary", |i| i[3072 + 100] ^= 1, &["-b"], good.clone()),
        ("backup", |i| i[100] ^= 1, &[], good.clone()),
        ("none", |i| i.truncate(3072), &["-b"], good.clone()),
        ("short", |i| i.truncate(3583), &[], good.clone()),
        ("trailing", |i| i.extend([0; 1000]), &[], good.clone()),
        (
            "none behind a block",
            |i| {
                with_block(i);
                i.truncate(2_101_248)
            },
            &[],
            full.clone(),
        ),
        (
            "half a block",
            |i| {
                with_block(i);
                i.truncate(100_000)
            },
            &[],
            full,
        ),
    ];
    for (name, damage, options, expected) in cases {
        check(name, *damage, options, Ok(expected.clone()));
    }
}

#[test]
fn the_footer_that_counts_wins() {
    let mut hidden = dynamic(64);
    edit_footers(&mut hidden, |footer| footer.hidden = 1);
    let damage: Edit = |image| {
        let good = image[..512].to_vec();
        edit_footers(image, |footer| footer.hidden = 1);
        image[..512].copy_from_slice(&good);
    };
    check("primary", damage, &[], Ok(hidden));
    check("backup", damage, &["-b"], Ok(dynamic(64)));
}

#[test]
fn what_cannot_be_repaired_is_left_alone() {
    let opening =
        |errno| Err((errno, if errno == 22 { "error opening t.vhd: -22" } else { "error opening t.vhd: -32" }));
    check("backup", |i| i[100] ^= 1, &["-b"], opening(22));
    check("header", |i| i[612] ^= 1, &[], opening(22));
    check("journal", |i| edit_footers(i, |footer| footer.is_poisoned = true), &[], opening(22));
    check("empty", Vec::clear, &[], opening(32));
    check("batmap", |i| i[2560] ^= 1, &[], Err((22, "error writing footer: -22")));
}

#[test]
fn what_a_file_that_was_cut_has_lost_is_told() {
    let mut image = dynamic(64);
    with_block(&mut image);
    let bench = Bench::with(&[("whole.vhd", &image), ("cut.vhd", &image[..100_000])]);
    bench.run(["repair", "-n", "whole.vhd"]).code(0).stdout_eq("").stderr_eq("");
    bench.run(["repair", "-n", "cut.vhd"]).code(0).stdout_eq("").stderr_eq(str![[r#"
warning: faults of block addresses: 1, the first: block 0 (offset 0x7) clobbers footer
help: if the file had been cut, what it lost reads as zeros now: copy it again from its source

"#]]);
}

#[test]
fn fixed_disks_keep_their_data() {
    let bench = Bench::new();
    bench.run(["create", "-n", "f.vhd", "-s", "2", "-r"]).code(0);
    let before = std::fs::read(bench.path("f.vhd")).unwrap();
    bench.run(["repair", "-n", "f.vhd"]).code(0);
    assert!(std::fs::read(bench.path("f.vhd")).unwrap() == before);
    bench.run(["repair", "-b", "-n", "f.vhd"]).code(22);
    bench.run(["repair", "-n", "nope"]).code(2).stdout_eq("error opening nope: -2\n");
    bench.run(["repair"]).code(22);
}
