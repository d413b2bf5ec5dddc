//! What one connection is at: the handshake, a write whose bytes are arriving, a read that is being sent. Holds little
//! between its turns; the memory that a turn needs is shared by all clients.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nbd::{Command, CommandFlags, ErrorCode, Export, Form, Handshake, Next, Request, Session, Tls, Violation};

use crate::service::{Failure, Service};

/// Bytes that are read from a socket at a time.
const INPUT_BYTES: usize = 256 << 10;
/// A reply is sent when so much is there, and a long read in such pieces.
const OUTPUT_BYTES: usize = 256 << 10;
/// A write begins when so much of it is there, or all of it.
const PIECE_BYTES: usize = 64 << 10;
/// Only reads of this length are looked through for zeros first.
const HOLE_BYTES: u64 = 16 << 10;

/// Memory of a turn.
#[derive(Debug)]
pub(crate) struct Scratch {
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Scratch { input: vec![0; INPUT_BYTES], output: Vec::with_capacity(2 * OUTPUT_BYTES) }
    }
}

/// Whether a client stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Until it sends more.
    Sends,
    /// Until it takes more of what it asked for.
    Takes,
    /// It does not.
    Leaves,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    socket: UnixStream,
    phase: Phase,
    /// What arrived and is not a whole message yet, or comes after a read that is still being sent.
    held: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
    /// Nothing more comes from it, or nothing more is wanted.
    has_ended: bool,
}

#[derive(Debug)]
enum Phase {
    Handshake(Box<Handshake>),
    Serving(Serving),
}

#[derive(Debug)]
struct Serving {
    session: Session,
    work: Option<Work>,
}

/// A request that takes more than one step.
#[derive(Debug)]
enum Work {
    /// Its bytes are arriving.
    Write { request: Request, done: u32, failed: Option<Failure> },
    /// Its bytes are being sent.
    Read { request: Request, done: u64 },
}

impl Client {
    /// For a socket that does not block.
    pub(crate) fn new(socket: UnixStream, export: Export) -> Self {
        let handshake = Handshake::new(export, Tls::Off);
        let mut unsent = Vec::new();
        handshake.greet(&mut unsent);
        let phase = Phase::Handshake(Box::new(handshake));
        Client { socket, phase, held: vec![], unsent, has_ended: false }
    }

    /// Takes what the client sent, does it, and sends what it can.
    pub(crate) fn turn(&mut self, service: &mut Service, scratch: &mut Scratch) -> Fate {
        match self.try_turn(service, scratch) {
            Ok(fate) => fate,
            Err(error) => {
                if error.kind() == ErrorKind::InvalidData {
                    eprintln!("client dropped: {error}");
                }
                Fate::Leaves
            }
        }
    }

