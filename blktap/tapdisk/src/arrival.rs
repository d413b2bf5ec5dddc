//! Waiting for what a client sends next. To wake a processor that has gone to sleep takes longer than most requests, so
//! where the last bytes came soon, the next ones are looked for a moment before this sleeps.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// How long is looked: what it costs to sleep and be woken, on a virtual machine.
const MOMENT: Duration = Duration::from_micros(50);

/// A client's socket that is read.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    socket: &'a UnixStream,
    /// Whether the client can send while this looks: on one processor it cannot.
    can_look: bool,
    came_soon: bool,
    is_worth_it: bool,
    /// The socket's time limit.
    wait: Option<Duration>,
}

impl<'a> Arrival<'a> {
    pub(crate) fn new(socket: &'a UnixStream) -> Self {
        let can_look = thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        Arrival { socket, can_look, came_soon: false, is_worth_it: false, wait: None }
    }

    /// Whether looking is worth it. Who has many requests under way waits for none of them, and looking takes a processor
    /// that has other work.
    pub(crate) fn looks(&mut self, is_worth_it: bool) {
        self.is_worth_it = is_worth_it;
    }

    /// Reads as [`Read::read`] does. `WouldBlock` when nothing comes in time.
    pub(crate) fn read(&mut self, bytes: &mut [u8], wait: Option<Duration>) -> io::Result<usize> {
        if wait != self.wait {
            // A time limit of nothing is none to the system.
            self.socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
            self.wait = wait;
        }
        let start = Instant::now();
        while self.can_look && self.is_worth_it && self.came_soon && start.elapsed() < MOMENT {
            match recv(self.socket, &mut *bytes, RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => std::hint::spin_loop(),
                received => return Ok(received?.0),
            }
        }
        loop {
            match self.socket.read(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => {
                    self.came_soon = start.elapsed() < 2 * MOMENT;
                    return received;
                }
            }
        }
    }
}
