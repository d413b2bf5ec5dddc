//! The loop: waits for clients, old and new, and for the end.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nbd::Export;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use crate::client::{Client, Fate, Scratch};
use crate::service::Service;
use crate::socket_path::SocketPath;

/// Others wait in the socket's queue: what a client that takes nothing makes us hold is bounded, times this.
const MAX_CLIENTS: usize = 128;
const MAX_EVENTS: usize = 64;

const STOP: u64 = 0;
const LISTENER: u64 = 1;
const FIRST_CLIENT: u64 = 2;

/// A disk and its clients.
#[derive(Debug)]
pub(crate) struct Server {
    service: Service,
    export: Export,
    socket: SocketPath,
    epoll: OwnedFd,
    clients: HashMap<u64, (Client, Fate)>,
    next: u64,
    scratch: Scratch,
}

impl Server {
    pub(crate) fn new(service: Service, export: Export, socket: SocketPath) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &socket.listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let scratch = Scratch::new();
        Ok(Server { service, export, socket, epoll, clients: HashMap::new(), next: FIRST_CLIENT, scratch })
    }

    /// Serves until something arrives on `stop`; then everything that was written becomes durable.
    pub(crate) fn run(mut self, stop: UnixStream) -> io::Result<()> {
        epoll::add(&self.epoll, &stop, EventData::new_u64(STOP), EventFlags::IN)?;
        let mut events = Vec::with_capacity(MAX_EVENTS);
        loop {
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Err(Errno::INTR) => continue,
                waited => waited?,
            };
            for Event { data, .. } in events.drain(..) {
                match data.u64() {
                    STOP => return self.end(),
                    LISTENER => self.accept()?,
                    client => self.turn(client)?,
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while self.clients.len() < MAX_CLIENTS {
            let socket = match self.socket.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Gone again; or there are no descriptors left, which ends when a client leaves.
                Err(_) => break,
            };
            socket.set_nonblocking(true)?;
            let client = Client::new(socket, self.export.clone());
            epoll::add(&self.epoll, &client, EventData::new_u64(self.next), EventFlags::OUT)?;
            self.clients.insert(self.next, (client, Fate::Takes));
            self.next += 1;
        }
        // With nobody who could leave, nobody would wake this again.
        self.listens(self.clients.is_empty())
    }

    /// Whether new clients are waited for.
    fn listens(&self, is_listening: bool) -> io::Result<()> {
        let flags = if is_listening { EventFlags::IN } else { EventFlags::empty() };
        Ok(epoll::modify(&self.epoll, &self.socket.listener, EventData::new_u64(LISTENER), flags)?)
    }

    fn turn(&mut self, number: u64) -> io::Result<()> {
        let Some((client, was)) = self.clients.get_mut(&number) else { return Ok(()) };
        let fate = client.turn(&mut self.service, &mut self.scratch);
        if fate == *was {
            return Ok(());
        }
        *was = fate;
        let flags = match fate {
            Fate::Sends => EventFlags::IN,
            Fate::Takes => EventFlags::OUT,
            Fate::Leaves => {
                // Closing the socket takes it out of the epoll as well.
                self.clients.remove(&number);
                return self.listens(true);
            }
        };
        Ok(epoll::modify(&self.epoll, client, EventData::new_u64(number), flags)?)
    }

    fn end(self) -> io::Result<()> {
        drop(self.clients);
        self.service.close().map_err(|failed| io::Error::other(failed.message))
    }
}
