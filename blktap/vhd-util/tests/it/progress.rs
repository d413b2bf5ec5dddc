//! How far long work is, on a terminal, which `script` gives.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use snapbox::cmd::cargo_bin;

use crate::bench::Bench;
use crate::sample::dynamic;

/// Runs a command line on a terminal; whether it shows a bar with that name. `None` where there is no `script`.
fn check(arguments: &str, bar: &str, is_expected: bool) -> Option<()> {
    let bench = Bench::with(&[("a.vhd", &dynamic(64))]);
    bench.run(["fill", "-n", "a.vhd", "-b"]).code(0);
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd", "-e"]).code(0);
    let line = format!("{} {arguments}", cargo_bin!().display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(bench.path("")).stdin(Stdio::null());
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments}: {printed}");
    assert_eq!(printed.contains(&format!("{bar} [")), is_expected, "{arguments}: {printed}");
    Some(())
}

#[test]
fn long_work_has_one_display() {
    let cases = [
        ("check -n a.vhd -b", "check", true),
        ("check -n a.vhd", "check", false),
        ("coalesce -n b.vhd", "coalesce", true),
        // The display of this option is the other one.
        ("coalesce -n b.vhd -p", "coalesce", false),
        ("convert -n b.vhd -o c.vhd --to dynamic", "convert", true),
        ("copy -n b.vhd -N c.vhd", "copy", true),
        ("fill -n b.vhd", "fill", true),
    ];
    for (arguments, bar, is_expected) in cases {
        if check(arguments, bar, is_expected).is_none() {
            println!("SKIPPED long_work_has_one_display: needs script");
            return;
        }
    }
}
