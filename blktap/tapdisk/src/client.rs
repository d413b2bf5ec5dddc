//! One connection: its socket, and what it is at: the handshake, then requests. Each has a thread of its own, so one that takes
//! nothing keeps nobody else waiting; its memory is bounded.

use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;

use nbd::{Export, Handshake, Next, Session, Tls, Violation};

use crate::arrival::Arrival;
use crate::serving::{Progress, Serving};
use crate::shared::Shared;

/// Bytes that are read from a socket at a time: at first, and once so much comes.
const INPUT_BYTES: usize = 16 << 10;
const MAX_INPUT_BYTES: usize = 256 << 10;

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
        Client { socket, greeting, phase: Phase::Serving(Serving::new(session, disk)) }
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
            let wait = match &self.phase {
                Phase::Serving(serving) => serving.is_due_in(),
                _ => None,
            };
            let received = match arrival.read(&mut input[held..], wait) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    output.clear();
                    if let Phase::Serving(serving) = &mut self.phase {
                        serving.retry(&mut output);
                    }
                    self.socket.write_all(&output)?;
                    continue;
                }
                received => received?,
            };
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
                Next::Transmission(session) => *self = Phase::Serving(Serving::new(session, disk)),
            }
        }
        let Phase::Serving(serving) = self else { return Ok(taken) };
        let (used, progress) = serving.push(&input[taken..], output)?;
        if progress == Progress::Ended {
            *self = Phase::Ended;
        }
        Ok(taken + used)
    }
}

fn invalid(violation: Violation) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, violation)
}
