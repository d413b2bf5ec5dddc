//! `check`: the first fault in blktap's words, all of them with `--json`. Words and numbers as C blktap 4 gave them.

use vhd::Version;

use crate::bench::Bench;
use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers, edit_header, patch_header};

type Edit = fn(&mut Vec<u8>);
/// Name, image, options, status, first line.
type ImageCase<'a> = (&'a str, Vec<u8>, &'a [&'a str], i32, &'a str);

/// Checks `t.vhd`, made from a 64 MiB disk, and compares first line and status.
fn check(name: &str, edit: Edit, options: &[&str], status: i32, first_line: &str) {
    let mut image = dynamic(64);
    edit(&mut image);
    check_image(name, &image, options, status, first_line);
}

fn check_image(name: &str, image: &[u8], options: &[&str], status: i32, first_line: &str) {
    let bench = Bench::with(&[("p.vhd", &dynamic(64)), ("t.vhd", image)]);
    let run = bench.run(["check", "-n", "t.vhd"].iter().chain(options));
    let output = run.get_output();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let first = stdout.lines().next().unwrap_or_default();
    assert_eq!((first, output.status.code()), (first_line, Some(status)), "{name} {options:?}");
    let is_dumped = stdout.contains("t.vhd appears invalid; dumping metadata\n");
    assert_eq!(is_dumped, status != 0, "{name}: {stdout}");
}

fn bat(image: &mut [u8], entries: &[u32]) {
    for (block, entry) in entries.iter().enumerate() {
        image[1536 + 4 * block..][..4].copy_from_slice(&entry.to_be_bytes());
    }
}

/// Puts blocks at these sectors and makes the file long enough for `blocks` of them.
fn with_blocks(image: &mut Vec<u8>, entries: &[u32], blocks: usize) {
    let footer = image.split_off(image.len() - 512);
    image.resize(3072 + 512 + blocks * (4097 * 512), 0);
    image.extend(footer);
    bat(image, entries);
}

/// Made by this version of blktap, and hidden in the copy at offset 0 only, without a new checksum.
fn hidden_by_tap(version: Version, image: &mut [u8]) {
    edit_footers(image, |footer| footer.creator.version = version);
    image[85] = 1;
}

const UNUSED: u32 = u32::MAX;

#[test]
fn footers_and_headers_have_their_faults_named() {
    let cases: &[(&str, Edit, &[&str], i32, &str)] = &[
        ("good", |_| (), &["-p", "-b"], 0, "t.vhd is valid"),
        ("good", |_| (), &["-s"], 0, "t.vhd: secs allocated: 0x0 secs written: 0x0 (0.00%)"),
        ("primary", |i| i[3072 + 100] ^= 1, &[], 22, "primary footer invalid: invalid checksum"),
        ("primary", |i| i[3072 + 100] ^= 1, &["-i"], 0, "t.vhd is valid"),
        ("primary", |i| i[3072] ^= 1, &[], 22, "primary footer invalid: invalid cookie"),
        ("backup", |i| i[100] ^= 1, &["-i"], 22, "backup footer invalid: invalid checksum"),
        ("no primary", |i| i.truncate(3072), &[], 22, "primary footer invalid: invalid cookie"),
        ("saved", |i| edit_footers(i, |f| f.saved = 2), &[], 22, "primary footer invalid: invalid 'saved' state"),
        ("hidden", |i| edit_footers(i, |f| f.hidden = 2), &[], 22, "primary footer invalid: invalid 'hidden' state"),
        (
            "features",
            |i| edit_footers(i, |f| f.features = 0),
            &[],
            22,
            "primary footer invalid: invalid 'reserved' feature",
        ),
        (
            "future",
            |i| edit_footers(i, |f| f.timestamp.0 = UNUSED),
            &[],
            22,
            "primary footer invalid: creation time in future",
        ),
        ("future", |i| edit_footers(i, |f| f.timestamp.0 = UNUSED), &["-t"], 0, "t.vhd is valid"),
        (
            "geometry",
            |i| edit_footers(i, |f| f.geometry.cylinders = 65535),
            &[],
            22,
            "primary footer invalid: geometry too large",
        ),
        ("size", |i| edit_footers(i, |f| f.current_bytes = 1 << 40), &[], 22, "error reading bat: -22"),
        ("header", |i| i[612] ^= 1, &[], 22, "header is invalid: invalid checksum"),
        ("reserved", |i| edit_header(i, |h| h.reserved1 = 1), &[], 22, "header is invalid: invalid reserved bits"),
        ("table", |i| edit_header(i, |h| h.table_offset = 1 << 50), &[], 22, "header is invalid: invalid table offset"),
        (
            "entries",
            |i| edit_header(i, |h| h.max_bat_entries = UNUSED),
            &[],
            22,
            "header is invalid: invalid table offset",
        ),
        ("block", |i| patch_header(i, 32, &256u32.to_be_bytes()), &[], 22, "header is invalid: invalid block size"),
        (
            "uuid",
            |i| edit_header(i, |h| h.parent_uuid = BASE_UUID),
            &[],
            22,
            "differencing header is invalid: invalid non-null parent uuid",
        ),
        (
            "name's end",
            |i| patch_header(i, 64 + 4, b"x"),
            &[],
            22,
            "differencing header is invalid: invalid non-null parent name",
        ),
        ("short footer", |i| i.truncate(3583), &[], 0, "t.vhd is valid"),
        ("batmap", |i| i[2560] ^= 1, &[], 22, "error calculating end of metadata: -22"),
        ("batmap", |i| i[2064..2068].fill(0), &[], 22, "error calculating end of metadata: -22"),
        ("empty", Vec::clear, &[], 22, "error calculating end of file: -22"),
        ("hidden in 1.1", |i| hidden_by_tap(Version::new(1, 1), i), &[], 0, "t.vhd is valid"),
        ("hidden", |i| hidden_by_tap(Version::new(1, 2), i), &[], 22, "backup footer invalid: invalid checksum"),
        // blktap gives no reason where only opening fails.
        ("0.1", |i| hidden_by_tap(Version::new(0, 1), i), &[], 22, "t.vhd appears invalid; dumping metadata"),
        ("0.1", |i| hidden_by_tap(Version::new(0, 1), i), &["-i"], 22, "t.vhd appears invalid; dumping metadata"),
    ];
    for &(name, edit, options, status, first_line) in cases {
        check(name, edit, options, status, first_line);
    }
}

