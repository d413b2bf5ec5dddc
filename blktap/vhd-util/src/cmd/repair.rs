//! `repair`: writes both footers anew.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use vhd::Timestamp;
use vhd::check::{Options, Place};
use vhd::repair::{Repair, Source};

use crate::getopt;
use crate::report::EINVAL;
use crate::terminal::Terminal;

const OPTIONS: &str = "n:bh";
const USAGE: &str = "options: <-n name> <-b use the back-up footer> [-h help]\n";
const HELP: &str = "\
Write both footers anew

usage: vhd-util repair -n FILE [-b]

  -n FILE  The image
  -b       Trust the copy of the footer at the start, not the footer at the end
  --help   Print this text

The footer goes to where tables and blocks end; what lies behind it is cut off. Nothing else is changed.
What a file that was cut has lost does not come back: it reads as zeros from then on, and a warning tells.

Example:
  vhd-util repair -n disk.vhd && vhd-util check -n disk.vhd
";

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("repair", OPTIONS, arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let (mut name, mut source) = (None, Source::Any);
    for (letter, value) in &parsed.options {
        match letter {
            'n' => name = value.as_ref().map(PathBuf::from),
            _ => source = Source::Backup,
        }
    }
    let Some(name) = name else { return super::misused(USAGE, terminal) };
    let repair = match Repair::open(&name, source) {
        Ok(repair) => repair,
        Err(error) => {
            terminal.print("error opening ");
            terminal.print_path(&name);
            terminal.print(format_args!(": -{}\n", error.errno()));
            terminal.explain(&error);
            return error.errno();
        }
    };
    let misplaced = misplaced_blocks(&name);
    match repair.write() {
        Ok(()) => {
            if let Some(first) = misplaced.first() {
                let count = misplaced.len();
                terminal.say(format_args!("warning: faults of block addresses: {count}, the first: {first}"));
                terminal
                    .help("if the file had been cut, what it lost reads as zeros now: copy it again from its source");
            }
            0
        }
        Err(error) => {
            terminal.print(format_args!("error writing footer: -{}\n", error.errno()));
            terminal.explain(&error);
            error.errno()
        }
    }
}

/// What is wrong with where blocks lie: they are past the end of a file that was cut.
fn misplaced_blocks(name: &Path) -> Vec<String> {
    let options = Options { now: Timestamp::from(SystemTime::now()), ..Options::default() };
    let findings = vhd::check::check(name, &options).map(|report| report.findings).unwrap_or_default();
    let blocks = findings.into_iter().filter(|finding| finding.place == Place::Bat);
    blocks.map(|finding| finding.message).collect()
}
