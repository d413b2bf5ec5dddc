//! Command lines that are not a run.

use snapbox::{IntoData, str};

use crate::bench::Bench;

const CREATE: &str = "[-h help] [-r reserve] [-b file_is_fixed_size] <SIZE(MB)> <FILENAME>\n";
const SNAPSHOT: &str =
    "[-h help] [-m parent_raw] [-b file_is_fixed_size] [-l snapshot depth limit] <FILENAME> <BACKING_FILENAME>\n";
const QUERY: &str = "[-h help] [-v virtsize] [-p parent] [-f fields] [-b don't trust the footer, use the back-up one instead] <FILENAME>\n";
const SET: &str = "[-h help] <FILENAME> <FIELD> <VALUE>\nFIELD := { hidden }\n";

fn check(arguments: &[&str], status: i32, stderr: impl IntoData) {
    Bench::new().run(arguments).code(status).stdout_eq("").stderr_eq(stderr);
}

#[test]
fn a_call_without_a_command_and_a_type_fails_with_255() {
    let usage = "\
Tapdisk Utilities: v1.0.0
usage: td-util COMMAND [TYPE] [OPTIONS]
COMMAND := { create | snapshot | query | set }
TYPE := { vhd | aio }
";
    check(&[], 255, usage);
    for command in ["foo", "-h", "--debug", "coalesce", ""] {
        check(&[command], 255, format!("invalid COMMAND {command}\n{usage}"));
    }
    for command in ["create", "snapshot", "query", "set"] {
        check(&[command], 255, format!("td-util {command} requires a TYPE\nTYPE := {{ vhd | aio }}\n"));
        check(&[command, "qcow"], 255, "invalid TYPE 'qcow'.\nTYPE := { vhd | aio }\n");
    }
}

#[test]
fn wrong_options_print_the_usage_of_the_command_on_standard_error() {
    for (command, usage, help_status) in
        [("create", CREATE, 22), ("snapshot", SNAPSHOT, 0), ("query", QUERY, 0), ("set", SET, 22)]
    {
        for of in ["vhd", "aio"] {
            if of == "aio" && ["snapshot", "set"].contains(&command) {
                continue;
            }
            let usage = format!("usage: td-util {command} {of} {usage}");
            check(&[command, of], 22, usage.clone());
            check(&[command, of, "1", "2", "3", "4"], 22, usage.clone());
            check(&[command, of, "--", "-h", "1", "2", "3"], 22, usage.clone());
            check(&[command, of, "-h"], help_status, usage.clone());
            check(&[command, of, "x", "-h"], help_status, usage.clone());
            check(&[command, of, "-Z"], 22, format!("{command}: invalid option -- 'Z'\n{usage}"));
            check(&[command, of, "--debug"], 22, format!("{command}: invalid option -- '-'\n{usage}"));
        }
    }
    check(
        &["snapshot", "vhd", "-l"],
        22,
        format!("snapshot: option requires an argument -- 'l'\nusage: td-util snapshot vhd {SNAPSHOT}"),
    );
    check(&["set", "vhd", "a", "b", "c"], 22, format!("Invalid field b\nusage: td-util set vhd {SET}"));
}

#[test]
fn a_raw_disk_has_no_snapshots_and_no_fields() {
    check(
        &["snapshot", "aio", "-h"],
        22,
        str![[r#"
Cannot create snapshot of aio image type
help: td-util snapshot vhd -m FILE PARENT makes a VHD on top of a raw disk

"#]],
    );
    check(&["set", "aio", "x", "hidden", "1"], 22, "Cannot set fields of aio images\n");
}

#[test]
fn names_of_a_thousand_bytes_are_refused() {
    let long = "a".repeat(1000);
    for arguments in
        [&["create", "vhd", "1", &long][..], &["query", "aio", "-p", &long], &["snapshot", "vhd", "x", &long]]
    {
        check(arguments, 36, "Device name too long\n");
    }
}

#[test]
fn help_teaches_every_command() {
    let help = |arguments: &[&str]| {
        let output = Bench::new().run(arguments).code(0).stderr_eq("").get_output().stdout.clone();
        String::from_utf8(output).unwrap()
    };
    let all = help(&["--help"]);
    for command in ["create", "snapshot", "query", "set"] {
        assert!(all.contains(&format!("\n  {command} ")), "{command} is not in\n{all}");
        let one = help(&[command, "--help"]);
        assert!(one.contains("\nExample"));
        assert_eq!(one, help(&[command, "vhd", "--help"]));
    }
}
