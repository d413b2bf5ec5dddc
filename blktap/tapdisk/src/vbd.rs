//! One disk of a tapdisk, from attach to detach: what `tap-ctl` may ask of it when, and what its state is then.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bitflags::bitflags;
use nbd::Export;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tap_proto::{Disk, Flags, Open, RunDir, Text};

use crate::client::Security;
use crate::host::Host;
use crate::listener::Listener;
use crate::opening;
use crate::params::{Refused, Result};
use crate::server::{Arriving, Server};
use crate::service::Service;
use crate::shared::Shared;
use crate::socket_path::SocketPath;
use crate::store::{Fate, Link};

/// How long a request waits for room where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(120);
/// Below this a write reads first where the file system's pages are not whole.
pub(crate) const PREFERRED_BYTES: u32 = 4096;

bitflags! {
    /// What `list` shows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct State: i32 {
        const CLOSED = 0x2;
        const QUIESCE_REQUESTED = 0x4;
        const QUIESCED = 0x8;
        const PAUSE_REQUESTED = 0x10;
        const PAUSED = 0x20;
        const SHUTDOWN_REQUESTED = 0x40;
        const RESUME_FAILED = 0x200;
    }
}

const OPEN: State = State::empty();
const AT_PAUSE: State = State::CLOSED.union(State::QUIESCED).union(State::PAUSED);

/// A disk.
#[derive(Debug)]
pub(crate) struct Vbd {
    minor: u16,
    state: AtomicI32,
    /// The image as it was named last; empty while there is none.
    name: Mutex<Text>,
    image: Mutex<Option<Arc<Image>>>,
    /// One request at a time changes the disk.
    change: Mutex<()>,
    /// Locked: the minor cannot be freed meanwhile. `None` once the disk is detached.
    marker: Mutex<Option<File>>,
}

/// An image that was opened and not closed: it may be paused.
#[derive(Debug)]
pub(crate) struct Image {
    /// What it was opened with last.
    open: Mutex<Open>,
    /// What became of it and a second one.
    fate: Mutex<Arc<Fate>>,
    /// As it was seen last.
    chain: Mutex<Vec<Link>>,
    pub(crate) disk: Disk,
    pub(crate) shared: Arc<Shared>,
    /// Ends the server when something is written to it.
    stop: UnixStream,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Vbd {
    /// Takes a minor, whose marker must be there.
    pub(crate) fn attach(run_dir: &RunDir, minor: u16) -> Result<Self> {
        let path = run_dir.marker(minor);
        let refused = |error| Refused::io(format_args!("cannot lock marker `{}`", path.display()), &error);
        let marker = File::open(&path).map_err(refused)?;
        flock(&marker, FlockOperation::NonBlockingLockExclusive).map_err(|errno| refused(errno.into()))?;
        Ok(Vbd {
            minor,
            state: AtomicI32::new(OPEN.bits()),
            name: Mutex::default(),
            image: Mutex::default(),
            change: Mutex::default(),
            marker: Mutex::new(Some(marker)),
        })
    }

    pub(crate) fn minor(&self) -> u16 {
        self.minor
    }

    pub(crate) fn state(&self) -> State {
        State::from_bits_retain(self.state.load(Ordering::Relaxed))
    }

    fn set_state(&self, state: State) {
        self.state.store(state.bits(), Ordering::Relaxed);
    }

    /// `type:path` as it was sent.
    pub(crate) fn name(&self) -> Text {
        lock(&self.name).clone()
    }

    fn set_name(&self, name: Text) {
        *lock(&self.name) = name;
    }

    /// The image that is open or paused.
    pub(crate) fn image(&self) -> Option<Arc<Image>> {
        lock(&self.image).clone()
    }

    /// Gives the minor up.
    pub(crate) fn retire(&self) -> Result<()> {
        let _change = lock(&self.change);
        if self.image().is_some() {
            return Err(Refused::new(Errno::BUSY, format!("disk {} is open", self.minor)));
        }
        *lock(&self.marker) = None;
        Ok(())
    }

    /// Opens an image and serves it.
    pub(crate) fn open(&self, host: &Host, open: &Open) -> Result<Disk> {
        let _change = lock(&self.change);
        if self.image().is_some() {
            return Err(Refused::new(Errno::ALREADY, "an image is open"));
        }
        if lock(&self.marker).is_none() {
            return Err(Refused::new(Errno::INVAL, "the disk was detached"));
        }
        let fate = Arc::default();
        let service = opening::open(host, self.minor, open, &fate)?;
        let opened = Image::serve(&host.run_dir, self.minor, open, service, fate)?;
        let disk = opened.disk;
        *lock(&self.image) = Some(Arc::new(opened));
        self.set_name(open.path.clone());
        self.set_state(OPEN);
        Ok(disk)
    }

    /// Lets requests that have begun end, writes everything out, and closes all files.
    pub(crate) fn pause(&self) -> Result<()> {
        let _change = lock(&self.change);
        let Some(image) = self.image() else {
            return Err(Refused::new(Errno::INVAL, "no image is open"));
        };
        let before = self.state();
        if before.contains(State::PAUSED) {
            return Ok(());
        }
        self.set_state(before | State::PAUSE_REQUESTED | State::QUIESCE_REQUESTED);
        let paused = image.shared.pause();
        self.set_state(if image.shared.peek().is_some() { before } else { AT_PAUSE });
        paused.map_err(Refused::from)
    }

    /// Opens the image again, or another, and goes on.
    pub(crate) fn resume(&self, host: &Host, open: &Open) -> Result<()> {
        let _change = lock(&self.change);
        let Some(image) = self.image().filter(|_| self.state().contains(State::PAUSED)) else {
            return Err(Refused::new(Errno::INVAL, "the disk is not paused"));
        };
        let (next, fate) = opening::next(&lock(&image.open), open, &lock(&image.fate));
        let service = opening::open_again(host, self.minor, &next, &image.disk, &fate).inspect_err(|_| {
            self.set_state(AT_PAUSE | State::RESUME_FAILED);
        })?;
        image.shared.resume(service);
        self.set_name(next.path.clone());
        (*lock(&image.open), *lock(&image.fate)) = (next, fate);
        self.set_state(OPEN);
        Ok(())
    }

    /// Ends all clients, writes everything out, and closes all files. Nothing is to be done where no image is open.
    pub(crate) fn close(&self) -> Result<()> {
        let _change = lock(&self.change);
        let Some(image) = self.image() else { return Ok(()) };
        self.set_state(self.state() | State::SHUTDOWN_REQUESTED);
        let closed = image.close();
        *lock(&self.image) = None;
        self.set_name(Text::default());
        self.set_state(State::CLOSED);
        closed
    }
}

/// Nothing is left half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Image {
    pub(crate) fn flags(&self) -> Flags {
        lock(&self.open).flags
    }

