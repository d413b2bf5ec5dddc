//! `type:path` strings, and what is opened for them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use blockcrypto::Key;
use legacy_cli::terminal::in_words;
use rustix::io::Errno;
use vhd::{Cache, Disk, Engine, Image, ImageFile};

use crate::failure::Failure;
use crate::host::Host;
use crate::local_leaf::LocalLeaf;
use crate::store::{Chain, Remote, Store, ram};

/// How much longer than it needs a file is at most while it is served: a hole.
pub(crate) const AHEAD_BYTES: u64 = 64 << 20;

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
    /// A copy of a file, in memory.
    Ram,
    /// A disk that another server has: a socket, `address:port`, or the name of a connection that was passed to us.
    Nbd,
    /// Two images of a chain that are both written.
    LocalLeaf(LocalLeaf),
}

/// Types of blktap that are no longer, or not yet, served.
const KNOWN: [&str; 10] = ["sync", "vmdk", "vhdsync", "qcow", "bc", "vhdi", "log", "remus", "lc", "valve"];

/// How an image is opened.
#[derive(Clone, Debug)]
pub(crate) struct How<'a> {
    pub(crate) is_read_only: bool,
    pub(crate) key: Option<&'a Key>,
    /// Of regular files: the image, and those below it.
    pub(crate) cache: Cache,
    pub(crate) parents: Cache,
    pub(crate) engine: Option<Arc<dyn Engine>>,
}

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
            b"ram" => Kind::Ram,
            b"llp" => Kind::LocalLeaf(LocalLeaf::Persistent),
            b"lle" => Kind::LocalLeaf(LocalLeaf::Ephemeral),
            other if KNOWN.iter().any(|known| known.as_bytes() == other) => {
                return Err(refused(Errno::NOSYS, "images of this type are not served"));
            }
            _ => return Err(refused(Errno::NOENT, "no such type of image")),
        };
        Ok(Params { kind, path })
    }

    /// Opens the image and all that lies below it.
    pub(crate) fn open(self, host: &Host, how: &How<'_>) -> Result<Box<dyn Store>> {
        if self.kind != Kind::Nbd {
            return Ok(Box::new(self.open_chain(how)?));
        }
        let target = self.path.to_owned();
        let passed = self.path.to_str().and_then(|name| host.connections.take(name));
        let connected = match passed {
            Some(connection) => Remote::passed(connection, target, Arc::clone(&host.connections)),
            None => Remote::connect(target),
        };
        let failed = |error| Refused::io(format_args!("cannot reach the server at `{}`", self.path.display()), &error);
        Ok(Box::new(connected.map_err(failed)?))
    }

    /// The same of an image that lies here.
    pub(crate) fn open_chain(self, how: &How<'_>) -> Result<Chain> {
        let disk = match self.kind {
            Kind::Vhd => Disk::open_with(self.path, &how.open())?,
            Kind::Aio => Disk::open_raw_with(self.path, &how.open())?,
            Kind::Ram => return self.open_ram(how),
            Kind::Nbd => return Err(Refused::new(Errno::INVAL, "another server's disk is no image")),
            Kind::LocalLeaf(_) => return Err(Refused::new(Errno::INVAL, "a local leaf cache is two images already")),
        };
        how.chain(disk)
    }

    fn open_ram(self, how: &How<'_>) -> Result<Chain> {
        let failed = |error| Refused::io(format_args!("cannot copy `{}` into memory", self.path.display()), &error);
        let (memory, name) = ram::copy(self.path).map_err(failed)?;
        let disk = Disk::open_raw_rw(&name)?;
        drop(memory);
        Ok(how.chain(disk)?.in_ram(self.path))
    }

    /// Opens a VHD without its parents.
    pub(crate) fn open_alone(self, how: &How<'_>) -> Result<Chain> {
        if self.kind != Kind::Vhd {
            return Err(Refused::new(Errno::INVAL, "only a VHD can lie on a parent that another disk serves"));
        }
        let image = Image::on(ImageFile::open_with(self.path, &how.open())?)?;
        let disk =
            if how.is_read_only { Disk::of_reader(image.not_poisoned()?)? } else { Disk::of(image, vec![], None)? };
        how.chain(disk)
    }
}

impl How<'_> {
    fn open(&self) -> vhd::Open {
        vhd::Open {
            is_writable: !self.is_read_only,
            cache: self.cache,
            parents: self.parents,
            engine: self.engine.clone(),
            ..vhd::Open::default()
        }
    }

    /// The disk, as it is served.
    pub(crate) fn chain(&self, disk: Disk) -> Result<Chain> {
        for path in disk.without_direct() {
            tracing::warn!("`{}` cannot be opened past the page cache: each write waits for the disk", path.display());
        }
        let mut disk = disk.unlock(self.key)?;
        if !self.is_read_only {
            disk.write_back(AHEAD_BYTES)?;
        }
        Ok(Chain::new(disk, self.is_read_only))
    }
}