#[test]
fn blocks_have_their_faults_named() {
    let cases: &[(&str, Edit, &[&str], i32, &str)] = &[
        ("two", |i| with_blocks(i, &[7, 7 + 4097], 2), &["-b"], 0, "t.vhd is valid"),
        ("one", |i| with_blocks(i, &[7], 1), &["-s"], 0, "t.vhd: secs allocated: 0x1000 secs written: 0x0 (0.00%)"),
        ("headers", |i| with_blocks(i, &[5], 2), &["-B"], 22, "block 0 (offset 0x5) clobbers headers"),
        (
            "footer's place",
            |i| {
                with_blocks(i, &[7], 1);
                i.truncate(7 * 512 + 4097 * 512);
            },
            &["-i"],
            0,
            "t.vhd is valid",
        ),
        ("past end", |i| with_blocks(i, &[7, 100_000], 1), &[], 22, "block 1 (offset 0x186a0) clobbers footer"),
        ("last sector", |i| with_blocks(i, &[UNUSED - 1], 1), &[], 22, "block 0 (offset 0xfffffffe) clobbers footer"),
        (
            "overlap",
            |i| with_blocks(i, &[7, 7 + 4096], 3),
            &[],
            22,
            "block 0 (offset 0x7) clobbers block 1 (offset 0x1007)",
        ),
        ("overlap", |i| with_blocks(i, &[7, 7 + 4096], 3), &["-B"], 0, "t.vhd is valid"),
        (
            "same",
            |i| with_blocks(i, &[7, UNUSED, 7], 1),
            &["-b"],
            22,
            "block 0 (offset 0x7) clobbers block 2 (offset 0x7)",
        ),
        (
            "first pair",
            |i| with_blocks(i, &[5000, 100, 7], 4),
            &[],
            22,
            "block 1 (offset 0x64) clobbers block 2 (offset 0x7)",
        ),
        (
            "stray",
            |i| {
                with_blocks(i, &[7], 1);
                i[8 * 512] = 1
            },
            &["-b"],
            22,
            "sector 0x0 of block 0x0 has data where bitmap is clear",
        ),
        (
            "stray",
            |i| {
                with_blocks(i, &[7], 1);
                i[8 * 512] = 1
            },
            &[],
            0,
            "t.vhd is valid",
        ),
        (
            "present",
            |i| {
                with_blocks(i, &[7], 1);
                i[7 * 512] = 0x80;
                i[8 * 512] = 1
            },
            &["-bs"],
            0,
            "t.vhd: secs allocated: 0x1000 secs written: 0x1 (0.02%)",
        ),
    ];
    for &(name, edit, options, status, first_line) in cases {
        check(name, edit, options, status, first_line);
    }
}

