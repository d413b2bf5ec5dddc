//! `scan`: one line per image, or a tree. The looking is `scan_look`'s.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use base16ct::lower;
use serde_json::json;

use crate::getopt::{self, End};
use crate::glob;
use crate::lvm::{self, Group, Volume};
use crate::report::{EINVAL, ENOENT};
use crate::scan_look::{self, Depth, Failure, Found, LOST, Look, Place};
use crate::terminal::Terminal;

const OPTIONS: &str = "m:fcl:pavMh";
const USAGE: &str = "\
usage: [OPTIONS] FILES
options: [-m match filter] [-f fast] [-c continue on failure] [-l LVM volume] [-p pretty print] [-a scan parents] [-v verbose] [-h help] [-M show markers]
";
const HELP: &str = "\
Print one line per image, or the tree of images and their parents

usage: vhd-util scan [-m PATTERN] [-f] [-c] [-a] [-p] [-v] [-M] [--json] [FILE]...
       vhd-util scan -l GROUP [-m PATTERN] [-f] [-c] [-a] [-p] [-M] [--json] [PATTERN]...

  FILE        An image
  -m PATTERN  Images whose names match, like '/sr/*.vhd'; quote it, so that the shell leaves it alone
  -l GROUP    Images on logical volumes of this LVM group whose names match, active or not; calls vgs and lvs
  -f          Fast: print the parent as it is stored, without looking for it
  -c          Go on after an image that cannot be read; the exit status is then 0
  -a          Scan parents too, wherever they are
  -p          Print a tree: children below their parents
  -v          Print paths instead of names
  -M          Print markers and hashes of keys
  --json      Print one line of JSON per image: `vhd`, `capacity`, `size`, `hidden`, `marker`, `keyhash`, `parent`; or
              `vhd`, `errno`, `error`
  --help      Print this text

An image gives `vhd=NAME capacity=BYTES size=BYTES hidden=N parent=NAME|none`, one that cannot be read
`vhd=NAME scan-error=-ERRNO error-message='TEXT'`, and why on standard error. Images are read in parallel and printed in order.

Examples:
  vhd-util scan -f -c -m '/sr/*.vhd'
  vhd-util scan -f -c -l VG_XenStorage -m 'VHD-*'
";

/// How lines look.
struct Style {
    is_pretty: bool,
    is_verbose: bool,
    is_fast: bool,
    with_markers: bool,
    is_json: bool,
}

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let (flags, arguments): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(|argument| argument == "--json");
    let mut parsed = getopt::parse("scan", OPTIONS, &arguments);
    let files = match std::mem::replace(&mut parsed.end, End::Done) {
        End::Operands(files) => files,
        end => {
            parsed.end = end;
            Vec::new()
        }
    };
    if let Some(status) = super::stop(&parsed, USAGE, HELP, 0, terminal) {
        return status;
    }
    let is_asked = |letter| parsed.options.iter().any(|&(asked, _)| asked == letter);
    let last = |wanted| {
        let values = parsed.options.iter().filter(|&&(letter, _)| letter == wanted);
        values.filter_map(|(_, value)| value.as_deref()).next_back()
    };
    let (pattern, group) = (last('m'), last('l'));
    if pattern.is_none() && files.is_empty() {
        return super::misused(USAGE, terminal);
    }
    let style = Style {
        is_pretty: is_asked('p') && flags.is_empty(),
        is_verbose: is_asked('v'),
        is_fast: is_asked('f'),
        with_markers: is_asked('M'),
        is_json: !flags.is_empty(),
    };
    let place = match group.map(Group::read).transpose() {
        Ok(group) => group.map_or(Place::Files, Place::Volumes),
        Err(error) => {
            terminal.explain(&error);
            return EINVAL;
        }
    };
    let goes_on = is_asked('c');
    let mut targets = Vec::new();
    for (path, failed) in candidates(pattern, files, &place) {
        let Some(failed) = failed else {
            targets.push(path);
            continue;
        };
        failure(&path, &failed, &style, terminal);
        if !goes_on {
            terminal.say(format_args!("scan failed: -{}. Check syslog for details", failed.errno));
            return failed.errno;
        }
    }
    let depth = Depth {
        is_fast: style.is_fast && !style.is_pretty,
        with_parents: is_asked('a'),
        with_markers: style.with_markers || style.is_json,
    };
    let looks = scan_look::scan(targets, &place, depth);
    print(&looks, goes_on, &style, terminal)
}

/// What the command line asks for, and why some of it cannot even be tried. Operands are files, or patterns of volumes.
fn candidates(pattern: Option<&OsStr>, operands: Vec<OsString>, place: &Place) -> Vec<(PathBuf, Option<Failure>)> {
    let lost = |errno| Failure::new(errno, LOST);
    match place {
        Place::Files => {
            let found = pattern.map(glob::files).unwrap_or_default().into_iter().map(|path| (path, None));
            let named = operands.into_iter().map(PathBuf::from);
            let named = named.map(|file| match fs::metadata(&file) {
                Ok(_) => (file, None),
                Err(_) => (file, Some(lost(ENOENT))),
            });
            found.chain(named).collect()
        }
        Place::Volumes(group) => {
            let patterns = pattern.map(OsStr::to_owned).into_iter().chain(operands);
            let volumes = lvm::select(&group.volumes, patterns);
            let candidate = |volume: &Volume| (PathBuf::from(&volume.name), volume.start.clone().err().map(lost));
            volumes.into_iter().map(candidate).collect()
        }
    }
}

