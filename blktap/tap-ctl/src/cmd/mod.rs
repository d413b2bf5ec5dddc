//! The command line: one file per group of commands, with options, outputs and exit statuses of blktap 4. What goes wrong
//! is told on standard error, at the end in the system's words for the exit status, as ever.

mod control;
mod list;
mod numbers;
mod open;
mod top;

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use legacy_cli::getopt::{self, End, Parsed};
use legacy_cli::report::EINVAL;
use legacy_cli::terminal::Terminal;
use rustix::io::Errno;

use crate::client::Client;
use crate::disk::Vbd;
use crate::error::Error;
use tap_proto::RunDir;

const USAGE: &str = "\
usage: tap-ctl COMMAND [OPTIONS]
COMMAND := { list | allocate | free | create | destroy | spawn | attach | detach | open | close | pause | unpause | stats }
";

const HELP: &str = "\
Control tapdisks: the processes that serve disk images

usage: tap-ctl COMMAND [OPTIONS]
       tap-ctl COMMAND --help

Commands:
  create    Serve an image: allocate, spawn, attach and open in one
  destroy   Stop serving it: close, detach and free in one
  list      Print tapdisks and their disks
  stats     Print counters of a disk, as JSON
  top       Show what all disks do, as they do it
  pause     Finish what is under way and close all files of a disk
  unpause   Open them again, or another image, and go on
  open      Open an image as a disk of a tapdisk
  close     Close it
  allocate  Take a number for a disk
  free      Give the number back
  spawn     Start a tapdisk
  attach    Give a tapdisk the number of a disk
  detach    Take it back; a tapdisk without any exits

The exit status is 0 or the Linux error number of the failure. --debug after COMMAND prints every message.
BLKTAP_RUN_DIR names another place for sockets than /run/blktap-control, BLKTAP_TAPDISK another daemon.

Examples:
  tap-ctl create -a vhd:/srv/disk.vhd
  tap-ctl list
  tap-ctl destroy -p PID -m MINOR
";

/// A command: its option letters, its usage, its help, and what it does.
struct Command {
    name: &'static str,
    options: &'static str,
    usage: &'static str,
    help: &'static str,
    run: fn(&Call<'_>, &mut Terminal) -> Result<(), Failure>,
}

const COMMANDS: [&Command; 14] = [
    &list::LIST,
    &numbers::ALLOCATE,
    &numbers::FREE,
    &open::CREATE,
    &control::DESTROY,
    &numbers::SPAWN,
    &control::ATTACH,
    &control::DETACH,
    &open::OPEN,
    &control::CLOSE,
    &control::PAUSE,
    &open::UNPAUSE,
    &list::STATS,
    &top::TOP,
];

/// Why a command did nothing, or not all.
enum Failure {
    /// It was called wrongly.
    Usage,
    Failed(Error),
    /// It said why itself; the exit status, which blktap gives without words of the system.
    Said(i32),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Failed(error)
    }
}

/// A command line whose options are known.
struct Call<'a> {
    parsed: &'a Parsed,
    client: Client,
}

impl Call<'_> {
    fn has(&self, letter: char) -> bool {
        self.parsed.options.iter().any(|&(found, _)| found == letter)
    }

    /// The value of an option, the last one where there are more.
    fn value(&self, letter: char) -> Option<&OsStr> {
        let mut values = self.parsed.options.iter().filter(|&&(found, _)| found == letter);
        values.next_back().and_then(|(_, value)| value.as_deref())
    }

    /// The value as a number, if there is one.
    fn number<N: std::str::FromStr>(&self, letter: char) -> Result<Option<N>, Failure> {
        let Some(value) = self.value(letter) else { return Ok(None) };
        value.to_str().and_then(|value| value.trim().parse().ok()).map(Some).ok_or(Failure::Usage)
    }

    /// The disk that `-p` and `-m` name.
    fn vbd(&self) -> Result<Vbd<'_>, Failure> {
        match (self.number('p')?, self.number('m')?) {
            (Some(pid), Some(minor)) => Ok(Vbd { client: &self.client, pid, minor }),
            _ => Err(Failure::Usage),
        }
    }

    fn timeout(&self) -> Result<Option<Duration>, Failure> {
        Ok(self.number('t')?.map(Duration::from_secs))
    }
}

/// Runs the command that the arguments name; returns the exit status.
pub fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let Some((name, arguments)) = arguments.split_first() else {
        terminal.print(USAGE);
        return 0;
    };
    if name == "--help" {
        terminal.print(HELP);
        return 0;
    }
    let Some(command) = COMMANDS.into_iter().find(|command| name == command.name) else {
        // blktap's tool succeeds here; scripts may probe for commands so.
        terminal.say(format_args!("invalid COMMAND {}", name.display()));
        terminal.print(USAGE);
        return 0;
    };
    // The long words among getopt's letters. `--debug` may stand anywhere, even where a value should be.
    let is_debug = arguments.iter().any(|word| word == "--debug");
    let rest = arguments.iter().filter(|&word| word != "--debug");
    let short = |word: &OsString| match word.to_str() {
        Some("--json") => "-j".into(),
        Some("--pretty") => "-y".into(),
        _ => word.clone(),
    };
    let arguments: Vec<OsString> = rest.map(short).collect();
    let parsed = getopt::parse(command.name, command.options, &arguments);
    if parsed.options.iter().any(|&(letter, _)| letter == 'h') {
        match command.name {
            "attach" => terminal.say_bytes(&[command.usage.trim_end().as_bytes()]),
            _ => terminal.print(command.usage),
        }
        return 0;
    }
    let failure = match &parsed.end {
        End::LongHelp => {
            terminal.print(command.help);
            return 0;
        }
        End::Wrong(line) => {
            terminal.say(line);
            Some(Failure::Usage)
        }
        End::Done | End::Operands(_) => {
            let trace = is_debug.then_some(print_line as fn(&str));
            let client = Client { trace, ..Client::new(RunDir::from_environment()) };
            (command.run)(&Call { parsed: &parsed, client }, terminal).err()
        }
    };
    let Some(failure) = failure else { return 0 };
    let errno = match failure {
        Failure::Said(status) => return status,
        Failure::Usage => {
            terminal.say(command.usage.trim_end());
            EINVAL
        }
        Failure::Failed(error) => {
            terminal.explain(&error);
            error.help().into_iter().for_each(|help| terminal.help(help));
            error.errno()
        }
    };
    terminal.say(words(errno));
    errno
}

/// Messages are told as they come: the next one may never.
fn print_line(line: &str) {
    println!("{line}");
}

/// What the system calls an error.
fn words(errno: i32) -> String {
    let text = std::io::Error::from(Errno::from_raw_os_error(errno)).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
