//! `type:path` strings, and what is opened for them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use legacy_cli::terminal::in_words;
use rustix::io::Errno;
use vhd::{Disk, Image};

use crate::failure::Failure;
use crate::host::Host;
use crate::store::{Chain, Remote, Store};

/// A refusal of the control socket: its number travels, its words are for the log.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) errno: i32,
    pub(crate) message: String,
}

pub(crate) type Result<T> = std::result::Result<T, Refused>;

impl Refused {
    pub(crate) fn new(errno: Errno, message: impl Into<String>) -> Self {
        Refused { errno: errno.raw_os_error(), message: message.into() }
    }

    /// The system refused.
    pub(crate) fn io(doing: impl std::fmt::Display, error: &std::io::Error) -> Self {
        Refused { errno: error.raw_os_error().unwrap_or(5), message: format!("{doing}: {error}") }
    }
}

impl From<vhd::Error> for Refused {
    fn from(error: vhd::Error) -> Self {
        Refused { errno: error.errno(), message: in_words(&error) }
    }
}

impl From<Failure> for Refused {
    fn from(failed: Failure) -> Self {
        Refused { errno: failed.errno, message: failed.message }
    }
}

/// Types that tapdisk serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A raw file or block device.
    Aio,
    Vhd,
    /// A disk that another server has: a socket, `address:port`, or the name of a connection that was passed to us.
    Nbd,
}

/// Types of blktap that are no longer, or not yet, served.
const KNOWN: [&str; 13] =
    ["sync", "vmdk", "vhdsync", "ram", "qcow", "bc", "vhdi", "log", "remus", "lc", "llcache", "llpcache", "valve"];

/// An image, as a `type:path` names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params<'a> {
    pub(crate) kind: Kind,
    pub(crate) path: &'a Path,
}

impl<'a> Params<'a> {
    /// Reads the string.
    ///
    /// # Errors
    ///
    /// `EINVAL` without a colon, `ENOSYS` for a type that is known, `ENOENT` for one that is not.
    pub(crate) fn parse(text: &'a OsStr) -> Result<Self> {
        let bytes = text.as_bytes();
        let refused = |errno, why| Refused::new(errno, format!("{why}: `{}`", text.display()));
        let colon = bytes.iter().position(|&byte| byte == b':');
        let colon = colon.ok_or_else(|| refused(Errno::INVAL, "no `type:path`"))?;
        let path = Path::new(OsStr::from_bytes(&bytes[colon + 1..]));
        let kind = match &bytes[..colon] {
            b"aio" => Kind::Aio,
            b"vhd" => Kind::Vhd,
            b"nbd" => Kind::Nbd,
            other if KNOWN.iter().any(|known| known.as_bytes() == other) => {
                return Err(refused(Errno::NOSYS, "images of this type are not served"));
            }
            _ => return Err(refused(Errno::NOENT, "no such type of image")),
        };
        Ok(Params { kind, path })
    }

    /// Opens the image and all that lies below it. A file grows by so much at a time.
    pub(crate) fn open(self, host: &Host, is_read_only: bool, ahead_bytes: u64) -> Result<Box<dyn Store>> {
        if self.kind != Kind::Nbd {
            return Ok(Box::new(self.open_chain(is_read_only, ahead_bytes)?));
        }
        let target = self.path.to_owned();
        let passed = self.path.to_str().and_then(|name| host.connections.take(name));
        let connected = match passed {
            Some(stream) => Remote::over(stream, target),
            None => Remote::connect(target),
        };
        let failed = |error| Refused::io(format_args!("cannot reach the server at `{}`", self.path.display()), &error);
        Ok(Box::new(connected.map_err(failed)?))
    }

    /// The same of an image that lies here.
    pub(crate) fn open_chain(self, is_read_only: bool, ahead_bytes: u64) -> Result<Chain> {
        let disk = match (self.kind, is_read_only) {
            (Kind::Vhd, true) => Disk::open(self.path)?,
            (Kind::Vhd, false) => Disk::open_rw(self.path)?,
            (Kind::Aio, _) => Disk::open_raw(self.path)?,
            (Kind::Nbd, _) => return Err(Refused::new(Errno::INVAL, "another server's disk is no image")),
        };
        chain(disk, is_read_only, ahead_bytes)
    }

    /// Opens a VHD without its parents.
    pub(crate) fn open_alone(self, is_read_only: bool, ahead_bytes: u64) -> Result<Chain> {
        if self.kind != Kind::Vhd {
            return Err(Refused::new(Errno::INVAL, "only a VHD can lie on a parent that another disk serves"));
        }
        let disk = match is_read_only {
            true => Disk::of_reader(Image::open(self.path)?)?,
            false => Disk::of(Image::open_rw(self.path)?, vec![], None)?,
        };
        chain(disk, is_read_only, ahead_bytes)
    }
}

fn chain(mut disk: Disk, is_read_only: bool, ahead_bytes: u64) -> Result<Chain> {
    if !is_read_only {
        disk.write_back(ahead_bytes)?;
    }
    Ok(Chain::new(disk, is_read_only))
}
