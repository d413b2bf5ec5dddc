//! A disk in memory that remembers every write and sync, and shows what a crash at any of them leaves behind.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use vhd::Medium;
use vhd::plan::Target;

/// What happened to the disk.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Write { offset: usize, bytes: Vec<u8> },
    Sync,
}

#[derive(Debug)]
struct State {
    start: Vec<u8>,
    bytes: Vec<u8>,
    log: Vec<Event>,
    /// How many events there may be before one fails, once, for want of space.
    fails_in: Option<usize>,
}

impl State {
    fn fail(&mut self) -> io::Result<()> {
        match &mut self.fails_in {
            Some(0) => {
                self.fails_in = None;
                Err(io::Error::from_raw_os_error(28))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Clones are handles of one disk.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    state: Rc<RefCell<State>>,
    is_device: bool,
}

impl SimDisk {
    pub(crate) fn file(bytes: Vec<u8>) -> Self {
        let state = State { start: bytes.clone(), bytes, log: vec![], fails_in: None };
        SimDisk { state: Rc::new(RefCell::new(state)), is_device: false }
    }

    pub(crate) fn device(bytes: Vec<u8>) -> Self {
        SimDisk { is_device: true, ..SimDisk::file(bytes) }
    }

    pub(crate) fn fail_in(&self, events: usize) {
        self.state.borrow_mut().fails_in = Some(events);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state.borrow().bytes.clone()
    }

    pub(crate) fn log_len(&self) -> usize {
        self.state.borrow().log.len()
    }

    /// The disk after a crash when so many events had happened. What was not synced yet arrived, sector by sector, as
    /// `is_kept` decides.
    pub(crate) fn crashed(&self, events: usize, mut is_kept: impl FnMut() -> bool) -> SimDisk {
        let state = self.state.borrow();
        let log = &state.log[..events];
        let synced = log.iter().rposition(|event| matches!(event, Event::Sync)).unwrap_or(0);
        let mut bytes = state.start.clone();
        for (index, event) in log.iter().enumerate() {
            let Event::Write { offset, bytes: written } = event else { continue };
            let mut at = *offset;
            let mut rest = written.as_slice();
            while !rest.is_empty() {
                let (sector, after) = rest.split_at((512 - at % 512).min(rest.len()));
                if index < synced || is_kept() {
                    put(&mut bytes, at, sector);
                }
                (at, rest) = (at + sector.len(), after);
            }
        }
        SimDisk { is_device: self.is_device, ..SimDisk::file(bytes) }
    }
}

fn put(disk: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    disk.resize(disk.len().max(offset + bytes.len()), 0);
    disk[offset..][..bytes.len()].copy_from_slice(bytes);
}

impl Medium for SimDisk {
    fn path(&self) -> &Path {
        Path::new("simulated")
    }

    fn len_bytes(&self) -> u64 {
        self.state.borrow().bytes.len() as u64
    }

    fn target(&self) -> Target {
        if self.is_device { Target::BlockDevice { len_bytes: self.len_bytes() } } else { Target::File }
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.state.borrow();
        let from = usize::try_from(offset).ok().and_then(|offset| state.bytes.get(offset..));
        let found = from.and_then(|from| from.get(..bytes.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let mut state = self.state.borrow_mut();
        assert!(!self.is_device || offset + bytes.len() <= state.bytes.len(), "write past the end of the device");
        state.fail()?;
        put(&mut state.bytes, offset, bytes);
        state.log.push(Event::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.fail()?;
        state.log.push(Event::Sync);
        Ok(())
    }
}
