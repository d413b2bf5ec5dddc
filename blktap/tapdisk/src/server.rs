//! Waits for clients and for the end; each client gets a thread.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;

use nbd::Export;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::client::Client;
use crate::service::{Failure, Service};
use crate::socket_path::SocketPath;

/// Others wait in the socket's queue: what a client makes us hold is bounded, times this.
const MAX_CLIENTS: usize = 128;
/// How soon it is seen that there is room for one of them again.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// A disk and its clients.
#[derive(Debug)]
pub(crate) struct Server {
    service: RwLock<Service>,
    export: Export,
    socket: SocketPath,
    clients: Mutex<HashMap<u64, Arc<UnixStream>>>,
}

impl Server {
    pub(crate) fn new(service: Service, export: Export, socket: SocketPath) -> Self {
        Server { service: RwLock::new(service), export, socket, clients: Mutex::default() }
    }

    /// Serves until something arrives on `stop`; then everything that was written becomes durable.
    pub(crate) fn run(self, stop: &UnixStream) -> io::Result<()> {
        thread::scope(|scope| {
            let accepted = self.accept(scope, stop);
            // What they have asked for and not got is not acknowledged.
            for client in self.clients().values() {
                // One that is gone already is shut down as well.
                drop(client.shutdown(Shutdown::Both));
            }
            accepted
        })?;
        // After a failure in the middle of a change the image stays as a kill leaves it.
        let service = self.service.into_inner().map_err(|_| Failure::of_a_thread());
        service.and_then(Service::close).map_err(|failed| io::Error::other(failed.message))
    }

    fn accept<'scope, 'env>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, 'env>,
        stop: &UnixStream,
    ) -> io::Result<()> {
        for number in 0.. {
            let socket = loop {
                let is_full = self.clients().len() >= MAX_CLIENTS;
                let waiting = if is_full { PollFlags::empty() } else { PollFlags::IN };
                let mut waits = [PollFd::new(stop, PollFlags::IN), PollFd::new(&self.socket.listener, waiting)];
                match poll(&mut waits, is_full.then_some(&PAUSE)) {
                    Err(Errno::INTR) => continue,
                    waited => waited?,
                };
                if !waits[0].revents().is_empty() {
                    return Ok(());
                }
                if is_full {
                    continue;
                }
                match self.socket.listener.accept() {
                    Ok((socket, _)) => break socket,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // Gone again, or there are no descriptors left, which ends when a client leaves.
                    Err(_) => thread::sleep(std::time::Duration::from_millis(50)),
                }
            };
            socket.set_nonblocking(false)?;
            let socket = Arc::new(socket);
            self.clients().insert(number, Arc::clone(&socket));
            scope.spawn(move || {
                let client = Client::new(&socket, self.export.clone(), &self.service);
                // What failed is on standard error; others go on as far as they can.
                drop(panic::catch_unwind(AssertUnwindSafe(|| client.run())));
                self.clients().remove(&number);
            });
        }
        Ok(())
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<u64, Arc<UnixStream>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
