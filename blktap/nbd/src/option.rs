//! Options of the handshake: their numbers, the data of those that have any, and the heads of answers.

use zerocopy::{Immutable, IntoBytes};

use crate::wire::{OPTION_REPLY_MAGIC, OptionReply};

/// Names and queries are no longer.
pub(crate) const MAX_TEXT_BYTES: usize = 4096;
/// How many queries or information requests are taken.
const MAX_ITEMS: usize = 256;

pub(crate) const EXPORT_NAME: u32 = 1;
pub(crate) const ABORT: u32 = 2;
pub(crate) const LIST: u32 = 3;
pub(crate) const STARTTLS: u32 = 5;
pub(crate) const INFO: u32 = 6;
pub(crate) const GO: u32 = 7;
pub(crate) const STRUCTURED_REPLY: u32 = 8;
pub(crate) const LIST_META_CONTEXT: u32 = 9;
pub(crate) const SET_META_CONTEXT: u32 = 10;
pub(crate) const EXTENDED_HEADERS: u32 = 11;

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Reply {
    Ack = 1,
    Server = 2,
    Info = 3,
    MetaContext = 4,
    Unsupported = 0x8000_0001,
    Invalid = 0x8000_0003,
    TlsRequired = 0x8000_0005,
    TooBig = 0x8000_0009,
    ExtendedHeadersRequired = 0x8000_000a,
}

/// An option that is answered with an error, and words for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reply: Reply,
    pub(crate) message: &'static str,
}

impl Refused {
    pub(crate) fn invalid(message: &'static str) -> Self {
        Refused { reply: Reply::Invalid, message }
    }
}

/// Adds an answer.
pub(crate) fn reply(option: u32, kind: Reply, parts: &[&[u8]], out: &mut Vec<u8>) {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    let len = u32::try_from(len).expect("answers are short").into();
    let head = OptionReply { magic: OPTION_REPLY_MAGIC.into(), option: option.into(), kind: (kind as u32).into(), len };
    put(&head, out);
    parts.iter().for_each(|part| out.extend(*part));
}

/// Adds a message or its head.
pub(crate) fn put(value: &(impl IntoBytes + Immutable), out: &mut Vec<u8>) {
    out.extend(value.as_bytes());
}

/// What INFO and GO ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InfoRequest<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) items: Vec<u16>,
}

impl<'a> InfoRequest<'a> {
    pub(crate) fn of(data: &'a [u8]) -> Result<Self, Refused> {
        let mut data = Data(data);
        let name = data.text()?;
        let count = u16::from_be_bytes(*data.take()?);
        let count = data.count(count.into())?;
        let items: Result<Vec<u16>, Refused> = (0..count).map(|_| Ok(u16::from_be_bytes(*data.take()?))).collect();
        data.end()?;
        Ok(InfoRequest { name, items: items? })
    }
}

/// What LIST_META_CONTEXT and SET_META_CONTEXT ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ContextRequest<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) queries: Vec<&'a [u8]>,
}

impl<'a> ContextRequest<'a> {
    pub(crate) fn of(data: &'a [u8]) -> Result<Self, Refused> {
        let mut data = Data(data);
        let name = data.text()?;
        let count = data.len()?;
        let count = data.count(count)?;
        let queries: Result<Vec<&[u8]>, Refused> = (0..count).map(|_| data.text()).collect();
        data.end()?;
        Ok(ContextRequest { name, queries: queries? })
    }
}

/// What of an option's data has not been read.
struct Data<'a>(&'a [u8]);

impl<'a> Data<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Refused> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Refused::invalid("data ends too early"))?;
        self.0 = rest;
        Ok(first)
    }

    fn len(&mut self) -> Result<usize, Refused> {
        let len = u32::from_be_bytes(*self.take()?);
        usize::try_from(len).map_err(|_| Refused::invalid("length is too large"))
    }

    /// A text with its length ahead of it.
    fn text(&mut self) -> Result<&'a [u8], Refused> {
        let len = self.len()?;
        let (text, rest) = self.0.split_at_checked(len).ok_or(Refused::invalid("text is longer than the data"))?;
        if len > MAX_TEXT_BYTES {
            return Err(Refused { reply: Reply::TooBig, message: "text is longer than 4096 bytes" });
        }
        self.0 = rest;
        Ok(text)
    }

    fn count(&self, count: usize) -> Result<usize, Refused> {
        if count > self.0.len() {
            return Err(Refused::invalid("data ends too early"));
        }
        if count > MAX_ITEMS {
            return Err(Refused { reply: Reply::TooBig, message: "more than 256 items" });
        }
        Ok(count)
    }

    fn end(&self) -> Result<(), Refused> {
        if self.0.is_empty() { Ok(()) } else { Err(Refused::invalid("data goes on too long")) }
    }
}
