//! The disk that all clients share: many read it, or write over what is there, at a time; one changes more. While the disk
//! is paused there is none, and requests wait.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use nbd::Command;

use crate::failure::Failure;
use crate::service::Service;

/// How long whoever only asks waits for others.
const MOMENT: Duration = Duration::from_millis(100);

/// A disk, or its place.
#[derive(Debug)]
pub(crate) struct Shared {
    service: RwLock<Option<Service>>,
    presence: Mutex<Presence>,
    /// Requests are refused also while the disk is here: it is about to be closed.
    is_ending: AtomicBool,
    changed: Condvar,
    /// How long a request waits for room on the disk.
    patience: Duration,
    /// What clients did.
    pub(crate) traffic: Traffic,
}

/// Somebody has the disk alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// Whether there is a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Here,
    /// It will be here again.
    Paused,
    Ended,
}

/// Counts since the disk was opened first.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) reads: Operations,
    pub(crate) writes: Operations,
    pub(crate) errors: AtomicU64,
}

impl Traffic {
    /// What requests of a command are counted as, if they are.
    pub(crate) fn of(&self, command: Command) -> Option<&Operations> {
        match command {
            Command::Read => Some(&self.reads),
            command if command.is_write() => Some(&self.writes),
            _ => None,
        }
    }
}

/// Counts of one kind of request.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    pub(crate) begun: AtomicU64,
    pub(crate) done: AtomicU64,
    pub(crate) sectors: AtomicU64,
    pub(crate) micros: AtomicU64,
}

impl Operations {
    /// A request is there.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Nobody waits for it any more.
    pub(crate) fn drop_one(&self) {
        self.begun.fetch_sub(1, Ordering::Relaxed);
    }

    /// A request that is answered.
    pub(crate) fn end(&self, bytes: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed);
        self.sectors.fetch_add(bytes.div_ceil(512), Ordering::Relaxed);
    }
}

/// The disk, which others may read meanwhile.
pub(crate) struct Reader<'a>(RwLockReadGuard<'a, Option<Service>>);

/// The disk, which nobody else has meanwhile.
pub(crate) struct Writer<'a>(RwLockWriteGuard<'a, Option<Service>>);

const IS_HERE: &str = "a guard is made of a disk that is here";

impl Deref for Reader<'_> {
    type Target = Service;

    fn deref(&self) -> &Service {
        self.0.as_ref().expect(IS_HERE)
    }
}

impl Deref for Writer<'_> {
    type Target = Service;

    fn deref(&self) -> &Service {
        self.0.as_ref().expect(IS_HERE)
    }
}

impl DerefMut for Writer<'_> {
    fn deref_mut(&mut self) -> &mut Service {
        self.0.as_mut().expect(IS_HERE)
    }
}

impl Shared {
    /// A disk whose requests wait so long for room.
    pub(crate) fn new(service: Service, patience: Duration) -> Self {
        Shared {
            patience,
            service: RwLock::new(Some(service)),
            presence: Mutex::new(Presence::Here),
            is_ending: AtomicBool::new(false),
            changed: Condvar::new(),
            traffic: Traffic::default(),
        }
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits while the disk is paused.
    pub(crate) fn read(&self) -> Result<Reader<'_>, Failure> {
        loop {
            self.check_not_ending()?;
            let guard = self.service.read().map_err(|_| Failure::of_a_thread())?;
            if guard.is_some() {
                return Ok(Reader(guard));
            }
            drop(guard);
            self.wait()?;
        }
    }

