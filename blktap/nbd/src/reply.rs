//! Replies, in the form that was agreed. What is written here are heads and short bodies; the bytes that were read follow
//! the head that announces them.

use crate::ErrorCode;
use crate::handshake::ALLOCATION_ID;
use crate::option::{MAX_TEXT_BYTES, put};
use crate::request::Request;
use crate::session::{Form, Session};
use crate::wire::{
    CHUNK_MAGIC, ChunkHead, Descriptor, EXTENDED_REPLY_MAGIC, ErrorHead, ExtendedDescriptor, ExtendedReply, Hole,
    SIMPLE_REPLY_MAGIC, SimpleReply,
};

const DONE: u16 = 1;

const NONE: u16 = 0;
const OFFSET_DATA: u16 = 1;
const OFFSET_HOLE: u16 = 2;
const BLOCK_STATUS: u16 = 5;
const BLOCK_STATUS_EXT: u16 = 6;
const ERROR: u16 = 0x8001;

const STATE_HOLE: u32 = 1;
const STATE_ZERO: u32 = 2;

/// A stretch of the disk whose parts are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Length, more than nothing.
    pub len_bytes: u64,
    /// Whether no space belongs to it.
    pub is_hole: bool,
    /// Whether it is known to read as zeros.
    pub is_zero: bool,
}

impl Session {
    /// Adds the reply to a request that succeeded and that nothing, or nothing more, is to be said about.
    pub fn done(&self, request: &Request, out: &mut Vec<u8>) {
        match self.form {
            // Also with structured replies, where it is shorter.
            Form::Simple | Form::Structured => self.simple(request, 0, out),
            Form::Extended => self.chunk(request, NONE, true, 0, out),
        }
    }

    /// Adds the last chunk of a read: nothing failed.
    pub fn end(&self, request: &Request, out: &mut Vec<u8>) {
        self.chunk(request, NONE, true, 0, out);
    }

    /// Adds the reply to a request that failed. With simple replies nothing of one may have been sent before.
    pub fn failed(&self, request: &Request, error: ErrorCode, message: &str, out: &mut Vec<u8>) {
        if self.form == Form::Simple {
            return self.simple(request, error as u32, out);
        }
        let mut end = message.len().min(MAX_TEXT_BYTES);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let message = &message.as_bytes()[..end];
        let len = u16::try_from(message.len()).expect("it was cut");
        self.chunk(request, ERROR, true, size_of::<ErrorHead>() + message.len(), out);
        put(&ErrorHead { error: (error as u32).into(), len: len.into() }, out);
        out.extend(message);
    }

    /// Adds the head of a simple reply to a read, which succeeded: all of its bytes follow.
    pub fn data(&self, request: &Request, out: &mut Vec<u8>) {
        self.simple(request, 0, out);
    }

    /// Adds the head of a chunk of a read: so many bytes from this position on follow.
    pub fn piece(&self, request: &Request, offset: u64, len: usize, is_last: bool, out: &mut Vec<u8>) {
        self.chunk(request, OFFSET_DATA, is_last, size_of::<u64>() + len, out);
        out.extend(offset.to_be_bytes());
    }

    /// Adds a chunk of a read: so many bytes from this position on are zeros.
    pub fn hole(&self, request: &Request, offset: u64, len: u32, is_last: bool, out: &mut Vec<u8>) {
        self.chunk(request, OFFSET_HOLE, is_last, size_of::<Hole>(), out);
        put(&Hole { offset: offset.into(), len: len.into() }, out);
    }

    /// Adds the reply to a block status request: extents from its position on, at least one.
    pub fn status(&self, request: &Request, extents: &[Extent], out: &mut Vec<u8>) {
        let state = |extent: &Extent| {
            let hole = if extent.is_hole { STATE_HOLE } else { 0 };
            hole | if extent.is_zero { STATE_ZERO } else { 0 }
        };
        if self.form == Form::Extended {
            let len = 2 * size_of::<u32>() + extents.len() * size_of::<ExtendedDescriptor>();
            self.chunk(request, BLOCK_STATUS_EXT, true, len, out);
            out.extend(ALLOCATION_ID.to_be_bytes());
            out.extend(u32::try_from(extents.len()).expect("few extents").to_be_bytes());
            for extent in extents {
                let status = u64::from(state(extent)).into();
                put(&ExtendedDescriptor { len: extent.len_bytes.into(), status }, out);
            }
            return;
        }
        self.chunk(request, BLOCK_STATUS, true, size_of::<u32>() + extents.len() * size_of::<Descriptor>(), out);
        out.extend(ALLOCATION_ID.to_be_bytes());
        for extent in extents {
            let len = u32::try_from(extent.len_bytes).expect("compact requests are shorter than 4 GiB");
            put(&Descriptor { len: len.into(), status: state(extent).into() }, out);
        }
    }

    fn simple(&self, request: &Request, error: u32, out: &mut Vec<u8>) {
        let (magic, cookie) = (SIMPLE_REPLY_MAGIC.into(), request.cookie.into());
        put(&SimpleReply { magic, error: error.into(), cookie }, out);
    }

    fn chunk(&self, request: &Request, kind: u16, is_last: bool, len: usize, out: &mut Vec<u8>) {
        let flags = (if is_last { DONE } else { 0 }).into();
        let (kind, cookie, offset) = (kind.into(), request.cookie.into(), request.offset.into());
        if self.form == Form::Extended {
            let (magic, len) = (EXTENDED_REPLY_MAGIC.into(), (len as u64).into());
            put(&ExtendedReply { magic, flags, kind, cookie, offset, len }, out);
        } else {
            let len = u32::try_from(len).expect("chunks are at most a payload long").into();
            put(&ChunkHead { magic: CHUNK_MAGIC.into(), flags, kind, cookie, len }, out);
        }
    }
}
