//! `check`: whether an image is right, in blktap's words; `--json` has every fault.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use legacy_cli::terminal::in_words;
use serde_json::{Value, json};
use vhd::check::{Options, Place, Report};
use vhd::{Error, MAX_CHAIN_DEPTH, Timestamp};

use super::read;
use crate::getopt::{self, Parsed};
use crate::progress::Progress;
use crate::report::{EINVAL, ELOOP};
use crate::sector_stats::{self, Stats};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:iItBpbsh";
const USAGE: &str = "options: -n <file> [-i ignore missing primary footers] [-I ignore parent uuids] [-t ignore timestamps] [-B do not check BAT for overlapping (precludes -s, -b)] [-p check parents] [-b check bitmaps] [-s stats] [-h help]\n";
const HELP: &str = "\
Find every fault of an image

usage: vhd-util check -n FILE [-i] [-I] [-t] [-p] [-b] [-s] [-B] [--json]

  -n FILE  The image
  -p       Check its parents too
  -b       Look for data where bitmaps say there is none; reads all data
  -s       Print how many sectors are allocated and written instead of `FILE is valid`; with -p, the lowest image first,
           also how many of the written ones are not in the parent, and in no image below
  -i       A missing or damaged footer at the end is no fault
  -I       A parent with another identity is no fault
  -t       A creation time in the future is no fault
  -B       Overlapping blocks are no fault; not with -s or -b
  --json   Print one line of JSON per image with all faults, and nothing else: `file`, `valid`, `findings` (each with
           `place`, `message`, `errno`), `omitted` (faults beyond the first 1000); with -s `sectors_allocated`,
           `sectors_written`; with -s and -p also `sectors_not_in_parent`, `sectors_not_in_ancestors`
  --help   Print this text

The first fault is printed on standard output, all others on standard error. Of a fixed disk only the footer is checked,
and nothing is printed where it is right. The exit status is 0, or the error number of the first fault (mostly 22).

Example:
  vhd-util check -n disk.vhd -p
";

/// How a check shows what it found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Legacy,
    Json,
}

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let (flags, arguments): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(|argument| argument == "--json");
    let parsed = getopt::parse("check", OPTIONS, &arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, 0, terminal) {
        return status;
    }
    let is_asked = |letter| parsed.options.iter().any(|&(asked, _)| asked == letter);
    let options = options(&is_asked);
    let Some(name) = name(&parsed).filter(|_| !options.ignore_overlaps || !(is_asked('s') || is_asked('b'))) else {
        return super::misused(USAGE, terminal);
    };
    let style = if flags.is_empty() { Style::Legacy } else { Style::Json };
    chain(name, is_asked('p'), &options, style, terminal)
}

fn name(parsed: &Parsed) -> Option<PathBuf> {
    let names = parsed.options.iter().filter(|&&(letter, _)| letter == 'n');
    names.filter_map(|(_, value)| value.as_ref()).next_back().map(PathBuf::from)
}

fn options(is_asked: &dyn Fn(char) -> bool) -> Options {
    Options {
        ignore_primary_footer: is_asked('i'),
        ignore_parent_uuid: is_asked('I'),
        ignore_timestamps: is_asked('t'),
        ignore_overlaps: is_asked('B'),
        check_bitmaps: is_asked('b'),
        count_sectors: is_asked('s'),
        now: Timestamp::from(SystemTime::now()),
    }
}

