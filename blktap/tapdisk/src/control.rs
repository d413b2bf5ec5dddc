//! The control socket: one request a connection, answered and closed. Each connection has a thread, so one that says
//! nothing, or waits for a pause, keeps nobody else waiting.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde_json::Value;
use tap_proto::{ALL_MINORS, Decoded, Decoder, Kind, Listed, Reply, Request, Text};

use crate::host::Host;
use crate::params::{Refused, Result};
use crate::socket_path::SocketPath;
use crate::stats;
use crate::vbd::Vbd;
use crate::vbds::Vbds;

/// Connections at a time; more wait in the socket's queue.
const MAX_CONNECTIONS: usize = 10;
/// How long a request may take to arrive, and an answer to leave.
const TIMEOUT: Duration = Duration::from_secs(10);
const STACK_BYTES: usize = 256 << 10;
/// How soon it is seen that there is room for a connection again.
const PAUSE: Duration = Duration::from_millis(10);

/// The control of one tapdisk.
#[derive(Debug)]
pub(crate) struct Control {
    host: Host,
    vbds: Vbds,
    connections: AtomicUsize,
    /// Ends the daemon when something is written to it.
    stop: UnixStream,
}

impl Control {
    pub(crate) fn new(host: Host, stop: UnixStream) -> Self {
        Control { host, vbds: Vbds::default(), connections: AtomicUsize::new(0), stop }
    }

    /// The disks.
    pub(crate) fn vbds(&self) -> &Vbds {
        &self.vbds
    }

    /// What all disks have done.
    pub(crate) fn all_stats(&self) -> Value {
        Value::Array(self.vbds.all().iter().map(|vbd| stats::of(vbd)).collect())
    }

    /// Answers at `socket`, and takes connections for later at `receiver`, until something arrives on `stop`. Then closes
    /// all disks.
    ///
    /// # Errors
    ///
    /// The first failure to make a disk durable; all are closed.
    pub(crate) fn run(&self, socket: &SocketPath, receiver: &SocketPath, stop: &UnixStream) -> io::Result<()> {
        let ended = thread::scope(|scope| {
            let accepted = self.accept(scope, socket, receiver, stop);
            // Who has said only half of a request keeps no disk open.
            accepted.and(self.close_all())
        });
        // Whose request was under way may have opened another.
        ended.and(self.close_all())
    }

