//! `read`: headers, tables, bitmaps and data of an image, as blktap's tool prints them. What is here finds out what is
//! asked; the answers are in `tables`, `sectors` and `data`.

mod data;
mod sectors;
mod tables;

use std::collections::HashMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use vhd::bat::Bat;
use vhd::header::Header;
use vhd::plan::Target;
use vhd::units::SECTOR_BYTES;
use vhd::{Error, ErrorKind, Image, ImageFile, Medium};

use crate::getopt::{self, Parsed};
use crate::headers_text;
use crate::number::Radix;
use crate::report::{EINVAL, EPIPE, ERANGE};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:pt:b:Bm:i:e:aj:d:c:r:R:xCh";
/// What can be asked for, in the order of the answers.
const QUESTIONS: &str = "tbBmieajdrR";
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
Print headers, tables, bitmaps or data of an image

usage: vhd-util read -n FILE [-p] [-t SECTOR] [-b BLOCK] [-B] [-m BLOCK] [-i SECTOR] [-e SECTOR] [-a] [-j BLOCK]
                     [-d BLOCK] [-r SECTOR] [-R BYTE] [-c COUNT] [-x] [-C]

Answers come in this order, whatever the order of the options; the first that fails is the last:
  -p         Footer, header, parent locators and batmap header; times are local
  -t SECTOR  Where a sector of the disk lies in the file
  -b BLOCK   Where a block begins in the file, its bitmap first
  -B         Which blocks are allocated: raw bytes, a bit per block from the most significant one
  -m BLOCK   The bitmap of a block: raw bytes
  -i SECTOR  Whether the image holds a sector of the disk
  -e SECTOR  The runs of sectors that the image holds: `FIRST LENGTH` per line
  -a         The batmap: raw bytes
  -j BLOCK   Whether the batmap calls a block full; this answer goes to standard error
  -d BLOCK   The data of a block in this image, present or not: raw bytes
  -r SECTOR  What a guest reads, from the image and its parents: raw bytes
  -R BYTE    The same, counted in bytes

  -c COUNT   How many sectors, blocks or bytes from there on (default 1)
  -x         Print numbers in hexadecimal
  -C         Trust the copy of the footer at the start; only of regular files
  --help     Print this text

Of an image that cannot be opened, footer and header are printed as they are, with `(Bad!)` at wrong checksums. What is
past the end of the disk has status 34.

Examples:
  vhd-util read -n disk.vhd -p
  vhd-util read -n disk.vhd -r 0 -c 63 >first-track
";

/// An open image that is asked for something, and how to answer.
struct Reading<'a> {
    image: &'a Image,
    /// How the image was opened, to open it once more.
    open: fn(&Path) -> vhd::Result<Image>,
    bat: Bat,
    header: &'a Header,
    count: u64,
    radix: Radix,
    terminal: &'a mut Terminal,
}

/// The exit status of an answer that failed, after all was said about it.
struct Status(i32);

type Answer = Result<(), Status>;

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("read", OPTIONS, arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let is_asked = |wanted| parsed.options.iter().any(|&(letter, _)| letter == wanted);
    let names = parsed.options.iter().filter(|&&(letter, _)| letter == 'n');
    let name = names.filter_map(|(_, value)| value.as_ref()).next_back().map(PathBuf::from);
    let (Some(name), Some(numbers)) = (name, numbers(&parsed, terminal)) else {
        return super::misused(USAGE, terminal);
    };
    let radix = if is_asked('x') { Radix::Hex } else { Radix::Decimal };
    let open: fn(&Path) -> vhd::Result<Image> = if is_asked('C') { open_by_backup } else { Image::open };
    let image = match open(&name) {
        Ok(image) => image,
        Err(error) => return invalid(&name, &error, radix, terminal),
    };
    // libvhd reads the BAT whatever is asked, and stops without one.
    let (bat, header) = match image.bat().and_then(|bat| Ok((bat, image.header()?))) {
        Ok(tables) => tables,
        Err(error) => return without_bat(&name, &error, terminal),
    };
    if is_asked('p') {
        headers_text::image(&image, radix, terminal);
    }
    let count = numbers.get(&'c').copied().unwrap_or(1);
    let mut reading = Reading { image: &image, open, bat, header, count, radix, terminal };
    for question in QUESTIONS.chars().filter(|&letter| is_asked(letter)) {
        if let Err(Status(status)) = reading.answer(question, numbers.get(&question).copied().unwrap_or(0)) {
            return status;
        }
    }
    0
}

