//! Reading a journal: everything in it is checked before anyone acts on it. Whole pieces are read through, never held;
//! what a hostile journal asks for is an error. Reads the journal only.

use rustix::io::Errno;

use crate::bat::{Bat, ENTRY_BYTES as BAT_ENTRY_BYTES, UNUSED};
use crate::batmap::{BATMAP_HEADER_BYTES, Batmap, BatmapHeader, RawBatmapHeader};
use crate::copy;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{DiskKind, FOOTER_BYTES, Footer, RawFooter};
use crate::header::{HEADER_BYTES as SPARSE_HEADER_BYTES, Header, RawHeader};
use crate::journal::{ENTRY_BYTES, ENTRY_LEN, Entry, HEADER_BYTES, HEADER_LEN, JournalHeader, Kind};
use crate::layout::Layout;
use crate::medium::Medium;
use crate::units::{Extent, MAX_BAT_ENTRIES, in_memory};

/// What brings the image back, footers aside, in this order.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Bytes of the journal from here on go to this place.
    Copy { from: u64, to: Extent },
    /// One byte many times.
    Fill { to: Extent, byte: u8 },
}

/// A whole journal.
#[derive(Debug)]
pub(crate) struct Undo {
    pub(crate) footer: Footer,
    pub(crate) raw_footer: RawFooter,
    pub(crate) sparse: Option<SparseUndo>,
    pub(crate) pieces: Vec<Piece>,
    /// Where the image's metadata and blocks ended; all of that, but what is among the pieces, must still be there.
    pub(crate) end: u64,
}

/// Metadata of a sparse disk that is looked at as well as brought back.
#[derive(Debug)]
pub(crate) struct SparseUndo {
    pub(crate) raw_copy: RawFooter,
    pub(crate) raw_header: RawHeader,
    pub(crate) bat: Bat,
}

/// Reads the header.
pub(crate) fn header(journal: &impl Medium) -> Result<JournalHeader> {
    let bytes = journal.read("header", 0, HEADER_BYTES);
    bytes.and_then(|bytes| JournalHeader::decode(&bytes)).map_err(|error| unusable(journal, error))
}

/// Reads everything else.
pub(crate) fn undo(journal: &impl Medium, header: &JournalHeader) -> Result<Undo> {
    let mut walk = Walk { journal, at: HEADER_LEN, entries: 0 };
    walk.undo(header).map_err(|error| unusable(journal, error))
}

/// A journal that ends early is as bad as any other.
fn unusable(journal: &impl Medium, error: Error) -> Error {
    let is_io = error.kind() == ErrorKind::Io;
    let error = error.within(format!("cannot use journal `{}`", journal.path().display()));
    if is_io { error } else { error.with_errno(Errno::INVAL) }
}

struct Walk<'a, J: Medium> {
    journal: &'a J,
    at: u64,
    entries: u32,
}

