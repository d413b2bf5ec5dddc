//! Frames as they travel: C structs of a 64-bit machine, padding included. Unjudged.

use std::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::text::TEXT_BYTES;

/// Length of a frame.
pub const FRAME_BYTES: usize = 544;
const PAYLOAD_BYTES: usize = FRAME_BYTES - 8;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawFrame {
    pub(crate) kind: u16,
    pub(crate) cookie: u16,
    pub(crate) padding: [u8; 4],
    pub(crate) payload: [u8; PAYLOAD_BYTES],
}

/// OPEN, and RESUME, which C fills the same way whatever its own struct says.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawOpen {
    pub(crate) flags: u32,
    pub(crate) devnum: u32,
    pub(crate) domid: u32,
    pub(crate) path: [u8; TEXT_BYTES],
    pub(crate) parent_devnum: u32,
    pub(crate) timeout_secs: u16,
    pub(crate) secondary: [u8; TEXT_BYTES],
    pub(crate) padding: [u8; 2],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawDisk {
    pub(crate) sectors: u64,
    pub(crate) sector_bytes: u32,
    pub(crate) info: u32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawResponse {
    pub(crate) error: i32,
    pub(crate) message: [u8; TEXT_BYTES],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawList {
    pub(crate) count: i32,
    pub(crate) minor: i32,
    pub(crate) state: i32,
    pub(crate) path: [u8; TEXT_BYTES],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawStats {
    pub(crate) kind: u16,
    pub(crate) cookie: u16,
    pub(crate) padding: [u8; 4],
    pub(crate) length: u64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawBlkif {
    pub(crate) domid: u32,
    pub(crate) devid: u32,
    pub(crate) grants: [u32; 8],
    pub(crate) order: u32,
    pub(crate) protocol: u32,
    pub(crate) pool: [u8; TEXT_BYTES],
    pub(crate) port: u32,
    pub(crate) poll_duration: u32,
    pub(crate) poll_idle_threshold: u32,
}

// Offsets in the frame are these and 8.
const _: () = {
    assert!(size_of::<RawFrame>() == FRAME_BYTES);
    assert!(size_of::<RawOpen>() <= PAYLOAD_BYTES);
    assert!(offset_of!(RawOpen, path) == 20 - 8);
    assert!(offset_of!(RawOpen, parent_devnum) == 276 - 8);
    assert!(offset_of!(RawOpen, timeout_secs) == 280 - 8);
    assert!(offset_of!(RawOpen, secondary) == 282 - 8);
    assert!(offset_of!(RawDisk, info) == 20 - 8);
    assert!(offset_of!(RawResponse, message) == 12 - 8);
    assert!(offset_of!(RawList, path) == 20 - 8);
    assert!(offset_of!(RawStats, length) == 16 - 8);
    assert!(offset_of!(RawBlkif, pool) == 56 - 8);
    assert!(offset_of!(RawBlkif, port) == 312 - 8);
    assert!(offset_of!(RawBlkif, poll_idle_threshold) == 320 - 8);
};

impl RawFrame {
    pub(crate) fn new(kind: u16, cookie: u16) -> Self {
        RawFrame { kind, cookie, padding: [0; 4], payload: [0; PAYLOAD_BYTES] }
    }

    pub(crate) fn of(kind: u16, cookie: u16, payload: &(impl IntoBytes + Immutable)) -> Self {
        let mut frame = RawFrame::new(kind, cookie);
        let bytes = payload.as_bytes();
        frame.payload[..bytes.len()].copy_from_slice(bytes);
        frame
    }

    pub(crate) fn read(frame: &[u8; FRAME_BYTES]) -> Self {
        zerocopy::transmute!(*frame)
    }

    pub(crate) fn bytes(&self) -> [u8; FRAME_BYTES] {
        zerocopy::transmute!(*self)
    }

    /// The payload as one of the structs above, each of which is shorter.
    pub(crate) fn payload<T: FromBytes + Immutable + KnownLayout + Copy>(&self) -> T {
        let (payload, _) = T::read_from_prefix(&self.payload).expect("every payload is shorter than a frame");
        payload
    }
}
