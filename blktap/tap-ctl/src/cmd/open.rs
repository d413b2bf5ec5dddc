//! `create`, `open`, `unpause`: images and how they are opened.

use std::io::Read;

use legacy_cli::terminal::Terminal;
use rustix::io::Errno;
use tap_proto::{Extra, Flags, Open, Text};
use zeroize::Zeroizing;

use super::{Call, Command, Failure, numbers};
use crate::disk;
use crate::error::Error;

/// What blktap's library sends for a parent that no other tapdisk serves.
const NO_PARENT: i32 = -1;
/// The longest key of AES-XTS, two of 256 bits.
const MAX_KEY_BYTES: u64 = 64;

pub(super) const CREATE: Command = Command {
    name: "create",
    options: "a:RDd:e:r2:st:C:h",
    usage: "usage: create <-a type:/path/to/file> [-d device name] [-R readonly] [-e <minor> stack on existing tapdisk for \
            the parent chain] [-r turn on read caching into leaf node] [-2 <path> use secondary image (in mirror mode if \
            no -s)] [-s fail over to the secondary image on ENOSPC] [-t request timeout in seconds] [-D no O_DIRECT] \
            [-C <path/to/logfile> insert log layer to track changed blocks]\n",
    help: "\
Serve an image: allocate, spawn, attach and open in one

usage: tap-ctl create -a TYPE:PATH [OPTIONS]

  -a TYPE:PATH  The image: vhd:FILE, aio:FILE for a raw file or device, nbd:SOCKET of another
                server, ram:FILE a copy in memory, llp:FILE or lle:FILE a local leaf cache
  -R            Read only
  -D            Through the page cache, not past it; only read only, and only of regular files
  -e MINOR      The parent is served by this disk
  -r            Keep what is read of the parent in a local cache
  -2 TYPE:PATH  Write to this image too, or instead once the first is full (-s)
  -s            Fail over to the second image when the first has no space
  -t SECONDS    How long a request is tried again; 120 without it
  -C FILE       Note changed blocks in this log (cbt-util)
  -d NAME       Ignored

Prints the path of the marker: /run/blktap-control/tapdisk/tapdisk-MINOR. The disk is at the socket nbdPID.MINOR beside it;
`tap-ctl list` tells both numbers. What was done is undone when a later step fails.

Example:
  tap-ctl create -a vhd:/srv/disk.vhd
",
    run: |call, terminal| {
        let open = open(call, terminal)?;
        let (_, minor) = disk::create(&call.client, open)?;
        numbers::marker(call, minor, terminal);
        Ok(())
    },
};

pub(super) const OPEN: Command = Command {
    name: "open",
    options: "a:RDm:p:e:r2:st:C:Eh",
    usage: "usage: open <-p pid> <-m minor> <-a type:/path/to/file> [-R readonly] [-e <minor> stack on existing tapdisk for \
            the parent chain] [-r turn on read caching into leaf node] [-2 <path> use secondary image (in mirror mode if \
            no -s)] [-s fail over to the secondary image on ENOSPC] [-t request timeout in seconds] [-D no O_DIRECT] \
            [-C </path/to/logfile> insert log layer to track changed blocks] [-E read encryption key from stdin]\n",
    help: "\
Open an image as a disk of a tapdisk

usage: tap-ctl open -p PID -m MINOR -a TYPE:PATH [OPTIONS]

  -E            Read the key of an encrypted image, 32 or 64 bytes, from standard input

All other options are those of `tap-ctl create --help`.

Example:
  tap-ctl open -p 4711 -m 0 -a vhd:/srv/disk.vhd -R
",
    run: |call, terminal| {
        let vbd = call.vbd()?;
        let open = Open { devnum: vbd.minor.into(), ..open(call, terminal)? };
        vbd.open(open)?;
        Ok(())
    },
};

pub(super) const UNPAUSE: Command = Command {
    name: "unpause",
    options: "p:m:a:2:c:h",
    usage: "usage: unpause <-p pid> <-m minor> [-a type:/path/to/file] [-2 secondary] [-c </path/to/logfile> insert log \
            layer to track changed blocks]\n",
    help: "\
Open the files of a paused disk again, or another image, and go on

usage: tap-ctl unpause -p PID -m MINOR [-a TYPE:PATH] [-2 TYPE:PATH] [-c FILE]

  -a TYPE:PATH  Another image: a snapshot that was made while the disk was paused
  -2 TYPE:PATH  Write to this image too
  -c FILE       Note changed blocks in this log; without it they are not noted any more

A disk whose size changed is refused with status 124, and stays paused.

Example:
  tap-ctl unpause -p 4711 -m 0 -a vhd:/srv/child.vhd
",
    run: |call, _| {
        let mut open = Open { path: text(call, 'a')?.unwrap_or_default(), ..Open::default() };
        secondary(call, &mut open)?;
        log(call, 'c', &mut open)?;
        Ok(call.vbd()?.unpause(open)?)
    },
};

fn open(call: &Call<'_>, terminal: &mut Terminal) -> Result<Open, Failure> {
    let path = text(call, 'a')?.ok_or(Failure::Usage)?;
    let parent: i32 = call.number('e')?.unwrap_or(NO_PARENT);
    let timeout_secs = call.number('t')?.unwrap_or(0);
    let mut open = Open { path, parent_devnum: parent.cast_unsigned(), timeout_secs, ..Open::default() };
    for (letter, flag) in [
        ('R', Flags::RDONLY),
        ('D', Flags::NO_O_DIRECT),
        ('r', Flags::ADD_LCACHE),
        ('e', Flags::REUSE_PRT),
        ('s', Flags::STANDBY),
    ] {
        open.flags.set(flag, call.has(letter));
    }
    secondary(call, &mut open)?;
    log(call, 'C', &mut open)?;
    if call.has('E') {
        open.flags |= Flags::OPEN_ENCRYPTED;
        open.extra = Extra { key: Some(key(terminal)?), ..open.extra };
    }
    Ok(open)
}

fn secondary(call: &Call<'_>, open: &mut Open) -> Result<(), Failure> {
    if let Some(secondary) = text(call, '2')? {
        open.flags |= Flags::SECONDARY;
        open.secondary = secondary;
    }
    Ok(())
}

fn log(call: &Call<'_>, letter: char, open: &mut Open) -> Result<(), Failure> {
    if let Some(path) = text(call, letter)? {
        open.flags |= Flags::ADD_LOG;
        open.extra.log_path = Some(path);
    }
    Ok(())
}

/// The value of an option as a field of a message.
fn text(call: &Call<'_>, letter: char) -> Result<Option<Text>, Failure> {
    let too_long = |why: tap_proto::Malformed| Error::new(Errno::NAMETOOLONG, why.to_string());
    Ok(call.value(letter).map(Text::new).transpose().map_err(too_long)?)
}

/// Reads a key: all of standard input, which is as long as a key or is none.
fn key(terminal: &mut Terminal) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // As large as it gets, so that no copy of a key stays behind.
    let mut key = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_KEY_BYTES + 1).unwrap_or_default()));
    let read = std::io::stdin().lock().take(MAX_KEY_BYTES + 1).read_to_end(&mut key);
    read.map_err(|source| Error::io("cannot read the key from standard input", source))?;
    if [32, 64].contains(&key.len()) {
        return Ok(key);
    }
    terminal.say("Unsupported keysize, use either 256 bit or 512 bit key");
    Err(Failure::Said(1))
}
