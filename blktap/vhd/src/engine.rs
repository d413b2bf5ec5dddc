//! Bytes on their way between memory and files, several at once. An engine makes one attempt at each; what is left over
//! then, all kinds of it, is dealt with here. Knows offsets and bytes; whether they are aligned is its callers' business.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Does several transfers at once. Threads share one.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Makes one attempt at each transfer, in any order, all at the same time where that can be, and notes with each what the
    /// system said. Returns when none is under way. One that it could not begin stays as it is: the caller does it.
    fn run(&self, transfers: &mut [Transfer<'_>]);
}

/// A stretch of memory and the place in a file that it goes to or comes from.
#[derive(Debug)]
pub struct Transfer<'a> {
    file: &'a Arc<File>,
    offset: u64,
    bytes: Bytes<'a>,
    /// What one attempt moves is a multiple of this, but at the end of a file.
    unit: usize,
    moved: usize,
    is_over: bool,
    error: Option<io::Error>,
}

/// Where the bytes are, and which way they go.
#[derive(Debug)]
pub enum Bytes<'a> {
    /// Out of the file.
    Into(&'a mut [u8]),
    /// Into the file.
    From(&'a [u8]),
}

impl Bytes<'_> {
    /// Makes memory that nothing was read into zeros, from there on.
    pub(crate) fn zero_from(self, moved: usize) {
        if let Bytes::Into(bytes) = self {
            bytes[moved..].fill(0);
        }
    }
}

impl<'a> Transfer<'a> {
    /// Reads from this position, as far as the file goes.
    pub fn read(file: &'a Arc<File>, offset: u64, bytes: &'a mut [u8], unit: usize) -> Self {
        Transfer::new(file, offset, Bytes::Into(bytes), unit)
    }

    /// Writes at this position.
    pub fn write(file: &'a Arc<File>, offset: u64, bytes: &'a [u8], unit: usize) -> Self {
        Transfer::new(file, offset, Bytes::From(bytes), unit)
    }

    fn new(file: &'a Arc<File>, offset: u64, bytes: Bytes<'a>, unit: usize) -> Self {
        let mut transfer = Transfer { file, offset, bytes, unit: unit.max(1), moved: 0, is_over: false, error: None };
        transfer.is_over = transfer.len() == 0;
        transfer
    }

    /// The file.
    pub fn file(&self) -> &'a Arc<File> {
        self.file
    }

    /// Position of what is left to do.
    pub fn offset(&self) -> u64 {
        self.offset + self.moved as u64
    }

    /// What is left to do.
    pub fn left(&mut self) -> Bytes<'_> {
        match &mut self.bytes {
            Bytes::Into(bytes) => Bytes::Into(bytes.get_mut(self.moved..).unwrap_or_default()),
            Bytes::From(bytes) => Bytes::From(bytes.get(self.moved..).unwrap_or_default()),
        }
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes down what the system said to an attempt at [`Transfer::left`].
    pub fn note(&mut self, attempt: io::Result<usize>) {
        let is_read = matches!(self.bytes, Bytes::Into(_));
        match attempt {
            // Nothing happened, and nothing is wrong.
            Err(error) if [io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock].contains(&error.kind()) => {}
            Err(error) => (self.is_over, self.error) = (true, Some(error)),
            Ok(moved) => {
                let moved = moved.min(self.len() - self.moved);
                // A read of less than a unit is the end of the file. What a write has begun of a unit it does again.
                let is_end = is_read && (moved == 0 || !moved.is_multiple_of(self.unit));
                self.moved += if is_read { moved } else { moved - moved % self.unit };
                if self.moved == self.len() || is_end {
                    self.is_over = true;
                } else if moved < self.unit {
                    (self.is_over, self.error) = (true, Some(io::ErrorKind::WriteZero.into()));
                }
            }
        }
    }

    /// Does what is left, and gives back how many bytes were moved: fewer than there are where a file that is read ends.
    pub(crate) fn finish(mut self) -> (io::Result<usize>, Bytes<'a>) {
        while !self.is_over {
            let (file, offset) = (self.file, self.offset());
            let attempt = match self.left() {
                Bytes::Into(bytes) => file.read_at(bytes, offset),
                Bytes::From(bytes) => file.write_at(bytes, offset),
            };
            match attempt {
                // Nobody else is asked then.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    (self.is_over, self.error) = (true, Some(error));
                }
                attempt => self.note(attempt),
            }
        }
        (self.error.map_or(Ok(self.moved), Err), self.bytes)
    }

    fn len(&self) -> usize {
        match &self.bytes {
            Bytes::Into(bytes) => bytes.len(),
            Bytes::From(bytes) => bytes.len(),
        }
    }
}

/// Does all of them, by an engine where there is one and more than one of them.
pub(crate) fn run<'a>(
    engine: Option<&dyn Engine>,
    mut transfers: Vec<Transfer<'a>>,
) -> impl Iterator<Item = (io::Result<usize>, Bytes<'a>)> {
    if let Some(engine) = engine.filter(|_| transfers.len() > 1) {
        engine.run(&mut transfers);
    }
    // All of them, also where the caller stops at an error.
    transfers.into_iter().map(Transfer::finish).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(len: usize) -> Arc<File> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; len], 0).unwrap();
        Arc::new(file)
    }

    /// Notes these attempts with a read of 2048 bytes in units of 512 of a file of so many bytes; how many bytes it had
    /// after them, and in the end.
    fn check(file_bytes: usize, attempts: Vec<io::Result<usize>>, noted: usize, moved: Result<usize, i32>) {
        let (file, mut bytes) = (file(file_bytes), [0; 2048]);
        let mut transfer = Transfer::read(&file, 0, &mut bytes, 512);
        attempts.into_iter().for_each(|attempt| transfer.note(attempt));
        assert_eq!(transfer.offset(), noted as u64);
        assert_eq!(transfer.finish().0.map_err(|error| error.raw_os_error().unwrap()), moved);
    }

    #[test]
    fn what_an_attempt_left_over_is_done() {
        let error = |number| Err(io::Error::from_raw_os_error(number));
        check(4096, vec![], 0, Ok(2048));
        check(4096, vec![error(4), error(11)], 0, Ok(2048));
        check(4096, vec![Ok(512)], 512, Ok(2048));
        check(4096, vec![error(5)], 0, Err(5));
    }

    #[test]
    fn a_read_ends_with_its_file() {
        check(1536, vec![], 0, Ok(1536));
        check(1700, vec![Ok(512)], 512, Ok(1700));
        check(4096, vec![Ok(700)], 700, Ok(700));
    }

    #[test]
    fn a_write_does_again_what_it_began_of_a_unit() {
        let file = file(0);
        let mut transfer = Transfer::write(&file, 512, &[9; 1024], 512);
        transfer.note(Ok(700));
        assert_eq!((transfer.offset(), transfer.is_over()), (1024, false));
        assert_eq!(transfer.finish().0.unwrap(), 1024);
        assert_eq!(file.metadata().unwrap().len(), 1536);
        let mut transfer = Transfer::write(&file, 0, &[9; 512], 512);
        transfer.note(Ok(0));
        assert_eq!(transfer.finish().0.unwrap_err().kind(), io::ErrorKind::WriteZero);
    }
}
