//! A client's requests: which of them are done together, and what each is answered.

mod read;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nbd::{Command, CommandFlags, ErrorCode, Form, Request, Session, Violation};

use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::parked::{Parked, Payload, Waiting};
use crate::shared::{Operations, Shared};

/// Replies are sent when so much is there.
const OUTPUT_BYTES: usize = 256 << 10;
/// A write begins when so much of it is there, or all of it.
const PIECE_BYTES: usize = 64 << 10;

/// A client in the transmission phase.
#[derive(Debug)]
pub(crate) struct Serving<'a> {
    session: Session,
    disk: &'a Shared,
    work: Option<Work>,
    /// Long reads that came behind the one that is being sent.
    queue: VecDeque<Request>,
    /// What came behind those.
    next: Option<Request>,
    parked: Parked,
    /// What long reads leave through.
    pub(crate) outlet: Outlet,
    /// Requests that were begun since the client was last waited for.
    begun: usize,
}

/// A request that takes more than one step.
#[derive(Debug)]
enum Work {
    /// Its bytes are arriving.
    Write { request: Request, done: u32, failed: Option<Failure> },
    /// The disk has no room for them: they are kept.
    Keep { request: Request, at: u64, bytes: Vec<u8> },
    /// Its bytes are being sent.
    Read { request: Request, done: u64 },
}

/// What comes after the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    /// What is in the outlet, then more.
    Outlet,
    /// The client leaves.
    Ended,
}

/// Requests that came together.
#[derive(Debug, Default)]
struct Batch<'i> {
    writes: Vec<(Request, &'i [u8])>,
    reads: Vec<Request>,
    read_bytes: u64,
}

impl<'a> Serving<'a> {
    pub(crate) fn new(session: Session, disk: &'a Shared, outlet: Outlet) -> Self {
        let (queue, parked) = (VecDeque::new(), Parked::default());
        Serving { session, disk, work: None, queue, next: None, parked, outlet, begun: 0 }
    }

