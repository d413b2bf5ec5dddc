//! Waits for the clients of a disk, and for their end; each client gets a thread.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nbd::Export;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::client::{Client, Security};
use crate::listener::Listener;
use crate::passed;
use crate::shared::Shared;

/// Others wait in the socket's queue: what a client makes us hold is bounded, times this.
const MAX_CLIENTS: usize = 128;
/// How soon it is seen that there is room for one of them again.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Of a client's thread. Memory may be locked, so this is what is really there.
const STACK_BYTES: usize = 256 << 10;

/// What comes at a socket.
#[derive(Clone, Debug)]
pub(crate) enum Arriving {
    /// Clients.
    Clients(Security),
    /// Connections of clients, which somebody else accepted.
    Passed {
        /// They negotiate nothing.
        is_old_style: bool,
    },
}

/// A disk and its clients.
#[derive(Debug)]
pub(crate) struct Server {
    disk: Arc<Shared>,
    export: Export,
    sockets: Vec<(Listener, Arriving)>,
    clients: Mutex<Clients>,
}

/// Connections by number.
#[derive(Debug, Default)]
struct Clients {
    streams: HashMap<u64, Arc<UnixStream>>,
    is_ending: bool,
}

impl Server {
    pub(crate) fn new(disk: Arc<Shared>, export: Export, sockets: Vec<(Listener, Arriving)>) -> Self {
        Server { disk, export, sockets, clients: Mutex::default() }
    }

    /// Serves until something arrives on `stop`. When this returns no client has anything under way.
    pub(crate) fn run(self, stop: &UnixStream) -> io::Result<()> {
        thread::scope(|scope| {
            let accepted = self.accept(scope, stop);
            let mut clients = self.clients();
            clients.is_ending = true;
            // What they have asked for and not got is not acknowledged.
            for client in clients.streams.values() {
                // One that is gone already is shut down as well.
                drop(client.shutdown(Shutdown::Both));
            }
            drop(clients);
            // What they sent ahead may be hours of work.
            self.disk.refuse_all();
            accepted
        })
    }

    fn accept<'scope, 'env>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, 'env>,
        stop: &UnixStream,
    ) -> io::Result<()> {
        let mut number = 0;
        loop {
            let is_full = self.clients().streams.len() >= MAX_CLIENTS;
            let waiting = if is_full { PollFlags::empty() } else { PollFlags::IN };
            let mut waits = vec![PollFd::new(stop, PollFlags::IN)];
            waits.extend(self.sockets.iter().map(|(socket, _)| PollFd::new(socket, waiting)));
            match poll(&mut waits, is_full.then_some(&PAUSE)) {
                Err(Errno::INTR) => continue,
                waited => waited?,
            };
            if !waits[0].revents().is_empty() {
                return Ok(());
            }
            let ready: Vec<bool> = waits[1..].iter().map(|wait| !wait.revents().is_empty()).collect();
            for ((socket, arriving), _) in self.sockets.iter().zip(ready).filter(|(_, is_ready)| *is_ready) {
                match socket.accept() {
                    Ok(stream) => {
                        number += 1;
                        self.begin(scope, number, stream, arriving)?;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // Gone again, or there are no descriptors left, which ends when a client leaves.
                    Err(_) => thread::sleep(std::time::Duration::from_millis(50)),
                }
            }
        }
    }

    fn begin<'scope, 'env>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, 'env>,
        number: u64,
        stream: UnixStream,
        arriving: &'scope Arriving,
    ) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        let stream = Arc::new(stream);
        self.clients().streams.insert(number, Arc::clone(&stream));
        let serve = move || {
            // What failed is in the log; others go on as far as they can.
            drop(panic::catch_unwind(AssertUnwindSafe(|| self.serve(number, &stream, arriving))));
            self.clients().streams.remove(&number);
        };
        let thread = thread::Builder::new().name(format!("client {number}")).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn_scoped(scope, serve) {
            tracing::warn!("client turned away: {error}");
            self.clients().streams.remove(&number);
        }
        Ok(())
    }

    fn serve(&self, number: u64, stream: &UnixStream, arriving: &Arriving) {
        let is_old_style = match arriving {
            Arriving::Passed { is_old_style } => *is_old_style,
            Arriving::Clients(security) => {
                return Client::new(stream, self.export.clone(), &self.disk, security.clone()).run();
            }
        };
        let passed = match passed::receive(stream) {
            Ok((passed, _)) => Arc::new(passed),
            Err(error) => return tracing::warn!("no client was passed: {error}"),
        };
        let mut clients = self.clients();
        if clients.is_ending {
            return;
        }
        clients.streams.insert(number, Arc::clone(&passed));
        drop(clients);
        match is_old_style {
            true => Client::old_style(&passed, &self.export, &self.disk).run(),
            false => Client::new(&passed, self.export.clone(), &self.disk, Security::Local).run(),
        }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