#[test]
fn parents_and_locators_have_their_faults_named() {
    let over = |name: &str| child(name.as_ref(), BASE_UUID, &LIBVHD_CODES);
    let good = over("./p.vhd");
    let edited = |edit: Edit| {
        let mut image = good.clone();
        edit(&mut image);
        image
    };
    let cases: &[ImageCase<'_>] = &[
        ("good", good.clone(), &["-p"], 0, "t.vhd is valid"),
        ("missing", over("./nope.vhd"), &[], 2, "error resolving ./nope.vhd: -2"),
        (
            "none",
            edited(|i| edit_header(i, |h| h.locators = Default::default())),
            &[],
            22,
            "could not find parent p.vhd",
        ),
        (
            "name",
            edited(|i| i[3072 + 9] = b'q'),
            &[],
            22,
            "parent locator 0 name (q.vhd) does not match header name (p.vhd)",
        ),
        ("url", edited(|i| i[3072] = b'x'), &[], 22, "error reading parent locator 0: -22"),
        (
            "end",
            edited(|i| edit_header(i, |h| h.locators[0].offset = u64::MAX - 511)),
            &[],
            22,
            "error calculating end of metadata: -22",
        ),
        (
            "space",
            edited(|i| edit_header(i, |h| h.locators[0].space.0 = 1 << 20)),
            &[],
            22,
            "invalid parent locator 0: invalid size",
        ),
        (
            "length",
            edited(|i| edit_header(i, |h| h.locators[0].len_bytes = UNUSED)),
            &[],
            22,
            "error reading parent locator 0: -22",
        ),
        (
            "empty",
            edited(|i| edit_header(i, |h| h.locators[0].len_bytes = 0)),
            &[],
            22,
            "invalid parent locator 0: invalid data length",
        ),
        (
            "twice",
            edited(|i| edit_header(i, |h| h.locators[1].code = h.locators[2].code)),
            &[],
            22,
            "duplicate platform code in locator 2: 0x57327275",
        ),
        ("itself", edited(|i| edit_footers(i, |f| f.uuid = BASE_UUID)), &["-p"], 0, "t.vhd is valid"),
    ];
    for (name, image, options, status, first_line) in cases {
        check_image(name, image, options, *status, first_line);
    }
}

