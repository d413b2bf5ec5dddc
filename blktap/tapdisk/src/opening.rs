//! What is opened for OPEN and RESUME: the image with its chain, a second image, a log.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use blockcrypto::Key;
use rustix::io::Errno;
use tap_proto::{Disk, Flags, Open};

use crate::host::Host;
use crate::params::{How, Kind, Params, Refused, Result};
use crate::service::Service;
use crate::store::{Cache, Fate, Pair, Remote, Role, Second, Stack, Store};

/// How often an unpause tries to open the image, and how long it waits in between: another host may be at work on it.
const TRIES: u32 = 10;
const WAIT: Duration = Duration::from_secs(1);
const SECTOR_BYTES: u32 = 512;
/// The name of no second image.
const NO_SECONDARY: &str = "null";

/// Opens it.
pub(crate) fn open(host: &Host, minor: u16, open: &Open, fate: &Arc<Fate>) -> Result<Service> {
    let key = open.extra.key.as_ref().map(|bytes| Key::new(bytes)).transpose();
    let key = key.map_err(|error| Refused::new(Errno::INVAL, error.to_string()))?;
    let how = how(host, open, key.as_ref());
    let first = first(host, minor, open, &how, fate)?;
    let store = if has_second(open) { with_second(host, minor, first, open, how, fate)? } else { first };
    let mut service = Service::new(store);
    if open.flags.contains(Flags::ADD_LOG) {
        let path = open.extra.log_path.as_ref();
        let path = path.ok_or_else(|| Refused::new(Errno::INVAL, "changed blocks are to be noted, but not where"))?;
        service.set_log(Path::new(path.as_os_str()))?;
    }
    Ok(service)
}

fn has_second(open: &Open) -> bool {
    open.flags.contains(Flags::SECONDARY) && open.secondary.as_os_str() != NO_SECONDARY
}

/// Past the page cache, unless the client may do without: then files that are only read go through it, and a local cache,
/// which is this host's alone.
fn how<'a>(host: &Host, open: &Open, key: Option<&'a Key>) -> How<'a> {
    let is_read_only = open.flags.contains(Flags::RDONLY);
    let cached = |is_allowed| match is_allowed && open.flags.contains(Flags::NO_O_DIRECT) {
        true => vhd::Cache::Cached,
        false => vhd::Cache::Direct,
    };
    let is_local = open.flags.contains(Flags::ADD_LCACHE);
    let engine = Some(Arc::clone(&host.engine));
    How { is_read_only, key, cache: cached(is_read_only || is_local), parents: cached(true), engine }
}

/// The image, on its own parents or on those that another disk serves, which it may keep what it reads of.
fn first(host: &Host, minor: u16, open: &Open, how: &How<'_>, fate: &Arc<Fate>) -> Result<Box<dyn Store>> {
    let params = Params::parse(open.path.as_os_str())?;
    if let Kind::LocalLeaf(leaf) = params.kind {
        if has_second(open) {
            return Err(Refused::new(
                Errno::INVAL,
                "a local leaf cache is two images already: no other is written too",
            ));
        }
        return leaf.open(params.path, how, host.run_dir.no_space_signal(minor), fate);
    }
    let store: Box<dyn Store> = if open.flags.contains(Flags::REUSE_PRT) {
        let minor = u16::try_from(open.parent_devnum).ok();
        let socket = minor.and_then(|minor| host.nbd_socket_of(minor));
        let socket = socket.ok_or_else(|| {
            Refused::new(Errno::NOENT, format!("no tapdisk serves disk {}, the parent", open.parent_devnum))
        })?;
        let failed = |error| Refused::io(format_args!("cannot reach the parent at `{}`", socket.display()), &error);
        let parent = Remote::connect(socket.clone()).map_err(failed)?;
        Box::new(Stack::new(params.open_alone(how)?, parent))
    } else {
        params.open(host, how)?
    };
    let keeps = open.flags.contains(Flags::ADD_LCACHE) && !how.is_read_only;
    Ok(if keeps { Box::new(Cache::new(store)) } else { store })
}