    pub(crate) fn fate(&self) -> Arc<Fate> {
        Arc::clone(&lock(&self.fate))
    }

    /// The chain, leaf first, as `stats` shows it; nothing while the disk is paused. Storage that does not answer keeps nobody
    /// waiting who only asks: it is the last one that was seen then.
    pub(crate) fn chain(&self) -> Vec<Link> {
        if let Ok(disk) = self.shared.glance() {
            *lock(&self.chain) = disk.map(|disk| disk.chain()).unwrap_or_default();
        }
        lock(&self.chain).clone()
    }

    fn serve(run_dir: &RunDir, minor: u16, open: &Open, service: Service, fate: Arc<Fate>) -> Result<Self> {
        let (disk, chain) = (opening::disk(&service), Mutex::new(service.chain()));
        let patience = match open.timeout_secs {
            0 => PATIENCE,
            secs => Duration::from_secs(secs.into()),
        };
        let export = Export {
            name: "tapdisk_client".to_owned(),
            description: service.description(),
            size_bytes: service.size_bytes(),
            is_read_only: open.flags.contains(Flags::RDONLY),
            preferred_bytes: PREFERRED_BYTES,
        };
        let pid = crate::pid();
        let sockets = [
            (run_dir.nbd_socket(pid, minor), Arriving::Clients(Security::Local)),
            (run_dir.old_nbd_socket(pid, minor), Arriving::Clients(Security::Local)),
            (run_dir.nbd_receiver(pid, minor), Arriving::Passed { is_old_style: false }),
            (run_dir.old_nbd_receiver(pid, minor), Arriving::Passed { is_old_style: true }),
        ];
        let sockets = sockets.into_iter().map(|(path, arriving)| {
            let failed = |error| Refused::io(format_args!("cannot listen at `{}`", path.display()), &error);
            let socket = SocketPath::bind(&path).map_err(failed)?;
            Ok((Listener::Unix(socket), arriving))
        });
        let sockets = sockets.collect::<Result<Vec<_>>>()?;
        let shared = Arc::new(Shared::new(service, patience));
        let server = Server::new(Arc::clone(&shared), export, sockets);
        let pair = UnixStream::pair();
        let failed = |error| Refused::io("cannot start a server", &error);
        let (stop, stopped) = pair.map_err(failed)?;
        let run = move || {
            if let Err(error) = server.run(&stopped) {
                tracing::error!("server of disk {minor} ended: {error}");
            }
        };
        let thread = thread::Builder::new().name(format!("disk {minor}")).stack_size(256 << 10);
        let server = Mutex::new(Some(thread.spawn(run).map_err(failed)?));
        Ok(Image { open: Mutex::new(open.clone()), fate: Mutex::new(fate), chain, disk, shared, stop, server })
    }

    fn close(&self) -> Result<()> {
        (&self.stop).write_all(b"x").map_err(|error| Refused::io("cannot stop the server", &error))?;
        if lock(&self.server).take().is_some_and(|server| server.join().is_err()) {
            tracing::error!("the server's thread failed");
        }
        Ok(self.shared.end()?)
    }
}
