//! Reads: short ones together, long ones piece by piece, with those behind them read meanwhile.

use std::time::Instant;

use nbd::{Command, CommandFlags, Form, Request, Violation};

use super::{Progress, Serving, Work, short};
use crate::outlet::{MAX_PIECES, OUTLET_BYTES};

/// Reads of this length leave through the outlet.
const LONG_BYTES: usize = 64 << 10;
/// Only reads of this length are looked through for zeros first; shorter ones are done together.
const HOLE_BYTES: u64 = 16 << 10;

impl Serving<'_> {
    pub(super) fn is_short_read(&self, request: &Request) -> bool {
        let is_read = request.command == Command::Read && (1..HOLE_BYTES).contains(&request.len_bytes);
        is_read && self.session.check(request).is_ok()
    }

    pub(super) fn read_batch(&mut self, requests: &[Request], output: &mut Vec<u8>) {
        let (begin, begun) = (output.len(), Instant::now());
        let mut places = Vec::with_capacity(requests.len());
        for request in requests {
            let len = short(request.len_bytes);
            match self.session.form() {
                Form::Simple => self.session.data(request, output),
                _ => self.session.piece(request, request.offset, len, true, output),
            }
            places.push(output.len()..output.len() + len);
            output.resize(output.len() + len, 0);
        }
        let mut reads = Vec::with_capacity(requests.len());
        let (mut rest, mut at) = (&mut output[begin..], begin);
        for (request, place) in requests.iter().zip(&places) {
            let (bytes, after) = rest[place.start - at..].split_at_mut(place.len());
            reads.push((request.offset, bytes));
            (rest, at) = (after, place.end);
        }
        if self.disk.read_many(&mut reads).is_ok() {
            let reads = &self.disk.traffic.reads;
            requests.iter().for_each(|request| reads.end(request.len_bytes, begun.elapsed()));
            return;
        }
        // Each by itself: which of them failed, and why.
        output.truncate(begin);
        for request in requests {
            self.read(*request, 0, output).expect("the first piece of a read may fail, and this one is short");
        }
    }

    /// Takes long reads that came behind one, so that they can be read together. Returns how much of the input that was.
    pub(super) fn look_ahead(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        // A violation is one when its turn comes.
        while self.next.is_none()
            && self.queue.len() < MAX_PIECES
            && let Ok(Some((request, used))) = self.request(&input[taken..])
        {
            taken += used;
            let is_long = request.command == Command::Read && request.len_bytes >= LONG_BYTES as u64;
            if is_long && self.session.check(&request).is_ok() {
                self.count(&request);
                self.queue.push_back(request);
            } else {
                self.next = Some(request);
            }
        }
        taken
    }

    /// Whether a read is answered in several chunks, some of which may be holes.
    fn is_cut(&self, request: &Request) -> bool {
        self.session.form() != Form::Simple && !request.flags.contains(CommandFlags::DF)
    }

    /// The piece of a read that is sent after so many of its bytes: its position, and length.
    fn piece(&self, request: &Request, done: u64) -> (u64, usize) {
        let left = request.len_bytes - done;
        // In one chunk, or behind one head: what failed cannot be told any more once that is on its way.
        let is_one = self.session.form() != Form::Simple && !self.is_cut(request);
        (request.offset + done, short(if is_one { left } else { left.min(OUTLET_BYTES as u64) }))
    }

    /// This piece and those that go through the outlet after it.
    fn pieces(&self, request: &Request, done: u64) -> Vec<(u64, usize)> {
        let mut pieces = Vec::with_capacity(MAX_PIECES);
        for (request, mut done) in std::iter::once((request, done)).chain(self.queue.iter().map(|it| (it, 0))) {
            while pieces.len() < MAX_PIECES && done < request.len_bytes {
                let piece = self.piece(request, done);
                done += piece.1 as u64;
                if (LONG_BYTES..=OUTLET_BYTES).contains(&piece.1) {
                    pieces.push(piece);
                }
            }
        }
        pieces
    }

    /// Sends the next piece, or puts it into the outlet.
    pub(super) fn read(&mut self, request: Request, done: u64, output: &mut Vec<u8>) -> Result<Progress, Violation> {
        let is_cut = self.is_cut(&request);
        let (at, len) = self.piece(&request, done);
        let is_last = done + len as u64 == request.len_bytes;
        let (begin, begun) = (output.len(), Instant::now());
        let mut progress = Progress::More;
        let is_zero = || self.disk.read().is_ok_and(|disk| disk.is_zero(at, len as u64));
        if is_cut && len as u64 >= HOLE_BYTES && is_zero() {
            let len = u32::try_from(len).expect("pieces are short");
            self.session.hole(&request, at, len, is_last, output);
        } else {
            match self.session.form() {
                Form::Simple if done == 0 => self.session.data(&request, output),
                Form::Simple => {}
                _ => self.session.piece(&request, at, len, is_last, output),
            }
            let read = if (LONG_BYTES..=OUTLET_BYTES).contains(&len) {
                progress = Progress::Outlet;
                let pieces = self.pieces(&request, done);
                self.outlet.fill(self.disk, &pieces)
            } else {
                let data = output.len();
                output.resize(data + len, 0);
                self.disk.read_many(&mut [(at, &mut output[data..])])
            };
            if let Err(failed) = read {
                output.truncate(begin);
                if self.session.form() == Form::Simple && done > 0 {
                    self.disk.traffic.reads.drop_one();
                    return Err(Violation::of_server(failed.message));
                }
                self.finish(&request, Err(failed), begun, output);
                return Ok(Progress::More);
            }
        }
        if is_last {
            self.disk.traffic.reads.end(request.len_bytes, begun.elapsed());
        } else {
            self.work = Some(Work::Read { request, done: done + len as u64 });
        }
        Ok(progress)
    }
}
