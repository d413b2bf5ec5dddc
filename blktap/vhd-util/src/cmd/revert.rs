//! `revert`: takes back a resize that was interrupted.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use vhd::revert::{InDoubt, Reverted, revert};
use vhd::{Error, ErrorKind, Image, ImageFile, JournalFile};

use super::force::{self, Forced};
use crate::getopt;
use crate::report::EINVAL;
use crate::terminal::Terminal;

const OPTIONS: &str = "n:j:h";
const USAGE: &str = "options: <-n name> <-j journal> [-h help]\n";
const HELP: &str = "\
Take back a resize that was interrupted

usage: vhd-util revert -n FILE -j JOURNAL [--force]

  -n FILE     The image
  -j JOURNAL  What `vhd-util resize -j` wrote, this program's or blktap's; removed when all is done
  --force     Do it even if the image looks as if it had been written to since
  --help      Print this text

The image is then what it was before the resize. An image that the resize had not begun to change, or had finished, is
left as it is. A journal that is damaged or of another image is refused, and nothing is changed.

Example:
  vhd-util revert -n disk.vhd -j disk.journal
";

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let (forced, arguments) = force::take(arguments);
    let parsed = getopt::parse("revert", OPTIONS, &arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let (mut name, mut journal) = (None, None);
    for (letter, value) in &parsed.options {
        match letter {
            'n' => name = value.as_ref().map(PathBuf::from),
            _ => journal = value.as_ref().map(PathBuf::from),
        }
    }
    let (Some(name), Some(journal)) = (name, journal) else { return super::misused(USAGE, terminal) };
    let in_doubt = if forced == Forced::Yes { InDoubt::Restore } else { InDoubt::Refuse };
    match take_back(&name, &journal, in_doubt, terminal) {
        Ok(()) => 0,
        Err((doing, error)) => {
            terminal.print(format_args!("{doing} journal failed: -{}\n", error.errno()));
            terminal.explain(&error);
            if error.kind() == ErrorKind::InDoubt {
                let (name, journal) = (name.display(), journal.display());
                terminal.help(format_args!("if the disk was in use since: remove `{journal}`"));
                terminal
                    .help(format_args!("if a revert was interrupted: vhd-util revert -n {name} -j {journal} --force"));
            } else if Image::open(&name).is_ok_and(|image| !image.footer().is_poisoned) {
                terminal.help(format_args!("`{}` is in the middle of no resize", name.display()));
            }
            error.errno()
        }
    }
}

/// Or what it was doing when it failed, in blktap's words.
fn take_back(
    name: &Path,
    journal: &Path,
    in_doubt: InDoubt,
    terminal: &mut Terminal,
) -> Result<(), (&'static str, Error)> {
    let opening = |error| ("opening", error);
    let image = ImageFile::open_rw(name).map_err(opening)?;
    let journal = JournalFile::open(journal, &image).map_err(opening)?;
    let reverted = revert(image, journal.medium(), in_doubt);
    let reverted = reverted.map_err(|error| match error.kind() {
        ErrorKind::Io | ErrorKind::NoSpace => ("reverting", error),
        _ => ("opening", error),
    })?;
    journal.remove().map_err(|error| ("removing", error))?;
    if reverted == Reverted::WasWhole {
        terminal.say(format_args!("note: `{}` is whole and was left as it is", name.display()));
    }
    Ok(())
}