fn print(looks: &[Look], goes_on: bool, style: &Style, terminal: &mut Terminal) -> i32 {
    for (at, look) in looks.iter().enumerate() {
        match &look.found {
            Ok(_) if style.is_pretty => {}
            Ok(found) => image(&look.path, found, "", style, terminal),
            Err(error) => {
                failure(&look.path, error, style, terminal);
                // A parent that is lost is told, but is no failure of the images asked for.
                if !goes_on && error.doing != LOST {
                    if style.is_pretty {
                        tree(&looks[..at], style, terminal);
                    }
                    return error.errno;
                }
            }
        }
    }
    if style.is_pretty {
        tree(looks, style, terminal);
    }
    0
}

/// Children under their parents, hidden images before others, otherwise in the order of the scan.
fn tree(looks: &[Look], style: &Style, terminal: &mut Terminal) {
    let mut nodes: Vec<(&Path, &Found)> =
        looks.iter().filter_map(|look| look.found.as_ref().ok().map(|found| (look.path.as_path(), found))).collect();
    nodes.sort_by_key(|(_, found)| found.hidden == 0);
    let mut places: HashMap<&Path, usize> = HashMap::new();
    for (at, (_, found)) in nodes.iter().enumerate() {
        places.entry(&found.canonical).or_insert(at);
    }
    let mut children = vec![Vec::new(); nodes.len()];
    let mut roots = Vec::new();
    for (at, (path, found)) in nodes.iter().enumerate() {
        let directory = vhd::canonical(path).ok().and_then(|path| path.parent().map(Path::to_owned));
        let stored = found.parent.as_ref().map(|parent| directory.unwrap_or_default().join(parent));
        let parent = found.found_parent.as_ref().map(|(path, _)| path.clone());
        let parent = parent.or_else(|| stored.and_then(|stored| vhd::canonical(&stored).ok()));
        match parent.and_then(|parent| places.get(parent.as_path()).copied()) {
            Some(parent) => children[parent].push(at),
            None => roots.push(at),
        }
    }
    // Images that are each other's parents have no root; they are shown all the same.
    let mut is_shown = vec![false; nodes.len()];
    let mut stack: Vec<(usize, usize)> = Vec::new();
    let orphans: Vec<usize> = (0..nodes.len()).collect();
    for (root, is_root) in roots.iter().map(|&root| (root, true)).chain(orphans.iter().map(|&node| (node, false))) {
        stack.push((root, 0));
        while let Some((at, level)) = stack.pop() {
            if std::mem::replace(&mut is_shown[at], true) {
                continue;
            }
            let (path, found) = nodes[at];
            terminal.print("   ".repeat(level));
            let is_lost = is_root && level == 0 && found.parent.is_some();
            image(path, found, if is_lost { " (not found in scan)" } else { "" }, style, terminal);
            stack.extend(children[at].iter().rev().map(|&child| (child, level + 1)));
        }
    }
}

fn image(path: &Path, found: &Found, remark: &str, style: &Style, terminal: &mut Terminal) {
    let key = found.key_hash.map(|hash| lower::encode_string(&hash)).unwrap_or_default();
    if style.is_json {
        let object = json!({
            "vhd": path.to_string_lossy(),
            "capacity": found.capacity,
            "size": found.size,
            "hidden": found.hidden,
            "marker": found.marker,
            "keyhash": key,
            "parent": found.parent.as_ref().map(|parent| parent.to_string_lossy()),
        });
        terminal.print(format_args!("{object}\n"));
        return;
    }
    terminal.print("vhd=");
    let path = if style.is_pretty { &found.canonical } else { path };
    terminal.print_path(if style.is_verbose { path } else { name(path) });
    terminal.print(format_args!(" capacity={} size={} hidden={}", found.capacity, found.size, found.hidden));
    if style.with_markers {
        terminal.print(format_args!(" marker={} keyhash={key}", found.marker));
    }
    terminal.print(" parent=");
    match &found.parent {
        None => terminal.print("none"),
        Some(parent) if style.is_verbose && !style.is_fast => terminal.print_path(parent),
        Some(parent) => terminal.print_path(name(parent)),
    }
    terminal.print(format_args!("{remark}\n"));
}

fn failure(path: &Path, error: &Failure, style: &Style, terminal: &mut Terminal) {
    if style.is_json {
        let why = error.why.as_deref().unwrap_or(error.doing);
        let object = json!({ "vhd": path.to_string_lossy(), "errno": error.errno, "error": why });
        terminal.print(format_args!("{object}\n"));
        return;
    }
    terminal.print("vhd=");
    match vhd::canonical(path) {
        Ok(canonical) if style.is_pretty => terminal.print_path(&canonical),
        _ => terminal.print_path(path),
    }
    terminal.print(format_args!(" scan-error=-{} error-message='{}'\n", error.errno, error.doing));
    if let Some(why) = &error.why {
        terminal.say(format_args!("error: {why}"));
    }
}

fn name(path: &Path) -> &Path {
    path.file_name().filter(|name| !name.as_bytes().is_empty()).map_or(path, Path::new)
}
