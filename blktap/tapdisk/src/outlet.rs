//! Where the bytes of a long read wait until what was said before them is sent: a pipe with pages of the page cache, or memory
//! that direct transfers take as it is.

use std::io;

use vhd::AlignedBuffer;

use crate::channel::Channel;
use crate::failure::Result;
use crate::pipe::Pipe;
use crate::shared::Shared;

/// What it holds at most: a pipe takes less than its size.
pub(crate) const OUTLET_BYTES: usize = 512 << 10;

/// The bytes of one piece of a read.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// Where the client's stream takes pages as they are.
    pipe: Option<Pipe>,
    buffer: Option<AlignedBuffer>,
    held: Held,
}

/// What it is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    Pipe(usize),
    Buffer(usize),
}

impl Outlet {
    /// For a client whose stream takes pages as they are, or does not.
    pub(crate) fn new(takes_pages: bool) -> Self {
        let pipe = if takes_pages { Pipe::new().ok() } else { None };
        Outlet { pipe, buffer: None, held: Held::Nothing }
    }

    /// Fills it with at most [`OUTLET_BYTES`] of the disk.
    pub(crate) fn fill(&mut self, disk: &Shared, at: u64, len: usize) -> Result<()> {
        if self.fill_pipe(disk, at, len) {
            self.held = Held::Pipe(len);
            return Ok(());
        }
        let buffer = self.buffer.get_or_insert_with(|| AlignedBuffer::zeroed(OUTLET_BYTES));
        disk.read_many(&mut [(at, &mut buffer.bytes_mut()[..len])])?;
        self.held = Held::Buffer(len);
        Ok(())
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
        match (std::mem::replace(&mut self.held, Held::Nothing), &self.pipe, &self.buffer) {
            (Held::Pipe(len), Some(pipe), _) => channel.send_from(|socket| pipe.send(socket, len)),
            (Held::Buffer(len), _, Some(buffer)) => channel.write_all(&buffer.bytes()[..len]),
            _ => Ok(()),
        }
    }
}
