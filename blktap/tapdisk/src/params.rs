//! `type:path` strings, and what is opened for them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use legacy_cli::terminal::in_words;
use rustix::io::Errno;
use vhd::Disk;

use crate::service::Service;

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
}

impl From<vhd::Error> for Refused {
    fn from(error: vhd::Error) -> Self {
        Refused { errno: error.errno(), message: in_words(&error) }
    }
}

/// Types that tapdisk serves. Their numbers are those of blktap's drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A raw file or block device.
    Aio = 0,
    Vhd = 4,
}

/// Types of blktap that are no longer, or not yet, served.
const KNOWN: [&str; 14] = [
    "sync", "vmdk", "vhdsync", "ram", "qcow", "bc", "vhdi", "log", "remus", "lc", "llcache", "llpcache", "valve", "nbd",
];

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
        let colon = bytes.iter().position(|&byte| byte == b':');
        let colon =
            colon.ok_or_else(|| Refused::new(Errno::INVAL, format!("`{}` is no `type:path`", text.display())))?;
        let path = Path::new(OsStr::from_bytes(&bytes[colon + 1..]));
        let kind = match &bytes[..colon] {
            b"aio" => Kind::Aio,
            b"vhd" => Kind::Vhd,
            other if KNOWN.iter().any(|known| known.as_bytes() == other) => {
                return Err(Refused::new(
                    Errno::NOSYS,
                    format!("images of this type are not served: `{}`", text.display()),
                ));
            }
            _ => return Err(Refused::new(Errno::NOENT, format!("no such type of image: `{}`", text.display()))),
        };
        Ok(Params { kind, path })
    }

    /// Opens the image and all that lies below it.
    pub(crate) fn open(self, is_read_only: bool) -> Result<Service> {
        let disk = match (self.kind, is_read_only) {
            (Kind::Vhd, true) => Disk::open(self.path)?,
            (Kind::Vhd, false) => Disk::open_rw(self.path)?,
            (Kind::Aio, true) => Disk::open_raw(self.path)?,
            (Kind::Aio, false) => Disk::open_raw(self.path)?,
        };
        Ok(Service::new(disk, is_read_only))
    }
}
