//! `copy`: a new image with all that a disk holds, encrypted if a key is given.

use std::error::Error as StdError;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use blockcrypto::{Cipher, Key};
use tempfile::TempPath;
use uuid::Uuid;
use vhd::create::{Request, Storage};
use vhd::map::Place;
use vhd::units::{BLOCK_BYTES, SECTOR_BYTES};
use vhd::{Disk, Error, Image, KeyHash, Timestamp, edit};

use crate::getopt::{self, End};
use crate::progress::Progress;
use crate::report::{EINVAL, EIO, EOPNOTSUPP, EPERM};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:N:k:Eh";
const USAGE: &str =
    "options: -n <name> -N <new VHD name> [-k <keyfile> | -E (pass encryption key on stdin)] [-h help] \n";
const HELP: &str = "\
Copy a disk into a new image, encrypted if a key is given

usage: vhd-util copy -n FILE -N COPY [-k KEYFILE | -E]

  -n FILE     The image; what its parents hold is copied too. It must not be encrypted
  -N COPY     The new image, a dynamic disk without parent; a file that exists is refused
  -k KEYFILE  Encrypt with this key: a file of 32 or 64 bytes, AES-XTS with AES-128 or AES-256
  -E          Encrypt with the key on standard input, read to its end
  --help      Print this text

COPY appears when it is complete; until then it is `vhd-util-copy-*.part` beside it, removed when anything fails; a copy
that was killed leaves that file. Without the key the data of an encrypted copy is lost; `vhd-util key -c` tells whether a
key is the right one.

Examples:
  vhd-util copy -n disk.vhd -N copy.vhd
  vhd-util copy -n disk.vhd -N copy.vhd -k 'copy,aes-xts-plain,512.key'
";
/// Blocks that are read, encrypted and written at once: memory is bounded, and they share their barriers.
const CHUNK_BYTES: u64 = 8 * BLOCK_BYTES;

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("copy", OPTIONS, arguments);
    if parsed.end == End::LongHelp {
        terminal.print(HELP);
        return 0;
    }
    let (mut name, mut new_name, mut key) = (None, None, None);
    // A key is read where its option stands, as in blktap: what is wrong behind it comes later.
    for (letter, value) in &parsed.options {
        match (letter, value) {
            ('n', value) => name = value.as_ref().map(PathBuf::from),
            ('N', value) => new_name = value.as_ref().map(PathBuf::from),
            ('h', _) => return super::misused(USAGE, terminal),
            _ if key.is_some() => {
                terminal.say("Only supply -E or -k once");
                return EPERM;
            }
            (_, file) => match read_key(file.as_ref().map(Path::new), terminal) {
                Ok(read) => key = Some(read),
                Err(status) => return status,
            },
        }
    }
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let (Some(name), Some(new_name)) = (name, new_name) else {
        terminal.say("Must supply both existing and new VHD names");
        return super::misused(USAGE, terminal);
    };
    copy(&name, &new_name, key.as_ref(), terminal).err().unwrap_or(0)
}

/// Reads a key from a file, or from standard input. Failures have blktap's numbers: 1 for what is no key.
fn read_key(file: Option<&Path>, terminal: &mut Terminal) -> Result<Key, i32> {
    let opened = match file {
        Some(path) => File::open(path),
        // Not through the buffer of the standard library, which would keep a copy.
        None => io::stdin().as_fd().try_clone_to_owned().map(File::from),
    };
    let source = opened.map_err(|error| {
        let errno = errno(&error);
        terminal.print("Failed to open key file ");
        terminal.print_path(file.unwrap_or(Path::new("-")));
        terminal.print(format_args!(": {errno}\n"));
        terminal.explain(&error);
        errno
    })?;
    Key::read(source).map_err(|error| {
        terminal.say("Unsupported keysize, use either 256 bit or 512 bit key");
        terminal.explain(&error);
        EPERM
    })
}

