//! `create`: a VHD, or a raw disk.

use std::ffi::OsString;
use std::path::Path;

use legacy_cli::report::{EFBIG, EINVAL};
use legacy_cli::terminal::Terminal;
use vhd::units::MIB_BYTES;

use crate::disk_type::DiskType;
use crate::syntax::{Syntax, check_names};

pub(super) const SYNTAX: Syntax = Syntax {
    command: "create",
    options: "hrb",
    usage: "[-h help] [-r reserve] [-b file_is_fixed_size] <SIZE(MB)> <FILENAME>",
    help: "\
Create a disk

usage: td-util create vhd [-r] MIB FILE
       td-util create aio -r MIB FILE

  MIB     Size of the disk in MiB; a VHD's is rounded up to 2 MiB and at most 2088960 (2040 GiB)
  FILE    A new file, an existing one (its content is lost) or a block device
  -r      Reserve all space now: a fixed VHD instead of a dynamic one. A raw disk always reserves it and wants you to
          say so
  -b      Accepted for a raw disk and ignored
  --help  Print this text

When it fails, a file that was not there before is removed again.

Examples:
  td-util create vhd 10240 disk.vhd
  td-util create aio -r 10240 disk.img
",
    help_status: EINVAL,
};

pub(super) fn run(of: DiskType, arguments: &[OsString], terminal: &mut Terminal) -> Result<(), i32> {
    let parsed = SYNTAX.parse(of, arguments, terminal)?;
    let [size, name] = parsed.operands() else { return Err(SYNTAX.misused(of, terminal)) };
    check_names(&[name], terminal)?;
    // C takes any text, and what is no number for 0.
    let Some(size_mib) = size.to_str().and_then(|size| size.trim().parse::<u64>().ok()) else {
        terminal.say(format_args!("error: size is `{}`, not a whole number of MiB", size.display()));
        terminal.help("td-util create vhd 10240 FILE");
        return Err(SYNTAX.misused(of, terminal));
    };
    match of {
        DiskType::Vhd => {
            let mut arguments = vec!["-n".into(), name.clone(), "-s".into(), size_mib.to_string().into()];
            arguments.extend(parsed.has('r').then(|| "-r".into()));
            // vhd-util refuses it, and td-util with it.
            arguments.extend(parsed.has('b').then(|| "-b".into()));
            super::delegate(vhd_util::run_create, &arguments, terminal)
        }
        DiskType::Aio if !parsed.has('r') => {
            terminal.say(format_args!("Cannot create sparse {of} image"));
            terminal.help("td-util create aio -r MIB FILE reserves all of its space");
            Err(EINVAL)
        }
        DiskType::Aio => raw(Path::new(name), size_mib, terminal),
    }
}

fn raw(name: &Path, size_mib: u64, terminal: &mut Terminal) -> Result<(), i32> {
    let Some(size_bytes) = size_mib.checked_mul(MIB_BYTES) else {
        terminal.say(format_args!("error: size is beyond 64 bits: {size_mib} MiB"));
        return Err(EFBIG);
    };
    vhd::create_raw(name, size_bytes).map_err(|error| {
        terminal.explain(&error);
        error.errno()
    })
}