    /// Waits while the disk is paused, and for all others.
    pub(crate) fn write(&self) -> Result<Writer<'_>, Failure> {
        loop {
            self.check_not_ending()?;
            let guard = self.service.write().map_err(|_| Failure::of_a_thread())?;
            if guard.is_some() {
                return Ok(Writer(guard));
            }
            drop(guard);
            self.wait()?;
        }
    }

    /// The disk if it is here, without waiting for an unpause.
    pub(crate) fn peek(&self) -> Option<Reader<'_>> {
        self.service.read().ok().filter(|guard| guard.is_some()).map(Reader)
    }

    /// The same, for who asks while somebody has the disk alone and may have it for long: `Err` where that did not end in a
    /// moment.
    pub(crate) fn glance(&self) -> Result<Option<Reader<'_>>, Busy> {
        let start = Instant::now();
        loop {
            match self.service.try_read() {
                Ok(guard) => return Ok(Some(guard).filter(|guard| guard.is_some()).map(Reader)),
                Err(TryLockError::Poisoned(_)) => return Ok(None),
                Err(TryLockError::WouldBlock) if start.elapsed() > MOMENT => return Err(Busy),
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn check_not_ending(&self) -> Result<(), Failure> {
        if self.is_ending.load(Ordering::Acquire) { Err(Failure::of_an_end()) } else { Ok(()) }
    }

    fn wait(&self) -> Result<(), Failure> {
        let paused = self.changed.wait_while(self.presence(), |presence| *presence == Presence::Paused);
        match *paused.unwrap_or_else(PoisonError::into_inner) {
            Presence::Ended => Err(Failure::of_an_end()),
            Presence::Here | Presence::Paused => Ok(()),
        }
    }

    /// Lets what has begun end, writes everything out, and closes all files. Requests wait from now on.
    ///
    /// # Errors
    ///
    /// Nothing could be made durable: the disk goes on as far as it can.
    pub(crate) fn pause(&self) -> Result<(), Failure> {
        let mut guard = self.service.write().map_err(|_| Failure::of_a_thread())?;
        let Some(service) = guard.as_ref() else { return Ok(()) };
        service.flush()?;
        *self.presence() = Presence::Paused;
        guard.take().map_or(Ok(()), Service::close)
    }

    /// Requests go on with this disk.
    pub(crate) fn resume(&self, service: Service) {
        // What a thread left undone was the last disk's.
        *self.service.write().unwrap_or_else(PoisonError::into_inner) = Some(service);
        self.service.clear_poison();
        self.is_ending.store(false, Ordering::Release);
        *self.presence() = Presence::Here;
        self.changed.notify_all();
    }

    /// Requests that wait fail, and all that come; of long ones, what is left.
    pub(crate) fn refuse_all(&self) {
        self.is_ending.store(true, Ordering::Release);
        *self.presence() = Presence::Ended;
        self.changed.notify_all();
    }

    /// Writes everything out and closes all files. After a thread failed in the middle of a change the image stays as a kill
    /// leaves it.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        let mut guard = self.service.write().map_err(|_| Failure::of_a_thread())?;
        self.refuse_all();
        mem::take(&mut *guard).map_or(Ok(()), Service::close)
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads; all of it, or nothing is known of any of it.
    pub(crate) fn read_many(&self, reads: &mut [(u64, &mut [u8])]) -> Result<(), Failure> {
        let disk = self.read()?;
        disk.read_many(reads)?;
        if disk.absorbs() {
            drop(disk);
            reads.iter().try_for_each(|(offset, bytes)| self.absorb(*offset, bytes.len() as u64))?;
        }
        Ok(())
    }

    /// What was read may be kept for the next time.
    fn absorb(&self, offset: u64, len_bytes: u64) -> Result<(), Failure> {
        self.write()?.absorb(offset, len_bytes);
        Ok(())
    }

    /// Makes a range zeros. Others have the disk in between.
    pub(crate) fn zero(&self, offset: u64, len_bytes: u64, takes_space: bool) -> Result<(), Failure> {
        in_parts(offset, len_bytes, |at, left| self.write()?.zero(at, left, takes_space))
    }

    /// Gives space back where that can be done. Others have the disk in between.
    pub(crate) fn trim(&self, offset: u64, len_bytes: u64) -> Result<(), Failure> {
        in_parts(offset, len_bytes, |at, left| self.write()?.trim(at, left))
    }

    /// Writes bytes of any alignment.
    pub(crate) fn write_bytes(&self, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.read()?.write_over(offset, bytes);
        written.unwrap_or_else(|| self.write()?.write(offset, bytes))
    }

    /// Writes of whole sectors; what became of each.
    pub(crate) fn write_many(&self, writes: &[(u64, &[u8])]) -> Vec<Result<(), Failure>> {
        let all = |failed| vec![Err(failed); writes.len()];
        let over: Vec<_> = match self.read() {
            Ok(disk) => disk.write_over_many(writes),
            Err(failed) => return all(failed),
        };
        let left = writes.iter().zip(&over).filter(|(_, done)| done.is_none());
        let left: Vec<(u64, &[u8])> = left.map(|(write, _)| *write).collect();
        // Who changes nothing but data never has the disk alone.
        let rest = if left.is_empty() {
            vec![]
        } else {
            match self.write() {
                Ok(mut disk) => disk.write_many(&left),
                Err(failed) => vec![Err(failed); left.len()],
            }
        };
        let mut rest = rest.into_iter();
        let done = over.into_iter().map(|done| done.or_else(|| rest.next()));
        done.map(|done| done.expect("each write was done in one of two ways")).collect()
    }
}

/// Calls with what is left of a range until nothing is.
fn in_parts(
    offset: u64,
    len_bytes: u64,
    mut part: impl FnMut(u64, u64) -> Result<u64, Failure>,
) -> Result<(), Failure> {
    let mut done = 0;
    while done < len_bytes {
        done += part(offset + done, len_bytes - done)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nbd::ErrorCode;
    use std::path::{Path, PathBuf};
    use testkit::sample;
    use vhd::create::Storage;

    use super::*;
    use crate::store::Chain;

    fn disk() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vhd");
        vhd::create_image(&path, &sample::request(8, Storage::Dynamic { max_bytes: None })).unwrap();
        (directory, path)
    }

    fn open(path: &Path) -> Service {
        Service::new(Box::new(Chain::new(vhd::Disk::open_rw(path).unwrap(), false)))
    }

    #[test]
    fn after_a_thread_failed_in_a_change_every_request_does() {
        let (_directory, path) = disk();
        let disk = Shared::new(open(&path), Duration::ZERO);
        disk.write_bytes(0, &[1; 512]).unwrap();
        let failing = thread::scope(|scope| {
            let change = || {
                let _change = disk.write().unwrap();
                panic!("in the middle of a change");
            };
            scope.spawn(change).join()
        });
        assert!(failing.is_err());
        assert_eq!(disk.write_bytes(0, &[2; 512]).unwrap_err().code, ErrorCode::Io);
        assert!(disk.write_many(&[(0, &[2; 512]), (512, &[2; 512])]).iter().all(Result::is_err));
        assert!(disk.read().is_err() && disk.pause().is_err() && disk.end().is_err());
        // Opened again, the image is what a kill would have left.
        disk.resume(open(&path));
        disk.write_bytes(0, &[3; 512]).unwrap();
        disk.end().unwrap();
    }

    #[test]
    fn who_only_asks_does_not_wait_for_long() {
        let (_directory, path) = disk();
        let disk = Shared::new(open(&path), Duration::ZERO);
        let alone = disk.write().unwrap();
        thread::scope(|scope| assert!(scope.spawn(|| disk.glance().err()).join().unwrap() == Some(Busy)));
        drop(alone);
        assert!(disk.glance().is_ok_and(|disk| disk.is_some()));
    }

    #[test]
    fn writes_over_what_is_there_go_on_beside_a_reader() {
        let (_directory, path) = disk();
        let disk = Shared::new(open(&path), Duration::ZERO);
        disk.write_bytes(0, &[1; 2 << 20]).unwrap();
        let (done, told) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            let reader = disk.read().unwrap();
            scope.spawn(|| done.send(disk.write_many(&[(0, &[2; 512]), (1024, &[3; 512])])));
            let written = told.recv_timeout(Duration::from_secs(30));
            drop(reader);
            assert!(written.unwrap().iter().all(Result::is_ok));
        });
    }

    #[test]
    fn requests_wait_while_the_disk_is_paused_and_fail_when_it_ends() {
        let (_directory, path) = disk();
        let disk = Shared::new(open(&path), Duration::ZERO);
        disk.pause().unwrap();
        disk.pause().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| disk.write_bytes(512, &[7; 512]));
            thread::sleep(Duration::from_millis(50));
            assert!(!waiting.is_finished() && disk.peek().is_none() && disk.glance().is_ok_and(|disk| disk.is_none()));
            disk.resume(open(&path));
            waiting.join().unwrap().unwrap();
        });
        disk.pause().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| disk.write_bytes(0, &[7; 512]));
            thread::sleep(Duration::from_millis(50));
            disk.refuse_all();
            assert_eq!(waiting.join().unwrap().unwrap_err().code, ErrorCode::Shutdown);
        });
        let mut sectors = [0; 1024];
        vhd::Disk::open(&path).unwrap().read_at(0, &mut sectors).unwrap();
        assert!(sectors[..512] == [0; 512] && sectors[512..] == [7; 512]);
    }
}
