//! Command lines that are not a run: usage, help, unknown and missing commands, getopt's manners.

use snapbox::{IntoData, assert_data_eq, str};

use crate::bench::Bench;
use crate::sample::dynamic;

/// `stderr` without its last line, which leads to the command's help.
fn check(arguments: &[&str], status: i32, stdout: impl IntoData, stderr: impl IntoData) {
    let bench = Bench::with(&[("a.vhd", &dynamic(64))]);
    let run = bench.run(arguments).code(status).stdout_eq(stdout);
    let all = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    let help = ["help: vhd-util", arguments.first().copied().unwrap_or_default(), "--help\n"].join(" ");
    let said = all.strip_suffix(&help.replace("  ", " ")).unwrap_or(&all);
    let printed = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let is_usage = printed.contains("usage:") || printed.contains("options:");
    assert_eq!(is_usage, said.len() < all.len(), "{arguments:?}: a usage leads to the help");
    assert_data_eq!(said, stderr.into_data().raw());
}

#[test]
fn no_command_prints_the_usage_and_succeeds() {
    check(
        &[],
        0,
        str![[r#"
usage: vhd-util COMMAND [OPTIONS]
COMMAND := { create | snapshot | query | read | set | repair | resize | fill | coalesce | modify | scan | check | revert | key | copy }

"#]],
        str![],
    );
}

#[test]
fn an_unknown_command_is_named_and_succeeds() {
    for command in ["foo", "-h", "--debug", "creat"] {
        let bench = Bench::new();
        let stdout = bench
            .run([command])
            .code(0)
            .stderr_eq(format!("invalid COMMAND {command}\nhelp: vhd-util --help\n"))
            .get_output()
            .stdout
            .clone();
        assert!(stdout.starts_with(b"usage: vhd-util COMMAND"));
    }
}

#[test]
fn help_names_every_command() {
    let help = Bench::new().run(["--help"]).code(0).stderr_eq("").get_output().stdout.clone();
    let help = String::from_utf8(help).unwrap();
    let legacy = "create snapshot query read set repair resize fill coalesce modify scan check revert key copy";
    for command in legacy.split(' ') {
        assert!(help.contains(&format!(" {command}")), "{command} is not in\n{help}");
    }
    for command in ["create", "query", "read", "snapshot", "set", "modify", "fill", "key", "copy", "resize", "revert"] {
        let help = Bench::new().run([command, "--help"]).code(0).stderr_eq("").get_output().stdout.clone();
        assert!(String::from_utf8(help).unwrap().contains("Example"));
    }
}

#[test]
fn wrong_options_of_create_print_its_usage() {
    let usage = || {
        str![[r#"
options: <-n name> <-s size (MB)> [-r reserve] [-h help] [<-S size (MB) for metadata preallocation (see vhd-util resize)>]

"#]]
    };
    check(&["create"], 22, usage(), str![]);
    check(&["create", "-h"], 22, usage(), str![]);
    check(&["create", "-n", "b.vhd"], 22, usage(), str![]);
    check(&["create", "-n", "b.vhd", "-s", "4", "more"], 22, usage(), str![]);
    check(
        &["create", "-Z"],
        22,
        usage(),
        str![[r#"
create: invalid option -- 'Z'

"#]],
    );
    check(
        &["create", "-n"],
        22,
        usage(),
        str![[r#"
create: option requires an argument -- 'n'

"#]],
    );
    check(
        &["create", "-n", "b.vhd", "-s", "64x"],
        22,
        usage(),
        str![[r#"
error: size is `64x`, not a whole number of MiB
help: vhd-util create -n FILE -s 10240

"#]],
    );
}

#[test]
fn wrong_options_of_query_print_its_usage() {
    let usage = || {
        str![[r#"
options: <-n name> [-v print virtual size (in MB)] [-s print physical utilization (bytes)] [-p print parent] [-f print fields] [-m print marker] [-d print chain depth] [-S print max virtual size (MB) for fast resize] [-a print allocated block count] [-u don't resolve parent path] [-h help]

"#]]
    };
    check(&["query"], 22, usage(), str![]);
    check(&["query", "-h"], 0, usage(), str![]);
    check(&["query", "-n", "a.vhd", "--", "-v"], 22, usage(), str![]);
    check(
        &["query", "-n", "a.vhd", "--long"],
        22,
        usage(),
        str![[r#"
query: invalid option -- '-'

"#]],
    );
}

#[test]
fn wrong_options_of_snapshot_print_its_usage() {
    let usage = || {
        str![[r#"
options: <-n name> <-p parent name> [-l snapshot depth limit] [-m parent_is_raw] [-S size (MB) for metadata preallocation (see vhd-util resize)] [-e link to supplied parent name even if it's empty] [-h help]

"#]]
    };
    for arguments in [&["-n", "b.vhd"][..], &["-p", "a.vhd"], &["-n", "b.vhd", "-p", "a.vhd", "-l", "x"]] {
        check(&[&["snapshot"], arguments].concat(), 22, usage(), str![]);
    }
    check(&["snapshot", "-h"], 0, usage(), str![]);
}

#[test]
fn wrong_options_of_set_print_its_usage() {
    let usage = "options: <-n name> <-f field> <-v value> [-h help]\n";
    for (arguments, line) in [
        (&["-n", "a.vhd", "-f", "hidden"][..], ""),
        (&["-n", "a.vhd", "-v", "1"], ""),
        (&["-h"], ""),
        (&["-n", "a.vhd", "-f", "size", "-v", "1"], "invalid field size\n"),
        (&["-n", "a.vhd", "-f", "1234567890123456789012345", "-v", "1"], "invalid field\n"),
        (&["-n", "a.vhd", "-f", "hidden", "-v", "256"], "invalid value 256\n"),
        (&["-n", "a.vhd", "-f", "hidden", "-v", "-1"], "invalid value -1\n"),
    ] {
        check(&[&["set"], arguments].concat(), 22, format!("{line}{usage}"), str![]);
    }
}

#[test]
fn wrong_options_of_modify_and_fill_print_their_usage() {
    let usage = || {
        str![[r#"
*** Dangerous operations, use with care ***
options: <-n name> [-p NEW_PARENT set parent [-m raw]] [-s NEW_SIZE set size] [-z zero (kill data)] [-h help]

"#]]
    };
    for arguments in [&["-p", "a.vhd"][..], &["-h"], &["-n", "a.vhd", "-s", "x"]] {
        check(&[&["modify"], arguments].concat(), 22, usage(), str![]);
    }
    let usage = "options: <-n name> [-h help] [-b initialise the BAT and bitmaps, don't write to the data blocks (much faster)] [-f start intialisation from this sector, only usable with -b] [-t intialise up to this sector (inclusive), only usable with -b] [-B ignore the 2 TB limit, only usable with -b]\n";
    for (arguments, line) in [
        (&["-h"][..], ""),
        (&[], ""),
        (&["-n", "a.vhd", "x"], ""),
        (&["-n", "a.vhd", "-f", "1"], "-f/-t can only be used with -b\n"),
        (&["-n", "a.vhd", "-f", "5", "-t", "4"], "-f/-t can only be used with -b\n"),
        (&["-n", "a.vhd", "-b", "-f", "5", "-t", "4"], "invalid sector range 5-4\n"),
        (&["-n", "a.vhd", "-B"], "-B can only be used with -b\n"),
    ] {
        check(&[&["fill"], arguments].concat(), 22, format!("{line}{usage}"), str![]);
    }
}

#[test]
fn wrong_options_of_resize_and_revert_print_their_usage() {
    let usage = || {
        str![[r#"
options: <-n name> <-s size (in MB)> (<-j journal>|<-f fast>) [-h help]

The resize operation can only be performed offline and must be journaled because resizing the metadata might require moving data blocks. However, if a VHD was created with -S <msize> option (during vhd-util create/snapshot), which preallocates the metadata for growing the VHD up to size <msize>, then resizing such a VHD up to <msize> can be performed online without journaling (-f option).

"#]]
    };
    for arguments in
        ["-h", "-n a.vhd -s 128", "-n a.vhd -f", "-s 128 -f", "-n a.vhd -s 128 -f -j j", "-n a.vhd -s 128 -f x"]
    {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        check(&[&["resize"], arguments.as_slice()].concat(), 22, usage(), str![]);
    }
    check(
        &["resize", "-n", "a.vhd", "-s", "12x", "-f"],
        22,
        usage(),
        str![[r#"
error: size is `12x`, not a whole number of MiB
help: vhd-util resize -n FILE -s 20480 -j JOURNAL

"#]],
    );
    for arguments in [&["-h"][..], &["-n", "a.vhd"], &["-j", "j"], &["-n", "a.vhd", "-j", "j", "more"]] {
        check(&[&["revert"], arguments].concat(), 22, "options: <-n name> <-j journal> [-h help]\n", str![]);
    }
}

#[test]
fn wrong_options_of_read_print_its_usage() {
    let usage = || {
        str![[r#"
options:
-h          help
-n          name
-p          print VHD headers
-t sec      translate logical sector to VHD location
-b blk      print bat entry
-B          print entire bat as a bitmap
-m blk      print bitmap
-i sec      test bitmap for logical sector
-e sec      output extent list of allocated logical sectors
-a          print batmap
-j blk      test batmap for block
-d blk      print data
-c num      num units
-r sec      read num sectors at sec
-R byte     read num bytes at byte
-x          print in hex

"#]]
    };
    check(&["read", "-p"], 22, usage(), str![]);
    check(&["read", "-h"], 22, usage(), str![]);
}

#[test]
fn options_cluster_and_debug_is_ignored_anywhere() {
    for arguments in [&["-vn", "a.vhd"][..], &["--debug", "-na.vhd", "-v"], &["-v", "-n", "--debug", "a.vhd"]] {
        check(
            &[&["query"], arguments].concat(),
            0,
            str![[r#"
64

"#]],
            str![],
        );
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let bench = Bench::with(&[("a.vhd", &dynamic(64))]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let program = snapbox::cmd::cargo_bin!("vhd-util");
    let output =
        std::process::Command::new(program).args(["query", "-vn"]).arg(bench.path("a.vhd")).stdout(full).output();
    assert_eq!(output.unwrap().status.code(), Some(28));
}
