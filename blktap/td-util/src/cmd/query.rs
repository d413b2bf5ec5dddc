//! `query`: properties of a disk, one per line, in a fixed order.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;

use legacy_cli::getopt::Parsed;
use legacy_cli::report::{EINVAL, FirstErrno};
use legacy_cli::terminal::Terminal;
use vhd::units::MIB_BYTES;
use vhd::{Error, Image, ImageFile, Medium, Parent, chain};

use crate::disk_type::DiskType;
use crate::syntax::{Syntax, check_names};

pub(super) const SYNTAX: Syntax = Syntax {
    command: "query",
    options: "hvpfdb",
    usage: "[-h help] [-v virtsize] [-p parent] [-f fields] [-b don't trust the footer, use the back-up one instead] <FILENAME>",
    help: "\
Print properties of a disk, one per line

usage: td-util query TYPE [-v] [-p] [-f] [-d] [-b] FILE

Lines come in this order, whatever the order of the options:
  -v      Size of the disk in MiB
  -p      Path of the parent, or `FILE has no parent`
  -f      `hidden: N`, 1 for a base copy that no machine uses
  -d      `chain depth: N`, how many images are stacked, this one included; only of a VHD

  -b      Do not look at the end of a VHD, where another host may be writing: read the copy of the footer at its start
  --help  Print this text

A property that cannot be read gets an error in its line; the others are still printed.

Examples:
  td-util query vhd -vpf disk.vhd
  td-util query aio -v /dev/VG/LV
",
    help_status: 0,
};

pub(super) fn run(of: DiskType, arguments: &[OsString], terminal: &mut Terminal) -> Result<(), i32> {
    let parsed = SYNTAX.parse(of, arguments, terminal)?;
    let [name] = parsed.operands() else { return Err(SYNTAX.misused(of, terminal)) };
    check_names(&[name], terminal)?;
    let mut query = Query { name: Path::new(name), terminal, failures: FirstErrno::default() };
    match of {
        DiskType::Vhd => query.vhd(&parsed)?,
        DiskType::Aio => query.raw(&parsed)?,
    }
    match query.failures.get() {
        0 => Ok(()),
        errno => Err(errno),
    }
}

/// A disk that is asked for its properties. Each answer is a line; a failure is a line too, and the rest goes on.
struct Query<'a> {
    name: &'a Path,
    terminal: &'a mut Terminal,
    failures: FirstErrno,
}

impl Query<'_> {
    fn vhd(&mut self, parsed: &Parsed) -> Result<(), i32> {
        let opened = if parsed.has('b') { Image::open_by_backup(self.name) } else { Image::open(self.name) };
        let image = opened.map_err(|error| self.not_opened(&format!("-{}", error.errno()), &error))?;
        if image.footer().is_poisoned {
            // vhd-util's query reads such images; here they never could be opened.
            let status = self.unopened(&format!("-{EINVAL}"), EINVAL);
            self.terminal.say("error: the image is under a resize journal");
            self.terminal.help("vhd-util revert -n FILE -j JOURNAL takes the resize back");
            return Err(status);
        }
        if parsed.has('v') {
            self.line("", image.footer().current_bytes / MIB_BYTES);
        }
        if parsed.has('p') {
            match chain::parent(&image) {
                Ok(Some(parent)) => self.parent(&parent),
                Ok(None) => self.no_parent(),
                Err(error) => self.failed("failed getting parent", &error),
            }
        }
        if parsed.has('f') {
            self.line("hidden: ", image.footer().hidden.cast_signed());
        }
        if parsed.has('d') {
            match chain::depth(self.name) {
                Ok(depth) => self.line("chain depth: ", depth),
                Err(error) => self.failed("error checking chain depth", &error),
            }
        }
        Ok(())
    }

    fn raw(&mut self, parsed: &Parsed) -> Result<(), i32> {
        if parsed.has('v') {
            // A positive number, unlike that of a VHD.
            let opened = ImageFile::open(self.name);
            let disk = opened.map_err(|error| self.not_opened(&error.errno().to_string(), &error))?;
            self.line("", disk.len_bytes() / MIB_BYTES);
        }
        if parsed.has('p') {
            self.no_parent();
        }
        if parsed.has('f') {
            self.line("hidden: ", 0);
        }
        Ok(())
    }

    fn line(&mut self, label: &str, value: impl Display) {
        self.terminal.print(format_args!("{label}{value}\n"));
    }

    fn parent(&mut self, parent: &Parent) {
        self.terminal.print_path(parent.path());
        self.terminal.print("\n");
    }

    fn no_parent(&mut self) {
        self.terminal.print_path(self.name);
        self.terminal.print(" has no parent\n");
    }

    fn failed(&mut self, what: &str, error: &Error) {
        self.terminal.print(format_args!("{what}: -{}\n", error.errno()));
        self.terminal.explain(error);
        self.failures.note(error.errno());
    }

    fn not_opened(&mut self, number: &str, error: &Error) -> i32 {
        self.terminal.explain(error);
        self.unopened(number, error.errno())
    }

    fn unopened(&mut self, number: &str, errno: i32) -> i32 {
        self.terminal.print("failed opening ");
        self.terminal.print_path(self.name);
        self.terminal.print(format_args!(": {number}\n"));
        errno
    }
}
