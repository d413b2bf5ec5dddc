//! `modify`: another parent, another physical size, or no data.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use vhd::plan::Target;
use vhd::relink::Until;
use vhd::repair::{Repair, Source};
use vhd::snapshot::Base;
use vhd::{Error, Image, Medium, edit, relink};

use crate::failpoint::FailPoint;
use crate::getopt::{self, Parsed};
use crate::report::{EINVAL, ENOSYS};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:s:p:mzh";
const USAGE: &str = "\
*** Dangerous operations, use with care ***
options: <-n name> [-p NEW_PARENT set parent [-m raw]] [-s NEW_SIZE set size] [-z zero (kill data)] [-h help]
";
const HELP: &str = "\
Give an image another parent or physical size, or drop its data

usage: vhd-util modify -n FILE [-p PARENT [-m]] [-s BYTES] [-z]

  -n FILE    The image
  -p PARENT  Read from this image what FILE does not hold. Its data must be what the old parent's was
  -m         PARENT is a raw disk, not a VHD
  -s BYTES   Write the footer at the end of this many bytes, before or after the volume gets this size
  -z         Drop all data of FILE: every block reads from the parent, or zero
  --help     Print this text

A crash while the parent is changed leaves the old parent or the new one.

Examples:
  vhd-util modify -n leaf.vhd -p base.vhd
  vhd-util modify -n /dev/VG/LV -s 4194304
";

#[derive(Default)]
struct Args {
    name: PathBuf,
    parent: Option<PathBuf>,
    is_raw: bool,
    size_bytes: Option<u64>,
    is_zeroed: bool,
}

impl Args {
    /// `None` when something is missing or no number.
    fn parse(parsed: &Parsed) -> Option<Args> {
        let mut args = Args::default();
        for (letter, value) in &parsed.options {
            let value = value.as_deref().unwrap_or_default();
            match letter {
                'n' => args.name = value.into(),
                'p' => args.parent = Some(value.into()),
                's' => args.size_bytes = Some(value.to_str()?.trim().parse().ok()?),
                'm' => args.is_raw = true,
                _ => args.is_zeroed = true,
            }
        }
        (!args.name.as_os_str().is_empty()).then_some(args)
    }
}

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("modify", OPTIONS, arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let Some(args) = Args::parse(&parsed) else { return super::misused(USAGE, terminal) };
    match super::open_live(&args.name, terminal) {
        Ok(image) => modify(&args, &image, terminal),
        Err(status) => status,
    }
}

fn modify(args: &Args, image: &Image, terminal: &mut Terminal) -> i32 {
    if args.is_zeroed
        && let Err(error) = drop_data(&args.name, image)
    {
        // A fixed disk has no blocks to drop.
        let errno = if image.raw_header().is_some() { error.errno() } else { ENOSYS };
        terminal.print(format_args!("failed to zero VHD: -{errno}\n"));
        terminal.explain(&error);
        return errno;
    }
    if let Some(size_bytes) = args.size_bytes
        && let Err(error) = edit::set_physical_size(image, size_bytes)
    {
        terminal.print(format_args!("failed to set physical size to {size_bytes}: -{}\n", error.errno()));
        terminal.explain(&error);
        return error.errno();
    }
    let Some(parent) = &args.parent else { return 0 };
    if FailPoint::ReparentBegin.is_hit(terminal) {
        return EINVAL;
    }
    let base = || if args.is_raw { Base::raw(parent) } else { Base::vhd(parent) };
    // First, as in libvhd: what the parent is does not matter then.
    let base = relink::check(image).and_then(|()| base());
    let until = if FailPoint::ReparentLocator.is_set() { Until::Paths } else { Until::End };
    match base.and_then(|base| relink::relink(image, &base, until)) {
        Ok(()) if FailPoint::ReparentLocator.is_hit(terminal) || FailPoint::ReparentEnd.is_hit(terminal) => EINVAL,
        Ok(()) => 0,
        Err(error) => {
            let number = format!("': -{}\n", error.errno());
            terminal.print_bytes(
                &[b"failed to set parent to '", parent.as_os_str().as_bytes(), number.as_bytes()].concat(),
            );
            terminal.explain(&error);
            error.errno()
        }
    }
}

/// Drops all data. A file then ends behind its tables, as with libvhd.
fn drop_data(name: &Path, image: &Image) -> Result<(), Error> {
    edit::kill_data(image)?;
    match image.file().target() {
        Target::BlockDevice { .. } => Ok(()),
        Target::File => Repair::open(name, Source::Any)?.write(),
    }
}
