//! `set`: the hidden flag or the marker of an image.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use vhd::edit;

use crate::getopt;
use crate::report::EINVAL;
use crate::terminal::Terminal;

const OPTIONS: &str = "n:f:v:h";
const USAGE: &str = "options: <-n name> <-f field> <-v value> [-h help]\n";
const HELP: &str = "\
Set the hidden flag or the marker of an image

usage: vhd-util set -n FILE -f FIELD -v VALUE

  -n FILE   The image
  -f FIELD  `hidden`: 1 for a base copy that no machine uses. `marker`: a number that toolstacks keep in the image; without
            a batmap, as in fixed disks, in an attribute of the file
  -v VALUE  From 0 to 255
  --help    Print this text

Examples:
  vhd-util set -n base.vhd -f hidden -v 1
";

#[derive(Clone, Copy)]
enum Field {
    Hidden,
    Marker,
}

/// Runs `set` with the arguments after its name; returns the exit status.
pub fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("set", OPTIONS, arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let last = |wanted| {
        let values = parsed.options.iter().filter(|&&(letter, _)| letter == wanted);
        values.filter_map(|(_, value)| value.as_ref()).next_back()
    };
    let (Some(name), Some(field), Some(value)) = (last('n'), last('f'), last('v')) else {
        return super::misused(USAGE, terminal);
    };
    let field = match field.to_str() {
        Some("hidden") => Field::Hidden,
        Some("marker") => Field::Marker,
        _ => {
            // libvhd does not repeat what is too long for its own fields.
            let shown = if field.len() < 25 { [b" ", field.as_bytes()].concat() } else { Vec::new() };
            terminal.print_bytes(&[b"invalid field", &shown[..], b"\n"].concat());
            return super::misused(USAGE, terminal);
        }
    };
    let Some(number) = value.to_str().and_then(|value| value.trim().parse::<i64>().ok()) else {
        // libvhd takes what is no number for 0.
        terminal.say(format_args!("error: value is `{}`, not a number from 0 to 255", value.display()));
        return super::misused(USAGE, terminal);
    };
    match u8::try_from(number) {
        Ok(value) => set(&PathBuf::from(name), field, value, terminal),
        Err(_) => {
            terminal.print(format_args!("invalid value {number}\n"));
            super::misused(USAGE, terminal)
        }
    }
}

fn set(name: &Path, field: Field, value: u8, terminal: &mut Terminal) -> i32 {
    let image = match super::open_live(name, terminal) {
        Ok(image) => image,
        Err(status) => return status,
    };
    let done = match field {
        Field::Hidden => edit::set_hidden(&image, value),
        Field::Marker => edit::set_marker(&image, value),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            terminal.explain(&error);
            error.errno()
        }
    }
}