impl<J: Medium> Walk<'_, J> {
    fn undo(&mut self, header: &JournalHeader) -> Result<Undo> {
        let raw_footer = RawFooter::from_prefix(&self.at_place(Kind::Footer, header.footer_offset, FOOTER_BYTES)?);
        let footer = good_footer(&raw_footer, header)?;
        let mut undo = Undo { footer, raw_footer, sparse: None, pieces: vec![], end: 0 };
        match undo.footer.kind {
            DiskKind::Dynamic | DiskKind::Differencing => self.sparse(header, &mut undo)?,
            DiskKind::Fixed if header.data_entries == 0 && header.metadata_entries == 1 => {
                undo.end = undo.footer.current_bytes;
            }
            kind => return Err(Error::corrupt(format!("is of no use for a disk of type {}", u32::from(kind)))),
        }
        if self.at != header.end {
            return Err(Error::corrupt(format!("ends at {}, its header says {}", self.at, header.end)));
        }
        Ok(undo)
    }

    fn sparse(&mut self, header: &JournalHeader, undo: &mut Undo) -> Result<()> {
        let raw_copy = RawFooter::from_prefix(&self.at_place(Kind::FooterCopy, 0, FOOTER_BYTES)?);
        good_footer(&raw_copy, header)?;
        let offset = undo.footer.data_offset;
        let raw_header = RawHeader::from_prefix(&self.at_place(Kind::Header, offset, SPARSE_HEADER_BYTES)?);
        undo.pieces.push(self.last(Extent { offset, len_bytes: SPARSE_HEADER_BYTES as u64 }));
        let sparse = Header::try_from(&raw_header)?;
        // Without the batmap, which comes later; the rooms of paths are right from here on.
        let layout = Layout::of(&undo.footer, &sparse, None, header.footer_offset)?;
        for (_, room) in layout.locators {
            let found = self.next(Kind::Locator)?;
            if found.extent != room {
                return Err(misplaced(found.extent, room));
            }
            undo.pieces.push(self.last(room));
        }
        let bat = self.bat(&undo.footer, &sparse, &mut undo.pieces)?;
        let batmap = if self.at < header.data_offset || undo.footer.creator.always_has_batmap() {
            Some(self.batmap(&undo.footer, &sparse, header.footer_offset, &mut undo.pieces)?)
        } else {
            None
        };
        let layout = Layout::of(&undo.footer, &sparse, batmap.as_ref(), header.footer_offset)?;
        undo.end = layout.end().max(bat.end_of_data().unwrap_or(0).min(header.footer_offset));
        if self.entries != header.metadata_entries || self.at != header.data_offset {
            let (entries, at) = (header.metadata_entries, header.data_offset);
            return Err(Error::corrupt(format!("metadata is not {entries} entries that end at {at}")));
        }
        for _ in 0..header.data_entries {
            let found = self.next(Kind::Data)?.extent;
            // Footer copy and header were checked, so nothing may take their places.
            let is_free = found.offset >= FOOTER_BYTES as u64 && !found.overlaps(layout.header);
            if !is_free || found.offset >= header.footer_offset {
                return Err(Error::corrupt(format!("would write {} bytes at {}", found.len_bytes, found.offset)));
            }
            // The last block of a file may be shorter than the block that libvhd writes down.
            let len_bytes = found.len_bytes.min(header.footer_offset - found.offset);
            let from = self.at - found.len_bytes;
            undo.pieces.push(Piece::Copy { from, to: Extent { len_bytes, ..found } });
        }
        undo.sparse = Some(SparseUndo { raw_copy, raw_header, bat });
        Ok(())
    }

    /// libvhd writes down the entries that the disk's size needs, and cannot read that again where the table is longer.
    fn bat(&mut self, footer: &Footer, header: &Header, pieces: &mut Vec<Piece>) -> Result<Bat> {
        let (used, room) = (Bat::extent(footer, header)?, Bat::room(header)?);
        let found = self.next(Kind::Bat)?.extent;
        if found.offset != room.offset || found.len_bytes < used.len_bytes || found.len_bytes > room.len_bytes {
            return Err(misplaced(found, room));
        }
        if header.max_bat_entries > MAX_BAT_ENTRIES {
            return Err(Error::corrupt(format!("BAT has {} entries", header.max_bat_entries)));
        }
        let from = self.at - found.len_bytes;
        pieces.push(self.last(found));
        let end = found.end("BAT")?;
        let entries_end = room.offset + u64::from(header.max_bat_entries) * BAT_ENTRY_BYTES;
        let [unused_byte, ..] = UNUSED.to_be_bytes();
        fill(pieces, end, entries_end, unused_byte);
        fill(pieces, end.max(entries_end), room.end("BAT")?, 0);
        let bytes = self.journal.read("BAT", from, in_memory("BAT", used.len_bytes)?)?;
        Ok(Bat::new(Bat::decode(&bytes).collect(), header.block_size))
    }

    /// Only what the checksum covers is the image's: behind it, libvhd writes down what was in its memory.
    fn batmap(
        &mut self,
        footer: &Footer,
        header: &Header,
        footer_offset: u64,
        pieces: &mut Vec<Piece>,
    ) -> Result<BatmapHeader> {
        let place = BatmapHeader::extent(Bat::room(header)?)?;
        let raw =
            RawBatmapHeader::from_prefix(&self.at_place(Kind::BatmapHeader, place.offset, BATMAP_HEADER_BYTES)?);
        pieces.push(self.last(place));
        let batmap = BatmapHeader::try_from(&raw)?;
        let found = self.next(Kind::Batmap)?.extent;
        if found != batmap.map_room() {
            return Err(misplaced(found, batmap.map_room()));
        }
        let used = batmap.map_extent(footer)?;
        let from = self.at - found.len_bytes;
        let map = self.journal.read("batmap", from, in_memory("batmap", used.len_bytes)?)?;
        Batmap::new(batmap.clone(), map)?;
        pieces.push(Piece::Copy { from, to: used });
        fill(pieces, used.end("batmap")?, found.end("batmap")?.min(footer_offset), 0);
        Ok(batmap)
    }

    /// The next entry, which must be of this kind; its bytes fit its checksum.
    fn next(&mut self, kind: Kind) -> Result<Entry> {
        let within = |error: Error, at| error.within(format!("cannot read entry at {at} ({kind:?})"));
        let at = self.at;
        let entry = self.journal.read("entry", at, ENTRY_BYTES).and_then(|bytes| Entry::decode(&bytes));
        let entry = entry.map_err(|error| within(error, at))?;
        if entry.kind != kind {
            return Err(within(Error::corrupt(format!("it is {:?}", entry.kind)), at));
        }
        let run = Extent { offset: at + ENTRY_LEN, len_bytes: entry.extent.len_bytes };
        let checked = copy::sum("entry", self.journal, run).and_then(|data_sum| entry.check(data_sum));
        checked.map_err(|error| within(error, at))?;
        self.at = run.end("entry")?;
        self.entries += 1;
        Ok(entry)
    }

    /// The bytes of the next entry, which must be this piece.
    fn at_place(&mut self, kind: Kind, offset: u64, len: usize) -> Result<Vec<u8>> {
        let wanted = Extent { offset, len_bytes: len as u64 };
        let found = self.next(kind)?.extent;
        if found != wanted {
            return Err(misplaced(found, wanted));
        }
        self.journal.read("entry", self.at - found.len_bytes, len)
    }

    /// The bytes of the entry that was read last.
    fn last(&self, to: Extent) -> Piece {
        Piece::Copy { from: self.at - to.len_bytes, to }
    }
}

fn good_footer(raw: &RawFooter, header: &JournalHeader) -> Result<Footer> {
    let footer = Footer::try_from(raw)?;
    if footer.uuid != header.uuid || footer.is_poisoned {
        return Err(Error::corrupt(format!("holds a footer of {}, not of {}", footer.uuid, header.uuid)));
    }
    Ok(footer)
}

fn misplaced(found: Extent, wanted: Extent) -> Error {
    let Extent { offset, len_bytes } = found;
    Error::corrupt(format!("has {len_bytes} bytes for {offset}, not {} for {}", wanted.len_bytes, wanted.offset))
}

fn fill(pieces: &mut Vec<Piece>, from: u64, to: u64, byte: u8) {
    if from < to {
        pieces.push(Piece::Fill { to: Extent { offset: from, len_bytes: to - from }, byte });
    }
}
