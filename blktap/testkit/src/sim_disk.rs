//! A disk in memory that remembers every write and sync, and shows what a crash at any of them leaves behind.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use vhd::Medium;
use vhd::plan::Target;

const SECTOR: usize = 512;

/// What happened to a disk.
#[derive(Clone, Debug)]
enum Event {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
    Sync,
}

#[derive(Clone, Debug)]
struct Content {
    start: Vec<u8>,
    bytes: Vec<u8>,
    /// By sector, whether it takes space; what lies further on does not.
    is_taken: Vec<bool>,
}

impl Content {
    fn new(bytes: Vec<u8>) -> Self {
        Content { start: bytes.clone(), is_taken: vec![true; bytes.len().div_ceil(SECTOR)], bytes }
    }

    /// Takes the space of a write, as far as there is some; how many bytes can be written.
    fn take(&mut self, offset: usize, len: usize, space: &mut usize) -> usize {
        let end = offset + len;
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            self.is_taken.resize(self.is_taken.len().max(sector + 1), false);
            if !self.is_taken[sector] {
                if *space == 0 {
                    return (sector * SECTOR).saturating_sub(offset);
                }
                *space -= 1;
                self.is_taken[sector] = true;
            }
        }
        len
    }

    /// Gives back the space of whole sectors.
    fn give_back(&mut self, offset: usize, end: usize, space: &mut usize) {
        let end = (end / SECTOR).min(self.is_taken.len());
        for is_taken in &mut self.is_taken[offset.div_ceil(SECTOR).min(end)..end] {
            *space = space.saturating_add((*is_taken).into());
            *is_taken = false;
        }
    }
}

/// Disks that crash together.
#[derive(Debug)]
struct State {
    disks: Vec<Content>,
    /// Which disk, and what happened to it.
    log: Vec<(usize, Event)>,
    /// How many events there may be before one fails, once, and with what.
    fails_in: Option<(usize, i32)>,
    /// Sectors that can be taken.
    space: usize,
}

