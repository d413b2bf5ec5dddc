//! Copying the data of a disk with a few threads: each takes a piece, reads it, gives it its place and writes it. Blocks
//! get their places in the order of the disk, however the threads overtake each other.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::PIECE_BYTES;
use super::pieces::{self, Empty, Piece};
use crate::aligned::{ALIGN_BYTES, AlignedBuffer};
use crate::bat::UNUSED;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::header::BlockSize;
use crate::medium::Medium;
use crate::plan::{Plan, Step, Target};
use crate::space::Space;
use crate::units::{SECTOR_BYTES, in_memory};
use crate::zeros;

/// More would only wait for each other: they share the disk and the memory.
const MAX_THREADS: usize = 4;
/// Ahead of the data of a block: the page at whose end its bitmap is.
const LEAD_BYTES: u64 = ALIGN_BYTES;

/// What the threads know.
#[derive(Debug)]
pub(super) struct Copying<'a, M: Medium> {
    disk: &'a Disk<M>,
    target: &'a M,
    /// Of the new disk.
    size_bytes: u64,
    buffer_len: usize,
    /// Whether zeros are there already: in a file, not on a device.
    is_blank: bool,
    /// Whether copies cost less than what they save.
    shares: bool,
    /// Of a dynamic disk; where there are none, bytes stay where they were.
    blocks: Option<Blocks>,
    /// Blocks of zeros have their places too.
    is_preallocated: bool,
    /// Of a disk without tables on a device: it makes the disk valid, so it is written when all else is there.
    first_sector: Mutex<Vec<u8>>,
    data_bytes: AtomicU64,
    has_failed: AtomicBool,
    first_error: Mutex<Option<Error>>,
}

/// What was copied.
#[derive(Debug)]
pub(super) struct Copied {
    /// The places of blocks of a dynamic disk.
    pub(super) entries: Vec<u32>,
    /// The byte position after all data.
    pub(super) end: u64,
    pub(super) data_bytes: u64,
}

#[derive(Debug)]
struct Blocks {
    space: Space<'static>,
    placed: Mutex<Placed>,
    /// Signals that it is the next one's turn.
    turn: Condvar,
}

#[derive(Debug)]
struct Placed {
    /// Whose turn it is.
    number: u64,
    entries: Vec<u32>,
    end: u64,
}

impl<'a, M: Medium + Sync> Copying<'a, M> {
    /// Onto a medium; behind the tables of a dynamic disk.
    pub(super) fn new(
        disk: &'a Disk<M>,
        target: &'a M,
        size_bytes: u64,
        tables_end: Option<u64>,
        is_preallocated: bool,
    ) -> Result<Self> {
        let is_blank = target.target() == Target::File;
        let mut files = disk.images().map(|image| image.file()).chain(disk.base());
        let blocks = tables_end.map(|end| Blocks::new(target.target(), size_bytes, end)).transpose()?;
        if is_preallocated && is_blank {
            let len_bytes = blocks.as_ref().map_or(Ok(size_bytes), Blocks::end_of_all)?;
            target.perform(&Plan { steps: vec![Step::Reserve { what: "data", offset: 0, len_bytes }] })?;
        }
        Ok(Copying {
            shares: is_blank && !is_preallocated && files.all(|file| target.shares_with(file)),
            disk,
            target,
            size_bytes,
            buffer_len: in_memory("buffer", LEAD_BYTES + PIECE_BYTES.min(size_bytes))?,
            is_blank,
            blocks,
            is_preallocated,
            first_sector: Mutex::new(vec![]),
            data_bytes: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            first_error: Mutex::new(None),
        })
    }

    /// Copies everything. Calls `progress` with the bytes of the disk that are done.
    pub(super) fn run(mut self, mut progress: impl FnMut(u64)) -> Result<Copied> {
        self.copy(&mut progress)?;
        let first_sector = std::mem::take(&mut *lock(&self.first_sector));
        if !first_sector.is_empty() {
            self.target.flush()?;
            let steps = vec![Step::Write { what: "first sector", offset: 0, bytes: first_sector }];
            self.target.perform(&Plan { steps })?;
        }
        progress(self.size_bytes);
        let data_bytes = *self.data_bytes.get_mut();
        let placed = self.blocks.map(|blocks| blocks.placed.into_inner().unwrap_or_else(PoisonError::into_inner));
        let (entries, end) = placed.map_or((vec![], self.size_bytes), |placed| (placed.entries, placed.end));
        Ok(Copied { entries, end, data_bytes })
    }

