//! The client's half: a disk that a server has, read and written over any stream. One that a server of before 2011 has as well:
//! it greets otherwise, and there is nothing to negotiate.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use zerocopy::{FromBytes, IntoBytes};

use crate::export::TransmissionFlags as Flags;
use crate::option;
use crate::wire::{
    CompactRequest, ExportInfo, GREETING_MAGIC, OLD_GREETING_MAGIC, OPTION_MAGIC, OldGreeting, OptionHead,
    REQUEST_MAGIC, SIMPLE_REPLY_MAGIC, SimpleReply,
};
use crate::{Command, CommandFlags};

/// Bytes of a request: what every server takes.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// Requests that wait for their replies: what C's tapdisk takes.
const MAX_WAITING: usize = 8;
/// Both of what a greeting offers: answers to options, and no zeroes after EXPORT_NAME.
const CLIENT_FLAGS: u16 = 3;

/// A connection in the transmission phase. After an error of the stream nobody knows what comes next on it: every later request
/// fails.
#[derive(Debug)]
pub struct Remote<S> {
    stream: S,
    size_bytes: u64,
    flags: Flags,
    cookie: u64,
    is_broken: bool,
}

/// A request that was sent.
struct Waiting<'a> {
    cookie: u64,
    /// Where the answer goes.
    into: Option<&'a mut [u8]>,
}

impl<S: Read + Write> Remote<S> {
    /// Negotiates with a server for its export of this name.
    pub fn new(mut stream: S, name: &str) -> io::Result<Self> {
        let mut magic = [0; 16];
        stream.read_exact(&mut magic)?;
        let (size_bytes, flags) = if magic == OLD_GREETING_MAGIC {
            let mut rest = [0; size_of::<OldGreeting>() - 16];
            stream.read_exact(&mut rest)?;
            let greeting =
                OldGreeting::read_from_bytes(&[&magic[..], &rest].concat()).map_err(|_| invalid("greeting"))?;
            (greeting.size_bytes.get(), greeting.flags.get())
        } else if magic == GREETING_MAGIC {
            let mut server_flags = [0; 2];
            stream.read_exact(&mut server_flags)?;
            let ours = u16::from_be_bytes(server_flags) & CLIENT_FLAGS;
            let len = u32::try_from(name.len()).map_err(|_| invalid("name"))?;
            let head = OptionHead { magic: OPTION_MAGIC.into(), option: option::EXPORT_NAME.into(), len: len.into() };
            let hello = [&u32::from(ours).to_be_bytes()[..], head.as_bytes(), name.as_bytes()].concat();
            stream.write_all(&hello)?;
            let mut info = [0; size_of::<ExportInfo>()];
            stream.read_exact(&mut info)?;
            if ours & 2 == 0 {
                stream.read_exact(&mut [0; 124])?;
            }
            let info = ExportInfo::read_from_bytes(&info).map_err(|_| invalid("export"))?;
            (info.size.get(), info.flags.get())
        } else {
            return Err(invalid("greeting: the other end is no NBD server"));
        };
        // Positions are signed numbers to most systems; sums of them must not overflow.
        if size_bytes > i64::MAX as u64 {
            return Err(invalid("export: it is larger than any disk"));
        }
        Ok(Remote { stream, size_bytes, flags: Flags::from_bits_retain(flags), cookie: 0, is_broken: false })
    }

    /// Size of the disk.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether it refuses to be written.
    pub fn is_read_only(&self) -> bool {
        self.flags.contains(Flags::READ_ONLY)
    }

    /// Fills the bytes from these positions.
    pub fn read_many(&mut self, reads: &mut [(u64, &mut [u8])]) -> io::Result<()> {
        let mut waiting = VecDeque::new();
        let mut failed = Ok(());
        for (offset, bytes) in reads {
            let mut at = *offset;
            for piece in bytes.chunks_mut(MAX_REQUEST_BYTES) {
                if waiting.len() == MAX_WAITING {
                    failed = failed.and(self.take_reply(&mut waiting)?);
                }
                let len = piece.len();
                let cookie = self.send(Command::Read, at, len as u64, &[])?;
                waiting.push_back(Waiting { cookie, into: Some(piece) });
                at += len as u64;
            }
        }
        self.take_replies(waiting, failed)
    }

