//! `query`: properties of an image, one per line, in a fixed order.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vhd::units::MIB_BYTES;
use vhd::{Error, Image, Medium, Parent, chain};

use crate::getopt::{self, Parsed};
use crate::report::FirstErrno;
use crate::terminal::{Terminal, in_words};

const OPTIONS: &str = "n:vspfmdSauh";
const USAGE: &str = "options: <-n name> [-v print virtual size (in MB)] [-s print physical utilization (bytes)] [-p print parent] [-f print fields] [-m print marker] [-d print chain depth] [-S print max virtual size (MB) for fast resize] [-a print allocated block count] [-u don't resolve parent path] [-h help]\n";
const HELP: &str = "\
Print properties of an image, one per line

usage: vhd-util query -n FILE [-v] [-s] [-p [-u]] [-f] [-m] [-d] [-a] [-S] [--json]

Lines come in this order, whatever the order of the options:
  -v       Size of the disk in MiB
  -s       Bytes that the image takes, tables and footer included
  -p       Path of the parent, or `FILE has no parent`
  -f       `hidden: N`, 1 for a base copy that no machine uses
  -m       `marker: N`, a number that toolstacks keep in the image
  -d       `chain depth: N`, how many images are stacked, this one included
  -a       How many blocks are allocated
  -S       Size in MiB that the disk can grow to quickly

  -u       With -p: print the parent's path as it is stored, without looking for it
  --json   Print one line of JSON: `file`, and of what is asked for, or else of everything: `virtual_bytes` (-v),
           `physical_bytes` (-s), `parent` (-p; null for none), `hidden` (-f), `marker` (-m), `chain_depth` (-d),
           `allocated_blocks` (-a), `max_virtual_bytes` (-S). What cannot be read is null and has an entry in `errors`:
           `property`, `errno`, `error`. An image that cannot be opened gives `file`, `errno`, `error`
  --help   Print this text

A property that cannot be read gets an error in its line; the others are still printed.

Example:
  vhd-util query -n disk.vhd -vsp
";

/// Options and the keys of what they ask for, in the order of the answers.
const PROPERTIES: [(char, &str); 8] = [
    ('v', "virtual_bytes"),
    ('s', "physical_bytes"),
    ('p', "parent"),
    ('f', "hidden"),
    ('m', "marker"),
    ('d', "chain_depth"),
    ('a', "allocated_blocks"),
    ('S', "max_virtual_bytes"),
];

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let (flags, arguments): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(|argument| argument == "--json");
    let parsed = getopt::parse("query", OPTIONS, &arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, 0, terminal) {
        return status;
    }
    let names = parsed.options.iter().filter(|&&(letter, _)| letter == 'n');
    let Some(name) = names.filter_map(|(_, value)| value.as_ref()).next_back().map(PathBuf::from) else {
        return super::misused(USAGE, terminal);
    };
    match Image::open(&name) {
        Ok(image) if !flags.is_empty() => json(&name, &image, &parsed, terminal),
        Err(error) if !flags.is_empty() => super::not_opened_json(&name, &error, terminal),
        Ok(image) => Query { name: &name, image: &image, terminal, failures: FirstErrno::default() }.answer(&parsed),
        Err(error) => super::not_opened(&name, &error, terminal),
    }
}

/// Prints properties as an object; all of them when none is named.
fn json(name: &Path, image: &Image, parsed: &Parsed, terminal: &mut Terminal) -> i32 {
    let letters: Vec<char> = parsed.options.iter().map(|&(letter, _)| letter).collect();
    let is_all = letters.iter().all(|letter| "nu".contains(*letter));
    let mut failures = FirstErrno::default();
    let mut errors = Vec::new();
    let mut object = json!({ "file": name.to_string_lossy() });
    for (letter, key) in PROPERTIES {
        if !is_all && !letters.contains(&letter) {
            continue;
        }
        if is_all && "aS".contains(letter) && !image.footer().kind.is_sparse() {
            // A fixed disk has no blocks, and nobody asked for them.
            object[key] = Value::Null;
            continue;
        }
        object[key] = property(letter, image, letters.contains(&'u')).unwrap_or_else(|error| {
            failures.note(error.errno());
            errors.push(json!({ "property": key, "errno": error.errno(), "error": in_words(&error) }));
            Value::Null
        });
    }
    object["errors"] = errors.into();
    terminal.print(format_args!("{object}\n"));
    failures.get()
}

