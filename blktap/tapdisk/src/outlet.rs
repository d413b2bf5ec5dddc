//! Where the bytes of a long read wait until what was said before them is sent: a pipe with pages of the page cache, or memory
//! that direct transfers take as it is.

use std::collections::VecDeque;
use std::io;

use vhd::AlignedBuffer;

use crate::channel::Channel;
use crate::failure::Result;
use crate::pipe::Pipe;
use crate::shared::Shared;

/// What it holds at most: a pipe takes less than its size.
pub(crate) const OUTLET_BYTES: usize = 512 << 10;
/// Pieces that are read together: a disk does several in the time of one.
pub(crate) const MAX_PIECES: usize = 4;

/// The bytes of one piece of a read, and of those that come after it.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// Where the client's stream takes pages as they are.
    pipe: Option<Pipe>,
    buffers: Vec<AlignedBuffer>,
    /// What buffers after the one that is held have: position on the disk, length, which buffer.
    ahead: VecDeque<(u64, usize, usize)>,
    held: Held,
}

/// What it is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    Pipe(usize),
    /// Which one, and how much of it.
    Buffer(usize, usize),
}

impl Outlet {
    /// For a client whose stream takes pages as they are, or does not.
    pub(crate) fn new(takes_pages: bool) -> Self {
        let pipe = if takes_pages { Pipe::new().ok() } else { None };
        Outlet { pipe, buffers: vec![], ahead: VecDeque::new(), held: Held::Nothing }
    }

    /// Fills it with the first of these pieces of the disk: position, and at most [`OUTLET_BYTES`]. Those that follow were
    /// asked for, too, and will be next, or not at all: where the pages are not at hand they are read beside it.
    pub(crate) fn fill(&mut self, disk: &Shared, pieces: &[(u64, usize)]) -> Result<()> {
        let Some(&(at, len)) = pieces.first() else { return Ok(()) };
        while let Some((ahead_at, ahead_len, index)) = self.ahead.pop_front() {
            if (ahead_at, ahead_len) == (at, len) {
                self.held = Held::Buffer(index, len);
                return Ok(());
            }
        }
        if self.fill_pipe(disk, at, len) {
            self.held = Held::Pipe(len);
            return Ok(());
        }
        let pieces = &pieces[..pieces.len().min(MAX_PIECES)];
        while self.buffers.len() < pieces.len() {
            self.buffers.push(AlignedBuffer::zeroed(OUTLET_BYTES));
        }
        if self.read(disk, pieces).is_ok() {
            let ahead = pieces.iter().enumerate().skip(1);
            self.ahead.extend(ahead.map(|(index, &(at, len))| (at, len, index)));
        } else {
            // What failed may be another's.
            self.read(disk, &pieces[..1])?;
        }
        self.held = Held::Buffer(0, len);
        Ok(())
    }

    /// Forgets what it has read ahead, for who takes a request that may not find what was there then.
    pub(crate) fn forget(&mut self) {
        self.ahead.clear();
    }

    fn read(&mut self, disk: &Shared, pieces: &[(u64, usize)]) -> Result<()> {
        let parts = pieces.iter().zip(&mut self.buffers);
        let mut parts: Vec<_> = parts.map(|(&(at, len), buffer)| (at, &mut buffer.bytes_mut()[..len])).collect();
        disk.read_many(&mut parts)
    }

    fn fill_pipe(&mut self, disk: &Shared, at: u64, len: usize) -> bool {
        let (Some(pipe), Ok(disk)) = (&self.pipe, disk.read()) else { return false };
        let Some(loans) = disk.lend(at, len as u64).filter(|loans| pipe.holds(loans)) else { return false };
        let filled = pipe.fill(&loans).is_ok();
        if !filled {
            // Nobody knows what is in it; copies tell what is wrong.
            self.pipe = None;
        }
        filled
    }

    /// Sends what it holds.
    pub(crate) fn send(&mut self, channel: &mut Channel<'_>) -> io::Result<()> {
        match (std::mem::replace(&mut self.held, Held::Nothing), &self.pipe) {
            (Held::Pipe(len), Some(pipe)) => channel.send_from(|socket| pipe.send(socket, len)),
            (Held::Buffer(index, len), _) => channel.write_all(&self.buffers[index].bytes()[..len]),
            _ => Ok(()),
        }
    }
}
