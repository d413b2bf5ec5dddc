//! Reads and writes past the page cache: in whole units of the file, from aligned memory, many at once. What is no whole
//! unit goes through memory of ours; what goes as one, `gather` says.
//!
//! The end of a file may be no whole unit. Reads stop there. A write of a whole unit would make the file longer, until it is
//! cut or a crash comes first, and its footer would not be at its end; so that piece goes through the page cache, is waited
//! for, and is not kept there.

use std::fs::File;
use std::io;
use std::mem;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::{Advice, SeekFrom};
use rustix::io::Errno;

use crate::aligned::{ALIGN_BYTES, AlignedBuffer, aligned_range};
use crate::engine::{self, Engine, Transfer};
use crate::gather::{Alignment, Group, Piece, cuts, groups, in_window, rounds};

/// A file that is open past the page cache.
#[derive(Debug)]
pub(crate) struct Direct {
    file: Arc<File>,
    alignment: Alignment,
    /// The same file through the page cache, where a write returns when it is on disk. Of a file that is written.
    tail: Option<File>,
    /// Shared by writes of whole units, alone for those that read a unit first.
    units: RwLock<()>,
}

/// A read of one of several files.
#[derive(Debug)]
pub(crate) struct Read<'a> {
    pub(crate) direct: &'a Direct,
    pub(crate) offset: u64,
    pub(crate) bytes: &'a mut [u8],
}

impl Direct {
    pub(crate) fn new(file: Arc<File>, alignment: Alignment, tail: Option<File>) -> Self {
        Direct { file, alignment, tail, units: RwLock::new(()) }
    }

    pub(crate) fn unit_bytes(&self) -> u64 {
        self.alignment.unit_bytes
    }

