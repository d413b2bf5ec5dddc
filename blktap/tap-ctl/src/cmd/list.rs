//! `list` and `stats`: what is there, and what it does.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;

use legacy_cli::terminal::Terminal;
use serde_json::{Value, json};

use super::Command;
use crate::list::{self, Entry};

pub(super) const LIST: Command = Command {
    name: "list",
    options: "m:p:t:f:jh",
    usage: "\
usage: list [-h] [-p pid] [-m minor] [-t type] [-f file]

Lists tapdisks in the following format:
     pid minor state       type file
",
    help: "\
Print tapdisks and their disks

usage: tap-ctl list [-p PID] [-m MINOR] [-t TYPE] [-f FILE] [--json]

  -p PID    Only of this tapdisk
  -m MINOR  Only this disk
  -t TYPE   Only images of this type
  -f FILE   Only this image, by the path with which it was opened
  --json    One line of JSON per entry: pid, minor, state, type, path; what is unknown is null

One line per disk, per tapdisk without disk, and per marker that no tapdisk serves: words where standard output is no
terminal (`pid=4711 minor=0 state=0 args=vhd:/srv/disk.vhd`), columns on a terminal. `state` is bits: 0 serving, 0x2a paused.

Example:
  tap-ctl list -f /srv/disk.vhd
",
    run: |call, terminal| {
        let pid: Option<i32> = call.number('p')?;
        let minor: Option<i32> = call.number('m')?;
        let entries = match pid {
            Some(pid) => list::of_pid(&call.client, pid),
            None => list::all(&call.client),
        };
        let is = |found: Option<&OsStr>, wanted: Option<&OsStr>| wanted.is_none() || found == wanted;
        let is_terminal = std::io::stdout().is_terminal();
        for entry in entries? {
            let image = entry.image.as_ref();
            let is_wanted = minor.is_none_or(|minor| entry.minor == Some(minor))
                && is(image.map(|(kind, _)| kind.as_os_str()), call.value('t'))
                && is(image.map(|(_, path)| path.as_os_str()), call.value('f'));
            if is_wanted {
                match (call.has('j'), is_terminal) {
                    (true, _) => json_line(&entry, terminal),
                    (false, true) => row(&entry, terminal),
                    (false, false) => words(&entry, terminal),
                }
            }
        }
        Ok(())
    },
};

/// State as C's `%#x` prints it: 0 without a prefix.
fn hex(state: i32) -> String {
    if state == 0 { "0".to_owned() } else { format!("{state:#x}") }
}

fn row(entry: &Entry, terminal: &mut Terminal) {
    let text = |number: Option<i32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let state = entry.state.map_or_else(|| "-".to_owned(), hex);
    let (kind, path) = match &entry.image {
        Some((kind, path)) => (kind.to_string_lossy(), path.as_os_str()),
        None => ("-".into(), OsStr::new("-")),
    };
    terminal.print(format_args!("{:>8} {:>4} {state:>4} {kind:>10} ", text(entry.pid), text(entry.minor)));
    terminal.print_bytes(path.as_bytes());
    terminal.print("\n");
}

fn words(entry: &Entry, terminal: &mut Terminal) {
    let mut words = Vec::new();
    words.extend(entry.pid.map(|pid| format!("pid={pid}").into_bytes()));
    words.extend(entry.minor.map(|minor| format!("minor={minor}").into_bytes()));
    words.extend(entry.state.map(|state| format!("state={}", hex(state)).into_bytes()));
    if let Some((kind, path)) = &entry.image {
        words.push([b"args=", kind.as_bytes(), b":", path.as_bytes()].concat());
    }
    terminal.print_bytes(&words.join(&b' '));
    terminal.print("\n");
}

fn json_line(entry: &Entry, terminal: &mut Terminal) {
    let image = entry.image.as_ref();
    let line = json!({
        "pid": entry.pid,
        "minor": entry.minor,
        "state": entry.state,
        "type": image.map(|(kind, _)| kind.to_string_lossy()),
        "path": image.map(|(_, path)| path.to_string_lossy()),
    });
    terminal.print(format_args!("{line}\n"));
}

pub(super) const STATS: Command = Command {
    name: "stats",
    options: "p:m:yh",
    usage: "\
usage: stats <-p pid> <-m minor>

Prints a Python dictionary with the VBD stats. The images are listed in reverse order (leaf to root)
",
    help: "\
Print counters of a disk, as JSON

usage: tap-ctl stats -p PID -m MINOR [--pretty]

  --pretty  For people: a line a counter

Images are listed leaf first. `secs` are sectors read and written; of our tapdisk `reqs` are requests, `usecs` how long
they took together.

Example:
  tap-ctl stats -p 4711 -m 0 | jq .secs
",
    run: |call, terminal| {
        let json = call.vbd()?.stats()?;
        if call.has('y')
            && let Ok(stats) = serde_json::from_slice::<Value>(&json)
            && let Ok(pretty) = serde_json::to_string_pretty(&stats)
        {
            terminal.print(format_args!("{pretty}\n"));
            return Ok(());
        }
        terminal.print_bytes(&json);
        terminal.print("\n\n");
        Ok(())
    },
};
