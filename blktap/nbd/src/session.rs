//! What client and server agreed on: how heads of requests look, and which requests are in order.

use zerocopy::{FromBytes, IntoBytes};

use crate::export::Export;
use crate::request::{Command, CommandFlags, Request};
use crate::wire::{
    CompactRequest, EXTENDED_REQUEST_MAGIC, ExtendedRequest, OLD_GREETING_MAGIC, OldGreeting, REQUEST_MAGIC,
};
use crate::{ErrorCode, MAX_PAYLOAD_BYTES, Violation};

/// In one piece such a read is answered, where the client wants one piece.
const MAX_UNCUT_BYTES: u64 = 1 << 20;

/// The form of requests and replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A head, and the bytes that were read.
    Simple,
    /// Replies come in chunks.
    Structured,
    /// Replies come in chunks, and lengths have 64 bits.
    Extended,
}

/// A client in the transmission phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub(crate) form: Form,
    size_bytes: u64,
    is_read_only: bool,
    /// Whether the client may ask for block status.
    has_context: bool,
}

impl Session {
    pub(crate) fn new(form: Form, size_bytes: u64, is_read_only: bool, has_context: bool) -> Self {
        Session { form, size_bytes, is_read_only, has_context }
    }

    /// Of a client that negotiates nothing, as before 2011: the greeting is all that goes ahead.
    pub fn old_style(export: &Export, output: &mut Vec<u8>) -> Self {
        let greeting = OldGreeting {
            magic: OLD_GREETING_MAGIC,
            size_bytes: export.size_bytes.into(),
            global_flags: 0.into(),
            flags: export.flags(false).bits().into(),
            zeroes: [0; 124],
        };
        output.extend(greeting.as_bytes());
        Session::new(Form::Simple, export.size_bytes, export.is_read_only, false)
    }

    /// The form of its replies.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The head of a request that these bytes begin with, and its length. `None` when there is not all of it yet.
    ///
    /// # Errors
    ///
    /// [`Violation`]: these bytes are no request, or more follow than are ever taken.
    pub fn request(&self, bytes: &[u8]) -> Result<Option<(Request, usize)>, Violation> {
        let read = if self.form == Form::Extended { extended(bytes) } else { compact(bytes) };
        let Some((magic, expected, request, len)) = read else { return Ok(None) };
        if magic != expected {
            return Err(Violation::new(format!("no request: magic is {magic:#x}")));
        }
        let (mut request, follows) = request;
        request.payload_bytes = u32::try_from(follows)
            .ok()
            .filter(|&follows| follows <= MAX_PAYLOAD_BYTES)
            .ok_or_else(|| Violation::new(format!("request of {follows} bytes, more than {MAX_PAYLOAD_BYTES}")))?;
        Ok(Some((request, len)))
    }

    /// Whether a request must be refused without being tried. What follows it is to be read and dropped.
    pub fn check(&self, request: &Request) -> Result<(), (ErrorCode, &'static str)> {
        use CommandFlags as Flags;
        let &Request { command, flags, offset, len_bytes, .. } = request;
        let refuse = |code, why| Err((code, why));
        let has_chunks = self.form != Form::Simple;
        // FUA says nothing about requests that write nothing, but clients may set it.
        let mut known = match command {
            Command::Read if has_chunks => Flags::FUA | Flags::DF,
            Command::WriteZeroes => Flags::FUA | Flags::NO_HOLE | Flags::FAST_ZERO,
            Command::BlockStatus => Flags::FUA | Flags::REQ_ONE,
            _ => Flags::FUA,
        };
        if command == Command::Write && self.form == Form::Extended {
            known |= Flags::PAYLOAD_LEN;
        }
        if let Command::Unknown(_) = command {
            return refuse(ErrorCode::Invalid, "unknown command");
        }
        if !known.contains(flags) {
            return refuse(ErrorCode::Invalid, "unknown flag, or one that this command does not have");
        }
        if command.is_write() && self.is_read_only {
            return refuse(ErrorCode::NotPermitted, "export is read-only");
        }
        if matches!(command, Command::Flush | Command::Disconnect) {
            return Ok(());
        }
        if offset.checked_add(len_bytes).is_none_or(|end| end > self.size_bytes) {
            let is_full = matches!(command, Command::Write | Command::WriteZeroes);
            return refuse(if is_full { ErrorCode::NoSpace } else { ErrorCode::Invalid }, "not inside the export");
        }
        match command {
            Command::BlockStatus if !self.has_context => refuse(ErrorCode::Invalid, "no metadata context was set"),
            Command::BlockStatus if len_bytes == 0 => refuse(ErrorCode::Invalid, "nothing has no status"),
            Command::Read if len_bytes > MAX_PAYLOAD_BYTES.into() => {
                refuse(if has_chunks { ErrorCode::TooLarge } else { ErrorCode::Invalid }, "read is too long")
            }
            Command::Read if flags.contains(Flags::DF) && len_bytes > MAX_UNCUT_BYTES => {
                refuse(ErrorCode::TooLarge, "read is too long for one piece")
            }
            _ => Ok(()),
        }
    }
}

/// Magic, expected magic, the request and what follows it, and the length of its head.
type Read = (u32, u32, (Request, u64), usize);

fn compact(bytes: &[u8]) -> Option<Read> {
    let (raw, _) = CompactRequest::ref_from_prefix(bytes).ok()?;
    let command = Command::of(raw.kind.get());
    let len_bytes = raw.len.get().into();
    let follows = if command == Command::Write { len_bytes } else { 0 };
    let request = Request {
        cookie: raw.cookie.get(),
        command,
        flags: CommandFlags::from_bits_retain(raw.flags.get()),
        offset: raw.offset.get(),
        len_bytes,
        payload_bytes: 0,
    };
    Some((raw.magic.get(), REQUEST_MAGIC, (request, follows), size_of::<CompactRequest>()))
}

fn extended(bytes: &[u8]) -> Option<Read> {
    let (raw, _) = ExtendedRequest::ref_from_prefix(bytes).ok()?;
    let flags = CommandFlags::from_bits_retain(raw.flags.get());
    let (command, len_bytes) = (Command::of(raw.kind.get()), raw.len.get());
    // QEMU 10 sends writes without the flag, which the protocol demands, and the payload all the same.
    let has_payload = command == Command::Write || flags.contains(CommandFlags::PAYLOAD_LEN);
    let follows = if has_payload { len_bytes } else { 0 };
    let request =
        Request { cookie: raw.cookie.get(), command, flags, offset: raw.offset.get(), len_bytes, payload_bytes: 0 };
    Some((raw.magic.get(), EXTENDED_REQUEST_MAGIC, (request, follows), size_of::<ExtendedRequest>()))
}