    /// Does what is all there, until there is enough to send. Returns how much of the input it took.
    pub(crate) fn push(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(usize, Progress), Violation> {
        if self.is_due_in() == Some(Duration::ZERO) {
            self.retry(output);
        }
        let mut taken = 0;
        let mut batch = Batch::default();
        while (output.len() as u64) + batch.read_bytes < OUTPUT_BYTES as u64 {
            let input = &input[taken..];
            let used = match self.work.take() {
                Some(Work::Write { request, done, failed }) => {
                    let (used, is_on) = self.write(request, done, failed, input, output);
                    if !is_on {
                        break;
                    }
                    used
                }
                Some(Work::Keep { request, at, mut bytes }) => {
                    let left = request.offset + request.len_bytes - at - bytes.len() as u64;
                    let used = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    bytes.extend(&input[..used]);
                    if used as u64 == left {
                        self.park(request, at, Payload::Bytes(bytes));
                    } else {
                        self.work = Some(Work::Keep { request, at, bytes });
                        if used == 0 {
                            break;
                        }
                    }
                    used
                }
                Some(Work::Read { request, done }) => {
                    taken += self.look_ahead(input);
                    if self.read(request, done, output)? == Progress::Outlet {
                        return Ok((taken, Progress::Outlet));
                    }
                    0
                }
                None if !self.queue.is_empty() => {
                    self.work = self.queue.pop_front().map(|request| Work::Read { request, done: 0 });
                    0
                }
                None => {
                    self.outlet.forget();
                    let next = match self.next.take() {
                        Some(request) => Some((request, 0)),
                        None => self.request(input)?,
                    };
                    let Some((request, used)) = next else { break };
                    if let Some(bytes) = self.sectors(&request, &input[used..]) {
                        self.count(&request);
                        batch.writes.push((request, bytes));
                        taken += used + bytes.len();
                        continue;
                    }
                    if self.is_short_read(&request) {
                        self.count(&request);
                        batch.read_bytes += request.len_bytes;
                        batch.reads.push(request);
                        taken += used;
                        continue;
                    }
                    self.finish_batch(&mut batch, output);
                    if request.command == Command::Disconnect {
                        return Ok((taken + used, Progress::Ended));
                    }
                    self.begin(request, output);
                    used
                }
            };
            taken += used;
        }
        self.finish_batch(&mut batch, output);
        Ok((taken, Progress::More))
    }

    /// The next request, whose head is all there.
    fn request(&mut self, input: &[u8]) -> Result<Option<(Request, usize)>, Violation> {
        let request = self.session.request(input)?;
        self.begun += usize::from(request.is_some());
        Ok(request)
    }

    /// The bytes of a write of whole sectors, if they are all there.
    fn sectors<'i>(&self, request: &Request, input: &'i [u8]) -> Option<&'i [u8]> {
        let is_sectors = request.offset.is_multiple_of(512) && request.len_bytes.is_multiple_of(512);
        let is_right = request.command == Command::Write && is_sectors && request.len_bytes > 0;
        let bytes = input.get(..usize::try_from(request.payload_bytes).ok()?).filter(|_| is_right)?;
        self.session.check(request).is_ok().then_some(bytes)
    }

    /// Does what came together, together. In which order is nobody's business: nothing of it was answered.
    fn finish_batch(&mut self, batch: &mut Batch<'_>, output: &mut Vec<u8>) {
        if !batch.writes.is_empty() {
            let begun = Instant::now();
            let writes: Vec<(u64, &[u8])> = batch.writes.iter().map(|(it, bytes)| (it.offset, *bytes)).collect();
            for ((request, bytes), done) in batch.writes.drain(..).zip(self.disk.write_many(&writes)) {
                match done {
                    Err(failed) if self.waits(&failed, bytes.len()) => {
                        self.park(request, request.offset, Payload::Bytes(bytes.to_vec()));
                    }
                    done => self.finish(&request, done, begun, output),
                }
            }
        }
        if !batch.reads.is_empty() {
            self.read_batch(&batch.reads, output);
            (batch.reads, batch.read_bytes) = (vec![], 0);
        }
    }

    /// Whether the client sends one request at a time, as far as that was seen since this was asked last.
    pub(crate) fn sends_one_at_a_time(&mut self) -> bool {
        std::mem::take(&mut self.begun) <= 1
    }

    /// How long there is until requests that wait for room are to be tried again.
    pub(crate) fn is_due_in(&self) -> Option<Duration> {
        self.parked.is_due_in()
    }

    /// Whether a request that failed waits for room, with so many bytes.
    fn waits(&self, failed: &Failure, bytes: usize) -> bool {
        failed.code == ErrorCode::NoSpace && !self.disk.patience().is_zero() && self.parked.takes(bytes)
    }

    fn park(&mut self, request: Request, at: u64, payload: Payload) {
        tracing::warn!("no room for {} bytes at {at}: waiting for some", request.len_bytes);
        let begun = Instant::now();
        self.parked.push(Waiting { request, at, payload, begun, until: begun + self.disk.patience() });
    }

    /// Tries requests that wait for room again.
    pub(crate) fn retry(&mut self, output: &mut Vec<u8>) {
        for waiting in self.parked.take() {
            let Waiting { request, at, payload, begun, until } = &waiting;
            let done = match payload {
                Payload::Bytes(bytes) => self.disk.write_bytes(*at, bytes),
                Payload::None => self.change(request),
            };
            match done {
                Err(failed) if failed.code == ErrorCode::NoSpace && Instant::now() < *until => {
                    self.parked.push(waiting)
                }
                done => self.finish(request, done, *begun, output),
            }
        }
    }

    fn count(&self, request: &Request) {
        self.disk.traffic.of(request.command).into_iter().for_each(Operations::begin);
    }

    fn begin(&mut self, request: Request, output: &mut Vec<u8>) {
        let refused = self.session.check(&request).err();
        let failed = refused.map(|(code, why)| Failure::new(code, why));
        if failed.is_none() || request.payload_bytes > 0 {
            self.count(&request);
        }
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

    fn at_once(&mut self, request: &Request, output: &mut Vec<u8>) {
        let begun = Instant::now();
        let &Request { offset, len_bytes, flags, .. } = request;
        let done = match request.command {
            Command::Flush => self.disk.read().and_then(|disk| disk.flush()),
            Command::Trim | Command::WriteZeroes => match self.change(request) {
                Err(failed) if self.waits(&failed, 0) => return self.park(*request, offset, Payload::None),
                done => done,
            },
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

    /// Does what changes the disk without bytes of its own.
    fn change(&self, request: &Request) -> Result<(), Failure> {
        let &Request { offset, len_bytes, flags, .. } = request;
        let takes_space = flags.contains(CommandFlags::NO_HOLE);
        match request.command {
            Command::Trim => self.disk.trim(offset, len_bytes),
            _ if !flags.contains(CommandFlags::FAST_ZERO) => self.disk.zero(offset, len_bytes, takes_space),
            _ if takes_space || !self.disk.read()?.is_zero(offset, len_bytes) => {
                Err(Failure::new(ErrorCode::NotSupported, "only zeros are zeroed that quickly"))
            }
            _ => Ok(()),
        }
    }

    /// Replies to what changed the disk, or did not.
    fn finish(&self, request: &Request, done: Result<(), Failure>, begun: Instant, output: &mut Vec<u8>) {
        let is_read = request.command == Command::Read;
        if let Some(counts) = self.disk.traffic.of(request.command) {
            counts.end(if is_read { 0 } else { request.len_bytes }, begun.elapsed());
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
        let failed = match failed {
            // What was refused, or a piece that nobody keeps: the rest of it is only taken.
            Some(failed) => Some(failed),
            None => match self.disk.write_bytes(at, &input[..len]) {
                Err(failed) if self.waits(&failed, left) => {
                    self.work = Some(Work::Keep { request, at, bytes: Vec::with_capacity(left) });
                    return (0, true);
                }
                done => done.err(),
            },
        };
        if len == left {
            self.finish(&request, failed.map_or(Ok(()), Err), begun, output);
        } else {
            let done = done + u32::try_from(len).expect("it is less than what is left");
            self.work = Some(Work::Write { request, done, failed });
        }
        (len, true)
    }
}

impl Drop for Serving<'_> {
    /// The client is gone: what it asked for is not outstanding any more.
    fn drop(&mut self) {
        let work = self.work.take().map(|work| match work {
            Work::Write { request, .. } | Work::Keep { request, .. } | Work::Read { request, .. } => request,
        });
        let parked = self.parked.take().into_iter().map(|waiting| waiting.request);
        let counts =
            parked.chain(work).chain(self.queue.drain(..)).filter_map(|request| self.disk.traffic.of(request.command));
        counts.for_each(Operations::drop_one);
    }
}

fn short(len_bytes: u64) -> usize {
    usize::try_from(len_bytes).expect("it is short")
}
