//! `resize`: a larger disk, quickly where its tables have room, else with a journal.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::path::PathBuf;

use vhd::resize::{Resize, Stage, Subject};
use vhd::revert::{InDoubt, revert};
use vhd::units::{BLOCK_BYTES, MIB_BYTES};
use vhd::{Error, Image, ImageFile, JournalFile, Medium, edit};

use super::{force, size};
use crate::failpoint::FailPoint;
use crate::getopt::{self, Parsed};
use crate::report::{EEXIST, EFBIG, EINVAL};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:s:j:fh";
const USAGE: &str = "\
options: <-n name> <-s size (in MB)> (<-j journal>|<-f fast>) [-h help]

The resize operation can only be performed offline and must be journaled because resizing the metadata might require moving data blocks. However, if a VHD was created with -S <msize> option (during vhd-util create/snapshot), which preallocates the metadata for growing the VHD up to size <msize>, then resizing such a VHD up to <msize> can be performed online without journaling (-f option).
";
const HELP: &str = "\
Make a disk larger

usage: vhd-util resize -n FILE -s MIB (-f | -j JOURNAL) [--force]

  -n FILE     The image, which blktap or this program made
  -s MIB      New size of the disk in MiB, rounded up to 2 MiB; at most 2088960 (2040 GiB)
  -f          Quickly: only the footers change. The tables must have room, see `vhd-util create -S` and
              `vhd-util query -S`. The disk may be in use, but not written to just now
  -j JOURNAL  Whatever it takes: data in the way of the tables moves to the end of the file. Nobody may use the disk.
              JOURNAL is a new file or a block device (6 MiB are enough), on any file system
  --force     Allow more than 2088960 MiB: such a disk fails with `no space` before it is full
  --help      Print this text

A disk cannot shrink. With -j the image is marked until all is done, and no program opens it; a resize that was
interrupted is taken back with `vhd-util revert -n FILE -j JOURNAL`. JOURNAL is removed at the end.

Examples:
  vhd-util resize -n disk.vhd -s 20480 -f
  vhd-util resize -n disk.vhd -s 20480 -j disk.journal
";

struct Args {
    name: PathBuf,
    size_mib: u64,
    /// `None` for the fast way.
    journal: Option<PathBuf>,
}

impl Args {
    /// `None` when something is missing or too much.
    fn parse(parsed: &Parsed) -> Option<(PathBuf, OsString, Option<PathBuf>)> {
        let (mut name, mut size, mut journal, mut is_fast) = (None, None, None, false);
        for (letter, value) in &parsed.options {
            match letter {
                'n' => name = value.clone(),
                's' => size = value.clone(),
                'j' => journal = value.clone(),
                _ => is_fast = true,
            }
        }
        (is_fast != journal.is_some()).then_some((name?.into(), size?, journal.map(PathBuf::from)))
    }
}

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let (forced, arguments) = force::take(arguments);
    let parsed = getopt::parse("resize", OPTIONS, &arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let Some((name, size, journal)) = Args::parse(&parsed) else { return super::misused(USAGE, terminal) };
    let Some(size_mib) = size::mib(&size) else {
        size::explain_no_number(&size, terminal);
        terminal.help("vhd-util resize -n FILE -s 20480 -j JOURNAL");
        return super::misused(USAGE, terminal);
    };
    if let Err(status) = size::check(size_mib, forced, terminal) {
        return status;
    }
    let args = Args { name, size_mib, journal };
    let image = match open(&args, terminal) {
        Ok(image) => image,
        Err(status) => return status,
    };
    let Some(size_bytes) =
        args.size_mib.checked_mul(MIB_BYTES).filter(|bytes| bytes.checked_add(BLOCK_BYTES).is_some())
    else {
        terminal.say(format_args!("error: size is beyond 64 bits: {} MiB", args.size_mib));
        return EFBIG;
    };
    match &args.journal {
        None => grow_fast(&args, &image, size_bytes, terminal),
        Some(path) => match JournalFile::create(path, image.file()) {
            Ok(journal) => journaled(&args, &image, size_bytes, journal, terminal),
            Err(error) => {
                no_journal(&error, terminal);
                if error.errno() == EEXIST {
                    let (name, journal) = (args.name.display(), path.display());
                    terminal.help(format_args!(
                        "if a resize was interrupted: vhd-util revert -n {name} -j {journal}; else name another file"
                    ));
                }
                error.errno()
            }
        },
    }
}

fn open(args: &Args, terminal: &mut Terminal) -> Result<Image, i32> {
    // The fast way is taken under guests.
    let opened = if args.journal.is_some() { Image::open_rw(&args.name) } else { Image::open_live(&args.name) };
    let image = opened.map_err(|error| super::not_opened(&args.name, &error, terminal))?;
    if image.footer().is_poisoned {
        terminal.print("error opening ");
        terminal.print_path(&args.name);
        terminal.print(format_args!(": -{EINVAL}\n"));
        terminal.say(format_args!("error: `{}` is in the middle of a resize", args.name.display()));
        terminal.help(format_args!("vhd-util revert -n {} -j JOURNAL", args.name.display()));
        return Err(EINVAL);
    }
    if !image.footer().creator.is_tap() {
        terminal.print_path(&args.name);
        terminal.print(" not created by xen; resize not supported\n");
        terminal.say("error: only images that blktap or this program made can be resized");
        return Err(EINVAL);
    }
    Ok(image)
}

