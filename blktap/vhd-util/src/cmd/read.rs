//! `read`: the headers of an image, as text.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use vhd::{Error, Image};

use crate::getopt;
use crate::headers_text;
use crate::report::{EINVAL, EOPNOTSUPP};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:pt:b:Bm:i:e:aj:d:c:r:R:xCh";
const USAGE: &str = "\
options:
-h          help
-n          name
-p          print VHD headers
-t sec      translate logical sector to VHD location
-b blk      print bat entry
-B          print entire bat as a bitmap
-m blk      print bitmap
-i sec      test bitmap for logical sector
-e sec      output extent list of allocated logical sectors
-a          print batmap
-j blk      test batmap for block
-d blk      print data
-c num      num units
-r sec      read num sectors at sec
-R byte     read num bytes at byte
-x          print in hex
";
const HELP: &str = "\
Print the headers of an image

usage: vhd-util read -n FILE -p

  -p       Print footer, header, parent locators and batmap header; times are local
  --help   Print this text

Of an image that cannot be opened, footer and header are printed as they are, with `(Bad!)` at wrong checksums.

Options of blktap's vhd-util that this version does not have yet (exit status 95):
  -t -b -B -m -i -e -a -j -d -c -r -R -x -C

Example:
  vhd-util read -n disk.vhd -p
";

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("read", OPTIONS, arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let (mut name, mut is_headers) = (None, false);
    for (letter, value) in &parsed.options {
        match letter {
            'n' => name = value.as_ref().map(PathBuf::from),
            'p' => is_headers = true,
            missing => {
                terminal.say(format_args!("error: this version of vhd-util has no `read -{missing}` yet"));
                terminal.help("`vhd-util read --help` lists what it has; use blktap's vhd-util for the rest");
                return EOPNOTSUPP;
            }
        }
    }
    let Some(name) = name else {
        return super::misused(USAGE, terminal);
    };
    print(&name, is_headers, terminal)
}

/// Prints the headers of an image, or what there is of one that cannot be opened.
pub(super) fn print(name: &Path, is_headers: bool, terminal: &mut Terminal) -> i32 {
    match Image::open(name) {
        Ok(image) => headers(name, &image, is_headers, terminal),
        Err(error) => invalid(name, &error, terminal),
    }
}

/// Prints the headers. libvhd reads the BAT whatever is asked, and stops without one.
fn headers(name: &Path, image: &Image, is_headers: bool, terminal: &mut Terminal) -> i32 {
    if let Err(error) = image.bat() {
        terminal.print("Failed to get bat for ");
        terminal.print_path(name);
        terminal.print(format_args!(": -{}\n", error.errno()));
        terminal.explain(&error);
        return error.errno();
    }
    if is_headers {
        headers_text::image(image, terminal);
    }
    0
}

/// Prints what there is of an image that cannot be opened.
fn invalid(name: &Path, error: &Error, terminal: &mut Terminal) -> i32 {
    terminal.print("Failed to open ");
    terminal.print_path(name);
    terminal.print(format_args!(": -{}\n\n", error.errno()));
    terminal.print_path(name);
    terminal.print(" appears invalid; dumping headers\n\n");
    if let Ok((footer, header)) = vhd::peek(name) {
        headers_text::footer(&footer, terminal);
        headers_text::header(&header, terminal);
    }
    terminal.explain(error);
    error.errno()
}
