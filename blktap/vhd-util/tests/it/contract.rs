//! What XenServer's storage manager (xapi-project/sm) reads from this program, line by line. A change here breaks hosts.

use crate::bench::Bench;
use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers};

/// A hidden base of 64 MiB with one block and a leaf on it, as sm names them, and what is no image.
fn bench() -> Bench {
    let mut base = dynamic(64);
    edit_footers(&mut base, |footer| footer.hidden = 1);
    let leaf = child("./1a-base.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    let bench = Bench::with(&[("1a-base.vhd", &base), ("2b-leaf.vhd", &leaf), ("3c-bad.vhd", &[0; 4096])]);
    vhd::Disk::open_rw(&bench.path("1a-base.vhd")).unwrap().write_at(2 << 20, &[1; 512]).unwrap();
    bench
}

/// What sm calls, the exit status, and standard output, in which `DIR` is the directory.
const CASES: [(&[&str], i32, &str); 19] = [
    // Size in MiB, bytes, parent, hidden, blocks: by their places.
    (&["query", "-vsaf", "-n", "1a-base.vhd"], 0, "64\n2101760\nhidden: 1\n1\n"),
    (&["query", "-vsafp", "-n", "1a-base.vhd"], 0, "64\n2101760\n1a-base.vhd has no parent\nhidden: 1\n1\n"),
    (&["query", "-vsafp", "-n", "2b-leaf.vhd"], 0, "64\n5120\nDIR/1a-base.vhd\nhidden: 0\n0\n"),
    (&["query", "-v", "-n", "1a-base.vhd"], 0, "64\n"),
    (&["query", "-s", "-n", "1a-base.vhd"], 0, "2101760\n"),
    (&["query", "-a", "-n", "1a-base.vhd"], 0, "1\n"),
    (&["query", "-S", "-n", "1a-base.vhd"], 0, "64\n"),
    (&["query", "-p", "-n", "2b-leaf.vhd"], 0, "DIR/1a-base.vhd\n"),
    (&["query", "-pu", "-n", "2b-leaf.vhd"], 0, "./1a-base.vhd\n"),
    (&["query", "-f", "-n", "2b-leaf.vhd"], 0, "hidden: 0\n"),
    (&["query", "-d", "-n", "2b-leaf.vhd"], 0, "chain depth: 2\n"),
    (&["query", "-m", "-n", "2b-leaf.vhd"], 0, "marker: 0\n"),
    (&["check", "-n", "2b-leaf.vhd"], 0, "2b-leaf.vhd is valid\n"),
    (&["check", "-i", "-n", "1a-base.vhd"], 0, "1a-base.vhd is valid\n"),
    (&["check", "-p", "-t", "-n", "2b-leaf.vhd"], 0, "2b-leaf.vhd is valid\nDIR/1a-base.vhd is valid\n"),
    (
        &["scan", "-f", "-m", "*-leaf.vhd"],
        0,
        "vhd=2b-leaf.vhd capacity=67108864 size=5120 hidden=0 parent=1a-base.vhd\n",
    ),
    (
        &["scan", "-f", "-m", "*.vhd", "-c"],
        0,
        "vhd=1a-base.vhd capacity=67108864 size=2101760 hidden=1 parent=none\n\
         vhd=2b-leaf.vhd capacity=67108864 size=5120 hidden=0 parent=1a-base.vhd\n\
         vhd=3c-bad.vhd scan-error=-22 error-message='opening file'\n",
    ),
    (
        &["scan", "-f", "-m", "2b-*", "-c", "-a"],
        0,
        "vhd=2b-leaf.vhd capacity=67108864 size=5120 hidden=0 parent=1a-base.vhd\n\
         vhd=1a-base.vhd capacity=67108864 size=2101760 hidden=1 parent=none\n",
    ),
    (&["scan", "-f", "-m", "nothing*", "-c"], 0, ""),
];

fn output(bench: &Bench, arguments: &[&str]) -> (Option<i32>, Vec<u8>, Vec<u8>) {
    let run = bench.run(arguments);
    let output = run.get_output();
    (output.status.code(), output.stdout.clone(), output.stderr.clone())
}

fn text(bench: &Bench, arguments: &[&str]) -> String {
    let (status, stdout, stderr) = output(bench, arguments);
    assert_eq!((status, String::from_utf8_lossy(&stderr)), (Some(0), "".into()), "{arguments:?}");
    String::from_utf8(stdout).unwrap()
}

#[test]
fn lines_are_those_that_the_storage_manager_parses() {
    let bench = bench();
    let directory = bench.path("").display().to_string();
    let directory = directory.trim_end_matches('/');
    for (arguments, status, stdout) in CASES {
        let found = output(&bench, arguments);
        let (stdout, stderr) = (stdout.replace("DIR", directory), String::from_utf8_lossy(&found.2));
        assert_eq!((found.0, String::from_utf8_lossy(&found.1)), (Some(status), stdout.into()), "{arguments:?}");
        // Only people are told why an image cannot be read.
        assert_eq!(
            stderr.is_empty(),
            !found.1.windows(10).any(|text| text == b"scan-error"),
            "{arguments:?}: {stderr}"
        );
    }
}

#[test]
fn headers_say_of_what_kind_a_disk_is_and_where_its_parent_is() {
    let lines = |name, wanted: &str| -> Vec<String> {
        let text = text(&bench(), &["read", "-p", "-n", name]);
        text.lines().filter(|line| line.contains(wanted)).map(str::to_owned).collect()
    };
    assert_eq!(lines("2b-leaf.vhd", "Disk type"), ["Disk type           : Differencing hard disk"]);
    assert_eq!(lines("1a-base.vhd", "Disk type"), ["Disk type           : Dynamic hard disk"]);
    assert_eq!(lines("2b-leaf.vhd", "decoded name :"), ["       decoded name : ./1a-base.vhd"; 3]);
    assert_eq!(lines("2b-leaf.vhd", "Hidden"), ["Hidden              : 0"]);
}

#[test]
fn allocated_blocks_are_raw_bits() {
    assert_eq!(output(&bench(), &["read", "-B", "-n", "1a-base.vhd"]), (Some(0), vec![0x40, 0, 0, 0], vec![]));
    assert_eq!(output(&bench(), &["read", "-B", "-n", "2b-leaf.vhd"]), (Some(0), vec![0; 4], vec![]));
}

#[test]
fn a_chain_that_is_too_long_is_told_by_its_number() {
    let bench = bench();
    let arguments = ["snapshot", "-n", "new.vhd", "-p", "2b-leaf.vhd", "-e", "-l", "2"];
    let stdout = b"snapshot depth exceeded: current depth: 2, limit: 2\n".to_vec();
    assert_eq!(output(&bench, &arguments), (Some(28), stdout, vec![]));
}

#[test]
fn debug_as_the_first_option_changes_nothing() {
    let mut cases: Vec<&[&str]> = CASES.iter().map(|(arguments, _, _)| *arguments).collect();
    cases.extend::<[&[&str]; 10]>([
        &["create", "-n", "new.vhd", "-s", "4"],
        &["create", "-n", "new.vhd", "-s", "4", "-r"],
        &["snapshot", "-n", "new.vhd", "-p", "2b-leaf.vhd", "-S", "65536"],
        &["snapshot", "-n", "new.vhd", "-p", "2b-leaf.vhd", "-m"],
        &["set", "-n", "2b-leaf.vhd", "-f", "hidden", "-v", "1"],
        &["modify", "-n", "2b-leaf.vhd", "-p", "1a-base.vhd"],
        &["modify", "-n", "2b-leaf.vhd", "-s", "8192"],
        &["repair", "-n", "2b-leaf.vhd"],
        &["fill", "-n", "2b-leaf.vhd"],
        &["read", "-p", "-n", "2b-leaf.vhd"],
    ]);
    for arguments in cases {
        let with_debug = [&arguments[..1], &["--debug"], &arguments[1..]].concat();
        let (plain, debug) = (bench(), bench());
        let plain_output = output(&plain, arguments);
        let in_plain = |bytes: Vec<u8>| {
            let of = |bench: &Bench| bench.path("").display().to_string();
            String::from_utf8(bytes).unwrap().replace(&of(&debug), &of(&plain))
        };
        let (status, stdout, stderr) = output(&debug, &with_debug);
        assert_eq!((plain_output.0, plain_output.2), (status, stderr), "{arguments:?}");
        assert_eq!(String::from_utf8(plain_output.1).unwrap(), in_plain(stdout), "{arguments:?}");
    }
}