/// Checks an image, and with `with_parents` those below it until one is wrong.
fn chain(mut name: PathBuf, with_parents: bool, options: &Options, style: Style, terminal: &mut Terminal) -> i32 {
    let (mut passed, mut images, mut objects) = (HashSet::new(), Vec::new(), Vec::new());
    let errno = loop {
        let is_new = passed.insert(fs::canonicalize(&name).unwrap_or_else(|_| name.clone()));
        if !is_new || passed.len() > MAX_CHAIN_DEPTH as usize {
            terminal.say(format_args!("error: chain comes back to `{}`, or never ends", name.display()));
            break ELOOP;
        }
        let bar = Progress::of_bytes("check", 0);
        let report = vhd::check::check_with_progress(&name, options, &mut |done, total| bar.set_of(done, total));
        drop(bar);
        let report = match report {
            Ok(report) => report,
            Err(error) => break unopened(&name, &error, style, terminal),
        };
        let errno = report.findings.first().map_or(0, |finding| finding.errno);
        match style {
            Style::Legacy => show(&name, &report, terminal),
            Style::Json => objects.push(object(&name, &report)),
        }
        images.extend(report.sectors.filter(|_| errno == 0).map(|counts| (name.clone(), counts)));
        match report.parent {
            Some(parent) if errno == 0 && with_parents => name = parent,
            _ => break errno,
        }
    };
    if errno != 0 && passed.len() > 1 && style == Style::Legacy {
        terminal.print(format_args!("error checking parents: -{errno}\n"));
    }
    let statistics = match sector_stats::of_chain(images) {
        Ok(statistics) => statistics,
        Err(error) => {
            terminal.explain(&error);
            return error.job_errno();
        }
    };
    match style {
        Style::Legacy => sector_stats::print(&statistics, terminal),
        Style::Json => {
            for (object, Stats { unique, .. }) in objects.iter_mut().zip(&statistics) {
                if let Some(unique) = unique {
                    object["sectors_not_in_parent"] = unique.not_in_parent.into();
                    object["sectors_not_in_ancestors"] = unique.not_in_ancestors.into();
                }
            }
            objects.iter().for_each(|object| terminal.print(format_args!("{object}\n")));
        }
    }
    errno
}

fn unopened(name: &Path, error: &Error, style: Style, terminal: &mut Terminal) -> i32 {
    terminal.explain(error);
    if style == Style::Json {
        let object = json!({
            "file": name.to_string_lossy(),
            "valid": false,
            "errno": error.errno(),
            "error": in_words(error),
        });
        terminal.print(format_args!("{object}\n"));
        return error.errno();
    }
    let other = |kind: fs::FileType| !kind.is_file() && !kind.is_block_device();
    match fs::metadata(name) {
        Err(source) => {
            let errno = source.raw_os_error().unwrap_or(EINVAL);
            terminal.print("cannot stat ");
            terminal.print_path(name);
            terminal.print(format_args!(": {errno}\n"));
            errno
        }
        Ok(metadata) if other(metadata.file_type()) => {
            terminal.print_path(name);
            terminal.print(" is not a regular file or block device\n");
            EINVAL
        }
        Ok(_) => {
            terminal.print("error opening ");
            terminal.print_path(name);
            terminal.print(format_args!(": -{}\n", error.errno()));
            error.errno()
        }
    }
}

fn show(name: &Path, report: &Report, terminal: &mut Terminal) {
    let Some((first, others)) = report.findings.split_first() else {
        // blktap's tool is silent about fixed disks, and about those whose sectors it counts.
        if report.is_sparse && report.sectors.is_none() {
            terminal.print_path(name);
            terminal.print(" is valid\n");
        }
        return;
    };
    match first.place {
        Place::Opening => terminal.say(format_args!("error: {}", first.message)),
        _ => terminal.print(format_args!("{}\n", first.message)),
    }
    terminal.print_path(name);
    terminal.print(" appears invalid; dumping metadata\n");
    read::print(name, terminal);
    for other in others {
        terminal.say_bytes(&[b"also: ", name.as_os_str().as_bytes(), b": ", other.message.as_bytes()]);
    }
    if report.omitted > 0 {
        terminal.say(format_args!("also: {} more", report.omitted));
    }
}

fn object(name: &Path, report: &Report) -> Value {
    let findings = report
        .findings
        .iter()
        .map(|finding| json!({ "place": finding.place.name(), "message": finding.message, "errno": finding.errno }));
    let mut object = json!({
        "file": name.to_string_lossy(),
        "valid": report.is_valid(),
        "findings": findings.collect::<Vec<_>>(),
        "omitted": report.omitted,
    });
    if let Some(counts) = report.sectors {
        object["sectors_allocated"] = counts.allocated.into();
        object["sectors_written"] = counts.written.into();
    }
    object
}
