//! `convert`: a disk in another format, without parents.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

use lexopt::Arg;
use serde_json::json;
use uuid::Uuid;
use vhd::convert::{Converted, Format, Request};
use vhd::create::Storage;
use vhd::units::{MAX_VIRTUAL_BYTES, MIB_BYTES};
use vhd::{Disk, Error, ErrorKind, Timestamp};

use super::modern::{self, Misuse};
use crate::progress::Progress;
use crate::report::EINVAL;
use crate::terminal::Terminal;

const HELP: &str = "\
Convert a disk to another format

usage: vhd-util convert -n SRC -o DST --to raw|fixed|dynamic [OPTIONS]

  -n, --name SRC     The disk: a VHD, which is read together with its parents, or with `--from raw` a raw disk
  -o, --output DST   The new disk: a file, or a block device that is large enough
  --to FORMAT        raw: the bytes and nothing else; fixed: a VHD as long as the disk; dynamic: a VHD that grows
  --from FORMAT      vhd (default) or raw. It is not guessed: whoever writes a raw disk could make it look like a VHD
  -S, --max-size MIB Reserve tables for a disk of this size, so that it can grow to it quickly later; only --to dynamic
  --preallocate      Reserve all space now; without it, what reads as zeros takes none
  --force            Replace what is at DST; also make VHDs larger than 2040 GiB, which XenServer does not take
  --no-sync          Do not wait until all is on disk: quicker, but a power cut may leave a damaged DST
  --json             Print what was done as JSON
  --help             Print this text

DST has no parent, a new identity, and what XenServer wants of its disks. The size of a VHD is rounded up to 2 MiB; what
is added reads as zeros. DST appears when it is whole: a convert that fails or is killed leaves nothing there, and with
--force what was there before. On a device it leaves neither the old disk nor the new one. DST may not be SRC or one of its
parents. With an image that others made, say where its parents may be (`vhd-util --help`, --allow-parents).

Examples:
  vhd-util convert -n snapshot.vhd -o flat.vhd --to dynamic
  vhd-util convert -n disk.raw --from raw -o disk.vhd --to dynamic
  vhd-util convert -n disk.vhd -o /dev/VG/LV --to raw --force
";

