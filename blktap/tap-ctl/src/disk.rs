//! What is done with one disk of a tapdisk. The numbers that come back are those of blktap's library: an answer of another
//! kind than the request's is `EINVAL`, a refusal has its own number.

use std::time::Duration;

use tap_proto::{Disk, Kind, Open, Reply, Request};

use crate::client::{Client, unexpected};
use crate::error::{Error, Result};
use crate::minors;
use crate::spawn::spawn;

/// A disk that a tapdisk has, or is to have.
#[derive(Clone, Debug)]
pub struct Vbd<'a> {
    /// How its tapdisk is reached.
    pub client: &'a Client,
    /// The tapdisk's process.
    pub pid: i32,
    /// The disk's number.
    pub minor: u16,
}

impl Vbd<'_> {
    /// Gives the tapdisk the number.
    pub fn attach(&self) -> Result<()> {
        self.done(&Request::Attach, Kind::AttachRsp, None)
    }

    /// Takes the number from the tapdisk, which exits when it was its last.
    pub fn detach(&self) -> Result<()> {
        self.done(&Request::Detach, Kind::DetachRsp, None)
    }

    /// Opens an image.
    pub fn open(&self, open: Open) -> Result<Disk> {
        match self.client.ask(self.pid, self.minor, &Request::Open(open), None)? {
            Reply::Opened(disk) => Ok(disk),
            reply => Err(unexpected(self.pid, &reply)),
        }
    }

    /// Closes the image.
    pub fn close(&self, is_forced: bool, timeout: Option<Duration>) -> Result<()> {
        let request = if is_forced { Request::ForceShutdown } else { Request::Close };
        self.done(&request, Kind::CloseRsp, timeout)
    }

    /// Stops serving and closes all files, until [`Vbd::unpause`].
    pub fn pause(&self, timeout: Option<Duration>) -> Result<()> {
        self.done(&Request::Pause, Kind::PauseRsp, timeout)
    }

    /// Opens the image again, or another, and goes on serving.
    pub fn unpause(&self, open: Open) -> Result<()> {
        self.done(&Request::Resume(open), Kind::ResumeRsp, None)
    }

    /// Statistics, as JSON text.
    pub fn stats(&self) -> Result<Vec<u8>> {
        let mut connection = self.client.connect(self.pid, Some(crate::client::LIST_TIMEOUT))?;
        connection.send(self.minor, &Request::Stats)?;
        let length = match connection.receive()? {
            Reply::Stats { length } => length,
            reply => return Err(unexpected(self.pid, &reply)),
        };
        let length = usize::try_from(length).ok().filter(|&length| length <= MAX_STATS_BYTES);
        let length = length.ok_or_else(|| {
            let message = format!("statistics of tapdisk {} are longer than {MAX_STATS_BYTES} bytes", self.pid);
            Error::new(rustix::io::Errno::PROTO, message)
        })?;
        let mut json = vec![0; length];
        connection.read(&mut json)?;
        Ok(json)
    }

    fn done(&self, request: &Request, kind: Kind, timeout: Option<Duration>) -> Result<()> {
        match self.client.ask(self.pid, self.minor, request, timeout)? {
            Reply::Done { kind: found, errno: 0 } if found == kind => Ok(()),
            // Some answers carry the number negative.
            Reply::Done { kind: found, errno } if found == kind => {
                Err(unexpected(self.pid, &Reply::Error { errno, message: Default::default() }))
            }
            // blktap's library takes a refusal of these two for an answer to something else.
            reply if matches!(request, Request::Attach | Request::Detach) => {
                let message = unexpected(self.pid, &reply).to_string();
                Err(Error::new(rustix::io::Errno::INVAL, message))
            }
            reply => Err(unexpected(self.pid, &reply)),
        }
    }
}

/// What a tapdisk may say of one disk; C's are a few hundred bytes an image.
const MAX_STATS_BYTES: usize = 16 << 20;

/// A new disk in a new tapdisk: allocates, spawns, attaches, opens. What was done is undone when a later step fails.
pub fn create(client: &Client, open: Open) -> Result<(i32, u16)> {
    let minor = minors::allocate(&client.run_dir)?;
    let undo = |error| {
        // The marker is ours alone; where it cannot be removed, the first failure is the one to tell.
        drop(minors::free(&client.run_dir, minor));
        error
    };
    let pid = spawn(client).map_err(undo)?;
    let vbd = Vbd { client, pid, minor };
    vbd.attach().map_err(undo)?;
    let open = Open { devnum: minor.into(), ..open };
    vbd.open(open).map_err(|error| {
        drop(vbd.detach());
        undo(error)
    })?;
    Ok((pid, minor))
}

/// Closes a disk, detaches it, and frees its number.
pub fn destroy(vbd: &Vbd<'_>, timeout: Option<Duration>) -> Result<()> {
    vbd.close(false, timeout)?;
    vbd.detach()?;
    minors::free(&vbd.client.run_dir, vbd.minor)
}