    fn copy(&self, progress: &mut impl FnMut(u64)) -> Result<()> {
        let threads = thread::available_parallelism().map_or(2, |threads| threads.get().clamp(2, MAX_THREADS));
        let (sender, receiver) = sync_channel(threads);
        let receiver = Mutex::new(receiver);
        thread::scope(|scope| {
            for _ in 0..threads {
                let spawned = thread::Builder::new().spawn_scoped(scope, || self.work(&receiver));
                spawned.map_err(|source| Error::io("cannot start a thread", source))?;
            }
            self.send(sender, progress)
        })?;
        match lock(&self.first_error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn send(&self, sender: SyncSender<Piece>, progress: &mut impl FnMut(u64)) -> Result<()> {
        let empty = match (&self.blocks, self.is_blank) {
            (Some(_), _) if self.is_preallocated => Empty::Blocks,
            (None, false) => Empty::Pieces,
            (Some(_), _) | (None, true) => Empty::Skipped,
        };
        pieces::each(self.disk, self.size_bytes, empty, |piece| {
            progress(piece.offset);
            match sender.send(piece) {
                Ok(()) if !self.has_failed.load(Ordering::Relaxed) => ControlFlow::Continue(()),
                Ok(()) | Err(_) => ControlFlow::Break(()),
            }
        })
    }

    fn work(&self, pieces: &Mutex<Receiver<Piece>>) {
        let mut buffer = AlignedBuffer::zeroed(self.buffer_len);
        let next = || lock(pieces).recv();
        while let Ok(piece) = next() {
            // After a failure pieces are only taken away, so that nobody waits for room for more.
            if self.has_failed.load(Ordering::Relaxed) {
                continue;
            }
            if let Err(error) = self.copy_piece(&piece, buffer.bytes_mut()) {
                lock(&self.first_error).get_or_insert(error);
                self.has_failed.store(true, Ordering::Relaxed);
                if let Some(blocks) = &self.blocks {
                    blocks.wake();
                }
            }
        }
    }

    fn copy_piece(&self, piece: &Piece, buffer: &mut [u8]) -> Result<()> {
        let Some(blocks) = &self.blocks else {
            return match piece.data.is_empty() || self.read(piece, buffer)? {
                true if self.is_blank => Ok(()),
                true => self.zero(piece),
                false => {
                    if piece.offset == 0 && !self.is_blank {
                        self.hold_back(&mut buffer[in_memory("data", LEAD_BYTES)?..])?;
                    }
                    self.write(piece, piece.offset, buffer, LEAD_BYTES)
                }
            };
        };
        let is_zero = self.read(piece, buffer)?;
        let Some(entry) = blocks.place(piece, !is_zero || self.is_preallocated, &self.has_failed)? else {
            return Ok(());
        };
        let (bitmap_at, data_at) = (in_memory("bitmap", LEAD_BYTES - SECTOR_BYTES)?, in_memory("data", LEAD_BYTES)?);
        // The bytes in front of the bitmap are a gap, or of tables that are written later.
        buffer[..bitmap_at].fill(0);
        buffer[bitmap_at..data_at].fill(0xff);
        self.write(piece, blocks.space.data_offset(entry), buffer, 0)
    }

    /// Reads a piece; whether all of it is zeros. What is shared is only looked at.
    fn read(&self, piece: &Piece, buffer: &mut [u8]) -> Result<bool> {
        let bytes = &mut buffer[in_memory("data", LEAD_BYTES)?..][..in_memory("data", piece.len_bytes)?];
        if self.shares {
            let mut probe = Vec::new();
            for &(_, run) in &piece.data {
                if !self.disk.is_zero_run(run, &mut probe)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let mut rest = bytes;
        let mut at = piece.offset;
        for &(offset, run) in &piece.data {
            let (hole, after) = rest.split_at_mut(in_memory("data", offset - at)?);
            let (held, after) = after.split_at_mut(in_memory("data", run.len_bytes)?);
            hole.fill(0);
            self.disk.read_place(offset, run.place, held)?;
            (rest, at) = (after, offset + run.len_bytes);
        }
        rest.fill(0);
        Ok(zeros::is_zero(&buffer[in_memory("data", LEAD_BYTES)?..][..in_memory("data", piece.len_bytes)?]))
    }

    /// Writes a piece to where its data goes, and with it what of the buffer is in front of that.
    fn write(&self, piece: &Piece, data_offset: u64, buffer: &[u8], from: u64) -> Result<()> {
        let bytes = &buffer[in_memory("data", from)?..in_memory("data", LEAD_BYTES + piece.len_bytes)?];
        let offset = data_offset + from - LEAD_BYTES;
        let failed = |source| self.failed(piece, source);
        let mut written = 0;
        if self.shares {
            let lead = &bytes[..in_memory("data", LEAD_BYTES - from)?];
            self.target.write_all_at(lead, offset).map_err(failed)?;
            for &(at, run) in &piece.data {
                let Some((source, from)) = self.disk.source(run.place) else { continue };
                let to = data_offset + at - piece.offset;
                self.target.copy_from(source, from, to, run.len_bytes).map_err(failed)?;
                written += run.len_bytes;
            }
        } else if self.is_blank {
            for stretch in zeros::data(bytes) {
                written += stretch.len() as u64;
                self.target.write_all_at(&bytes[stretch.clone()], offset + stretch.start as u64).map_err(failed)?;
            }
            written = written.saturating_sub(LEAD_BYTES - from);
        } else {
            self.target.write_all_at(bytes, offset).map_err(failed)?;
            written += piece.len_bytes;
        }
        self.data_bytes.fetch_add(written, Ordering::Relaxed);
        Ok(())
    }

    fn hold_back(&self, bytes: &mut [u8]) -> Result<()> {
        let first = &mut bytes[..in_memory("sector", SECTOR_BYTES)?];
        *lock(&self.first_sector) = first.to_vec();
        first.fill(0);
        Ok(())
    }

    fn zero(&self, piece: &Piece) -> Result<()> {
        self.target.zero(piece.offset, piece.len_bytes).map_err(|source| self.failed(piece, source))
    }

    fn failed(&self, piece: &Piece, source: std::io::Error) -> Error {
        let path = self.target.path().display();
        Error::io(format!("cannot write {} bytes of the disk at {} to `{path}`", piece.len_bytes, piece.offset), source)
    }
}

impl Blocks {
    fn new(target: Target, size_bytes: u64, end: u64) -> Result<Self> {
        let blocks = in_memory("BAT", size_bytes / PIECE_BYTES)?;
        let placed = Placed { number: 0, entries: vec![UNUSED; blocks], end };
        let (block_size, footer) = (BlockSize::DEFAULT, &[]);
        let space = Space { block_size, table_offset: 0, end, target, medium_bytes: 0, footer, write_back: None };
        Ok(Blocks { space, placed: Mutex::new(placed), turn: Condvar::new() })
    }

    /// Where the data ends when every block has a place.
    fn end_of_all(&self) -> Result<u64> {
        let placed = lock(&self.placed);
        placed.entries.iter().try_fold(placed.end, |end, _| Ok(self.space.block_end(self.space.place(end)?)))
    }

    /// Gives the block of a piece the next place if it needs one, when all pieces before it have theirs. None after a
    /// failure elsewhere.
    fn place(&self, piece: &Piece, is_needed: bool, has_failed: &AtomicBool) -> Result<Option<u32>> {
        let mut placed = lock(&self.placed);
        while placed.number != piece.number {
            if has_failed.load(Ordering::Relaxed) {
                return Ok(None);
            }
            placed = self.turn.wait(placed).unwrap_or_else(PoisonError::into_inner);
        }
        placed.number += 1;
        self.turn.notify_all();
        if !is_needed {
            return Ok(None);
        }
        let entry = self.space.place(placed.end)?;
        placed.end = self.space.block_end(entry);
        let index = in_memory("BAT", piece.offset / PIECE_BYTES)?;
        if let Some(slot) = placed.entries.get_mut(index) {
            *slot = entry;
        }
        Ok(Some(entry))
    }

    /// Has whoever waits for a turn look whether it still comes.
    fn wake(&self) {
        let _placed = lock(&self.placed);
        self.turn.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
