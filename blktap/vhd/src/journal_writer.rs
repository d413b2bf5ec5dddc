//! Writing a journal: what an image holds now and is about to lose. Reads the image; writes the journal only.

use uuid::Uuid;

use crate::copy;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{ENTRY_LEN, Entry, HEADER_BYTES, HEADER_LEN, JournalHeader, Kind};
use crate::medium::Medium;
use crate::plan::{Plan, Step, Target};
use crate::units::{Extent, sum};

/// What a journal has to hold.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Identity of the image.
    pub(crate) uuid: Uuid,
    /// Where the primary footer stands.
    pub(crate) footer_offset: u64,
    /// Metadata in libvhd's order, then anything else.
    pub(crate) pieces: Vec<(Kind, Extent)>,
}

/// Writes the journal; when this returns it is durable. Until the last moment it is a journal without entries.
pub(crate) fn write(image: &impl Medium, journal: &impl Medium, held: &Held) -> Result<()> {
    let doing = || format!("cannot write journal `{}`", journal.path().display());
    try_write(image, journal, held).map_err(|error| error.within(doing()))
}

fn try_write(image: &impl Medium, journal: &impl Medium, held: &Held) -> Result<()> {
    let lens: Vec<u64> = held.pieces.iter().flat_map(|(_, extent)| [ENTRY_LEN, extent.len_bytes]).collect();
    let needed = sum("journal", &[HEADER_LEN, sum("journal", &lens)?])?;
    if let Target::BlockDevice { len_bytes } = journal.target()
        && needed > len_bytes
    {
        let message = format!("device has {len_bytes} bytes, the journal needs {needed}");
        return Err(Error::new(ErrorKind::NoSpace, message));
    }
    let mut header = empty(held.uuid, held.footer_offset);
    put(journal, 0, header.encode())?;
    journal.flush()?;
    for &(kind, extent) in &held.pieces {
        let data = header.end + ENTRY_LEN;
        let data_sum = copy::copy("journal", image, extent, journal, data)?;
        put(journal, header.end, Entry::encode(kind, extent, data_sum)?)?;
        header.end = data + extent.len_bytes;
        if kind == Kind::Data {
            header.data_entries += 1;
        } else {
            header.metadata_entries += 1;
            header.data_offset = header.end;
        }
    }
    put(journal, 0, header.encode())?;
    journal.flush()
}

/// Makes a journal on a device one without entries, so that nobody reverts with it later. What is no journal stays.
pub(crate) fn clear(journal: &impl Medium) -> Result<()> {
    let Ok(header) = JournalHeader::decode(&journal.read("journal", 0, HEADER_BYTES)?) else { return Ok(()) };
    put(journal, 0, empty(header.uuid, header.footer_offset).encode())?;
    journal.flush()
}

fn empty(uuid: Uuid, footer_offset: u64) -> JournalHeader {
    let (metadata_entries, data_entries, data_offset) = (0, 0, 0);
    JournalHeader { uuid, footer_offset, metadata_entries, data_entries, data_offset, end: HEADER_LEN, is_strict: true }
}

fn put(journal: &impl Medium, offset: u64, bytes: Vec<u8>) -> Result<()> {
    journal.perform(&Plan { steps: vec![Step::Write { what: "journal", offset, bytes }] })
}
