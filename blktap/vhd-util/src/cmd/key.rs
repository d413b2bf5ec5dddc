//! `key`: the hash of the key that a disk is encrypted with.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use base16ct::{lower, mixed};
use blockcrypto::{Key, KeyError};
use vhd::{Image, KeyHash, edit};

use crate::getopt::{self, End, Parsed};
use crate::report::{EINVAL, EIO, EPERM, FirstErrno};
use crate::terminal::Terminal;

const OPTIONS: &str = "n:k:N:H:scCph";
/// Goes to standard error, as in blktap.
const USAGE: &str = "\
usage:
-C -k KEYPATH [-N NONCE]: calculate keyhash for KEYPATH
-s -n NAME <-k KEYPATH> | -H HASH> [-N NONCE]: set keyhash for NAME
-c -n NAME <-k KEYPATH>: check keyhash for NAME
-p -n NAME: print keyhash for NAME
-h help";
const HELP: &str = "\
Compute, set, check or print the hash of the key that a disk is encrypted with

usage: vhd-util key -C -k KEYFILE [-N NONCE]
       vhd-util key -s -n FILE (-k KEYFILE | -H HASH) [-N NONCE] [-p]
       vhd-util key -c -n FILE -k KEYFILE [-p]
       vhd-util key -p -n FILE

  -C          Compute: print the hash of NONCE and the key
  -s          Set the hash of an image that holds no data yet: from now on its disk is encrypted. Whoever opens it needs
              the key; without the key its data is lost
  -c          Check that the key is the image's
  -p          Print `NONCE HASH`, or `none` for a disk that is not encrypted
  -n FILE     The image; a snapshot has the hash of its parent
  -k KEYFILE  The key: 32 or 64 bytes, AES-XTS with AES-128 or AES-256. With -s and -c the file is named for the image and
              the bits of the key: `disk,aes-xts-plain,512.key` for disk.vhd
  -H HASH     The hash itself, in hexadecimal
  -N NONCE    32 bytes in hexadecimal, hashed in front of the key; zeros if not given
  --help      Print this text

Examples:
  vhd-util key -s -n disk.vhd -k 'disk,aes-xts-plain,512.key'
  vhd-util key -p -n disk.vhd
";

/// What is to be done.
enum Action {
    Compute { key: PathBuf, nonce: Option<OsString> },
    Image { name: PathBuf, step: Step, is_printed: bool },
}

/// What is to be done with an image.
enum Step {
    Set { proof: Proof, nonce: Option<OsString> },
    Check { key: PathBuf },
    Print,
}

/// Where a hash comes from.
enum Proof {
    Key(PathBuf),
    Hash(OsString),
}

impl Action {
    /// `None` when something is missing, or does not go together.
    fn parse(parsed: &Parsed) -> Option<Action> {
        let is_asked = |wanted| parsed.options.iter().any(|&(letter, _)| letter == wanted);
        let last = |wanted| {
            let values = parsed.options.iter().filter(|&&(letter, _)| letter == wanted);
            values.filter_map(|(_, value)| value.clone()).next_back()
        };
        let (key, hash, nonce) = (last('k').map(PathBuf::from), last('H'), last('N'));
        if is_asked('C') {
            return Some(Action::Compute { key: key?, nonce });
        }
        let name = PathBuf::from(last('n')?);
        let step = match (is_asked('s'), is_asked('c')) {
            (true, true) => return None,
            (true, false) => match (key, hash) {
                (Some(key), None) => Step::Set { proof: Proof::Key(key), nonce },
                (None, Some(hash)) => Step::Set { proof: Proof::Hash(hash), nonce },
                _ => return None,
            },
            (false, true) if nonce.is_none() && hash.is_none() => Step::Check { key: key? },
            (false, true) => return None,
            (false, false) if is_asked('p') => Step::Print,
            (false, false) => return None,
        };
        Some(Action::Image { name, step, is_printed: is_asked('p') })
    }
}

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("key", OPTIONS, arguments);
    if parsed.options.iter().any(|&(letter, _)| letter == 'h') {
        terminal.say(USAGE);
        return 0;
    }
    let action = match &parsed.end {
        End::Done => Action::parse(&parsed),
        End::Operands(_) => None,
        End::LongHelp => {
            terminal.print(HELP);
            return 0;
        }
        End::Wrong(line) => {
            terminal.say(line);
            None
        }
    };
    match action {
        Some(Action::Compute { key, nonce }) => match compute(&key, nonce.as_deref(), terminal) {
            Ok(hash) => {
                terminal.print(format_args!("{}\n", lower::encode_string(&hash)));
                0
            }
            Err(status) => status,
        },
        Some(Action::Image { name, step, is_printed }) => on_image(&name, &step, is_printed, terminal),
        None => {
            terminal.say(USAGE);
            EINVAL
        }
    }
}

fn compute(key: &Path, nonce: Option<&OsStr>, terminal: &mut Terminal) -> Result<[u8; 32], i32> {
    let nonce = nonce_of(nonce, terminal)?;
    Ok(read(key, terminal)?.hash(&nonce))
}