    fn transfer_unit(&self) -> usize {
        in_window(self.unit_bytes())
    }

    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        read_each(None, vec![Read { direct: self, offset, bytes }]).into_iter().collect()
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_each(None, &[(offset, bytes)]).into_iter().collect()
    }

    /// Does several writes, and says what became of each. Where they lie over each other the later one counts.
    pub(crate) fn write_each(&self, engine: Option<&dyn Engine>, writes: &[(u64, &[u8])]) -> Vec<io::Result<()>> {
        let mut done: Vec<io::Result<()>> = Vec::with_capacity(writes.len());
        let mut pieces = Vec::with_capacity(writes.len());
        for (index, &(offset, bytes)) in writes.iter().enumerate() {
            let cut = cuts(offset, bytes.len());
            done.push(cut.as_ref().map(drop).ok_or(Errno::FBIG.into()));
            let mut rest = bytes;
            for (offset, len) in cut.into_iter().flatten() {
                let (bytes, after) = rest.split_at(len);
                pieces.push(Piece { index, offset, bytes });
                rest = after;
            }
        }
        pieces.sort_by_key(|piece| piece.offset);
        let groups = groups(&pieces, |piece| (&self.file, self.alignment, piece.offset, piece.bytes));
        for round in rounds(&groups) {
            for (group, result) in round.iter().zip(self.write_round(engine, round, &pieces)) {
                if let Err(error) = result {
                    pieces[group.pieces.clone()].iter().for_each(|piece| done[piece.index] = Err(same(&error)));
                }
            }
        }
        done
    }

    fn write_round(
        &self,
        engine: Option<&dyn Engine>,
        round: &[Group],
        pieces: &[Piece<&[u8]>],
    ) -> Vec<io::Result<()>> {
        let gaps: Vec<_> = round.iter().map(|group| self.gaps(group, &pieces[group.pieces.clone()])).collect();
        // Nobody else may write a unit between our read and our write of it.
        let (_shared, _alone);
        if gaps.iter().all(Vec::is_empty) {
            _shared = self.units.read().unwrap_or_else(PoisonError::into_inner);
        } else {
            _alone = self.units.write().unwrap_or_else(PoisonError::into_inner);
        }
        let mut buffers = buffers(round);
        let mut done = self.read_gaps(engine, round, &gaps, &mut buffers);
        for (group, buffer) in round.iter().zip(&mut buffers) {
            if let Some(buffer) = buffer {
                patch(buffer, group, &pieces[group.pieces.clone()]);
            }
        }
        let (mut transfers, mut whose, mut tails) =
            (Vec::with_capacity(round.len()), Vec::with_capacity(round.len()), vec![]);
        for (index, (group, buffer)) in round.iter().zip(&buffers).enumerate().filter(|&(index, _)| done[index].is_ok())
        {
            let members = &pieces[group.pieces.clone()];
            let bytes = buffer.as_ref().map_or(members[0].bytes, AlignedBuffer::bytes);
            let (units, tail) = bytes.split_at(bytes.len() - self.tail_len(group, members));
            if !units.is_empty() {
                transfers.push(Transfer::write(&self.file, group.span.start, units, self.transfer_unit()));
                whose.push(index);
            }
            if !tail.is_empty() {
                let offset = group.span.end - tail.len() as u64;
                tails.push((index, offset, &tail[..in_window(end(members) - offset)]));
            }
        }
        for (index, (moved, _)) in whose.into_iter().zip(engine::run(engine, transfers)) {
            done[index] = moved.map(drop);
        }
        for (index, offset, bytes) in tails {
            if done[index].is_ok() {
                done[index] = self.write_tail(bytes, offset);
            }
        }
        done
    }

    /// Of a group's span the units that its pieces do not fill, or more.
    fn gaps(&self, group: &Group, pieces: &[Piece<&[u8]>]) -> Vec<Range<u64>> {
        let mut gaps: Vec<Range<u64>> = Vec::new();
        let mut filled = group.span.start;
        let ends = pieces.iter().map(|piece| (piece.offset, piece.offset + piece.bytes.len() as u64));
        for (start, end) in ends.chain([(group.span.end, group.span.end)]) {
            if filled < start {
                let units = aligned_range(filled, start - filled, self.unit_bytes());
                match gaps.last_mut() {
                    Some(last) if units.start < last.end => last.end = units.end,
                    _ => gaps.push(units),
                }
            }
            filled = filled.max(end);
        }
        // Not every unit of a buffer is aligned then.
        if self.alignment.memory_bytes > self.unit_bytes() && !gaps.is_empty() {
            gaps = vec![group.span.clone()];
        }
        gaps
    }

    /// Reads what is in the gaps; behind the end of the file there are zeros.
    fn read_gaps(
        &self,
        engine: Option<&dyn Engine>,
        round: &[Group],
        gaps: &[Vec<Range<u64>>],
        buffers: &mut [Option<AlignedBuffer>],
    ) -> Vec<io::Result<()>> {
        let (mut transfers, mut whose) = (vec![], vec![]);
        for (index, ((group, gaps), buffer)) in round.iter().zip(gaps).zip(buffers).enumerate() {
            let mut rest = buffer.as_mut().map(AlignedBuffer::bytes_mut).unwrap_or_default();
            let mut at = group.span.start;
            for gap in gaps {
                let (bytes, after) = mem::take(&mut rest).split_at_mut(in_window(gap.end - at));
                let bytes = &mut bytes[in_window(gap.start - at)..];
                transfers.push(Transfer::read(&self.file, gap.start, bytes, self.transfer_unit()));
                whose.push(index);
                (at, rest) = (gap.end, after);
            }
        }
        let mut done: Vec<io::Result<()>> = round.iter().map(|_| Ok(())).collect();
        for (index, (moved, bytes)) in whose.into_iter().zip(engine::run(engine, transfers)) {
            match moved {
                Ok(moved) => bytes.zero_from(moved),
                Err(error) => done[index] = Err(error),
            }
        }
        done
    }

    /// How much of the end of a group's span, which is no more than a unit, must not be written as one: the file would become
    /// longer than anybody asked.
    fn tail_len(&self, group: &Group, pieces: &[Piece<&[u8]>]) -> usize {
        let end = end(pieces);
        if group.span.end <= end || self.tail.is_none() {
            return 0;
        }
        let is_inside =
            rustix::fs::seek(&self.file, SeekFrom::End(0)).is_ok_and(|len_bytes| group.span.end <= len_bytes);
        if is_inside { 0 } else { self.transfer_unit() }
    }

    fn write_tail(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some(tail) = &self.tail else { return Err(Errno::BADF.into()) };
        // Nothing old is under what is written, and nothing stays. Advice that is not taken is no error: the kernel keeps
        // both ways to the file coherent.
        let forget = || rustix::fs::fadvise(tail, offset - offset % ALIGN_BYTES, None, Advice::DontNeed).ok();
        forget();
        tail.write_all_at(bytes, offset)?;
        forget();
        Ok(())
    }
}