#[test]
fn a_chain_that_is_a_loop_ends() {
    let mut image = child("./t.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    edit_footers(&mut image, |footer| footer.uuid = BASE_UUID);
    Bench::with(&[("t.vhd", &image)]).run(["check", "-p", "-n", "t.vhd"]).code(40).stdout_eq("t.vhd is valid\n");
}

#[test]
fn parents_are_checked_where_they_are() {
    let image = child("./p.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    let bench = Bench::with(&[("p.vhd", &dynamic(64)), ("t.vhd", &image)]);
    let parent = bench.path("p.vhd");
    let expected = format!("t.vhd is valid\n{} is valid\n", parent.display());
    bench.run(["check", "-p", "-n", "t.vhd"]).code(0).stdout_eq(expected);
}

#[test]
fn clocks_may_differ_by_half_an_hour() {
    let now = vhd::Timestamp::from(std::time::SystemTime::now()).0;
    for (ahead, status) in [(1700, 0), (2500, 22)] {
        let mut image = dynamic(64);
        edit_footers(&mut image, |footer| footer.timestamp.0 = now + ahead);
        Bench::with(&[("t.vhd", &image)]).run(["check", "-n", "t.vhd"]).code(status);
    }
}

/// `c` on `b` on `a`, each with sectors of its own and of others.
fn chain() -> Bench {
    let bench = Bench::with(&[("a.vhd", &dynamic(8))]);
    let write = |name: &str, sectors: &[u64]| {
        let mut disk = vhd::Disk::open_rw(&bench.path(name)).unwrap();
        sectors.iter().for_each(|sector| disk.write_at(sector * 512, &[1; 512]).unwrap());
    };
    write("a.vhd", &[0, 1, 4096]);
    for (child, parent, sectors) in [("b.vhd", "a.vhd", &[1, 2][..]), ("c.vhd", "b.vhd", &[0, 1, 9000])] {
        bench.run(["snapshot", "-n", child, "-p", parent]).code(0);
        write(child, sectors);
    }
    bench
}

#[test]
fn statistics_of_a_chain_begin_with_its_end() {
    let bench = chain();
    let c = "./c.vhd";
    let of_a = "a.vhd: secs allocated: 0x2000 secs written: 0x3 (0.04%)\n";
    let of_b = "b.vhd: secs allocated: 0x1000 secs written: 0x2 (0.05%) secs not in parent: 0x1 (50.00%) secs not in ancestors: 0x1 (50.00%)\n";
    let of_c = "c.vhd: secs allocated: 0x2000 secs written: 0x3 (0.04%) secs not in parent: 0x2 (66.67%) secs not in ancestors: 0x1 (33.33%)\n";
    bench.run(["check", "-sp", "-n", c]).code(0).stdout_eq(format!("{of_a}{of_b}{of_c}")).stderr_eq("");
    bench.run(["check", "-spb", "-n", "a.vhd"]).code(0).stdout_eq(of_a);
    bench.run(["check", "-s", "-n", c]).code(0).stdout_eq("c.vhd: secs allocated: 0x2000 secs written: 0x3 (0.04%)\n");
    let output = bench.run(["check", "-sp", "--json", "-n", c]).code(0).get_output().stdout.clone();
    let counts: Vec<_> = String::from_utf8(output)
        .unwrap()
        .lines()
        .map(|line| {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            ["sectors_written", "sectors_not_in_parent", "sectors_not_in_ancestors"].map(|key| object[key].as_u64())
        })
        .collect();
    assert_eq!(counts, [[Some(3), Some(2), Some(1)], [Some(2), Some(1), Some(1)], [Some(3), None, None]]);
}

#[test]
fn a_parent_that_is_wrong_is_told_once_more_at_the_end() {
    let bench = chain();
    let mut image = std::fs::read(bench.path("a.vhd")).unwrap();
    image[612] ^= 1;
    std::fs::write(bench.path("a.vhd"), image).unwrap();
    // With -I nobody opens the parent before its turn.
    for (options, first) in [("-pI", "c.vhd is valid"), ("-spI", "header is invalid: invalid checksum")] {
        let run = bench.run(["check", options, "-n", "c.vhd"]).code(22);
        let stdout = String::from_utf8(run.get_output().stdout.clone()).unwrap();
        assert!(stdout.starts_with(first), "{stdout}");
        assert!(stdout.contains("error checking parents: -22\n"), "{stdout}");
        let has_statistics =
            stdout.contains("c.vhd: secs allocated: 0x2000 secs written: 0x3 (0.04%) secs not in parent:");
        assert_eq!(has_statistics, options == "-spI", "{stdout}");
    }
}

#[test]
fn what_is_no_image_is_told() {
    let bench = Bench::new();
    bench.run(["check", "-n", "nope"]).code(2).stdout_eq("cannot stat nope: 2\n");
    bench.run(["check", "-n", "."]).code(22).stdout_eq(". is not a regular file or block device\n");
    bench.run(["create", "-n", "f.vhd", "-s", "4", "-r"]).code(0);
    bench.run(["check", "-n", "f.vhd"]).code(0).stdout_eq("");
    for arguments in [&["-s", "-B", "-n", "f.vhd"][..], &[], &["-n", "f.vhd", "x"]] {
        bench.run(["check"].iter().chain(arguments)).code(22);
    }
}

#[test]
fn json_has_every_fault_and_a_bound() {
    let mut image = dynamic(64);
    with_blocks(&mut image, &[7, 7 + 4096, 3], 3);
    image[3072 + 512 + 3 * 4097 * 512 + 100] ^= 1;
    let bench = Bench::with(&[("t.vhd", &image)]);
    let run = bench.run(["check", "--json", "-n", "t.vhd"]).code(22);
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(
        text.starts_with(r#"{"file":"t.vhd","valid":false,"findings":[{"place":"primary-footer","message":"#),
        "{text}"
    );
    for fault in ["invalid checksum", "block 0 (offset 0x7) clobbers block 1", "block 2 (offset 0x3) clobbers headers"]
    {
        assert!(text.contains(fault), "{fault}: {text}");
    }
    assert!(text.ends_with("],\"omitted\":0}\n"), "{text}");
    let mut image = dynamic(256);
    image[1536..2048].fill(0);
    let bench = Bench::with(&[("t.vhd", &image)]);
    bench.run(["check", "--json", "-n", "t.vhd"]).code(22);
    bench.run(["check", "--json", "-n", "gone"]).code(2).stdout_eq(snapbox::str![[r#"
{"file":"gone","valid":false,"errno":2,"error":"cannot open `gone`: No such file or directory (os error 2)"}

"#]]);
    let mut image = dynamic(4);
    edit_footers(&mut image, |footer| footer.creator.version = Version::new(0, 1));
    let bench = Bench::with(&[("t.vhd", &image)]);
    bench.run(["check", "--json", "-n", "t.vhd"]).code(22).stdout_eq(snapbox::str![[r#"
{"file":"t.vhd","valid":false,"findings":[{"place":"opening","message":"cannot read footer of `t.vhd`: creator version is 0.1, whose bitmaps have another bit order","errno":22}],"omitted":0}

"#]]);
}
