//! Command lines that are not a run.

use snapbox::{IntoData, str};

use crate::bench::Bench;
use crate::sample::log;

fn check(arguments: &[&str], status: i32, stdout: impl IntoData, stderr: impl IntoData) {
    let bench = Bench::with(&[("log", &log(65536, &[1]))]);
    bench.run(arguments).code(status).stdout_eq(stdout).stderr_eq(stderr);
    assert_eq!(std::fs::read(bench.path("log")).unwrap(), log(65536, &[1]));
    assert!(!bench.path("new").exists());
}

#[test]
fn a_call_without_a_command_fails_and_one_with_a_wrong_command_does_not() {
    let usage = "usage: cbt-util COMMAND [OPTIONS]\nCOMMAND := { create | set | get | coalesce }\n";
    check(&[], 22, usage, "");
    for command in ["foo", "-h", "--debug", "", "creat"] {
        check(&[command], 0, usage, format!("Invalid COMMAND {command}\n"));
    }
}

/// The command's usage for every wrong call, and for `-h`, with status 22.
fn check_usage(command: &str, wrong: &[&[&str]], usage: &str) {
    for arguments in wrong.iter().chain(&[&["-h"][..], &[], &["x"], &["-n", "log", "-h"]]) {
        if command != "coalesce" || !arguments.contains(&"-n") {
            check(&[&[command], *arguments].concat(), 22, usage, "");
        }
    }
    check(&[command, "-Z", "-h"], 22, usage, format!("{command}: invalid option -- 'Z'\n"));
    check(&[command, "--debug"], 22, usage, format!("{command}: invalid option -- '-'\n"));
}

#[test]
fn wrong_options_of_create_print_its_usage() {
    let wrong: [&[&str]; 4] =
        [&["-n", "new"], &["-s", "1"], &["-n", "new", "-s", "0"], &["-n", "new", "--", "-s", "1"]];
    check_usage(
        "create",
        &wrong,
        "cbt-util create: Create new CBT metadata log with default values\n\nOptions:\n\t-n Log file name\n\t-s Num blocks in bitmap\n\t[-h help]\n",
    );
}

#[test]
fn wrong_options_of_get_print_its_usage() {
    let wrong: [&[&str]; 4] = [&["-p"], &["-n", "log"], &["-n", "log", "-p", "-c"], &["-n", "log", "-sb"]];
    check_usage(
        "get",
        &wrong,
        "cbt-util get: Read field from log file\n\nOptions:\n -n name\tName of log file\n[-p]\t\tPrint parent log file UUID\n[-c]\t\tPrint child log file UUID\n[-f]\t\tPrint consistency flag\n[-s]\t\tPrint size of disk in bytes\n[-b]\t\tPrint bitmap contents\n[-h]\t\thelp\n",
    );
}

const SET: &str = "cbt-util set: Set field in log file\n\nOptions:\n -n name\tName of log file\n[-p parent]\tParent log file UUID\n[-c child]\tChild log file UUID\n[-f 0|1]\tConsistency flag\n[-s size]\tSize of the disk in bytes\n[-h]\t\thelp\n";

#[test]
fn wrong_options_of_set_print_its_usage() {
    check_usage("set", &[&["-f", "1"], &["-n", "log"], &["-n", "log", "-s", "0"]], SET);
}

#[test]
fn wrong_options_of_coalesce_print_its_usage() {
    check_usage(
        "coalesce",
        &[&["-p", "log"], &["-c", "log"]],
        "cbt-util coalesce: Coalesce contents of parent bitmap on to child bitmap\n\nOptions:\n\t-p Parent log file name\n\t-c Child log file name\n\t[-h help]\n",
    );
}

#[test]
fn values_that_make_no_sense_change_nothing() {
    check(
        &["set", "-n", "log", "-p", "None"],
        22,
        SET,
        str![[r#"
error: `None` is no UUID like 00000000-0000-0000-0000-000000000000

"#]],
    );
    check(
        &["set", "-n", "log", "-f", "0", "-c", "0f0e0d0c0b0a09080706050403020100"],
        22,
        SET,
        str![[r#"
error: `0f0e0d0c0b0a09080706050403020100` is no UUID like 00000000-0000-0000-0000-000000000000

"#]],
    );
    check(
        &["set", "-n", "log", "-f", "yes"],
        22,
        SET,
        str![[r#"
error: flag is `yes`, neither 0 nor 1

"#]],
    );
    check(
        &["set", "-n", "log", "-s", "1G"],
        22,
        SET,
        str![[r#"
error: size is `1G`, not a whole number of bytes
help: cbt-util set -n FILE -s 10737418240

"#]],
    );
    for size in ["-1", "x", "", "18446744073709551616"] {
        Bench::new().run(["create", "-n", "new", "-s", size]).code(22);
    }
}

#[test]
fn help_teaches_every_command() {
    let help = |arguments: &[&str]| {
        let output = Bench::new().run(arguments).code(0).stderr_eq("").get_output().stdout.clone();
        String::from_utf8(output).unwrap()
    };
    let all = help(&["--help"]);
    for command in ["create", "get", "set", "coalesce"] {
        assert!(all.contains(&format!("\n  {command} ")), "{command} is not in\n{all}");
        assert!(help(&[command, "--help"]).contains("\nExample"));
    }
}