/// Fills ranges of several files, and says what became of each: `UnexpectedEof` where a file ends before.
pub(crate) fn read_each(engine: Option<&dyn Engine>, reads: Vec<Read<'_>>) -> Vec<io::Result<()>> {
    let mut done: Vec<io::Result<()>> = Vec::with_capacity(reads.len());
    let mut pieces = Vec::with_capacity(reads.len());
    for (index, Read { direct, offset, bytes }) in reads.into_iter().enumerate() {
        let cut = cuts(offset, bytes.len());
        done.push(cut.as_ref().map(drop).ok_or(io::ErrorKind::UnexpectedEof.into()));
        let mut rest = bytes;
        for (offset, len) in cut.into_iter().flatten() {
            let (bytes, after) = mem::take(&mut rest).split_at_mut(len);
            pieces.push(Piece { index, offset, bytes: (direct, bytes) });
            rest = after;
        }
    }
    pieces.sort_by_key(|piece| (std::ptr::from_ref(piece.bytes.0).addr(), piece.offset));
    let groups = groups(&pieces, |Piece { offset, bytes: (direct, bytes), .. }| {
        (&direct.file, direct.alignment, *offset, bytes)
    });
    for round in rounds(&groups) {
        let mut buffers = buffers(round);
        let transfers = round.iter().zip(&mut buffers).map(|(group, buffer)| {
            let (direct, bytes) = &mut pieces[group.pieces.start].bytes;
            let bytes = buffer.as_mut().map_or_else(|| mem::take(bytes), AlignedBuffer::bytes_mut);
            Transfer::read(&direct.file, group.span.start, bytes, direct.transfer_unit())
        });
        let transfers: Vec<_> = transfers.collect();
        let moved: Vec<_> = engine::run(engine, transfers).map(|(moved, _)| moved).collect();
        for ((group, buffer), moved) in round.iter().zip(&buffers).zip(moved) {
            let is_alone = group.pieces.len() == 1;
            for Piece { index, offset, bytes: (direct, bytes) } in &mut pieces[group.pieces.clone()] {
                let result = match (&moved, buffer) {
                    (Err(error), _) if is_alone => Err(same(error)),
                    // Damage in one is nothing to its neighbours.
                    (Err(_), _) => direct.read_exact_at(bytes, *offset),
                    (&Ok(moved), None) if (moved as u64) < group.span.end - group.span.start => {
                        Err(io::ErrorKind::UnexpectedEof.into())
                    }
                    (Ok(_), None) => Ok(()),
                    (&Ok(moved), Some(buffer)) => {
                        let found = buffer.bytes()[..moved].get(in_window(*offset - group.span.start)..);
                        let found = found.and_then(|found| found.get(..bytes.len()));
                        found.map(|found| bytes.copy_from_slice(found)).ok_or(io::ErrorKind::UnexpectedEof.into())
                    }
                };
                if result.is_err() {
                    done[*index] = result;
                }
            }
        }
    }
    done
}

fn buffers(round: &[Group]) -> Vec<Option<AlignedBuffer>> {
    let buffer = |group: &Group| AlignedBuffer::zeroed(group.len());
    round.iter().map(|group| (!group.is_plain).then(|| buffer(group))).collect()
}

/// Writes pieces over what was read, in the order in which they were asked for.
fn patch(buffer: &mut AlignedBuffer, group: &Group, pieces: &[Piece<&[u8]>]) {
    let mut ordered: Vec<_> = pieces.iter().collect();
    ordered.sort_by_key(|piece| piece.index);
    for piece in ordered {
        let at = in_window(piece.offset - group.span.start);
        buffer.bytes_mut()[at..][..piece.bytes.len()].copy_from_slice(piece.bytes);
    }
}

/// The end of the last of these pieces.
fn end(pieces: &[Piece<&[u8]>]) -> u64 {
    pieces.iter().map(|piece| piece.offset + piece.bytes.len() as u64).max().unwrap_or(0)
}

