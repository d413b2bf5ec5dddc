//! What `tap-ctl` and `tapback` ask of a tapdisk.

use std::fmt;

use bitflags::bitflags;
use zeroize::Zeroizing;

use crate::kind::Kind;
use crate::raw::{RawBlkif, RawFrame, RawOpen};
use crate::text::{TEXT_BYTES, Text};
use crate::{Frame, Malformed};

/// The longest key that travels.
const MAX_KEY_BYTES: usize = 128;

bitflags! {
    /// How an image is opened.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// The image is shared.
        const SHARED = 0x1;
        /// Nothing is written.
        const RDONLY = 0x2;
        /// A block cache goes on top.
        const ADD_CACHE = 0x4;
        /// The path is an index of VHDs.
        const VHD_INDEX = 0x8;
        /// Changed blocks are noted in the log whose path follows the frame.
        const ADD_LOG = 0x10;
        /// A local cache goes on top.
        const ADD_LCACHE = 0x20;
        /// The parent is served by another disk, `parent_devnum`.
        const REUSE_PRT = 0x40;
        /// Writes go to `secondary` too.
        const SECONDARY = 0x80;
        /// `secondary` takes over when the image has no space.
        const STANDBY = 0x100;
        /// Through the page cache.
        const NO_O_DIRECT = 0x200;
        /// The key follows the frame.
        const OPEN_ENCRYPTED = 0x400;
        // Bits that nobody gave a name are kept as they came.
        const _ = !0;
    }
}

/// What OPEN and RESUME say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// How.
    pub flags: Flags,
    /// Number of the device.
    pub devnum: u32,
    /// The guest.
    pub domid: u32,
    /// `type:path`. In a RESUME empty for the same again.
    pub path: Text,
    /// Minor of the disk that serves the parent.
    pub parent_devnum: u32,
    /// How long a request may be tried again, in seconds; 0 for the default.
    pub timeout_secs: u16,
    /// `type:path` of the secondary image.
    pub secondary: Text,
    /// What follows the frame.
    pub extra: Extra,
}

/// Bytes that follow a frame of OPEN or RESUME, as its flags say.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra {
    /// Path of the log, with [`Flags::ADD_LOG`].
    pub log_path: Option<Text>,
    /// The key, with [`Flags::OPEN_ENCRYPTED`]: 1 to 128 bytes.
    pub key: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Extra");
        f.field("log_path", &self.log_path).field("has_key", &self.key.is_some()).finish()
    }
}

/// A guest's ring, with which requests and answers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blkif {
    /// The guest.
    pub domid: u32,
    /// The device in the guest.
    pub devid: u32,
}

/// A ring to be connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Whose it is.
    pub blkif: Blkif,
    /// Grants of its pages, as many as `order` says.
    pub grants: [u32; 8],
    /// Its pages, as a power of two; at most 3.
    pub order: u32,
    /// 1 native, 2 32 bit, 3 64 bit.
    pub protocol: u32,
    /// Name of the pool that shares an event channel handle; may be empty.
    pub pool: Text,
    /// Port of the event channel.
    pub port: u32,
    /// How long is polled, in microseconds; 0 for never.
    pub poll_duration: u32,
    /// How idle the machine must be for that, in percent.
    pub poll_idle_threshold: u32,
}

/// A request. The cookie of its frame is the minor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which process this is.
    Pid,
    /// The minor is this tapdisk's from now on.
    Attach,
    /// Open a disk at an attached minor.
    Open(Open),
    /// Finish what is under way and close the images; requests wait.
    Pause,
    /// Open a paused disk again, from this image.
    Resume(Open),
    /// Close the disk; its minor stays attached.
    Close,
    /// Close it without waiting for its users.
    ForceShutdown,
    /// Give the minor up; without any other the tapdisk ends.
    Detach,
    /// Which minors are attached: blktap 2's, which no later tapdisk answers.
    ListMinors,
    /// All disks, or the one at the minor.
    List,
    /// What the disk has done, as JSON.
    Stats,
    /// Serve a guest's ring.
    XenblkifConnect(Ring),
    /// Leave a guest's ring.
    XenblkifDisconnect(Blkif),
    /// Size and kind of the open disk.
    DiskInfo,
    /// End.
    Exit,
}