/// Opens by the copy of the footer: regular files only, for which libvhd's tool then uses the page cache.
fn open_by_backup(name: &Path) -> vhd::Result<Image> {
    let file = ImageFile::open(name)?;
    if file.target() != Target::File {
        return Err(Error::new(ErrorKind::InvalidInput, format!("`{}` is no regular file", name.display())));
    }
    Image::on_by_backup(file)
}

/// The numbers that options came with; `None` when one is none.
fn numbers(parsed: &Parsed, terminal: &mut Terminal) -> Option<HashMap<char, u64>> {
    let mut numbers = HashMap::new();
    for (letter, value) in parsed.options.iter().filter(|&&(letter, _)| letter != 'n') {
        let Some(value) = value else { continue };
        let Some(number) = value.to_str().and_then(|value| value.trim().parse().ok()) else {
            terminal.say(format_args!("error: -{letter} is `{}`, not a whole number", value.display()));
            return None;
        };
        numbers.insert(*letter, number);
    }
    Some(numbers)
}

/// Prints the headers of an image, or what there is of one that cannot be opened.
pub(super) fn print(name: &Path, terminal: &mut Terminal) -> i32 {
    let image = match Image::open(name) {
        Ok(image) => image,
        Err(error) => return invalid(name, &error, Radix::Decimal, terminal),
    };
    if let Err(error) = image.bat() {
        return without_bat(name, &error, terminal);
    }
    headers_text::image(&image, Radix::Decimal, terminal);
    0
}

fn without_bat(name: &Path, error: &Error, terminal: &mut Terminal) -> i32 {
    terminal.print("Failed to get bat for ");
    terminal.print_path(name);
    terminal.print(format_args!(": -{}\n", error.errno()));
    terminal.explain(error);
    error.errno()
}

/// Prints what there is of an image that cannot be opened.
fn invalid(name: &Path, error: &Error, radix: Radix, terminal: &mut Terminal) -> i32 {
    terminal.print("Failed to open ");
    terminal.print_path(name);
    terminal.print(format_args!(": -{}\n\n", error.errno()));
    terminal.print_path(name);
    terminal.print(" appears invalid; dumping headers\n\n");
    if let Ok((footer, header)) = vhd::peek(name) {
        headers_text::footer(&footer, radix, terminal);
        headers_text::header(&header, radix, terminal);
    }
    terminal.explain(error);
    error.errno()
}

impl Reading<'_> {
    fn answer(&mut self, question: char, first: u64) -> Answer {
        match question {
            't' => self.locations(first),
            'b' => self.entries(first),
            'B' => self.allocated_blocks(),
            'm' => self.bitmaps(first),
            'i' => self.presence(first),
            'e' => self.extents(first),
            'a' => self.batmap(),
            'j' => self.full_blocks(first),
            'd' => self.blocks(first),
            'r' => self.sectors(first),
            _ => self.bytes(first),
        }
    }

    /// The blocks that are asked for: the table must have room for them, the disk need not.
    fn block_range(&mut self, first: u64) -> Result<Range<u64>, Status> {
        let end = first.saturating_add(self.count);
        if end > self.header.max_bat_entries.into() {
            let end = self.radix.show(end);
            self.terminal.say(format_args!("block {end} past end of file"));
            return Err(Status(ERANGE));
        }
        Ok(first..end)
    }

    /// The sectors that are asked for; `None` when not all of them are in the disk.
    fn sector_range(&self, first: u64) -> Option<Range<u64>> {
        let end = first.checked_add(self.count)?;
        (end.checked_mul(SECTOR_BYTES)? <= self.image.footer().current_bytes).then_some(first..end)
    }

    /// Says why an answer failed.
    fn failed(&mut self, error: &Error) -> Status {
        self.terminal.explain(error);
        // Also where it is an I/O error for whoever uses the disk.
        Status(if error.kind() == ErrorKind::Truncated { EPIPE } else { error.job_errno() })
    }
}