/// An error for another one who met it.
fn same(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    use crate::engine::Bytes;

    const WINDOW: usize = 1 << 20;

    /// Leaves everything to its caller, but not before it has looked at it.
    #[derive(Debug)]
    struct Judge(Alignment);

    impl Engine for Judge {
        fn run(&self, transfers: &mut [Transfer<'_>]) {
            let mut written: Vec<Range<u64>> = Vec::new();
            for transfer in transfers {
                let offset = transfer.offset();
                let (address, len) = match transfer.left() {
                    Bytes::Into(bytes) => (bytes.as_ptr().addr(), bytes.len() as u64),
                    Bytes::From(bytes) => {
                        written.push(offset..offset + bytes.len() as u64);
                        (bytes.as_ptr().addr(), bytes.len() as u64)
                    }
                };
                assert!((address as u64).is_multiple_of(self.0.memory_bytes));
                assert!(offset.is_multiple_of(self.0.unit_bytes) && len.is_multiple_of(self.0.unit_bytes));
                assert_eq!(offset / WINDOW as u64, (offset + len - 1) / WINDOW as u64);
            }
            written.sort_by_key(|range| range.start);
            assert!(written.is_sorted_by(|one, two| one.end <= two.start), "writes race: {written:?}");
        }
    }

    #[derive(Clone, Debug)]
    struct Write {
        offset: usize,
        len: usize,
        is_aligned: bool,
    }

    fn writes() -> impl Strategy<Value = Vec<Write>> {
        // Around the border of a window, in steps of a sector and not.
        let offset = prop_oneof![0..40_000usize, (0..80usize).prop_map(|sector| sector * 512)];
        let len = prop_oneof![0..10_000usize, (0..20usize).prop_map(|sectors| sectors * 512)];
        let write = (offset, len, any::<bool>());
        let write =
            write.prop_map(|(offset, len, is_aligned)| Write { offset: WINDOW - 20_480 + offset, len, is_aligned });
        prop::collection::vec(write, 1..8)
    }

    /// Memory on a page, or beside one.
    struct Memory(AlignedBuffer, usize);

    impl Memory {
        fn of(write: &Write, byte: u8) -> Self {
            let skip = if write.is_aligned { 0 } else { 8 };
            let mut buffer = AlignedBuffer::zeroed(skip + write.len);
            buffer.bytes_mut().fill(byte);
            Memory(buffer, skip)
        }

        fn bytes(&self) -> &[u8] {
            &self.0.bytes()[self.1..]
        }
    }

    proptest! {
        #[test]
        fn a_file_holds_what_was_written_and_ends_there(
            len in 0..WINDOW + 30_000,
            batches in prop::collection::vec(writes(), 1..4),
            unit_bytes in prop::sample::select(&[512, 4096, 65536][..]),
            memory_bytes in prop::sample::select(&[4, 512, 4096][..]),
        ) {
            let named = tempfile::NamedTempFile::new().unwrap();
            let mut model: Vec<u8> = (0u8..251).cycle().take(len).collect();
            std::fs::write(named.path(), &model).unwrap();
            let open = || named.reopen().unwrap();
            let alignment = Alignment { unit_bytes, memory_bytes };
            let direct = Direct::new(Arc::new(open()), alignment, Some(open()));
            let judge = Judge(alignment);
            for (number, batch) in (100u8..).step_by(10).zip(&batches) {
                let memory: Vec<_> =
                    batch.iter().zip(number..).map(|(write, byte)| Memory::of(write, byte)).collect();
                let writes: Vec<_> =
                    batch.iter().zip(&memory).map(|(write, memory)| (write.offset as u64, memory.bytes())).collect();
                prop_assert!(direct.write_each(Some(&judge), &writes).iter().all(Result::is_ok));
                for &(offset, bytes) in writes.iter().filter(|(_, bytes)| !bytes.is_empty()) {
                    let offset = usize::try_from(offset).unwrap();
                    model.resize(model.len().max(offset + bytes.len()), 0);
                    model[offset..][..bytes.len()].copy_from_slice(bytes);
                }
                let found = std::fs::read(named.path()).unwrap();
                prop_assert_eq!(found.len(), model.len());
                prop_assert!(found == model);
                let mut memory: Vec<_> = batch.iter().map(|write| Memory::of(write, 1)).collect();
                let reads = batch.iter().zip(&mut memory).map(|(write, Memory(buffer, skip))| {
                    Read { direct: &direct, offset: write.offset as u64 + 700, bytes: &mut buffer.bytes_mut()[*skip..] }
                });
                let done = read_each(Some(&judge), reads.collect());
                for ((write, memory), done) in batch.iter().zip(&memory).zip(done) {
                    match model.get(write.offset + 700..).and_then(|held| held.get(..write.len)) {
                        Some(held) => prop_assert!(done.is_ok() && memory.bytes() == held),
                        None if write.len == 0 => prop_assert!(done.is_ok()),
                        None => prop_assert_eq!(done.unwrap_err().kind(), io::ErrorKind::UnexpectedEof),
                    }
                }
            }
        }
    }

    #[test]
    fn a_position_that_no_file_has_is_refused() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let direct = Direct::new(file, Alignment { unit_bytes: 512, memory_bytes: 512 }, None);
        for offset in [i64::MAX as u64, u64::MAX] {
            assert_eq!(direct.write_all_at(&[1; 512], offset).unwrap_err().raw_os_error(), Some(27));
            let read = direct.read_exact_at(&mut [1; 512], offset);
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn an_error_is_of_those_whom_it_met() {
        // Writes to a file that is open for reading; the empty one asks nothing.
        let named = tempfile::NamedTempFile::new().unwrap();
        let file = Arc::new(File::open(named.path()).unwrap());
        let direct = Direct::new(file, Alignment { unit_bytes: 512, memory_bytes: 512 }, None);
        let done = direct.write_each(None, &[(0, &[1; 1024]), (512, &[]), (1 << 20, &[1; 3])]);
        let numbers: Vec<_> = done.into_iter().map(|done| done.map_err(|error| error.raw_os_error())).collect();
        assert_eq!(numbers, [Err(Some(9)), Ok(()), Err(Some(9))]);
    }
}