/// In `key -s -p` and `key -c -p` printing comes last, whatever was before.
fn on_image(name: &Path, step: &Step, is_printed: bool, terminal: &mut Terminal) -> i32 {
    let opened = if matches!(step, Step::Set { .. }) { Image::open_rw(name) } else { Image::open(name) };
    let image = match opened {
        Ok(image) => image,
        Err(error) => {
            let number = format!(": -{}", error.errno());
            terminal.say_bytes(&[b"failed to open ", name.as_os_str().as_bytes(), number.as_bytes()]);
            return told(&error, terminal);
        }
    };
    let mut failures = FirstErrno::default();
    let (done, failed) = match step {
        Step::Set { proof, nonce } => (set(&image, name, proof, nonce.as_deref(), terminal), "setting key failed"),
        Step::Check { key } => (check(&image, name, key, terminal), "key check failed"),
        Step::Print => (Ok(()), ""),
    };
    if let Err(status) = done {
        terminal.say(format_args!("{failed}: -{status}"));
        failures.note(status);
    }
    if is_printed {
        match image.key_hash() {
            Ok(Some(KeyHash { nonce, hash })) => {
                let [nonce, hash] = [nonce, hash].map(|bytes| lower::encode_string(&bytes));
                terminal.print(format_args!("{nonce} {hash}\n"));
            }
            Ok(None) => terminal.print("none\n"),
            Err(error) => failures.note(told(&error, terminal)),
        }
    }
    failures.get()
}

fn set(image: &Image, name: &Path, proof: &Proof, nonce: Option<&OsStr>, terminal: &mut Terminal) -> Result<(), i32> {
    edit::can_have_key(image).map_err(|error| told(&error, terminal))?;
    let nonce = nonce_of(nonce, terminal)?;
    let hash = match proof {
        Proof::Key(key) => read_named(name, key, terminal)?.hash(&nonce),
        Proof::Hash(hash) => bytes_of("hash", hash, terminal)?,
    };
    edit::set_key_hash(image, KeyHash { nonce, hash }).map_err(|error| told(&error, terminal))
}

fn check(image: &Image, name: &Path, key: &Path, terminal: &mut Terminal) -> Result<(), i32> {
    let Some(KeyHash { nonce, hash }) = image.key_hash().map_err(|error| told(&error, terminal))? else {
        terminal.say(format_args!("error: `{}` has no hash of a key: it is not encrypted", name.display()));
        return Err(EINVAL);
    };
    if read_named(name, key, terminal)?.hash(&nonce) != hash {
        terminal.say(format_args!("error: `{}` is not the key of `{}`", key.display(), name.display()));
        return Err(EINVAL);
    }
    Ok(())
}

/// The key in a file that is named for the image; a file under another name is refused, with blktap's status.
fn read_named(image: &Path, path: &Path, terminal: &mut Terminal) -> Result<Key, i32> {
    let file_name = |path: &Path| path.file_name().unwrap_or_default().as_bytes().to_owned();
    let (image_name, key_name) = (file_name(image), file_name(path));
    let end = image_name.windows(4).position(|part| part == b".vhd").unwrap_or(image_name.len());
    let wanted = |bits: usize| [&image_name[..end], format!(",aes-xts-plain,{bits}.key").as_bytes()].concat();
    let Some(bits) = [512, 256].into_iter().find(|&bits| key_name.starts_with(&wanted(bits))) else {
        let wanted = wanted(512);
        terminal.say(format_args!("error: `{}` is not named for `{}`", path.display(), image.display()));
        terminal.help(format_args!(
            "name it `{}`, with the number of bits that the key has",
            Path::new(OsStr::from_bytes(&wanted)).display()
        ));
        return Err(EPERM);
    };
    let key = read(path, terminal)?;
    if key.bits() != bits {
        let path = path.display();
        terminal.say(format_args!("error: `{path}` has a key of {} bits; its name says {bits}", key.bits()));
        return Err(EINVAL);
    }
    Ok(key)
}

fn read(path: &Path, terminal: &mut Terminal) -> Result<Key, i32> {
    File::open(path).map_err(KeyError::Read).and_then(Key::read).map_err(|error| {
        let path = path.display();
        match error {
            KeyError::Read(error) => {
                terminal.say(format_args!("error: cannot read `{path}`: {error}"));
                error.raw_os_error().unwrap_or(EIO)
            }
            error => {
                terminal.say(format_args!("error: cannot use `{path}`: {error}"));
                EINVAL
            }
        }
    })
}

fn nonce_of(text: Option<&OsStr>, terminal: &mut Terminal) -> Result<[u8; 32], i32> {
    text.map_or(Ok([0; 32]), |text| bytes_of("nonce", text, terminal))
}

fn bytes_of(what: &str, text: &OsStr, terminal: &mut Terminal) -> Result<[u8; 32], i32> {
    let mut bytes = [0; 32];
    match mixed::decode(text.as_bytes(), &mut bytes).map(<[u8]>::len) {
        Ok(32) => Ok(bytes),
        _ => {
            terminal.say(format_args!("error: {what} is not 64 digits in hexadecimal: `{}`", text.display()));
            Err(EINVAL)
        }
    }
}

fn told(error: &vhd::Error, terminal: &mut Terminal) -> i32 {
    terminal.explain(error);
    error.errno()
}