fn copy(name: &Path, new_name: &Path, key: Option<&Key>, terminal: &mut Terminal) -> Result<(), i32> {
    let source = Disk::open(name).map_err(|error| super::not_opened(name, &error, terminal))?;
    if fs::symlink_metadata(new_name).is_ok() {
        return Err(exists(new_name, terminal));
    }
    refuse_encrypted(&source, terminal)?;
    let cipher = key.map(Cipher::new).transpose().map_err(|error| {
        terminal.explain(&error);
        EINVAL
    })?;
    let not_created = |errno: i32, error: &dyn StdError, terminal: &mut Terminal| {
        terminal.print("error creating ");
        terminal.print_path(new_name);
        terminal.print(format_args!(": -{errno}\n"));
        terminal.explain(error);
        errno
    };
    let part = part(new_name).map_err(|error| not_created(errno(&error), &error, terminal))?;
    create(&part, source.size_bytes(), key).map_err(|error| not_created(error.errno(), &error, terminal))?;
    fill(&source, &part, cipher.as_ref()).map_err(|(block, error)| {
        let errno = error.job_errno();
        terminal.print(format_args!("Failed to encrypt block {block}: -{errno}\n"));
        terminal.explain(&error);
        errno
    })?;
    // A file that came there in the meantime stays.
    part.persist_noclobber(new_name).map_err(|failed| match failed.error.kind() {
        io::ErrorKind::AlreadyExists => exists(new_name, terminal),
        _ => not_created(errno(&failed.error), &failed.error, terminal),
    })?;
    let synced = File::open(directory(new_name)).and_then(|directory| directory.sync_all());
    synced.map_err(|error| not_created(errno(&error), &error, terminal))
}

/// Ciphertext cannot be copied block by block into an image that then reads it with a key of its own, or with none.
fn refuse_encrypted(source: &Disk, terminal: &mut Terminal) -> Result<(), i32> {
    for image in source.images() {
        let path = vhd::Medium::path(image.file()).display();
        match image.key_hash() {
            Ok(None) => {}
            Ok(Some(_)) => {
                terminal.say(format_args!("error: cannot copy an encrypted disk: `{path}`"));
                return Err(EOPNOTSUPP);
            }
            Err(error) => {
                terminal.explain(&error);
                return Err(error.errno());
            }
        }
    }
    Ok(())
}

fn exists(new_name: &Path, terminal: &mut Terminal) -> i32 {
    let parts: [&[u8]; 3] =
        [b"VHD file ", new_name.as_os_str().as_bytes(), b" already exists, chose a different name\n"];
    terminal.print_bytes(&parts.concat());
    EINVAL
}

/// An empty file beside the copy, removed when dropped.
fn part(new_name: &Path) -> io::Result<TempPath> {
    let path = directory(new_name).join(format!("vhd-util-copy-{}.part", Uuid::new_v4()));
    File::options().write(true).create_new(true).mode(0o644).open(&path)?;
    TempPath::try_from_path(path)
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn create(path: &Path, size_bytes: u64, key: Option<&Key>) -> Result<(), Error> {
    let request = Request {
        storage: Storage::Dynamic { max_bytes: None },
        size_bytes,
        uuid: Uuid::new_v4(),
        timestamp: Timestamp::from(SystemTime::now()),
    };
    vhd::create_image(path, &request)?;
    let Some(key) = key else { return Ok(()) };
    // Without a nonce, so that toolstacks know the hash from `key -C`.
    let nonce = [0; 32];
    edit::set_key_hash(&Image::open_rw(path)?, KeyHash { nonce, hash: key.hash(&nonce) })
}

/// Copies all blocks that the source holds any part of. An error comes with the number of the block.
fn fill(source: &Disk, path: &Path, cipher: Option<&Cipher>) -> Result<(), (u64, Error)> {
    let in_block = |at: u64| move |error| (at / BLOCK_BYTES, error);
    let mut target = Disk::open_rw(path).map_err(in_block(0))?;
    let size = source.size_bytes();
    let bar = Progress::of_bytes("copy", size);
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < size {
        bar.set(at);
        let end = size.min(at + CHUNK_BYTES);
        for Range { start, end } in held(source, at..end).map_err(in_block(at))? {
            bytes.resize(usize::try_from(end - start).expect("a few blocks fit in memory"), 0);
            source.read_at(start, &mut bytes).map_err(in_block(start))?;
            if let Some(cipher) = cipher {
                // Sectors of the block that the source lacks are encrypted zeros: they read as zeros with the key.
                cipher.encrypt(start / SECTOR_BYTES, bytes.as_chunks_mut().0);
            }
            target.write_at(start, &bytes).map_err(in_block(start))?;
        }
        at = end;
    }
    target.flush().map_err(in_block(0))
}

/// Which blocks of a range hold anything; neighbours are joined. The range starts on a block.
fn held(disk: &Disk, range: Range<u64>) -> Result<Vec<Range<u64>>, Error> {
    let mut held: Vec<Range<u64>> = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min(at + BLOCK_BYTES);
        if disk.map(at, end - at)?.iter().any(|run| run.place != Place::Zero) {
            match held.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => held.push(at..end),
            }
        }
        at = end;
    }
    Ok(held)
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(EIO)
}