impl State {
    fn fail(&mut self) -> io::Result<()> {
        match &mut self.fails_in {
            &mut Some((0, errno)) => {
                self.fails_in = None;
                Err(io::Error::from_raw_os_error(errno))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Clones are handles of one disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    index: usize,
    is_device: bool,
    /// Only a sync says when there is no space.
    is_unsure: bool,
}

impl SimDisk {
    pub fn file(bytes: Vec<u8>) -> Self {
        let state = State { disks: vec![Content::new(bytes)], log: vec![], fails_in: None, space: usize::MAX };
        SimDisk { state: Arc::new(Mutex::new(state)), index: 0, is_device: false, is_unsure: false }
    }

    pub fn device(bytes: Vec<u8>) -> Self {
        SimDisk { is_device: true, ..SimDisk::file(bytes) }
    }

    /// A file of which nobody knows before a sync whether there is space for it.
    pub fn unsure_file(bytes: Vec<u8>) -> Self {
        SimDisk { is_unsure: true, ..SimDisk::file(bytes) }
    }

    /// An empty file that crashes when this disk does: one log has the events of both.
    pub fn file_beside(&self) -> Self {
        let mut state = self.state.lock().unwrap();
        state.disks.push(Content::new(vec![]));
        SimDisk { state: Arc::clone(&self.state), index: state.disks.len() - 1, is_device: false, ..*self }
    }

    /// After so many events one fails for want of space.
    pub fn fail_in(&self, events: usize) {
        self.fail_in_with(events, 28);
    }

    /// After so many events one fails with this number.
    pub fn fail_in_with(&self, events: usize, errno: i32) {
        self.state.lock().unwrap().fails_in = Some((events, errno));
    }

    /// Nothing fails that was to fail.
    pub fn fail_no_more(&self) {
        self.state.lock().unwrap().fails_in = None;
    }

    /// How many sectors more the disks can take; what is a hole takes none. Without a call there is no bound.
    pub fn set_space(&self, sectors: usize) {
        self.state.lock().unwrap().space = sectors;
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().disks[self.index].bytes.clone()
    }

    pub fn log_len(&self) -> usize {
        self.state.lock().unwrap().log.len()
    }

    /// Bytes of the longest write.
    pub fn longest_write(&self) -> usize {
        let state = self.state.lock().unwrap();
        let lens = state.log.iter().filter(|(disk, _)| *disk == self.index).map(|(_, event)| match event {
            Event::Write { bytes, .. } => bytes.len(),
            Event::Truncate { .. } | Event::Sync => 0,
        });
        lens.max().unwrap_or(0)
    }

    /// The disk after a crash when so many events had happened. What was not synced yet arrived, sector by sector, as
    /// `is_kept` decides.
    pub fn crashed(&self, events: usize, mut is_kept: impl FnMut() -> bool) -> SimDisk {
        self.crashed_with(events, || if is_kept() { SECTOR } else { 0 })
    }

    /// The same, where of every sector that was not synced yet its first `kept` bytes arrived, one at least.
    pub fn torn(&self, events: usize, kept: usize) -> SimDisk {
        self.crashed_with(events, || kept)
    }

    /// `kept` says how many bytes of a sector arrived.
    fn crashed_with(&self, events: usize, mut kept: impl FnMut() -> usize) -> SimDisk {
        let state = self.state.lock().unwrap();
        let log = &state.log[..events];
        let is_sync = |(disk, event): &(usize, Event)| *disk == self.index && matches!(event, Event::Sync);
        let synced = log.iter().rposition(is_sync).unwrap_or(0);
        let mut bytes = state.disks[self.index].start.clone();
        for (index, (_, event)) in log.iter().enumerate().filter(|(_, (disk, _))| *disk == self.index) {
            match event {
                Event::Sync => {}
                Event::Truncate { len } => {
                    if index < synced || kept() > 0 {
                        bytes.resize(*len, 0);
                    }
                }
                Event::Write { offset, bytes: written } => {
                    let mut at = *offset;
                    let mut rest = written.as_slice();
                    while !rest.is_empty() {
                        let (sector, after) = rest.split_at((SECTOR - at % SECTOR).min(rest.len()));
                        let kept = if index < synced { SECTOR } else { kept() };
                        if kept > at % SECTOR {
                            bytes.resize(bytes.len().max(at + sector.len()), 0);
                            put(&mut bytes, at, &sector[..sector.len().min(kept - at % SECTOR)]);
                        }
                        (at, rest) = (at + sector.len(), after);
                    }
                }
            }
        }
        SimDisk { is_device: self.is_device, ..SimDisk::file(bytes) }
    }

    fn happened(&self, event: Event) {
        self.state.lock().unwrap().log.push((self.index, event));
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
        self.state.lock().unwrap().disks[self.index].bytes.len() as u64
    }

    fn target(&self) -> Target {
        if self.is_device { Target::BlockDevice { len_bytes: self.len_bytes() } } else { Target::File }
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let from = usize::try_from(offset).ok().and_then(|offset| state.disks[self.index].bytes.get(offset..));
        let found = from.and_then(|from| from.get(..bytes.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let mut state = self.state.lock().unwrap();
        state.fail()?;
        let State { disks, space, .. } = &mut *state;
        let disk = &mut disks[self.index];
        assert!(!self.is_device || offset + bytes.len() <= disk.bytes.len(), "write past the end of the device");
        let fitting = disk.take(offset, bytes.len(), space);
        if fitting > 0 {
            put(&mut disk.bytes, offset, &bytes[..fitting]);
        }
        drop(state);
        if fitting > 0 {
            self.happened(Event::Write { offset, bytes: bytes[..fitting].to_vec() });
        }
        if fitting < bytes.len() { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }

    fn take_space(&self, _offset: u64, _len_bytes: u64) -> io::Result<bool> {
        Ok(!self.is_unsure)
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        assert!(!self.is_device, "a device keeps its size");
        let len = usize::try_from(len_bytes).unwrap();
        let mut state = self.state.lock().unwrap();
        state.fail()?;
        let State { disks, space, .. } = &mut *state;
        let disk = &mut disks[self.index];
        disk.give_back(len.next_multiple_of(SECTOR), usize::MAX, space);
        disk.bytes.resize(len, 0);
        drop(state);
        self.happened(Event::Truncate { len });
        self.happened(Event::Sync);
        Ok(())
    }

    /// Sectors of zeros are holes.
    fn first_data(&self, range: Range<u64>) -> io::Result<Option<Range<u64>>> {
        let state = self.state.lock().unwrap();
        let bytes = &state.disks[self.index].bytes;
        let place = |offset: u64| usize::try_from(offset).unwrap().min(bytes.len());
        let is_hole = |at: &u64| bytes[place(*at)..place(at / 512 * 512 + 512)].iter().all(|&byte| byte == 0);
        let sectors = |from: u64| {
            std::iter::successors(Some(from), |at| Some(at / 512 * 512 + 512)).take_while(|&at| at < range.end)
        };
        let start = sectors(range.start).find(|at| !is_hole(at));
        Ok(start.map(|start| start..sectors(start).find(is_hole).unwrap_or(range.end)))
    }

    fn discard(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        let (offset, len) = (usize::try_from(offset).unwrap(), usize::try_from(len_bytes).unwrap());
        let mut state = self.state.lock().unwrap();
        state.fail()?;
        let State { disks, space, .. } = &mut *state;
        let disk = &mut disks[self.index];
        assert!(offset + len <= disk.bytes.len(), "punched past the end");
        disk.bytes[offset..][..len].fill(0);
        disk.give_back(offset, offset + len, space);
        drop(state);
        self.happened(Event::Write { offset, bytes: vec![0; len] });
        Ok(())
    }

    fn punch(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.discard(offset, len_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.state.lock().unwrap().fail()?;
        self.happened(Event::Sync);
        Ok(())
    }
}
