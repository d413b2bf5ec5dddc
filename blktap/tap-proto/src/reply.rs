//! What a tapdisk answers.

use crate::kind::Kind;
use crate::raw::{RawDisk, RawFrame, RawList, RawResponse, RawStats};
use crate::text::Text;
use crate::{Frame, Malformed};

/// A disk that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Its size in sectors.
    pub sectors: u64,
    /// Bytes of a sector.
    pub sector_bytes: u32,
    /// Bits for the guest: 1 CD-ROM, 4 read-only.
    pub info: u32,
}

/// A disk of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// How many frames come with disks, this one included: n, …, 1; then 0 in the frame that ends the list.
    pub count: i32,
    /// Its minor; -1 in the last frame.
    pub minor: i32,
    /// Bits of its state.
    pub state: i32,
    /// `type:path` as it was sent with OPEN or RESUME.
    pub path: Text,
}

/// An answer. The cookie of its frame is the request's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The request failed.
    Error {
        /// A positive Linux error number.
        errno: i32,
        /// Words, mostly none.
        message: Text,
    },
    /// The tapdisk's process.
    Pid(i32),
    /// It is done, or failed with a positive number: the answer to attach, pause, resume, close, detach, connect and
    /// disconnect.
    Done {
        /// Which.
        kind: Kind,
        /// 0 for success.
        errno: i32,
    },
    /// The disk that was opened.
    Opened(Disk),
    /// The disk that was asked for.
    DiskInfo(Disk),
    /// A disk, or the end of the list.
    List(Listed),
    /// So many bytes of JSON follow the frame.
    Stats {
        /// How many.
        length: u64,
    },
}

impl Reply {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Reply::Error { .. } => Kind::Error,
            Reply::Pid(_) => Kind::PidRsp,
            Reply::Done { kind, .. } => *kind,
            Reply::Opened(_) => Kind::OpenRsp,
            Reply::DiskInfo(_) => Kind::DiskInfoRsp,
            Reply::List(_) => Kind::ListRsp,
            Reply::Stats { .. } => Kind::StatsRsp,
        }
    }

    /// The frame that is sent.
    pub fn encode(&self, cookie: u16) -> Frame {
        let kind = self.kind().number();
        let frame = match self {
            Reply::Error { errno, message } => {
                RawFrame::of(kind, cookie, &RawResponse { error: *errno, message: message.to_field() })
            }
            Reply::Pid(number) | Reply::Done { errno: number, .. } => RawFrame::of(kind, cookie, number),
            Reply::Opened(disk) | Reply::DiskInfo(disk) => RawFrame::of(kind, cookie, &disk.raw()),
            Reply::List(Listed { count, minor, state, path }) => {
                let payload = RawList { count: *count, minor: *minor, state: *state, path: path.to_field() };
                RawFrame::of(kind, cookie, &payload)
            }
            Reply::Stats { length } => {
                RawFrame::of(kind, cookie, &RawStats { kind: 0, cookie: 0, padding: [0; 4], length: *length })
            }
        };
        frame.bytes()
    }

    /// Reads a frame: its cookie and what it says.
    pub fn decode(frame: &Frame) -> Result<(u16, Self), Malformed> {
        let raw = RawFrame::read(frame);
        let reply = match Kind::try_from(raw.kind)? {
            Kind::Error | Kind::RuntimeError => {
                let RawResponse { error, message } = raw.payload();
                // Words are for people: what is left of a damaged text is none.
                Reply::Error { errno: error, message: Text::from_field(&message).unwrap_or_default() }
            }
            Kind::PidRsp => Reply::Pid(raw.payload()),
            Kind::OpenRsp => Reply::Opened(Disk::from_raw(raw.payload())),
            Kind::DiskInfoRsp => Reply::DiskInfo(Disk::from_raw(raw.payload())),
            Kind::ListRsp => {
                let RawList { count, minor, state, path } = raw.payload();
                Reply::List(Listed { count, minor, state, path: Text::from_field(&path)? })
            }
            Kind::StatsRsp => {
                let RawStats { length, .. } = raw.payload();
                Reply::Stats { length }
            }
            kind @ (Kind::AttachRsp
            | Kind::PauseRsp
            | Kind::ResumeRsp
            | Kind::CloseRsp
            | Kind::DetachRsp
            | Kind::XenblkifConnectRsp
            | Kind::XenblkifDisconnectRsp) => Reply::Done { kind, errno: raw.payload() },
            kind => return Err(Malformed::new(format!("{kind:?} is no answer"))),
        };
        Ok((raw.cookie, reply))
    }
}

impl Disk {
    fn raw(self) -> RawDisk {
        RawDisk { sectors: self.sectors, sector_bytes: self.sector_bytes, info: self.info }
    }

    fn from_raw(raw: RawDisk) -> Self {
        Disk { sectors: raw.sectors, sector_bytes: raw.sector_bytes, info: raw.info }
    }
}