fn with_second(
    host: &Host,
    minor: u16,
    first: Box<dyn Store>,
    open: &Open,
    how: How<'_>,
    fate: &Arc<Fate>,
) -> Result<Box<dyn Store>> {
    let how = How { is_read_only: false, ..how };
    let params = Params::parse(open.secondary.as_os_str())?;
    let role = if open.flags.contains(Flags::STANDBY) { Role::Standby } else { Role::Mirror };
    let second = match params.kind {
        Kind::Nbd if role == Role::Standby => {
            return Err(Refused::new(Errno::INVAL, "another server's disk cannot take over: it is only written"));
        }
        // It missed writes.
        Kind::Nbd if fate.is_mirror_lost() => return Ok(first),
        // The guest must go on, whatever became of another host.
        Kind::Nbd => match params.open(host, &how) {
            Ok(mirror) => Second::Remote(mirror),
            Err(refused) => {
                fate.lose_mirror(&refused.message);
                return Ok(first);
            }
        },
        _ => Second::Local(Box::new(params.open_chain(&how)?)),
    };
    let (size, second_size) = (first.size_bytes(), second.size_bytes());
    if size != second_size {
        let message = format!("the second image has {second_size} bytes, the first {size}");
        return Err(Refused::new(Errno::INVAL, message));
    }
    Ok(Box::new(Pair::new(first, second, role, host.run_dir.no_space_signal(minor), Arc::clone(fate))))
}

/// What a RESUME opens: as before, but for what it names. Changed blocks are noted where it says so, or not at all. And
/// what is still true of a second image.
pub(crate) fn next(before: &Open, resume: &Open, fate: &Arc<Fate>) -> (Open, Arc<Fate>) {
    let mut next = before.clone();
    next.flags.set(Flags::ADD_LOG, resume.flags.contains(Flags::ADD_LOG));
    next.extra.log_path.clone_from(&resume.extra.log_path);
    if !resume.path.is_empty() {
        next.path = resume.path.clone();
    }
    if resume.flags.contains(Flags::SECONDARY) {
        next.flags |= Flags::SECONDARY;
        next.secondary = resume.secondary.clone();
    }
    let are_same = next.path == before.path && next.secondary == before.secondary;
    let fate = if are_same { Arc::clone(fate) } else { Arc::new(fate.of_others(has_second(&next))) };
    (next, fate)
}

/// Opens it again, for a disk that must be the same. Tries for a while: whoever works on the image may not have left it yet.
pub(crate) fn open_again(host: &Host, minor: u16, next: &Open, before: &Disk, fate: &Arc<Fate>) -> Result<Service> {
    let mut tries = 1;
    let service = loop {
        match open(host, minor, next, fate) {
            Err(refused) if is_transient(refused.errno) && tries < TRIES => {
                tracing::warn!("cannot open `{}` again yet: {}", next.path.as_os_str().display(), refused.message);
                tries += 1;
                thread::sleep(WAIT);
            }
            opened => break opened?,
        }
    };
    let found = disk(&service);
    if found == *before {
        return Ok(service);
    }
    Err(Refused::new(Errno::MEDIUMTYPE, format!("the disk was {before:?} and would be {found:?}")))
}

/// Whether the same image may open a second later.
fn is_transient(errno: i32) -> bool {
    [Errno::IO, Errno::AGAIN, Errno::BUSY, Errno::NOENT, Errno::STALE].iter().any(|it| it.raw_os_error() == errno)
}

/// What guests are told of the disk.
pub(crate) fn disk(service: &Service) -> Disk {
    Disk { sectors: service.size_bytes() / u64::from(SECTOR_BYTES), sector_bytes: SECTOR_BYTES, info: 0 }
}
