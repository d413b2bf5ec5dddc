//! A client of the protocol that does what it is told, right or wrong, one request at a time.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub(crate) const READ: u16 = 0;
pub(crate) const WRITE: u16 = 1;
pub(crate) const DISCONNECT: u16 = 2;
pub(crate) const FLUSH: u16 = 3;
pub(crate) const TRIM: u16 = 4;
pub(crate) const CACHE: u16 = 5;
pub(crate) const WRITE_ZEROES: u16 = 6;
pub(crate) const BLOCK_STATUS: u16 = 7;

pub(crate) const FUA: u16 = 1;
pub(crate) const NO_HOLE: u16 = 2;
pub(crate) const DF: u16 = 4;
pub(crate) const FAST_ZERO: u16 = 16;

const STRUCTURED_REPLY: u32 = 8;
const SET_META_CONTEXT: u32 = 10;

/// A connection in the transmission phase.
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    is_structured: bool,
    pub(crate) flags: u16,
    pub(crate) size_bytes: u64,
}

/// A reply without what was read: an error number, 0 for none.
pub(crate) type Status = u32;

impl Client {
    pub(crate) fn simple(socket: &Path) -> Self {
        Client::new(socket, false)
    }

    pub(crate) fn structured(socket: &Path) -> Self {
        Client::new(socket, true)
    }

    fn new(socket: &Path, is_structured: bool) -> Self {
        let mut stream = UnixStream::connect(socket).unwrap();
        // Where a server that says nothing would hang the test.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut greeting = [0; 18];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting[..16], b"NBDMAGICIHAVEOPT");
        stream.write_all(&3u32.to_be_bytes()).unwrap();
        let mut client = Client { stream, is_structured, flags: 0, size_bytes: 0 };
        if is_structured {
            client.option(STRUCTURED_REPLY, &[]);
            let mut answer = [0; 20];
            client.stream.read_exact(&mut answer).unwrap();
            client.option(SET_META_CONTEXT, b"\0\0\0\0\0\0\0\x01\0\0\0\x0fbase:allocation");
            let mut answers = [0; 20 + 4 + 15 + 20];
            client.stream.read_exact(&mut answers).unwrap();
        }
        client.option(1, b"");
        let mut info = [0; 10];
        client.stream.read_exact(&mut info).unwrap();
        client.size_bytes = u64::from_be_bytes(info[..8].try_into().unwrap());
        client.flags = u16::from_be_bytes(info[8..].try_into().unwrap());
        client
    }

    fn option(&mut self, number: u32, data: &[u8]) {
        let len = u32::try_from(data.len()).unwrap();
        let option = [&b"IHAVEOPT"[..], &number.to_be_bytes(), &len.to_be_bytes(), data].concat();
        self.stream.write_all(&option).unwrap();
    }

    /// A request, ready to be sent.
    pub(crate) fn bytes(flags: u16, kind: u16, offset: u64, len: usize, payload: &[u8]) -> Vec<u8> {
        let (magic, cookie, len) = (0x2560_9513u32, offset ^ 0xfeed, u32::try_from(len).unwrap());
        let head = [&magic.to_be_bytes()[..], &flags.to_be_bytes(), &kind.to_be_bytes(), &cookie.to_be_bytes()];
        [&head.concat()[..], &offset.to_be_bytes(), &len.to_be_bytes(), payload].concat()
    }

    pub(crate) fn send(&mut self, flags: u16, kind: u16, offset: u64, len: usize, payload: &[u8]) {
        self.stream.write_all(&Client::bytes(flags, kind, offset, len, payload)).unwrap();
    }

    /// A request that returns nothing but its status.
    pub(crate) fn ask(&mut self, flags: u16, kind: u16, offset: u64, len: usize) -> Status {
        self.send(flags, kind, offset, len, &[]);
        self.status(offset)
    }

    pub(crate) fn write(&mut self, flags: u16, offset: u64, bytes: &[u8]) -> Status {
        self.send(flags, WRITE, offset, bytes.len(), bytes);
        self.status(offset)
    }