    /// Closes all disks at once: one whose storage does not answer keeps no other open.
    fn close_all(&self) -> io::Result<()> {
        let errno = AtomicI32::new(0);
        let close = |vbd: Arc<Vbd>| {
            if let Err(refused) = vbd.close() {
                tracing::error!("closing disk {}: {}", vbd.minor(), refused.message);
                errno.store(refused.errno, Ordering::Relaxed);
            }
        };
        thread::scope(|scope| {
            for vbd in self.vbds.all() {
                let thread = thread::Builder::new().name(format!("end of {}", vbd.minor())).stack_size(STACK_BYTES);
                let other = Arc::clone(&vbd);
                if thread.spawn_scoped(scope, move || close(other)).is_err() {
                    close(vbd);
                }
            }
        });
        match errno.into_inner() {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn accept<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        socket: &SocketPath,
        receiver: &SocketPath,
        stop: &UnixStream,
    ) -> io::Result<()> {
        loop {
            let mut waits = [stop.as_fd(), socket.listener.as_fd(), receiver.listener.as_fd()]
                .map(|waited| PollFd::from_borrowed_fd(waited, PollFlags::IN));
            match poll(&mut waits, None) {
                Err(Errno::INTR) => continue,
                waited => waited?,
            };
            if !waits[0].revents().is_empty() {
                return Ok(());
            }
            if self.connections.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
                thread::sleep(PAUSE);
                continue;
            }
            let is_request = !waits[1].revents().is_empty();
            let stream = match if is_request { socket } else { receiver }.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => {
                    tracing::warn!("cannot accept a control connection: {error}");
                    thread::sleep(PAUSE);
                    continue;
                }
            };
            self.connections.fetch_add(1, Ordering::Relaxed);
            let serve = move || {
                let serve = || if is_request { self.serve(stream) } else { self.host.connections.receive(&stream) };
                // What failed is in the log; disks are closed in the end all the same.
                if let Ok(Err(error)) = panic::catch_unwind(AssertUnwindSafe(serve)) {
                    tracing::warn!("control connection: {error}");
                }
                self.connections.fetch_sub(1, Ordering::Relaxed);
            };
            let thread = thread::Builder::new().name("control".to_owned()).stack_size(STACK_BYTES);
            if let Err(error) = thread.spawn_scoped(scope, serve) {
                tracing::warn!("cannot start a thread: {error}");
                self.connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let (cookie, answered) = match receive(&mut stream)? {
            Ok((cookie, request)) => {
                let kind = request.kind();
                let is_question = matches!(kind, Kind::Pid | Kind::List | Kind::Stats | Kind::DiskInfo);
                if !is_question {
                    tracing::info!("{} of disk {cookie}", kind.name());
                }
                let answered = self.answer(cookie, request).inspect_err(|refused| {
                    tracing::warn!("{} of disk {cookie} refused ({}): {}", kind.name(), refused.errno, refused.message);
                });
                (cookie, answered)
            }
            Err(malformed) => {
                tracing::warn!("no request: {malformed}");
                (0, Err(Refused::new(Errno::INVAL, malformed.to_string())))
            }
        };
        let answer = answered.unwrap_or_else(|refused| {
            // blktap's own words are none, and its tools print what is here.
            vec![Reply::Error { errno: refused.errno, message: Text::default() }.encode(cookie).to_vec()]
        });
        let sent = stream.write_all(&answer.concat());
        drop(stream);
        if self.vbds.is_over() {
            // Whoever detached the last disk has its answer: the daemon ends.
            (&self.stop).write_all(b"x")?;
        }
        sent
    }

    /// The frames that are sent, and what follows them.
    fn answer(&self, minor: u16, request: Request) -> Result<Vec<Vec<u8>>> {
        let host = &self.host;
        let frame = |reply: Reply| vec![reply.encode(minor).to_vec()];
        let done = |kind| frame(Reply::Done { kind, errno: 0 });
        Ok(match request {
            Request::Pid => frame(Reply::Pid(crate::pid())),
            Request::List => self.list(minor),
            Request::Stats => self.stats(minor)?,
            Request::DiskInfo => {
                let image = self.vbds.find(minor)?.image();
                frame(Reply::DiskInfo(image.map(|image| image.disk).unwrap_or_default()))
            }
            Request::Attach => {
                self.vbds.attach(&host.run_dir, minor)?;
                done(Kind::AttachRsp)
            }
            Request::Detach => {
                self.vbds.detach(minor)?;
                done(Kind::DetachRsp)
            }
            Request::Open(open) => {
                let unattached = |_| Refused::new(Errno::INVAL, format!("no disk {minor} is attached"));
                frame(Reply::Opened(self.vbds.find(minor).map_err(unattached)?.open(host, &open)?))
            }
            Request::Pause => {
                self.vbds.find(minor)?.pause()?;
                done(Kind::PauseRsp)
            }
            Request::Resume(open) => {
                self.vbds.find(minor)?.resume(host, &open)?;
                done(Kind::ResumeRsp)
            }
            Request::Close | Request::ForceShutdown => {
                self.vbds.find(minor)?.close()?;
                done(Kind::CloseRsp)
            }
            Request::ListMinors | Request::Exit | Request::XenblkifConnect(_) | Request::XenblkifDisconnect(_) => {
                return Err(Refused::new(Errno::INVAL, "this tapdisk does not answer that"));
            }
        })
    }

    fn list(&self, cookie: u16) -> Vec<Vec<u8>> {
        let vbds = self.vbds.all();
        let counts = (1..=vbds.len()).rev().map(|count| i32::try_from(count).unwrap_or(i32::MAX));
        let disks = vbds.iter().zip(counts).map(|(vbd, count)| Listed {
            count,
            minor: vbd.minor().into(),
            state: vbd.state().bits(),
            path: vbd.name(),
        });
        let end = Listed { count: 0, minor: -1, state: 0, path: Text::default() };
        disks.chain([end]).map(|listed| Reply::List(listed).encode(cookie).to_vec()).collect()
    }

    fn stats(&self, minor: u16) -> Result<Vec<Vec<u8>>> {
        let stats = match minor {
            ALL_MINORS => self.all_stats(),
            minor => stats::of(self.vbds.find(minor)?.as_ref()),
        };
        let text = stats.to_string().into_bytes();
        let length = text.len() as u64;
        Ok(vec![Reply::Stats { length }.encode(minor).to_vec(), text])
    }
}

/// Reads a request, however it is cut.
fn receive(stream: &mut UnixStream) -> io::Result<std::result::Result<(u16, Request), tap_proto::Malformed>> {
    let mut decoder = Decoder::default();
    let deadline = Instant::now() + TIMEOUT;
    let mut bytes = zeroize::Zeroizing::new([0; 1024]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let len = match stream.read(&mut *bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match decoder.push(&bytes[..len]) {
            Ok(Decoded::More) => {}
            Ok(Decoded::Request { cookie, request }) => return Ok(Ok((cookie, request))),
            Err(malformed) => return Ok(Err(malformed)),
        }
    }
}