fn grow_fast(args: &Args, image: &Image, size_bytes: u64, terminal: &mut Terminal) -> i32 {
    let (new, now) = (size_bytes.next_multiple_of(BLOCK_BYTES), image.footer().current_bytes);
    match new.cmp(&now) {
        Ordering::Less if image.footer().kind.is_sparse() => {
            terminal.print_path(&args.name);
            terminal.print(format_args!(": size ({new}) < curr size ({now})\n"));
            return EINVAL;
        }
        Ordering::Equal if image.footer().kind.is_sparse() => return 0,
        _ => {}
    }
    match edit::grow(image, size_bytes) {
        Ok(()) => 0,
        Err(error) => {
            terminal.explain(&error);
            terminal.help(format_args!(
                "vhd-util resize -n {} -s {} -j JOURNAL, while nobody uses the disk",
                args.name.display(),
                args.size_mib
            ));
            error.errno()
        }
    }
}

fn journaled(args: &Args, image: &Image, size_bytes: u64, journal: JournalFile, terminal: &mut Terminal) -> i32 {
    let subject = match Subject::of(image) {
        Ok(subject) => subject,
        Err(error) => {
            no_journal(&error, terminal);
            return remove(journal, error.errno(), terminal);
        }
    };
    match size_bytes.cmp(&subject.size_bytes()) {
        Ordering::Equal => return remove(journal, 0, terminal),
        Ordering::Less if image.footer().kind.is_sparse() => terminal.print("dynamic shrink not fully implemented\n"),
        _ => {}
    }
    let resize = match subject.grow(size_bytes) {
        Ok(resize) => resize,
        Err(error) => {
            not_resized(&error, terminal);
            return remove(journal, error.errno(), terminal);
        }
    };
    if let Err(error) = resize.write_journal(journal.medium()) {
        no_journal(&error, terminal);
        return remove(journal, error.errno(), terminal);
    }
    if let Err(error) = resize.begin() {
        no_journal(&error, terminal);
        return take_back(args, journal, &error, terminal);
    }
    match work(&resize, terminal) {
        Err(error) => {
            not_resized(&error, terminal);
            return take_back(args, journal, &error, terminal);
        }
        Ok(Worked::Failed) => return EINVAL,
        Ok(Worked::Done) => {}
    }
    match resize.commit() {
        Ok(()) => remove(journal, 0, terminal),
        Err(error) => {
            not_closed(args, &journal, &error, terminal);
            error.errno()
        }
    }
}

/// How the work ended.
enum Worked {
    Done,
    /// A test wanted it to stop.
    Failed,
}

fn work(resize: &Resize<'_>, terminal: &mut Terminal) -> Result<Worked, Error> {
    if FailPoint::ResizeBegin.is_hit(terminal) {
        return Ok(Worked::Failed);
    }
    for stage in resize.stages() {
        resize.perform(stage)?;
        let point = match stage {
            Stage::Blocks => FailPoint::ResizeDataMoved,
            Stage::Locators => FailPoint::ResizeMetadataMoved,
            Stage::Tables => FailPoint::ResizeEnd,
        };
        if point.is_hit(terminal) {
            return Ok(Worked::Failed);
        }
    }
    Ok(Worked::Done)
}

/// Brings the image back; the status is that of the failure.
fn take_back(args: &Args, journal: JournalFile, failure: &Error, terminal: &mut Terminal) -> i32 {
    match ImageFile::open_rw(&args.name).and_then(|image| revert(image, journal.medium(), InDoubt::Refuse)) {
        Ok(_) => remove(journal, failure.errno(), terminal),
        Err(error) => {
            not_closed(args, &journal, &error, terminal);
            failure.errno()
        }
    }
}

/// Removes the journal; `status` unless that fails.
fn remove(journal: JournalFile, status: i32, terminal: &mut Terminal) -> i32 {
    match journal.remove() {
        Ok(()) => status,
        Err(error) => {
            terminal.explain(&error);
            if status == 0 { error.errno() } else { status }
        }
    }
}

fn no_journal(error: &Error, terminal: &mut Terminal) {
    terminal.print(format_args!("creating journal failed: -{}\n", error.errno()));
    terminal.explain(error);
}

fn not_resized(error: &Error, terminal: &mut Terminal) {
    terminal.print(format_args!("resize failed: -{}\n", error.errno()));
    terminal.explain(error);
}

fn not_closed(args: &Args, journal: &JournalFile, error: &Error, terminal: &mut Terminal) {
    terminal.print(format_args!("closing journal failed: -{}\n", error.errno()));
    terminal.explain(error);
    let (name, journal) = (args.name.display(), journal.medium().path().display());
    terminal.help(format_args!("when the cause is gone: vhd-util revert -n {name} -j {journal}"));
}