    fn try_turn(&mut self, service: &mut Service, scratch: &mut Scratch) -> io::Result<Fate> {
        if !self.unsent.is_empty() {
            let sent = send(&self.socket, &self.unsent)?;
            self.unsent.drain(..sent);
            if !self.unsent.is_empty() {
                return Ok(Fate::Takes);
            }
            self.unsent = Vec::new();
        }
        let Scratch { input, output } = scratch;
        let held = self.held.len();
        input[..held].copy_from_slice(&self.held);
        let received = self.receive(&mut input[held..])?;
        let mut input = &input[..held + received];
        loop {
            output.clear();
            let taken = self.phase.push(input, output, service, &mut self.has_ended).map_err(invalid)?;
            input = &input[taken..];
            let sent = send(&self.socket, output)?;
            if sent < output.len() {
                self.unsent = output[sent..].to_vec();
                self.hold(input);
                return Ok(Fate::Takes);
            }
            if taken == 0 && output.is_empty() {
                self.hold(input);
                return Ok(if self.has_ended { Fate::Leaves } else { Fate::Sends });
            }
        }
    }

    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.has_ended || room.is_empty() {
            return Ok(0);
        }
        match (&self.socket).read(room) {
            Ok(0) => {
                self.has_ended = true;
                Ok(0)
            }
            Err(error) if is_later(&error) => Ok(0),
            got => got,
        }
    }

    fn hold(&mut self, input: &[u8]) {
        if input.is_empty() {
            self.held = Vec::new();
        } else {
            self.held = input.to_vec();
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Phase {
    /// Does what is all there, until there is enough to send. Returns how much of the input it took.
    fn push(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        service: &mut Service,
        has_ended: &mut bool,
    ) -> Result<usize, Violation> {
        let mut taken = 0;
        if let Phase::Handshake(handshake) = self {
            let (used, next) = handshake.push(input, output)?;
            taken = used;
            match next {
                Next::More | Next::StartTls => return Ok(taken),
                Next::Close => {
                    *has_ended = true;
                    return Ok(input.len());
                }
                Next::Transmission(session) => *self = Phase::Serving(Serving { session, work: None }),
            }
        }
        let Phase::Serving(serving) = self else { return Ok(taken) };
        while output.len() < OUTPUT_BYTES {
            let input = &input[taken..];
            let used = match serving.work.take() {
                Some(Work::Write { request, done, failed }) => {
                    let (used, is_on) = serving.write(request, done, failed, input, service, output)?;
                    if !is_on {
                        return Ok(taken + used);
                    }
                    used
                }
                Some(Work::Read { request, done }) => {
                    serving.read(request, done, service, output)?;
                    0
                }
                None => {
                    let Some((request, used)) = serving.session.request(input)? else { return Ok(taken) };
                    if request.command == Command::Disconnect {
                        *has_ended = true;
                        return Ok(taken + input.len());
                    }
                    serving.begin(request, service, output);
                    used
                }
            };
            taken += used;
        }
        Ok(taken)
    }
}

impl Serving {
    fn begin(&mut self, request: Request, service: &mut Service, output: &mut Vec<u8>) {
        let refused = self.session.check(&request).err();
        let failed = refused.map(|(code, why)| Failure { code, message: why.to_owned() });
        if request.payload_bytes > 0 {
            self.work = Some(Work::Write { request, done: 0, failed });
        } else if let Some(failed) = failed {
            self.session.failed(&request, failed.code, &failed.message, output);
        } else if request.command == Command::Read && request.len_bytes > 0 {
            self.work = Some(Work::Read { request, done: 0 });
        } else {
            self.at_once(&request, service, output);
        }
    }

    fn at_once(&self, request: &Request, service: &mut Service, output: &mut Vec<u8>) {
        let &Request { offset, len_bytes, flags, .. } = request;
        let done = match request.command {
            Command::Flush => service.flush(),
            Command::Trim => service.trim(offset, len_bytes),
            Command::WriteZeroes if !flags.contains(CommandFlags::FAST_ZERO) => {
                service.zero(offset, len_bytes, flags.contains(CommandFlags::NO_HOLE))
            }
            Command::WriteZeroes if flags.contains(CommandFlags::NO_HOLE) || !service.is_zero(offset, len_bytes) => {
                let message = "only zeros are zeroed that quickly".to_owned();
                Err(Failure { code: ErrorCode::NotSupported, message })
            }
            Command::BlockStatus => match service.status(offset, len_bytes, flags.contains(CommandFlags::REQ_ONE)) {
                Ok(extents) => return self.session.status(request, &extents, output),
                Err(failed) => Err(failed),
            },
            // Reading and writing nothing; the page cache knows better than we what to read ahead.
            _ => Ok(()),
        };
        let is_read = request.command == Command::Read;
        self.finish(request, done, is_read, service, output);
    }

    /// Replies to what changed the disk, or did not.
    fn finish(
        &self,
        request: &Request,
        done: Result<(), Failure>,
        is_read: bool,
        service: &Service,
        output: &mut Vec<u8>,
    ) {
        let is_forced = request.command.is_write() && request.flags.contains(CommandFlags::FUA);
        match done.and_then(|()| if is_forced { service.flush() } else { Ok(()) }) {
            Ok(()) if is_read && self.session.form() != Form::Simple => self.session.end(request, output),
            Ok(()) => self.session.done(request, output),
            Err(failed) => {
                if failed.code == ErrorCode::Io {
                    eprintln!("error: {}", failed.message);
                }
                self.session.failed(request, failed.code, &failed.message, output);
            }
        }
    }

    /// Writes what has arrived. Returns how much that was, and whether there is something to do without more of it.
    fn write(
        &mut self,
        request: Request,
        done: u32,
        failed: Option<Failure>,
        input: &[u8],
        service: &mut Service,
        output: &mut Vec<u8>,
    ) -> Result<(usize, bool), Violation> {
        let left = (request.payload_bytes - done) as usize;
        let len = left.min(input.len());
        if len < left && (len < PIECE_BYTES && failed.is_none() || len == 0) {
            self.work = Some(Work::Write { request, done, failed });
            return Ok((0, false));
        }
        let at = request.offset + u64::from(done);
        // All pieces but the last end on a page.
        let len = if len < left && failed.is_none() { len - ((at + len as u64) % 4096) as usize } else { len };
        let failed = failed.or_else(|| service.write(at, &input[..len]).err());
        if len == left {
            self.finish(&request, failed.map_or(Ok(()), Err), false, service, output);
        } else {
            let done = done + u32::try_from(len).expect("it is less than what is left");
            self.work = Some(Work::Write { request, done, failed });
        }
        Ok((len, true))
    }

    /// Sends the next piece.
    fn read(&mut self, request: Request, done: u64, service: &Service, output: &mut Vec<u8>) -> Result<(), Violation> {
        let is_cut = self.session.form() != Form::Simple && !request.flags.contains(CommandFlags::DF);
        let (at, left) = (request.offset + done, request.len_bytes - done);
        // In one chunk, or behind one head: what failed cannot be told any more once that is on its way.
        let len = if is_cut || self.session.form() == Form::Simple { left.min(OUTPUT_BYTES as u64) } else { left };
        let is_last = len == left;
        let begin = output.len();
        if is_cut && len >= HOLE_BYTES && service.is_zero(at, len) {
            let len = u32::try_from(len).expect("pieces are short");
            self.session.hole(&request, at, len, is_last, output);
        } else {
            let len = usize::try_from(len).expect("pieces are short");
            match self.session.form() {
                Form::Simple if done == 0 => self.session.data(&request, output),
                Form::Simple => {}
                _ => self.session.piece(&request, at, len, is_last, output),
            }
            let data = output.len();
            output.resize(data + len, 0);
            if let Err(failed) = service.read(at, &mut output[data..]) {
                output.truncate(begin);
                if self.session.form() == Form::Simple && done > 0 {
                    return Err(Violation::of_server(failed.message));
                }
                self.finish(&request, Err(failed), true, service, output);
                return Ok(());
            }
        }
        if !is_last {
            self.work = Some(Work::Read { request, done: done + len });
        }
        Ok(())
    }
}

/// How much of this the socket takes now.
fn send(mut socket: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => sent += len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn invalid(violation: Violation) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, violation)
}
