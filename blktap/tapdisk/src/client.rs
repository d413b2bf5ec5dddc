//! What one connection is at: the handshake, a write whose bytes are arriving, a read that is being sent. Each has a thread of
//! its own, so one that takes nothing keeps nobody else waiting; its memory is bounded.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::Instant;

use nbd::{Command, CommandFlags, ErrorCode, Export, Form, Handshake, Next, Request, Session, Tls, Violation};

use crate::arrival::Arrival;
use crate::service::Failure;
use crate::shared::Shared;

/// Bytes that are read from a socket at a time: at first, and once so much comes.
const INPUT_BYTES: usize = 16 << 10;
const MAX_INPUT_BYTES: usize = 256 << 10;
/// A reply is sent when so much is there, and a long read in such pieces.
const OUTPUT_BYTES: usize = 256 << 10;
/// A write begins when so much of it is there, or all of it.
const PIECE_BYTES: usize = 64 << 10;
/// Only reads of this length are looked through for zeros first.
const HOLE_BYTES: u64 = 16 << 10;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    socket: &'a UnixStream,
    /// What is said first.
    greeting: Vec<u8>,
    phase: Phase<'a>,
}

#[derive(Debug)]
enum Phase<'a> {
    Handshake(Box<Handshake>, &'a Shared),
    Serving(Serving<'a>),
    /// Nothing more is wanted of it.
    Ended,
}

#[derive(Debug)]
struct Serving<'a> {
    session: Session,
    disk: &'a Shared,
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

impl<'a> Client<'a> {
    pub(crate) fn new(socket: &'a UnixStream, export: Export, disk: &'a Shared) -> Self {
        let handshake = Handshake::new(export, Tls::Off);
        let mut greeting = Vec::new();
        handshake.greet(&mut greeting);
        Client { socket, greeting, phase: Phase::Handshake(Box::new(handshake), disk) }
    }

    /// One that negotiates nothing.
    pub(crate) fn old_style(socket: &'a UnixStream, export: &Export, disk: &'a Shared) -> Self {
        let mut greeting = Vec::new();
        let session = Session::old_style(export, &mut greeting);
        Client { socket, greeting, phase: Phase::Serving(Serving { session, disk, work: None }) }
    }

    /// Serves it until it leaves, or is told to.
    pub(crate) fn run(mut self) {
        if let Err(error) = self.serve()
            && error.kind() == ErrorKind::InvalidData
        {
            tracing::warn!("client dropped: {error}");
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut output = std::mem::take(&mut self.greeting);
        self.socket.write_all(&output)?;
        let (mut input, mut held) = (vec![0; INPUT_BYTES], 0);
        let mut arrival = Arrival::new(self.socket);
        loop {
            let received = arrival.read(&mut input[held..])?;
            held += received;
            let mut done = 0;
            loop {
                output.clear();
                let taken = self.phase.push(&input[done..held], &mut output).map_err(invalid)?;
                self.socket.write_all(&output)?;
                done += taken;
                if matches!(self.phase, Phase::Ended) {
                    return Ok(());
                }
                if taken == 0 && output.is_empty() {
                    break;
                }
            }
            if received == 0 {
                return Ok(());
            }
            let is_full = held == input.len();
            input.copy_within(done..held, 0);
            held -= done;
            if is_full && input.len() < MAX_INPUT_BYTES {
                input.resize(MAX_INPUT_BYTES, 0);
            }
        }
    }
}

impl Phase<'_> {
    /// Does what is all there, until there is enough to send. Returns how much of the input it took.
    fn push(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Violation> {
        let mut taken = 0;
        if let Phase::Handshake(handshake, disk) = self {
            let (used, next) = handshake.push(input, output)?;
            taken = used;
            match next {
                Next::More | Next::StartTls => return Ok(taken),
                Next::Close => {
                    *self = Phase::Ended;
                    return Ok(taken);
                }
                Next::Transmission(session) => *self = Phase::Serving(Serving { session, disk, work: None }),
            }
        }
        let Phase::Serving(serving) = self else { return Ok(taken) };
        let mut batch = Vec::new();
        while output.len() < OUTPUT_BYTES {
            let input = &input[taken..];
            let used = match serving.work.take() {
                Some(Work::Write { request, done, failed }) => {
                    let (used, is_on) = serving.write(request, done, failed, input, output);
                    if !is_on {
                        break;
                    }
                    used
                }
                Some(Work::Read { request, done }) => {
                    serving.read(request, done, output)?;
                    0
                }
                None => {
                    let Some((request, used)) = serving.session.request(input)? else { break };
                    if let Some(bytes) = serving.sectors(&request, &input[used..]) {
                        batch.push((request, bytes));
                        taken += used + bytes.len();
                        continue;
                    }
                    serving.write_batch(&mut batch, output);
                    if request.command == Command::Disconnect {
                        *self = Phase::Ended;
                        return Ok(taken + used);
                    }
                    serving.begin(request, output);
                    used
                }
            };
            taken += used;
        }
        serving.write_batch(&mut batch, output);
        Ok(taken)
    }
}

impl Serving<'_> {
    /// The bytes of a write of whole sectors, if they are all there.
    fn sectors<'i>(&self, request: &Request, input: &'i [u8]) -> Option<&'i [u8]> {
        let is_sectors = request.offset.is_multiple_of(512) && request.len_bytes.is_multiple_of(512);
        let is_right = request.command == Command::Write && is_sectors && request.len_bytes > 0;
        let bytes = input.get(..usize::try_from(request.payload_bytes).ok()?).filter(|_| is_right)?;
        self.session.check(request).is_ok().then_some(bytes)
    }

    /// Does writes that came together, together.
    fn write_batch(&self, batch: &mut Vec<(Request, &[u8])>, output: &mut Vec<u8>) {
        let begun = Instant::now();
        let writes: Vec<(u64, &[u8])> = batch.iter().map(|(request, bytes)| (request.offset, *bytes)).collect();
        for ((request, _), done) in batch.drain(..).zip(self.disk.write_many(&writes)) {
            self.finish(&request, done, begun, output);
        }
    }

    fn begin(&mut self, request: Request, output: &mut Vec<u8>) {
        let refused = self.session.check(&request).err();
        let failed = refused.map(|(code, why)| Failure::new(code, why));
        if request.payload_bytes > 0 {
            self.work = Some(Work::Write { request, done: 0, failed });
        } else if let Some(failed) = failed {
            self.session.failed(&request, failed.code, &failed.message, output);
        } else if request.command == Command::Read && request.len_bytes > 0 {
            self.work = Some(Work::Read { request, done: 0 });
        } else {
            self.at_once(&request, output);
        }
    }

    fn at_once(&self, request: &Request, output: &mut Vec<u8>) {
        let begun = Instant::now();
        let &Request { offset, len_bytes, flags, .. } = request;
        let done = match request.command {
            Command::Flush => self.disk.read().and_then(|disk| disk.flush()),
            Command::Trim => self.disk.write().and_then(|mut disk| disk.trim(offset, len_bytes)),
            Command::WriteZeroes if !flags.contains(CommandFlags::FAST_ZERO) => {
                let takes_space = flags.contains(CommandFlags::NO_HOLE);
                self.disk.write().and_then(|mut disk| disk.zero(offset, len_bytes, takes_space))
            }
            Command::WriteZeroes
                if flags.contains(CommandFlags::NO_HOLE)
                    || !self.disk.read().is_ok_and(|disk| disk.is_zero(offset, len_bytes)) =>
            {
                Err(Failure::new(ErrorCode::NotSupported, "only zeros are zeroed that quickly"))
            }
            Command::BlockStatus => {
                let is_one = flags.contains(CommandFlags::REQ_ONE);
                match self.disk.read().and_then(|disk| disk.status(offset, len_bytes, is_one)) {
                    Ok(extents) => return self.session.status(request, &extents, output),
                    Err(failed) => Err(failed),
                }
            }
            // Reading and writing nothing; the page cache knows better than we what to read ahead.
            _ => Ok(()),
        };
        self.finish(request, done, begun, output);
    }

    /// Replies to what changed the disk, or did not.
    fn finish(&self, request: &Request, done: Result<(), Failure>, begun: Instant, output: &mut Vec<u8>) {
        let is_read = request.command == Command::Read;
        if request.command.is_write() {
            self.disk.traffic.writes.add(request.len_bytes, begun.elapsed());
        }
        let is_forced = request.command.is_write() && request.flags.contains(CommandFlags::FUA);
        match done.and_then(|()| if is_forced { self.disk.read().and_then(|disk| disk.flush()) } else { Ok(()) }) {
            Ok(()) if is_read && self.session.form() != Form::Simple => self.session.end(request, output),
            Ok(()) => self.session.done(request, output),
            Err(failed) => {
                self.disk.traffic.errors.fetch_add(1, Ordering::Relaxed);
                if failed.code == ErrorCode::Io {
                    tracing::error!("{}", failed.message);
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
        output: &mut Vec<u8>,
    ) -> (usize, bool) {
        let left = (request.payload_bytes - done) as usize;
        let len = left.min(input.len());
        if len < left && (len < PIECE_BYTES && failed.is_none() || len == 0) {
            self.work = Some(Work::Write { request, done, failed });
            return (0, false);
        }
        let at = request.offset + u64::from(done);
        // All pieces but the last end on a page.
        let len = if len < left && failed.is_none() { len - ((at + len as u64) % 4096) as usize } else { len };
        let begun = Instant::now();
        let failed = failed.or_else(|| self.disk.write_bytes(at, &input[..len]).err());
        if len == left {
            self.finish(&request, failed.map_or(Ok(()), Err), begun, output);
        } else {
            let done = done + u32::try_from(len).expect("it is less than what is left");
            self.work = Some(Work::Write { request, done, failed });
        }
        (len, true)
    }

    /// Sends the next piece.
    fn read(&mut self, request: Request, done: u64, output: &mut Vec<u8>) -> Result<(), Violation> {
        let is_cut = self.session.form() != Form::Simple && !request.flags.contains(CommandFlags::DF);
        let (at, left) = (request.offset + done, request.len_bytes - done);
        // In one chunk, or behind one head: what failed cannot be told any more once that is on its way.
        let len = if is_cut || self.session.form() == Form::Simple { left.min(OUTPUT_BYTES as u64) } else { left };
        let is_last = len == left;
        let (begin, begun, disk) = (output.len(), Instant::now(), self.disk.read());
        if is_cut && len >= HOLE_BYTES && disk.as_ref().is_ok_and(|disk| disk.is_zero(at, len)) {
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
            if let Err(failed) = disk.and_then(|disk| disk.read(at, &mut output[data..])) {
                output.truncate(begin);
                if self.session.form() == Form::Simple && done > 0 {
                    return Err(Violation::of_server(failed.message));
                }
                self.finish(&request, Err(failed), begun, output);
                return Ok(());
            }
        }
        if is_last {
            self.disk.traffic.reads.add(request.len_bytes, begun.elapsed());
        } else {
            self.work = Some(Work::Read { request, done: done + len });
        }
        Ok(())
    }
}

fn invalid(violation: Violation) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, violation)
}