    /// Writes the bytes to these positions.
    pub fn write_many(&mut self, writes: &[(u64, &[u8])]) -> io::Result<()> {
        let mut waiting = VecDeque::new();
        let mut failed = Ok(());
        for (offset, bytes) in writes {
            let mut at = *offset;
            for piece in bytes.chunks(MAX_REQUEST_BYTES) {
                if waiting.len() == MAX_WAITING {
                    failed = failed.and(self.take_reply(&mut waiting)?);
                }
                let cookie = self.send(Command::Write, at, piece.len() as u64, piece)?;
                waiting.push_back(Waiting { cookie, into: None });
                at += piece.len() as u64;
            }
        }
        self.take_replies(waiting, failed)
    }

    /// Makes a range zeros; `false`, and nothing done, where the server has no word for it.
    pub fn write_zeroes(&mut self, offset: u64, len_bytes: u64) -> io::Result<bool> {
        if !self.flags.contains(Flags::SEND_WRITE_ZEROES) {
            return Ok(false);
        }
        let (mut at, end) = (offset, offset.saturating_add(len_bytes));
        while at < end {
            let len = (end - at).min(1 << 30);
            self.ask(Command::WriteZeroes, at, len)?;
            at += len;
        }
        Ok(true)
    }

    /// Makes what was written durable, as far as the server knows how.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.flags.contains(Flags::SEND_FLUSH) { self.ask(Command::Flush, 0, 0) } else { Ok(()) }
    }

    /// Leaves.
    pub fn disconnect(&mut self) -> io::Result<()> {
        self.send(Command::Disconnect, 0, 0, &[]).map(drop)
    }

    fn ask(&mut self, command: Command, offset: u64, len_bytes: u64) -> io::Result<()> {
        let cookie = self.send(command, offset, len_bytes, &[])?;
        self.take_replies(VecDeque::from([Waiting { cookie, into: None }]), Ok(()))
    }

    fn send(&mut self, command: Command, offset: u64, len_bytes: u64, payload: &[u8]) -> io::Result<u64> {
        if self.is_broken {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the connection failed before"));
        }
        self.cookie += 1;
        let head = CompactRequest {
            magic: REQUEST_MAGIC.into(),
            flags: CommandFlags::empty().bits().into(),
            kind: command.number().into(),
            cookie: self.cookie.into(),
            offset: offset.into(),
            len: u32::try_from(len_bytes).map_err(|_| invalid("length"))?.into(),
        };
        let sent = self.stream.write_all(head.as_bytes()).and_then(|()| self.stream.write_all(payload));
        sent.inspect_err(|_| self.is_broken = true)?;
        Ok(self.cookie)
    }

    /// Takes all replies, also after one that says that a request failed.
    fn take_replies(&mut self, mut waiting: VecDeque<Waiting<'_>>, mut failed: io::Result<()>) -> io::Result<()> {
        while !waiting.is_empty() {
            failed = failed.and(self.take_reply(&mut waiting)?);
        }
        failed
    }

    /// Takes one reply: an error of the stream, or what became of the request.
    fn take_reply(&mut self, waiting: &mut VecDeque<Waiting<'_>>) -> io::Result<io::Result<()>> {
        let taken = self.try_take_reply(waiting);
        taken.inspect_err(|_| self.is_broken = true)
    }

    fn try_take_reply(&mut self, waiting: &mut VecDeque<Waiting<'_>>) -> io::Result<io::Result<()>> {
        let mut bytes = [0; size_of::<SimpleReply>()];
        self.stream.read_exact(&mut bytes)?;
        let reply = SimpleReply::read_from_bytes(&bytes).map_err(|_| invalid("reply"))?;
        let index = waiting.iter().position(|it| it.cookie == reply.cookie.get());
        let asked = index.and_then(|index| waiting.remove(index)).filter(|_| reply.magic == SIMPLE_REPLY_MAGIC);
        let asked = asked.ok_or_else(|| invalid("reply to nothing"))?;
        // Some servers send the number negative.
        let errno = i32::from_be_bytes(reply.error.to_bytes()).saturating_abs();
        if errno != 0 {
            return Ok(Err(io::Error::from_raw_os_error(errno)));
        }
        if let Some(bytes) = asked.into {
            self.stream.read_exact(bytes)?;
        }
        Ok(Ok(()))
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not understood: {what}"))
}
