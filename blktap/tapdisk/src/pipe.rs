//! Long reads without copies: pages of the page cache go by reference into a pipe, and from there to the client. The files are
//! needed for the first half only, so a client that takes nothing keeps no image open.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// What one read takes at most; whole pages, and each stretch may begin and end within one.
const CAPACITY: usize = 1 << 20;
const PAGE_BYTES: usize = 4096;

/// Bytes of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loan<'a> {
    pub(crate) file: &'a File,
    pub(crate) offset: u64,
    pub(crate) len_bytes: usize,
}

/// An empty pipe.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    pages: usize,
}

impl Pipe {
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        // A user may have all pages of pipes that are allowed already: then it is as long as it is.
        let bytes = fcntl_setpipe_size(&write, CAPACITY).or_else(|_| rustix::pipe::fcntl_getpipe_size(&write))?;
        Ok(Pipe { read, write, pages: bytes / PAGE_BYTES })
    }

    /// Whether it holds all of that.
    pub(crate) fn holds(&self, loans: &[Loan<'_>]) -> bool {
        loans.iter().map(|loan| loan.len_bytes / PAGE_BYTES + 2).sum::<usize>() <= self.pages
    }

    /// Fills it. After an error nobody knows what is in it.
    pub(crate) fn fill(&self, loans: &[Loan<'_>]) -> io::Result<()> {
        for loan in loans {
            let (mut offset, mut left) = (loan.offset, loan.len_bytes);
            while left > 0 {
                // Nobody takes anything out meanwhile.
                match splice(loan.file, Some(&mut offset), &self.write, None, left, SpliceFlags::NONBLOCK) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(moved) => left -= moved,
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        Ok(())
    }

    /// Sends what it was filled with.
    pub(crate) fn send(&self, socket: &UnixStream, mut left: usize) -> io::Result<()> {
        while left > 0 {
            match splice(&self.read, None, socket, None, left, SpliceFlags::MORE) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(moved) => left -= moved,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}