impl Request {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Request::Pid => Kind::Pid,
            Request::Attach => Kind::Attach,
            Request::Open(_) => Kind::Open,
            Request::Pause => Kind::Pause,
            Request::Resume(_) => Kind::Resume,
            Request::Close => Kind::Close,
            Request::ForceShutdown => Kind::ForceShutdown,
            Request::Detach => Kind::Detach,
            Request::ListMinors => Kind::ListMinors,
            Request::List => Kind::List,
            Request::Stats => Kind::Stats,
            Request::XenblkifConnect(_) => Kind::XenblkifConnect,
            Request::XenblkifDisconnect(_) => Kind::XenblkifDisconnect,
            Request::DiskInfo => Kind::DiskInfo,
            Request::Exit => Kind::Exit,
        }
    }

    /// The bytes that are sent: a frame, and what follows it.
    pub fn encode(&self, cookie: u16) -> Zeroizing<Vec<u8>> {
        let kind = self.kind().number();
        let frame = match self {
            Request::Open(open) | Request::Resume(open) => RawFrame::of(kind, cookie, &open.raw()),
            Request::XenblkifConnect(ring) => RawFrame::of(kind, cookie, &ring.raw()),
            Request::XenblkifDisconnect(blkif) => RawFrame::of(kind, cookie, &[blkif.domid, blkif.devid]),
            _ => RawFrame::new(kind, cookie),
        };
        let mut bytes = Zeroizing::new(frame.bytes().to_vec());
        if let Request::Open(Open { extra, .. }) | Request::Resume(Open { extra, .. }) = self {
            if let Some(path) = &extra.log_path {
                bytes.extend(path.to_field());
            }
            if let Some(key) = &extra.key {
                let len = u8::try_from(key.len()).unwrap_or(u8::MAX).min(128);
                bytes.push(len);
                bytes.extend(&key[..usize::from(len)]);
            }
        }
        bytes
    }

    /// Reads a frame: its cookie and what it asks, without what may follow it.
    pub(crate) fn decode(frame: &Frame) -> Result<(u16, Self), Malformed> {
        let raw = RawFrame::read(frame);
        // blktap looks at this field whatever the message is.
        let open: RawOpen = raw.payload();
        let path = Text::from_field(&open.path)?;
        let request = match Kind::try_from(raw.kind)? {
            Kind::Pid => Request::Pid,
            Kind::Attach => Request::Attach,
            Kind::Open => Request::Open(Open::from_raw(&open, path)?),
            Kind::Pause => Request::Pause,
            Kind::Resume => Request::Resume(Open::from_raw(&open, path)?),
            Kind::Close => Request::Close,
            Kind::ForceShutdown => Request::ForceShutdown,
            Kind::Detach => Request::Detach,
            Kind::ListMinors => Request::ListMinors,
            Kind::List => Request::List,
            Kind::Stats => Request::Stats,
            Kind::XenblkifConnect => Request::XenblkifConnect(Ring::from_raw(&raw.payload())?),
            Kind::XenblkifDisconnect => {
                let [domid, devid]: [u32; 2] = raw.payload();
                Request::XenblkifDisconnect(Blkif { domid, devid })
            }
            Kind::DiskInfo => Request::DiskInfo,
            Kind::Exit => Request::Exit,
            kind => return Err(Malformed::new(format!("{kind:?} is no request"))),
        };
        Ok((raw.cookie, request))
    }
}

impl Open {
    fn raw(&self) -> RawOpen {
        RawOpen {
            flags: self.flags.bits(),
            devnum: self.devnum,
            domid: self.domid,
            path: self.path.to_field(),
            parent_devnum: self.parent_devnum,
            timeout_secs: self.timeout_secs,
            secondary: self.secondary.to_field(),
            padding: [0; 2],
        }
    }

    fn from_raw(raw: &RawOpen, path: Text) -> Result<Self, Malformed> {
        let flags = Flags::from_bits_retain(raw.flags);
        // Without the flag the field may hold anything.
        let secondary = match flags.contains(Flags::SECONDARY) {
            true => Text::from_field(&raw.secondary)?,
            false => Text::default(),
        };
        Ok(Open {
            flags,
            devnum: raw.devnum,
            domid: raw.domid,
            path,
            parent_devnum: raw.parent_devnum,
            timeout_secs: raw.timeout_secs,
            secondary,
            extra: Extra::default(),
        })
    }
}

impl Extra {
    /// Reads as much as `flags` promise from the bytes after a frame: the extra and its length, or `None` while some of
    /// it is still to come.
    pub(crate) fn decode(flags: Flags, bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let (mut extra, mut at) = (Extra::default(), 0);
        if flags.contains(Flags::ADD_LOG) {
            let Some((path, _)) = bytes.split_first_chunk::<TEXT_BYTES>() else { return Ok(None) };
            extra.log_path = Some(Text::from_field(path)?);
            at = TEXT_BYTES;
        }
        if flags.contains(Flags::OPEN_ENCRYPTED) {
            let Some(&len) = bytes.get(at) else { return Ok(None) };
            let len = usize::from(len);
            if !(1..=MAX_KEY_BYTES).contains(&len) {
                return Err(Malformed::new(format!("key has {len} bytes, not 1 to {MAX_KEY_BYTES}")));
            }
            let Some(key) = bytes.get(at + 1..at + 1 + len) else { return Ok(None) };
            extra.key = Some(Zeroizing::new(key.to_vec()));
            at += 1 + len;
        }
        Ok(Some((extra, at)))
    }
}

impl Ring {
    fn raw(&self) -> RawBlkif {
        RawBlkif {
            domid: self.blkif.domid,
            devid: self.blkif.devid,
            grants: self.grants,
            order: self.order,
            protocol: self.protocol,
            pool: self.pool.to_field(),
            port: self.port,
            poll_duration: self.poll_duration,
            poll_idle_threshold: self.poll_idle_threshold,
        }
    }

    fn from_raw(raw: &RawBlkif) -> Result<Self, Malformed> {
        Ok(Ring {
            blkif: Blkif { domid: raw.domid, devid: raw.devid },
            grants: raw.grants,
            order: raw.order,
            protocol: raw.protocol,
            pool: Text::from_field(&raw.pool)?,
            port: raw.port,
            poll_duration: raw.poll_duration,
            poll_idle_threshold: raw.poll_idle_threshold,
        })
    }
}
