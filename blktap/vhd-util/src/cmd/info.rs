//! `info`: everything about one image, for people or as JSON. blktap's tool has no such command.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;

use crate::getopt;
use crate::image_info::{Below, Info};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:h";
const HELP: &str = "\
Print everything about one image and its parents

usage: vhd-util info -n FILE [--json]

  -n FILE  The image
  --json   Print one line of JSON
  --help   Print this text

The exit status is 0 when the image can be opened, whatever the warnings say; `vhd-util check` judges.

Keys of the JSON object; what an image does not have, or what cannot be read, is null:
  file               The image as it was named
  kind               fixed, dynamic or differencing
  virtual_bytes      Size of the disk
  physical_bytes     What the image takes, tables and footer included
  file_bytes         Size of its file or device
  block_bytes        Size of a block
  blocks             How many blocks the disk has
  allocated_blocks   How many of them have a place in the file
  max_virtual_bytes  What the disk can grow to quickly
  batmap             Of an image of blktap: `version`, and `full_blocks`, how many have all of their sectors
  uuid               Identity
  created            When it was made, in UTC
  creator            `application` and `version` that made it
  hidden             1 for a base copy that no machine uses
  marker             A number that toolstacks keep in the image
  keyhash            Hash of the key of an encrypted disk, in hexadecimal; empty for none
  resizing           Whether it is in the middle of a resize
  parents            The chain, next parent first, as far as it can be followed: `stored` (path as the child has it),
                     `path` (where that is), `found`, `kind` (vhd or raw), `uuid`
  warnings           What is wrong, in words
An image that cannot be opened gives `file`, `errno`, `error`.

Example:
  vhd-util info -n disk.vhd
";
const USAGE: &str = "options: <-n name> [--json] [-h help]\n";

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let (flags, arguments): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(|argument| argument == "--json");
    let parsed = getopt::parse("info", OPTIONS, &arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, 0, terminal) {
        return status;
    }
    let mut names = parsed.options.iter().filter_map(|(_, value)| value.as_ref());
    let Some(name) = names.next_back().map(PathBuf::from) else { return super::misused(USAGE, terminal) };
    let is_json = !flags.is_empty();
    match Info::read(&name) {
        Ok(info) if is_json => terminal.print(format_args!("{}\n", info.json())),
        Ok(info) => text(&info, terminal),
        Err(error) if is_json => return super::not_opened_json(&name, &error, terminal),
        Err(error) => {
            terminal.explain(&error);
            return error.errno();
        }
    }
    0
}

fn text(info: &Info, terminal: &mut Terminal) {
    let footer = &info.footer;
    terminal.print("File:          ");
    terminal.print_path(&info.file);
    terminal.print("\n");
    let mut line = |label: &str, value: &dyn Display| terminal.print(format_args!("{label:<14} {value}\n"));
    line("Kind:", &info.kind());
    line("Size:", &size(footer.current_bytes));
    if let Some(physical_bytes) = info.physical_bytes {
        line("Takes:", &size(physical_bytes));
    }
    if info.physical_bytes != Some(info.file_bytes) {
        line("File size:", &size(info.file_bytes));
    }
    if let Some(blocks) = &info.blocks {
        let allocated = blocks.allocated.map_or("unknown number".to_owned(), |allocated| allocated.to_string());
        line("Blocks:", &format_args!("{allocated} of {} allocated, {} each", blocks.count, size(blocks.block_bytes)));
        if blocks.max_virtual_bytes > footer.current_bytes {
            line("Can grow to:", &size(blocks.max_virtual_bytes));
        }
        match &blocks.batmap {
            Some(batmap) => line("Batmap:", &format_args!("version {}, {} blocks full", batmap.version, batmap.blocks)),
            None => line("Batmap:", &"none"),
        }
    }
    line("UUID:", &footer.uuid);
    line("Created:", &format_args!("{} by {} {}", info.created(), info.creator(), footer.creator.version));
    line("Hidden:", &if footer.hidden == 0 { "no".to_owned() } else { format!("yes ({})", footer.hidden) });
    if let Some(marker) = info.marker {
        line("Marker:", &marker);
    }
    line("Encrypted:", &if info.key_hash.is_some() { "yes" } else { "no" });
    if info.parents.is_empty() {
        line("Parents:", &"none");
    }
    for (depth, parent) in (1..).zip(&info.parents) {
        terminal.print(format_args!("{:<14} ", format!("Parent {depth}:")));
        below(parent, terminal);
    }
    for warning in &info.warnings {
        terminal.print(format_args!("Warning:       {warning}\n"));
    }
}

fn below(parent: &Below, terminal: &mut Terminal) {
    match (&parent.path, &parent.stored) {
        (Some(path), _) => terminal.print_path(path),
        (None, Some(stored)) => terminal.print_path(stored),
        (None, None) => terminal.print("unknown"),
    }
    let remark = match (&parent.path, parent.is_raw) {
        (None, _) => " (not found)\n",
        (Some(_), true) => " (raw)\n",
        (Some(_), false) => "\n",
    };
    terminal.print(remark);
}

/// A size for people, and in bytes.
fn size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = units.into_iter().find(|&(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes} bytes");
    };
    let (whole, tenth) = (bytes >> shift, ((bytes & ((1 << shift) - 1)) * 10) >> shift);
    match tenth {
        0 => format!("{whole} {unit} ({bytes} bytes)"),
        _ => format!("{whole}.{tenth} {unit} ({bytes} bytes)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: u64, expected: &str) {
        assert_eq!(size(bytes), expected);
    }

    #[test]
    fn sizes_are_for_people_too() {
        check(0, "0 bytes");
        check(1023, "1023 bytes");
        check(3584, "3.5 KiB (3584 bytes)");
        check(64 << 20, "64 MiB (67108864 bytes)");
        check((2 << 40) + (1 << 39), "2.5 TiB (2748779069440 bytes)");
        check(u64::MAX, "16777215.9 TiB (18446744073709551615 bytes)");
    }
}