    pub(crate) fn flush(&mut self) -> Status {
        self.ask(0, FLUSH, 0, 0)
    }

    pub(crate) fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, Status> {
        self.send(0, READ, offset, len, &[]);
        self.take_read(offset, len)
    }

    /// The reply to a request without data.
    pub(crate) fn status(&mut self, offset: u64) -> Status {
        match self.number::<4>() {
            0x6744_6698 => {
                let error = self.number::<4>();
                assert_eq!(self.number::<8>(), offset ^ 0xfeed);
                u32::try_from(error).unwrap()
            }
            0x668e_33ef => self.chunk(offset, 0, &mut []).1,
            magic => panic!("{magic:#x}"),
        }
    }

    /// The next reply, whatever it answers: the position that was asked for, and an error.
    pub(crate) fn status_of_any(&mut self) -> (u64, Status) {
        assert_eq!(self.number::<4>(), 0x6744_6698);
        let error = u32::try_from(self.number::<4>()).unwrap();
        (self.number::<8>() ^ 0xfeed, error)
    }

    /// The reply to a read.
    pub(crate) fn take_read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, Status> {
        let mut bytes = vec![0xee; len];
        if !self.is_structured {
            return match self.status(offset) {
                0 => {
                    self.stream.read_exact(&mut bytes).unwrap();
                    Ok(bytes)
                }
                error => Err(error),
            };
        }
        let mut error = 0;
        loop {
            assert_eq!(self.number::<4>(), 0x668e_33ef);
            let (is_last, status) = self.chunk(offset, offset, &mut bytes);
            error = error.max(status);
            if is_last {
                return if error == 0 { Ok(bytes) } else { Err(error) };
            }
        }
    }

    /// Extents from there on: length and state.
    pub(crate) fn extents(&mut self, offset: u64, len: usize) -> Vec<(u32, u32)> {
        self.send(0, BLOCK_STATUS, offset, len, &[]);
        assert_eq!(self.number::<4>(), 0x668e_33ef);
        let (flags, kind) = (self.number::<2>(), self.number::<2>());
        assert_eq!((flags, kind, self.number::<8>()), (1, 5, offset ^ 0xfeed));
        let count = (self.number::<4>() - 4) / 8;
        assert_eq!(self.number::<4>(), 1);
        let mut number = || u32::try_from(self.number::<4>()).unwrap();
        (0..count).map(|_| (number(), number())).collect()
    }

    /// Whether it was the last, and an error.
    fn chunk(&mut self, cookie: u64, start: u64, bytes: &mut [u8]) -> (bool, Status) {
        let (flags, kind) = (self.number::<2>(), self.number::<2>());
        assert_eq!(self.number::<8>(), cookie ^ 0xfeed);
        let len = usize::try_from(self.number::<4>()).unwrap();
        let error = match kind {
            0 => 0,
            1 => {
                let at = usize::try_from(self.number::<8>() - start).unwrap();
                self.stream.read_exact(&mut bytes[at..][..len - 8]).unwrap();
                0
            }
            2 => {
                let at = usize::try_from(self.number::<8>() - start).unwrap();
                let len = usize::try_from(self.number::<4>()).unwrap();
                bytes[at..][..len].fill(0);
                0
            }
            0x8001 => {
                let error = self.number::<4>();
                let mut message = vec![0; usize::try_from(self.number::<2>()).unwrap()];
                assert_eq!(len, 6 + message.len());
                self.stream.read_exact(&mut message).unwrap();
                assert!(!message.is_empty() && std::str::from_utf8(&message).is_ok());
                error
            }
            other => panic!("chunk of kind {other:#x}"),
        };
        (flags == 1, u32::try_from(error).unwrap())
    }

    fn number<const N: usize>(&mut self) -> u64 {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    /// Whether the server has closed the connection, without another word.
    pub(crate) fn sees_the_end(mut self) -> bool {
        let mut rest = Vec::new();
        // Unread bytes of ours make this an error.
        let closed = self.stream.read_to_end(&mut rest);
        closed.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset) || rest.is_empty()
    }
}