fn property(letter: char, image: &Image, is_stored: bool) -> Result<Value, Error> {
    Ok(match letter {
        'v' => image.footer().current_bytes.into(),
        's' => image.physical_bytes()?.into(),
        'p' => parent(image, is_stored)?.map(|path| path.to_string_lossy().into_owned()).into(),
        'f' => image.footer().hidden.into(),
        'm' => image.marker()?.into(),
        'd' => chain::depth(image.file().path())?.into(),
        'a' => image.bat_usage()?.allocated_blocks.into(),
        _ => image.max_virtual_bytes()?.into(),
    })
}

fn parent(image: &Image, is_stored: bool) -> Result<Option<PathBuf>, Error> {
    match is_stored {
        true => chain::stored_parent(image),
        false => Ok(chain::parent(image)?.as_ref().map(Parent::path).map(Path::to_owned)),
    }
}

/// An image that is asked for its properties. Each answer is a line; a failure is a line too, and the rest goes on.
struct Query<'a> {
    name: &'a Path,
    image: &'a Image,
    terminal: &'a mut Terminal,
    failures: FirstErrno,
}

impl Query<'_> {
    fn answer(mut self, parsed: &Parsed) -> i32 {
        let is_asked = |letter| parsed.options.iter().any(|&(asked, _)| asked == letter);
        if is_asked('v') {
            self.terminal.print(format_args!("{}\n", self.image.footer().current_bytes / MIB_BYTES));
        }
        if is_asked('s') {
            self.line("", self.image.physical_bytes(), "failed to get physical size");
        }
        if is_asked('p') {
            self.parent(is_asked('u'));
        }
        if is_asked('f') {
            self.line("hidden: ", Ok(self.image.footer().hidden.cast_signed()), "");
        }
        if is_asked('m') {
            self.line("marker: ", self.image.marker().map(u8::cast_signed), "error checking 'marker' field");
        }
        if is_asked('d') {
            self.line("chain depth: ", chain::depth(self.name), "error checking chain depth");
        }
        if is_asked('a') {
            self.line("", self.image.bat_usage().map(|usage| usage.allocated_blocks), "error reading bat");
        }
        if is_asked('S') {
            // A disk without a BAT cannot grow: libvhd prints 0 and no error.
            let max_bytes = self.image.max_virtual_bytes().unwrap_or(0);
            self.terminal.print(format_args!("{}\n", max_bytes / MIB_BYTES));
        }
        self.failures.get()
    }

    fn line(&mut self, label: &str, value: Result<impl Display, Error>, failure: &str) {
        match value {
            Ok(value) => self.terminal.print(format_args!("{label}{value}\n")),
            Err(error) => {
                self.terminal.print(format_args!("{failure}: -{}\n", error.errno()));
                self.failed(&error);
            }
        }
    }

    fn parent(&mut self, is_stored: bool) {
        match parent(self.image, is_stored) {
            Ok(Some(path)) => {
                self.terminal.print_path(&path);
                self.terminal.print("\n");
            }
            Ok(None) => {
                self.terminal.print_path(self.name);
                self.terminal.print(" has no parent\n");
            }
            Err(error) => {
                self.terminal.print("query failed\n");
                self.failed(&error);
            }
        }
    }

    fn failed(&mut self, error: &Error) {
        self.terminal.explain(error);
        self.failures.note(error.errno());
    }
}
