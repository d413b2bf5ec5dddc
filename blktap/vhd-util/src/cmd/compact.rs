//! `compact`: blocks that make no difference give their space back.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use lexopt::Arg;
use serde_json::json;
use vhd::compact::{Compact, Compacted, Found};
use vhd::{Error, ErrorKind};

use super::modern::{self, Misuse};
use crate::progress::Progress;
use crate::terminal::Terminal;

const HELP: &str = "\
Give back the space of blocks that hold only zeros

usage: vhd-util compact -n FILE [--move] [--dry-run] [--json]

  -n, --name FILE  The image, dynamic or differencing. Nobody may have it open: no tapdisk, no other command
  --move           Move blocks down into the space that became free, so that the file ends earlier
  --dry-run        Only print what would be dropped
  --json           Print what was done as JSON
  --help           Print this text

A block is dropped when everything reads the same without it: its sectors are absent or zeros, and the parents read as
zeros wherever it hides them. The file is cut behind its last block; free space before that becomes holes, or with --move
is filled with the last blocks. An image with any fault (`vhd-util check`), under a resize journal, or whose footer says
that it is in use is refused. A compact that was killed is run again; until then everything reads as before.

A guest's deleted files are no zeros: have the guest write zeros over its free space, or discard it, first.

Examples:
  vhd-util compact -n disk.vhd --dry-run
  vhd-util compact -n disk.vhd --move
";

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let (mut name, mut moves, mut is_dry, mut is_json) = (None, false, false, false);
    let parsed = modern::parse("compact", HELP, arguments, terminal, |option, value| {
        match option {
            Arg::Short('n') | Arg::Long("name") => name = Some(PathBuf::from(value.any()?)),
            Arg::Long("move") => moves = true,
            Arg::Long("dry-run") => is_dry = true,
            Arg::Long("json") => is_json = true,
            other => return Err(Misuse::from(other.unexpected())),
        }
        Ok(())
    });
    if let Some(status) = parsed {
        return status;
    }
    let Some(name) = name else { return modern::misused("compact", "-n is missing", terminal) };
    let before = Size::of(&name);
    let done = Compact::open(&name).and_then(|compact| {
        let found = find(&compact, &name)?;
        let done = if is_dry { None } else { Some(drop_blocks(compact, &found, moves)?) };
        Ok((found, done))
    });
    match done {
        Ok((found, done)) => {
            let outcome = Outcome { name: &name, found: &found, done, before, after: Size::of(&name) };
            if is_json {
                outcome.print_json(terminal)
            } else {
                outcome.print(terminal)
            }
            0
        }
        Err(error) => {
            terminal.explain(&error);
            if error.kind() == ErrorKind::InvalidInput {
                terminal.help("`vhd-util convert --to dynamic` makes a disk that takes no space for zeros");
            }
            error.job_errno()
        }
    }
}

fn find(compact: &Compact, name: &Path) -> Result<Found, Error> {
    let bytes = vhd::Image::open(name)?.footer().current_bytes;
    let bar = Progress::of_bytes("look for zeros", bytes);
    compact.find(|done| bar.set(done))
}

fn drop_blocks(compact: Compact, found: &Found, moves: bool) -> Result<Compacted, Error> {
    // At most so much moves: what is behind the free space.
    let bar = Progress::of_bytes("move", if moves { found.droppable.len() as u64 * found.block_bytes } else { 0 });
    compact.run(found, moves, |done| bar.set(done))
}

/// What an image takes.
#[derive(Clone, Copy, Default)]
struct Size {
    file_bytes: u64,
    /// Of a file: holes take nothing.
    used_bytes: Option<u64>,
}

impl Size {
    fn of(name: &Path) -> Size {
        match fs::metadata(name) {
            Ok(found) if found.file_type().is_block_device() => Size::default(),
            Ok(found) => Size { file_bytes: found.len(), used_bytes: Some(found.blocks() * 512) },
            Err(_) => Size::default(),
        }
    }
}

struct Outcome<'a> {
    name: &'a Path,
    found: &'a Found,
    /// Nothing after a dry run.
    done: Option<Compacted>,
    before: Size,
    after: Size,
}

impl Outcome<'_> {
    fn dropped_bytes(&self) -> u64 {
        self.found.droppable.len() as u64 * self.found.block_bytes
    }

    fn print(&self, terminal: &mut Terminal) {
        let (blocks, dropped, bytes) = (self.found.blocks, self.found.droppable.len(), self.dropped_bytes());
        terminal.print_path(self.name);
        let Some(done) = self.done else {
            terminal.print(format_args!(": {dropped} of {blocks} blocks can be dropped, {bytes} bytes\n"));
            return;
        };
        terminal.print(format_args!(": dropped {dropped} of {blocks} blocks, {bytes} bytes; moved {}", done.moved));
        if let (Some(before), Some(after)) = (self.before.used_bytes, self.after.used_bytes) {
            let (old, new) = (self.before.file_bytes, self.after.file_bytes);
            terminal.print(format_args!("; file {old} -> {new} bytes, on disk {before} -> {after}"));
        }
        terminal.print("\n");
    }

    fn print_json(&self, terminal: &mut Terminal) {
        let mut object = json!({
            "file": self.name.to_string_lossy(),
            "dry_run": self.done.is_none(),
            "blocks": self.found.blocks,
            "dropped": self.found.droppable.len(),
            "dropped_bytes": self.dropped_bytes(),
        });
        if let Some(done) = self.done {
            object["moved"] = done.moved.into();
            if self.before.used_bytes.is_some() {
                object["file_bytes_before"] = self.before.file_bytes.into();
                object["file_bytes"] = self.after.file_bytes.into();
                object["used_bytes_before"] = self.before.used_bytes.into();
                object["used_bytes"] = self.after.used_bytes.into();
            }
        }
        terminal.print(format_args!("{object}\n"));
    }
}
