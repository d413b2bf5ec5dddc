//! `create`: a new dynamic or fixed image.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::SystemTime;

use uuid::Uuid;
use vhd::create::{Request, Storage};
use vhd::units::MIB_BYTES;
use vhd::{Error, Timestamp};

use super::force::{self, Forced};
use super::size;
use crate::getopt::{self, Parsed};
use crate::report::{EFBIG, EINVAL};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:s:S:rh";
const USAGE: &str = "options: <-n name> <-s size (MB)> [-r reserve] [-h help] [<-S size (MB) for metadata preallocation (see vhd-util resize)>]\n";
const HELP: &str = "\
Create an image

usage: vhd-util create -n FILE -s MIB [-S MIB] [-r] [--force]

  -n FILE  The image: a new file, an existing one (its content is lost) or a block device
  -s MIB   Size of the disk in MiB, rounded up to 2 MiB; at most 2088960 (2040 GiB)
  -S MIB   Reserve tables for a disk of this size, so that it can grow to it quickly later; not with -r
  -r       Reserve all space now: a fixed disk instead of a dynamic one
  --force  Allow more than 2088960 MiB: such a disk fails with `no space` before it is full
  --help   Print this text

When it fails, a file that was not there before is removed again.

Examples:
  vhd-util create -n disk.vhd -s 10240
  vhd-util create -n /dev/VG/LV -s 10240 -S 2097152
";

struct Args {
    name: PathBuf,
    size_mib: u64,
    /// Zero for none, as in libvhd.
    max_size_mib: u64,
    is_reserved: bool,
}

/// Why options are not a run.
enum Misuse {
    /// Something is missing: the usage says it all.
    Usage,
    /// A size that is no number: the usage, and which one.
    Size(OsString),
}

impl Args {
    fn parse(parsed: &Parsed) -> Result<Args, Misuse> {
        let (mut name, mut size, mut max_size, mut is_reserved) = (None, None, None, false);
        for (letter, value) in &parsed.options {
            match letter {
                'n' => name = value.clone(),
                's' => size = value.clone(),
                'S' => max_size = value.clone(),
                _ => is_reserved = true,
            }
        }
        let (Some(name), Some(size)) = (name, size) else { return Err(Misuse::Usage) };
        let mib = |text: OsString| size::mib(&text).ok_or(Misuse::Size(text));
        Ok(Args { name: name.into(), size_mib: mib(size)?, max_size_mib: max_size.map_or(Ok(0), mib)?, is_reserved })
    }
}

/// Runs `create` with the arguments after its name; returns the exit status.
pub fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let (forced, arguments) = force::take(arguments);
    let parsed = getopt::parse("create", OPTIONS, &arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    match Args::parse(&parsed) {
        Ok(args) => create(&args, forced, terminal),
        Err(misuse) => {
            if let Misuse::Size(text) = misuse {
                size::explain_no_number(&text, terminal);
                terminal.help("vhd-util create -n FILE -s 10240");
            }
            super::misused(USAGE, terminal)
        }
    }
}

fn create(args: &Args, forced: Forced, terminal: &mut Terminal) -> i32 {
    if args.max_size_mib > 0 && args.max_size_mib < args.size_mib {
        terminal.print("Error: <-S size> must be greater than <-s size>\n");
        return EINVAL;
    }
    if args.max_size_mib > 0 && args.is_reserved {
        terminal.say("error: -S makes room for a dynamic disk to grow, -r makes a fixed disk");
        terminal.help("leave out -S or -r");
        return EINVAL;
    }
    if let Err(status) = size::check(args.size_mib, forced, terminal) {
        return status;
    }
    let Some(request) = request(args) else {
        terminal.say(format_args!("error: size is beyond 64 bits: {} MiB", args.size_mib.max(args.max_size_mib)));
        return EFBIG;
    };
    match vhd::create_image(&args.name, &request) {
        Ok(()) => 0,
        Err(error) => failed(args, &error, terminal),
    }
}

/// The image to create, `None` where a size in bytes has more than 64 bits.
fn request(args: &Args) -> Option<Request> {
    let max_bytes = args.max_size_mib.checked_mul(MIB_BYTES)?;
    let dynamic = Storage::Dynamic { max_bytes: (max_bytes > 0).then_some(max_bytes) };
    Some(Request {
        storage: if args.is_reserved { Storage::Fixed } else { dynamic },
        size_bytes: args.size_mib.checked_mul(MIB_BYTES)?,
        uuid: Uuid::new_v4(),
        timestamp: Timestamp::from(SystemTime::now()),
    })
}

fn failed(args: &Args, error: &Error, terminal: &mut Terminal) -> i32 {
    // libvhd's line, on standard error as there.
    let number = format!(": failed to create: -{}", error.errno());
    terminal.say_bytes(&[args.name.as_os_str().as_bytes(), number.as_bytes()]);
    terminal.explain(error);
    error.errno()
}
