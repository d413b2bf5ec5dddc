//! Usage and help: the texts of blktap 4, and exit statuses that scripts probe for.

use crate::bench::Bench;

const MAIN: &str = "\
usage: tap-ctl COMMAND [OPTIONS]
COMMAND := { list | allocate | free | create | destroy | spawn | attach | detach | open | close | pause | unpause | stats }
";

const COMMANDS: [&str; 13] = [
    "list", "allocate", "free", "create", "destroy", "spawn", "attach", "detach", "open", "close", "pause", "unpause",
    "stats",
];

#[test]
fn no_command_and_unknown_ones_succeed() {
    let bench = Bench::new();
    bench.run([] as [&str; 0]).code(0).stdout_eq(MAIN).stderr_eq("");
    bench.run(["major"]).code(0).stdout_eq(MAIN).stderr_eq("invalid COMMAND major\n");
}

#[test]
fn every_command_tells_its_usage() {
    let bench = Bench::new();
    for command in COMMANDS {
        let output = bench.run([command, "-h"]).code(0).get_output().clone();
        // blktap's attach tells it on standard error.
        let usage = if command == "attach" { output.stderr } else { output.stdout };
        assert!(usage.starts_with(format!("usage: {command}").as_bytes()), "{command}");
        let wrong = bench.run([command, "-Z"]).code(22).stdout_eq("").get_output().stderr.clone();
        let wrong = String::from_utf8(wrong).unwrap();
        assert!(wrong.starts_with(&format!("{command}: invalid option -- 'Z'\nusage: {command}")), "{wrong}");
        assert!(wrong.ends_with("Invalid argument\n"), "{wrong}");
        let help = bench.run([command, "--help"]).code(0).get_output().stdout.clone();
        assert!(String::from_utf8(help).unwrap().contains("\nExample:\n  "), "{command}");
    }
}

#[test]
fn what_is_missing_or_no_number_is_wrong_usage() {
    let bench = Bench::new();
    let cases: [&[&str]; 9] = [
        &["free"],
        &["free", "-m", "x"],
        &["create"],
        &["destroy", "-p", "1"],
        &["attach", "-m", "0"],
        &["open", "-p", "1", "-m", "0"],
        &["close", "-p", "1", "-m", "70000"],
        &["unpause"],
        &["stats", "-p", "1"],
    ];
    for arguments in cases {
        let stderr = bench.run(arguments).code(22).stdout_eq("").get_output().stderr.clone();
        let stderr = String::from_utf8(stderr).unwrap();
        let usage = format!("usage: {} ", arguments[0]);
        assert!(stderr.starts_with(&usage) && stderr.ends_with("\nInvalid argument\n"), "{stderr}");
    }
}

#[test]
fn the_usage_of_open_is_blktaps() {
    let expected = "usage: open <-p pid> <-m minor> <-a type:/path/to/file> [-R readonly] [-e <minor> stack on existing \
        tapdisk for the parent chain] [-r turn on read caching into leaf node] [-2 <path> use secondary image (in mirror \
        mode if no -s)] [-s fail over to the secondary image on ENOSPC] [-t request timeout in seconds] [-D no O_DIRECT] \
        [-C </path/to/logfile> insert log layer to track changed blocks] [-E read encryption key from stdin]\n";
    Bench::new().run(["open", "-h"]).code(0).stdout_eq(expected).stderr_eq("");
}