#[derive(Default)]
struct Args {
    name: Option<PathBuf>,
    output: Option<PathBuf>,
    to: Option<Target>,
    from: Source,
    max_mib: Option<u64>,
    is_preallocated: bool,
    is_forced: bool,
    is_unsynced: bool,
    is_json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Raw,
    Fixed,
    Dynamic,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Source {
    #[default]
    Vhd,
    Raw,
}

impl Target {
    const NAMES: [(&'static str, Target); 3] =
        [("raw", Target::Raw), ("fixed", Target::Fixed), ("dynamic", Target::Dynamic)];

    fn name(self) -> &'static str {
        Target::NAMES.iter().find(|(_, target)| *target == self).map_or("", |(name, _)| name)
    }
}

impl Args {
    fn take(&mut self, option: Arg<'_>, value: &mut modern::Value<'_>) -> Result<(), Misuse> {
        match option {
            Arg::Short('n') | Arg::Long("name") => self.name = Some(value.any()?.into()),
            Arg::Short('o') | Arg::Long("output") => self.output = Some(value.any()?.into()),
            Arg::Long("to") => self.to = Some(value.one_of(&Target::NAMES)?),
            Arg::Long("from") => self.from = value.one_of(&[("vhd", Source::Vhd), ("raw", Source::Raw)])?,
            Arg::Short('S') | Arg::Long("max-size") => self.max_mib = Some(value.number()?),
            Arg::Long("preallocate") => self.is_preallocated = true,
            Arg::Long("force") => self.is_forced = true,
            Arg::Long("no-sync") => self.is_unsynced = true,
            Arg::Long("json") => self.is_json = true,
            other => return Err(other.unexpected().into()),
        }
        Ok(())
    }
}

/// What is to be done.
struct Job {
    name: PathBuf,
    output: PathBuf,
    to: Target,
    request: Request,
}

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let mut args = Args::default();
    if let Some(status) = modern::parse("convert", HELP, arguments, terminal, |option, value| args.take(option, value))
    {
        return status;
    }
    let (is_json, is_forced, from) = (args.is_json, args.is_forced, args.from);
    let job = match job(args) {
        Ok(job) => job,
        Err(why) => return modern::misused("convert", &why, terminal),
    };
    let opened = match from {
        Source::Vhd => Disk::open(&job.name),
        Source::Raw => Disk::open_raw(&job.name),
    };
    let disk = match opened {
        Ok(disk) => disk,
        Err(error) => {
            terminal.explain(&error);
            if from == Source::Vhd && error.kind() == ErrorKind::Corrupt {
                terminal.help("a raw disk is converted with `--from raw`");
            }
            return error.job_errno();
        }
    };
    if job.to != Target::Raw && disk.size_bytes() > MAX_VIRTUAL_BYTES && !is_forced {
        terminal.say(format_args!(
            "error: `{}` has {} bytes, more than 2040 GiB",
            job.name.display(),
            disk.size_bytes()
        ));
        terminal.help("XenServer takes no larger VHD; `--force` makes it anyway");
        return EINVAL;
    }
    match convert(&disk, &job) {
        Ok(converted) => {
            tell(&disk, &job, &converted, is_json, terminal);
            0
        }
        Err(error) => {
            terminal.explain(&error);
            if error.errno() == EEXIST {
                terminal.help("`--force` replaces it");
            }
            error.job_errno()
        }
    }
}

/// Something is at DST.
const EEXIST: i32 = 17;

fn job(args: Args) -> Result<Job, String> {
    let missing = |option: &str| format!("{option} is missing");
    let to = args.to.ok_or_else(|| missing("--to"))?;
    if args.max_mib.is_some() && to != Target::Dynamic {
        return Err("-S makes room for a dynamic disk to grow, and this one is none".to_owned());
    }
    let max_bytes = match args.max_mib {
        None => None,
        Some(mib) => Some(mib.checked_mul(MIB_BYTES).ok_or_else(|| format!("-S {mib} is beyond 64 bits"))?),
    };
    let format = match to {
        Target::Raw => Format::Raw,
        Target::Fixed => Format::Vhd(Storage::Fixed),
        Target::Dynamic => Format::Vhd(Storage::Dynamic { max_bytes }),
    };
    let request = Request {
        format,
        uuid: Uuid::new_v4(),
        timestamp: Timestamp::from(SystemTime::now()),
        is_preallocated: args.is_preallocated,
        replaces: args.is_forced,
        is_durable: !args.is_unsynced,
    };
    let name = args.name.ok_or_else(|| missing("-n"))?;
    Ok(Job { name, output: args.output.ok_or_else(|| missing("-o"))?, to, request })
}

fn convert(disk: &Disk, job: &Job) -> Result<Converted, Error> {
    let bar = Progress::of_bytes("convert", disk.size_bytes());
    vhd::convert::convert(disk, &job.output, &job.request, |done| bar.set(done))
}

fn tell(disk: &Disk, job: &Job, converted: &Converted, is_json: bool, terminal: &mut Terminal) {
    let Converted { size_bytes, data_bytes, blocks, file_bytes } = *converted;
    if is_json {
        let object = json!({
            "source": job.name.to_string_lossy(),
            "source_size_bytes": disk.size_bytes(),
            "target": job.output.to_string_lossy(),
            "format": job.to.name(),
            "size_bytes": size_bytes,
            "data_bytes": data_bytes,
            "blocks": blocks,
            "file_bytes": file_bytes,
        });
        terminal.print(format_args!("{object}\n"));
        return;
    }
    terminal.print_path(&job.output);
    terminal.print(format_args!(": {}, {size_bytes} bytes, {data_bytes} of them data\n", job.to.name()));
    if size_bytes > disk.size_bytes() {
        let old = disk.size_bytes();
        terminal.say(format_args!("note: the disk has {old} bytes; the VHD is rounded up to 2 MiB with zeros"));
    }
}
