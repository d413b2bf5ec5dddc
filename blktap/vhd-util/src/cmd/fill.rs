//! `fill`: gives every block of a disk a place, with the data that it reads now.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use vhd::units::BLOCK_BYTES;
use vhd::{Disk, Error, Image};

use crate::getopt::{self, Parsed};
use crate::progress::Progress;
use crate::report::{EINVAL, EOVERFLOW, ERANGE};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:f:t:bBh";
const USAGE: &str = "options: <-n name> [-h help] [-b initialise the BAT and bitmaps, don't write to the data blocks (much faster)] [-f start intialisation from this sector, only usable with -b] [-t intialise up to this sector (inclusive), only usable with -b] [-B ignore the 2 TB limit, only usable with -b]\n";
const HELP: &str = "\
Give every block of a disk a place, with the data that it reads now

usage: vhd-util fill -n FILE
       vhd-util fill -n FILE -b [-f SECTOR] [-t SECTOR] [-B]

  -n FILE    The image; what its parents hold is copied into it
  -b         Write no data: blocks that have no place get one. Every sector reads as before: without a parent it is there
             and zero, with one the parent's data shows through
  -f SECTOR  From the block of this sector on
  -t SECTOR  Up to the block of this sector
  -B         Leave out blocks that would begin beyond 2 TiB of the file, which no image can name. Without -B they make it
             fail with status 75, and nothing is changed
  --help     Print this text

Examples:
  vhd-util fill -n disk.vhd
";

#[derive(Default)]
struct Args {
    name: PathBuf,
    first: Option<u64>,
    last: Option<u64>,
    is_bat_only: bool,
    is_partial: bool,
}

impl Args {
    /// `None`, after the words of libvhd's tool, when something is missing, no number, or does not go together.
    fn parse(parsed: &Parsed, terminal: &mut Terminal) -> Option<Args> {
        let mut args = Args::default();
        for (letter, value) in &parsed.options {
            let value = value.as_deref().unwrap_or_default();
            let number = || value.to_str().and_then(|value| value.trim().parse().ok());
            match letter {
                'n' => args.name = value.into(),
                'f' => args.first = Some(number()?),
                't' => args.last = Some(number()?),
                'b' => args.is_bat_only = true,
                _ => args.is_partial = true,
            }
        }
        if args.name.as_os_str().is_empty() {
            return None;
        }
        let is_range = args.first.is_some() || args.last.is_some();
        let wrong = match (args.first, args.last) {
            _ if is_range && !args.is_bat_only => "-f/-t can only be used with -b\n".to_owned(),
            (Some(first), Some(last)) if last < first => format!("invalid sector range {first}-{last}\n"),
            _ if args.is_partial && !args.is_bat_only => "-B can only be used with -b\n".to_owned(),
            _ => return Some(args),
        };
        terminal.print(wrong);
        None
    }
}

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("fill", OPTIONS, arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let Some(args) = Args::parse(&parsed, terminal) else { return super::misused(USAGE, terminal) };
    let image = match super::open_live(&args.name, terminal) {
        Ok(image) => image,
        Err(status) => return status,
    };
    let done = if args.is_bat_only { place(&args, image, terminal) } else { fill(&args.name, &image).map(|()| 0) };
    done.unwrap_or_else(|error| {
        terminal.explain(&error);
        error.job_errno()
    })
}

/// A few blocks at a time: memory is bounded, and they share their barriers.
const CHUNK_BYTES: u64 = 4 * BLOCK_BYTES;

fn fill(name: &Path, image: &Image) -> Result<(), Error> {
    // A fixed disk has no blocks to fill.
    image.header()?;
    let mut disk = Disk::open_rw(name)?;
    let (size, mut at) = (disk.size_bytes(), 0);
    let bar = Progress::of_bytes("fill", size);
    let len = |left: u64| usize::try_from(CHUNK_BYTES.min(left)).expect("a few blocks fit in memory");
    let mut bytes = vec![0; len(size)];
    while at < size {
        bar.set(at);
        let bytes = &mut bytes[..len(size - at)];
        disk.read_at(at, bytes)?;
        disk.write_at(at, bytes)?;
        at += CHUNK_BYTES;
    }
    disk.flush()
}

/// Gives blocks a place. Parents are not looked at: nothing is read from them.
fn place(args: &Args, image: Image, terminal: &mut Terminal) -> Result<i32, Error> {
    let (count, block_sectors) = (image.bat()?.entries().len(), image.header()?.block_size.sectors());
    let Some(blocks) = range(args, count, block_sectors) else {
        terminal.say(format_args!("error: sectors lie past the end of a disk of {count} blocks"));
        return Ok(ERANGE);
    };
    let mut disk = Disk::of(image, vec![], None)?;
    let (unplaced, fitting) = disk.unplaced(blocks)?;
    let (fitting, beyond) = unplaced.split_at(fitting);
    if let Some(first) = beyond.first() {
        if !args.is_partial {
            terminal.print(format_args!("sector offset for extent {first} exceeds the 2 TB limit\n"));
            return Ok(EOVERFLOW);
        }
        terminal.say(format_args!("warning: {} blocks from {first} on get no place", beyond.len()));
    }
    disk.place(fitting)?;
    disk.flush()?;
    Ok(0)
}

/// The blocks of the sectors that are asked for; `None` when the disk does not have all of them.
fn range(args: &Args, count: usize, block_sectors: u64) -> Option<Range<usize>> {
    let block = |sector: u64| usize::try_from(sector / block_sectors).ok();
    let first = args.first.map_or(Some(0), block)?;
    let end = args.last.map_or(Some(count), |last| block(last)?.checked_add(1))?;
    let is_all = args.first.is_none() && args.last.is_none();
    (end <= count && (first < end || is_all)).then_some(first..end)
}
