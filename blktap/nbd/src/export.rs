//! What is offered to clients.

use bitflags::bitflags;

/// A disk, under whatever name a client asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The name that is listed.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its size.
    pub size_bytes: u64,
    /// Whether it cannot be written.
    pub is_read_only: bool,
    /// Below this, or at odds with it, writing means reading first: a power of two, at least 512.
    pub preferred_bytes: u32,
}

bitflags! {
    /// What clients may ask for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct TransmissionFlags: u16 {
        const HAS_FLAGS = 1;
        const READ_ONLY = 1 << 1;
        const SEND_FLUSH = 1 << 2;
        const SEND_FUA = 1 << 3;
        const SEND_TRIM = 1 << 5;
        const SEND_WRITE_ZEROES = 1 << 6;
        const SEND_DF = 1 << 7;
        const CAN_MULTI_CONN = 1 << 8;
        const SEND_CACHE = 1 << 10;
        const SEND_FAST_ZERO = 1 << 11;
    }
}

impl Export {
    /// With `has_chunks`, for a client that takes replies in pieces.
    pub(crate) fn flags(&self, has_chunks: bool) -> TransmissionFlags {
        type Flags = TransmissionFlags;
        let mut flags = Flags::HAS_FLAGS | Flags::SEND_FLUSH | Flags::CAN_MULTI_CONN | Flags::SEND_CACHE;
        flags.set(Flags::SEND_DF, has_chunks);
        if self.is_read_only {
            flags |= Flags::READ_ONLY;
        } else {
            flags |= Flags::SEND_FUA | Flags::SEND_TRIM | Flags::SEND_WRITE_ZEROES | Flags::SEND_FAST_ZERO;
        }
        flags
    }
}
