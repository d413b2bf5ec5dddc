//! Messages as they travel, unjudged. All numbers are big-endian.

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub(crate) const GREETING_MAGIC: [u8; 16] = *b"NBDMAGICIHAVEOPT";
pub(crate) const OLD_GREETING_MAGIC: [u8; 16] = *b"NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53";
pub(crate) const OPTION_MAGIC: u64 = u64::from_be_bytes(*b"IHAVEOPT");
pub(crate) const OPTION_REPLY_MAGIC: u64 = 0x3_e889_0455_65a9;
pub(crate) const REQUEST_MAGIC: u32 = 0x2560_9513;
pub(crate) const EXTENDED_REQUEST_MAGIC: u32 = 0x21e4_1c71;
pub(crate) const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;
pub(crate) const CHUNK_MAGIC: u32 = 0x668e_33ef;
pub(crate) const EXTENDED_REPLY_MAGIC: u32 = 0x6e8a_278c;

macro_rules! wire {
    ($(#[doc = $doc:literal] $name:ident: $len:literal { $($field:ident: $kind:ty),* $(,)? })*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub(crate) struct $name {
            $(pub(crate) $field: $kind,)*
        }
        const _: () = assert!(size_of::<$name>() == $len);
    )*};
}

wire! {
    /// What the server says to a client that chooses nothing: all there is.
    OldGreeting: 152 { magic: [u8; 16], size_bytes: U64, global_flags: U16, flags: U16, zeroes: [u8; 124] }
    /// What the server says first.
    Greeting: 18 { magic: [u8; 16], flags: U16 }
    /// The head of an option; `len` bytes follow.
    OptionHead: 16 { magic: U64, option: U32, len: U32 }
    /// The head of an answer to an option; `len` bytes follow.
    OptionReply: 20 { magic: U64, option: U32, kind: U32, len: U32 }
    /// The answer to EXPORT_NAME, and with its first field the end of INFO_EXPORT.
    ExportInfo: 10 { size: U64, flags: U16 }
    /// INFO_BLOCK_SIZE.
    BlockSizes: 12 { minimum: U32, preferred: U32, maximum_payload: U32 }
    /// A request; after WRITE, `len` bytes follow.
    CompactRequest: 28 { magic: U32, flags: U16, kind: U16, cookie: U64, offset: U64, len: U32 }
    /// A request with extended headers; with the flag PAYLOAD_LEN, `len` bytes follow.
    ExtendedRequest: 32 { magic: U32, flags: U16, kind: U16, cookie: U64, offset: U64, len: U64 }
    /// A simple reply; after a READ that succeeded, as many bytes as were asked for follow.
    SimpleReply: 16 { magic: U32, error: U32, cookie: U64 }
    /// The head of a chunk of a structured reply.
    ChunkHead: 20 { magic: U32, flags: U16, kind: U16, cookie: U64, len: U32 }
    /// The head of a chunk with extended headers.
    ExtendedReply: 32 { magic: U32, flags: U16, kind: U16, cookie: U64, offset: U64, len: U64 }
    /// A chunk that is a hole.
    Hole: 12 { offset: U64, len: U32 }
    /// The head of a chunk that is an error; a message follows.
    ErrorHead: 6 { error: U32, len: U16 }
    /// One extent of a block status.
    Descriptor: 8 { len: U32, status: U32 }
    /// One extent with extended headers.
    ExtendedDescriptor: 16 { len: U64, status: U64 }
}
