//! One file per command: its options, its run. What is here finds the command and knows which ones are missing.

mod check;
mod coalesce;
mod compact;
mod convert;
mod copy;
mod create;
mod fill;
mod force;
mod info;
mod key;
mod modern;
mod modify;
mod query;
mod read;
mod repair;
mod resize;
mod revert;
mod scan;
mod set;
mod size;
mod snapshot;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use legacy_cli::terminal::in_words;
use legacy_cli::usage::{misused, stop};
use serde_json::json;
use vhd::{Error, Gate, Image};

use crate::report::EINVAL;
use crate::terminal::Terminal;

pub use create::run as run_create;
pub use set::run as run_set;
pub use snapshot::run as run_snapshot;

const USAGE: &str = "\
usage: vhd-util COMMAND [OPTIONS]
COMMAND := { create | snapshot | query | read | set | repair | resize | fill | coalesce | modify | scan | check | revert | key | copy }
";

const HELP: &str = "\
Create, inspect and change VHD images

usage: vhd-util COMMAND [OPTIONS]
       vhd-util COMMAND --help

Commands:
  check     Find every fault of an image
  coalesce  Copy what an image holds into its parent
  compact   Give back the space of blocks that hold only zeros
  convert   Convert a disk to another format: raw, fixed or dynamic VHD
  copy      Copy a disk into a new image, encrypted if a key is given
  create    Create an image
  info      Print everything about one image and its parents
  query     Print properties of an image, one per line
  read      Print headers, tables, bitmaps or data of an image
  repair    Write both footers anew
  resize    Make a disk larger
  revert    Take back a resize that was interrupted
  scan      Print one line per image, or the tree of images and their parents
  snapshot  Create an image on top of another
  set       Set the hidden flag or the marker
  modify    Give an image another parent or physical size, or drop its data
  fill      Give every block of a disk a place, with or without writing its data
  key       Compute, set, check or print the hash of an encrypted disk's key

Results go to standard output, in the format of blktap 4; explanations go to standard error.
The exit status is 0 or the Linux error number of the first failure (22 for wrong usage).
--debug is accepted after COMMAND and ignored. --allow-parents DIR after COMMAND, as often as needed, refuses parents outside
DIR with status 13: for images that come from others.

Examples:
  vhd-util create -n disk.vhd -s 10240
  vhd-util query -n disk.vhd -v -s -p
";

/// Runs the command that the arguments name; returns the exit status.
pub fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let Some((command, arguments)) = arguments.split_first() else {
        terminal.print(USAGE);
        terminal.help("vhd-util --help");
        return 0;
    };
    // libvhd's logging switch is taken out wherever it stands, even from where a value should be.
    let arguments: Vec<_> = arguments.iter().filter(|&argument| argument != "--debug").cloned().collect();
    let arguments = match allow_parents(arguments, terminal) {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let status = run_command(command, &arguments, terminal);
    if terminal.has_usage() {
        terminal.help(format_args!("vhd-util {} --help", command.display()));
    }
    status
}

fn run_command(command: &OsStr, arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    match command.to_str() {
        Some("check") => check::run(arguments, terminal),
        Some("coalesce") => coalesce::run(arguments, terminal),
        Some("compact") => compact::run(arguments, terminal),
        Some("convert") => convert::run(arguments, terminal),
        Some("copy") => copy::run(arguments, terminal),
        Some("create") => create::run(arguments, terminal),
        Some("query") => query::run(arguments, terminal),
        Some("snapshot") => snapshot::run(arguments, terminal),
        Some("set") => set::run(arguments, terminal),
        Some("modify") => modify::run(arguments, terminal),
        Some("fill") => fill::run(arguments, terminal),
        Some("info") => info::run(arguments, terminal),
        Some("key") => key::run(arguments, terminal),
        Some("read") => read::run(arguments, terminal),
        Some("repair") => repair::run(arguments, terminal),
        Some("resize") => resize::run(arguments, terminal),
        Some("revert") => revert::run(arguments, terminal),
        Some("scan") => scan::run(arguments, terminal),
        Some("--help") => {
            terminal.print(HELP);
            0
        }
        _ => unknown(command, terminal),
    }
}

/// Takes `--allow-parents DIR` out of the arguments and obeys it; the exit status when that fails.
fn allow_parents(arguments: Vec<OsString>, terminal: &mut Terminal) -> Result<Vec<OsString>, i32> {
    let (mut rest, mut directories) = (Vec::new(), Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument != "--allow-parents" {
            rest.push(argument);
        } else if let Some(directory) = arguments.next() {
            directories.push(directory);
        } else {
            terminal.say("error: --allow-parents needs a directory");
            return Err(EINVAL);
        }
    }
    if !directories.is_empty() {
        let gate = Gate::within(directories).map_err(|error| {
            terminal.explain(&error);
            error.errno()
        });
        gate?.set_for_process();
    }
    Ok(rest)
}

/// libvhd's tool tells what is wrong, prints its usage and exits with success; scripts may probe for commands so.
fn unknown(command: &OsStr, terminal: &mut Terminal) -> i32 {
    terminal.say_bytes(&[b"invalid COMMAND ", command.as_bytes()]);
    terminal.help("vhd-util --help");
    terminal.print(USAGE);
    0
}

/// Opens an image to change it, while a disk may be using it; not one in the middle of a resize. The exit status when that
/// fails.
fn open_live(name: &Path, terminal: &mut Terminal) -> Result<Image, i32> {
    Image::open_live(name).and_then(Image::not_poisoned).map_err(|error| not_opened(name, &error, terminal))
}

/// Prints that an image cannot be opened; returns the exit status.
fn not_opened(name: &Path, error: &Error, terminal: &mut Terminal) -> i32 {
    terminal.print("error opening ");
    terminal.print_path(name);
    terminal.print(format_args!(": -{}\n", error.errno()));
    terminal.explain(error);
    error.errno()
}

/// The same with `--json`.
fn not_opened_json(name: &Path, error: &Error, terminal: &mut Terminal) -> i32 {
    let object = json!({ "file": name.to_string_lossy(), "errno": error.errno(), "error": in_words(error) });
    terminal.print(format_args!("{object}\n"));
    error.errno()
}
