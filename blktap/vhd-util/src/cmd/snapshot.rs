//! `snapshot`: a new image on top of another.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::SystemTime;

use uuid::Uuid;
use vhd::create::{Request, Storage};
use vhd::snapshot::{self, Base};
use vhd::units::MIB_BYTES;
use vhd::{Error, Timestamp, chain};

use crate::getopt::{self, Parsed};
use crate::report::{EFBIG, ENOSPC};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:p:l:mS:eh";
const USAGE: &str = "options: <-n name> <-p parent name> [-l snapshot depth limit] [-m parent_is_raw] [-S size (MB) for metadata preallocation (see vhd-util resize)] [-e link to supplied parent name even if it's empty] [-h help]\n";
const HELP: &str = "\
Create an image on top of another

usage: vhd-util snapshot -n FILE -p PARENT [-m] [-e] [-l LIMIT] [-S MIB]

  -n FILE    The new image; what it does not hold is read from its parent. A file that exists loses its content
  -p PARENT  The parent. A parent that is itself a snapshot and holds nothing is left out of the chain
  -m         The parent is a raw disk, not a VHD
  -e         Keep the parent in the chain even if it holds nothing
  -l LIMIT   Fail with status 28 when the chain would have more images than this
  -S MIB     Reserve tables for a disk of this size, so that it can grow to it quickly later
  --help     Print this text

The path to the parent is stored relative to the directory of FILE: move both, or neither. Do not write to PARENT as
long as it has children.

Examples:
  vhd-util snapshot -n today.vhd -p base.vhd
  vhd-util snapshot -n /dev/VG/LEAF -p /dev/VG/BASE -S 2097152
";

#[derive(Default)]
struct Args {
    name: PathBuf,
    parent: PathBuf,
    /// Zero for none, as in libvhd.
    limit: u64,
    /// Zero for none, as in libvhd.
    max_size_mib: u64,
    is_raw: bool,
    is_exact: bool,
}

impl Args {
    /// `None` when something is missing or no number.
    fn parse(parsed: &Parsed) -> Option<Args> {
        let mut args = Args::default();
        for (letter, value) in &parsed.options {
            let value = value.as_deref().unwrap_or_default();
            match letter {
                'n' => args.name = value.into(),
                'p' => args.parent = value.into(),
                'l' => args.limit = number(value)?,
                'S' => args.max_size_mib = number(value)?,
                'm' => args.is_raw = true,
                _ => args.is_exact = true,
            }
        }
        (!args.name.as_os_str().is_empty() && !args.parent.as_os_str().is_empty()).then_some(args)
    }
}

fn number(text: &OsStr) -> Option<u64> {
    text.to_str()?.trim().parse().ok()
}

/// Runs `snapshot` with the arguments after its name; returns the exit status.
pub fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("snapshot", OPTIONS, arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, 0, terminal) {
        return status;
    }
    let Some(args) = Args::parse(&parsed) else { return super::misused(USAGE, terminal) };
    match bases(&args) {
        Ok((size_bytes, base)) => {
            if let Some(status) = too_deep(&args, &base, terminal) {
                return status;
            }
            create(&args, size_bytes, &base, terminal)
        }
        Err(error) => {
            terminal.explain(&error);
            error.errno()
        }
    }
}

/// The size of the named parent, and what the snapshot really goes on.
fn bases(args: &Args) -> Result<(u64, Base), Error> {
    let parent = &args.parent;
    let named = if args.is_raw { Base::raw(parent)? } else { Base::vhd(parent)? };
    let size_bytes = named.size_bytes();
    let base = if args.is_raw || args.is_exact { named } else { Base::not_empty(parent)? };
    Ok((size_bytes, base))
}

fn too_deep(args: &Args, base: &Base, terminal: &mut Terminal) -> Option<i32> {
    let (limit, Base::Vhd(image)) = (args.limit, base) else { return None };
    if limit == 0 {
        return None;
    }
    match chain::depth(vhd::Medium::path(image.file())) {
        Ok(depth) if u64::from(depth) + 1 > limit => {
            terminal.print(format_args!("snapshot depth exceeded: current depth: {depth}, limit: {limit}\n"));
            Some(ENOSPC)
        }
        Ok(_) => None,
        Err(error) => {
            terminal.print(format_args!("error checking snapshot depth: -{}\n", error.errno()));
            terminal.explain(&error);
            Some(error.errno())
        }
    }
}

fn create(args: &Args, size_bytes: u64, base: &Base, terminal: &mut Terminal) -> i32 {
    let Some(max_bytes) = args.max_size_mib.checked_mul(MIB_BYTES) else {
        terminal.say(format_args!("error: size is beyond 64 bits: {} MiB", args.max_size_mib));
        return EFBIG;
    };
    let request = Request {
        storage: Storage::Dynamic { max_bytes: (max_bytes > 0).then_some(max_bytes) },
        size_bytes,
        uuid: Uuid::new_v4(),
        timestamp: Timestamp::from(SystemTime::now()),
    };
    match snapshot::create(&args.name, &request, base) {
        Ok(()) => 0,
        Err(error) => {
            let number = format!(": failed to create: -{}", error.errno());
            terminal.say_bytes(&[args.name.as_os_str().as_bytes(), number.as_bytes()]);
            terminal.explain(&error);
            error.errno()
        }
    }
}
