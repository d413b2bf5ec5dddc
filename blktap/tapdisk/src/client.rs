//! One connection: its socket, and what it is at: the handshake, then requests. Each has a thread of its own, so one that takes
//! nothing keeps nobody else waiting; its memory is bounded.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nbd::{Export, Handshake, Next, Session, Tls, Violation};
use rustls::ServerConfig;

use crate::channel::Channel;
use crate::outlet::Outlet;
use crate::serving::{Progress, Serving};
use crate::shared::Shared;

/// Bytes that are read from a socket at a time: at first, and once so much comes.
const INPUT_BYTES: usize = 16 << 10;
const MAX_INPUT_BYTES: usize = 256 << 10;
/// What a handshake over a network may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(60);

/// A connection.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    channel: Channel<'a>,
    /// What is said first.
    greeting: Vec<u8>,
    phase: Phase<'a>,
    security: Security,
}

/// How far a client is trusted.
#[derive(Clone, Debug, Default)]
pub(crate) enum Security {
    /// As far as whoever may open the socket.
    #[default]
    Local,
    /// It is from somewhere else, and in the clear.
    Clear,
    /// It is from somewhere else, and is told nothing before TLS.
    Tls(Arc<ServerConfig>),
}

#[derive(Debug)]
enum Phase<'a> {
    Handshake(Box<Handshake>, &'a Shared),
    Serving(Box<Serving<'a>>),
    /// Nothing more is wanted of it.
    Ended,
}

impl<'a> Client<'a> {
    pub(crate) fn new(socket: &'a UnixStream, export: Export, disk: &'a Shared, security: Security) -> Self {
        let tls = if matches!(security, Security::Tls(_)) { Tls::Required } else { Tls::Off };
        let handshake = Handshake::new(export, tls);
        let mut greeting = Vec::new();
        handshake.greet(&mut greeting);
        let phase = Phase::Handshake(Box::new(handshake), disk);
        Client { channel: Channel::new(socket), greeting, phase, security }
    }

    /// One that negotiates nothing.
    pub(crate) fn old_style(socket: &'a UnixStream, export: &Export, disk: &'a Shared) -> Self {
        let mut greeting = Vec::new();
        let session = Session::old_style(export, &mut greeting);
        let phase = Phase::Serving(Box::new(Serving::new(session, disk, Outlet::new(true))));
        Client { channel: Channel::new(socket), greeting, phase, security: Security::Local }
    }

    /// Serves it until it leaves, or is told to.
    pub(crate) fn run(mut self) {
        if let Err(error) = self.serve()
            && error.kind() == ErrorKind::InvalidData
        {
            tracing::warn!("client dropped: {error}");
        }
        self.channel.end();
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut output = std::mem::take(&mut self.greeting);
        self.channel.write_all(&output)?;
        let (mut input, mut held) = (vec![0; INPUT_BYTES], 0);
        let deadline = Instant::now() + HANDSHAKE_TIME;
        loop {
            let wait = match &mut self.phase {
                Phase::Serving(serving) => {
                    self.channel.looks(serving.sends_one_at_a_time());
                    serving.is_due_in()
                }
                // Strangers must not keep others out by saying nothing.
                _ if !matches!(self.security, Security::Local) => {
                    Some(deadline.saturating_duration_since(Instant::now()))
                }
                _ => None,
            };
            let received = match self.channel.read(&mut input[held..], wait) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let Phase::Serving(serving) = &mut self.phase else {
                        return Err(io::Error::new(ErrorKind::InvalidData, "no handshake in time"));
                    };
                    output.clear();
                    serving.retry(&mut output);
                    self.channel.write_all(&output)?;
                    continue;
                }
                received => received?,
            };
            held += received;
            let mut done = 0;
            loop {
                output.clear();
                let takes_pages = self.channel.takes_pages();
                let pushed = self.phase.push(&input[done..held], &mut output, takes_pages);
                let (taken, next) = pushed.map_err(invalid)?;
                self.channel.write_all(&output)?;
                done += taken;
                if let (After::Outlet, Phase::Serving(serving)) = (next, &mut self.phase) {
                    serving.outlet.send(&mut self.channel)?;
                    continue;
                }
                if next == After::Tls
                    && let Security::Tls(config) = &self.security
                {
                    // What was sent ahead of TLS may be anybody's.
                    (done, held) = (0, 0);
                    self.channel.start_tls(config)?;
                    break;
                }
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

/// What comes after the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Nothing,
    /// TLS.
    Tls,
    /// What is in the outlet.
    Outlet,
}

impl Phase<'_> {
    /// Does what is all there, until there is enough to send. Returns how much of the input it took.
    fn push(&mut self, input: &[u8], output: &mut Vec<u8>, takes_pages: bool) -> Result<(usize, After), Violation> {
        let mut taken = 0;
        if let Phase::Handshake(handshake, disk) = self {
            let (used, next) = handshake.push(input, output)?;
            taken = used;
            match next {
                Next::More => return Ok((taken, After::Nothing)),
                Next::StartTls => return Ok((taken, After::Tls)),
                Next::Close => {
                    *self = Phase::Ended;
                    return Ok((taken, After::Nothing));
                }
                Next::Transmission(session) => {
                    *self = Phase::Serving(Box::new(Serving::new(session, disk, Outlet::new(takes_pages))));
                }
            }
        }
        let Phase::Serving(serving) = self else { return Ok((taken, After::Nothing)) };
        let (used, progress) = serving.push(&input[taken..], output)?;
        let after = match progress {
            Progress::Outlet => After::Outlet,
            Progress::More => After::Nothing,
            Progress::Ended => {
                *self = Phase::Ended;
                After::Nothing
            }
        };
        Ok((taken + used, after))
    }
}

fn invalid(violation: Violation) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, violation)
}
