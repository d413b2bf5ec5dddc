//! Changes to what an image says about itself: hidden flag, marker, hash of its key, place of the footer, no blocks, another parent.
//! Each is one write that counts, or an order of writes of which every part is a valid image.

use rustix::io::Errno;
use zerocopy::{Immutable, IntoBytes};

use crate::attribute;
use crate::bat::{Bat, UNUSED};
use crate::batmap::{Batmap, BatmapHeader, RawBatmapHeader};
use crate::copy;
use crate::create::whole_blocks;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{Footer, RawFooter};
use crate::footer_copies;
use crate::geometry::Geometry;
use crate::image::Image;
use crate::key_hash::{KeyHash, RawKeyHash};
use crate::medium::Medium;
use crate::plan::{Plan, Step, Target};
use crate::units::{Extent, SECTOR_BYTES, in_memory, sum};

/// Sets the hidden flag in both footers. Where there is no space for the primary one, a flag that is set goes to the
/// copy at least, so that the disk can be deleted.
pub fn set_hidden<M: Medium>(image: &Image<M>, hidden: u8) -> Result<()> {
    let footer = Footer { hidden, ..image.footer().clone() };
    let medium = image.file();
    let offset = footer_copies::primary_offset(medium.target(), medium.len_bytes(), end(image)?)?;
    let is_sparse = footer.kind.is_sparse();
    if is_sparse {
        perform(image, vec![write("footer copy", 0, RawFooter::from(&footer).bytes())])?;
    }
    match perform(image, vec![write("footer", offset, RawFooter::from(&footer).bytes())]) {
        Err(error) if error.errno() == Errno::NOSPC.raw_os_error() && is_sparse && hidden != 0 => Ok(()),
        done => done,
    }
}

/// Sets the marker: in the header of the batmap, without a batmap in an attribute of the file.
pub fn set_marker<M: Medium>(image: &Image<M>, marker: u8) -> Result<()> {
    label(image, |raw| raw.set_marker(marker), attribute::MARKER, &marker)
}

/// Says that the disk is encrypted, in the same places. Only an image that [can have a key](can_have_key).
pub fn set_key_hash<M: Medium>(image: &Image<M>, key_hash: KeyHash) -> Result<()> {
    can_have_key(image)?;
    label(image, |raw| raw.set_key_hash(key_hash), attribute::KEY_HASH, &RawKeyHash::from(Some(key_hash)))
}

/// An error when the image holds data, which no key has encrypted. That of a fixed disk is all there from the start.
pub fn can_have_key<M: Medium>(image: &Image<M>) -> Result<()> {
    let refuse = |why| {
        let message = format!("`{}` {why}: it can have no key", image.file().path().display());
        Err(Error::new(ErrorKind::InvalidInput, message))
    };
    match image.footer().kind.is_sparse() {
        false => refuse("is a fixed disk"),
        true if image.bat()?.allocated_blocks() > 0 => refuse("holds data already"),
        true => Ok(()),
    }
}

/// Changes one field of the batmap's header and leaves the others as they are, or sets the attribute that stands for it.
fn label<M: Medium>(
    image: &Image<M>,
    change: impl FnOnce(&mut RawBatmapHeader),
    attribute: &str,
    value: &(impl IntoBytes + Immutable),
) -> Result<()> {
    let Some(mut raw) = image.raw_batmap_header()? else {
        image.check_not_poisoned()?;
        return attribute::write(image.file(), attribute, value);
    };
    BatmapHeader::try_from(&raw)?;
    change(&mut raw);
    let at = Bat::room(image.header()?).and_then(BatmapHeader::extent)?;
    perform(image, vec![write("batmap header", at.offset, raw.bytes())])
}

/// Puts the footer at the end of `size_bytes`: the size that the file or volume has or is about to get. An error when
/// the image takes more.
pub fn set_physical_size<M: Medium>(image: &Image<M>, size_bytes: u64) -> Result<()> {
    let footer = RawFooter::from(image.footer());
    let end = end(image)?;
    let offset = size_bytes.checked_sub(footer.bytes().len() as u64).filter(|&offset| offset >= end);
    let Some(offset) = offset else {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("data and metadata take {end} bytes and a footer: they do not fit in {size_bytes}"),
        ));
    };
    if let Target::BlockDevice { len_bytes } = image.file().target()
        && size_bytes > len_bytes
    {
        let message = format!("device has {len_bytes} bytes, its image cannot have {size_bytes}");
        return Err(Error::new(ErrorKind::NoSpace, message));
    }
    if !offset.is_multiple_of(SECTOR_BYTES) {
        return Err(Error::new(ErrorKind::InvalidInput, format!("size is no whole number of sectors: {size_bytes}")));
    }
    perform(image, vec![write("footer", offset, footer.bytes())])
}

/// Makes a sparse disk larger, to whole blocks of 2 MiB, where its tables have room for that: only the footers say it.
/// The image may be in use.
pub fn grow<M: Medium>(image: &Image<M>, size_bytes: u64) -> Result<()> {
    let doing = || format!("cannot make `{}` as large as {size_bytes} bytes", image.file().path().display());
    let steps = grow_steps(image, whole_blocks(size_bytes)?).map_err(|error| error.within(doing()))?;
    perform(image, steps)
}

fn grow_steps<M: Medium>(image: &Image<M>, size_bytes: u64) -> Result<Vec<Step>> {
    let (old, header, bat) = (image.footer(), image.header()?, image.bat()?);
    if size_bytes < old.current_bytes {
        let message = format!("disk has {} bytes, it cannot shrink", old.current_bytes);
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    if size_bytes > image.max_virtual_bytes()? {
        let message = format!("tables have room for {} bytes", image.max_virtual_bytes()?);
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    let footer = Footer { current_bytes: size_bytes, geometry: Geometry::for_size(size_bytes), ..old.clone() };
    image.check_apart(&footer)?;
    if let Some(batmap) = image.batmap()? {
        // What the map and its checksum say must be right for the larger disk too: no new block is full.
        let map = image.file().read_extent("batmap", batmap.header().map_extent(&footer)?)?;
        let batmap = Batmap::new(batmap.header().clone(), map)?;
        let blocks = |bytes: u64| u32::try_from(bytes.div_ceil(header.block_size.bytes())).unwrap_or(u32::MAX);
        if (blocks(old.current_bytes)..blocks(size_bytes)).any(|block| batmap.is_full(block)) {
            return Err(Error::corrupt("batmap says that blocks behind the end are full"));
        }
    }
    let medium = image.file();
    let footer_offset = footer_copies::primary_offset(medium.target(), medium.len_bytes(), end(image)?)?;
    let mut steps = Vec::new();
    let (entries, used_bytes) = (Bat::extent(&footer, header)?, bat.encode().len() as u64);
    let new = Extent { offset: sum("BAT", &[entries.offset, used_bytes])?, len_bytes: entries.len_bytes - used_bytes };
    let [unused_byte, ..] = UNUSED.to_be_bytes();
    // libvhd made these entries unused; whoever did not, did not mean them.
    if !copy::is_filled("BAT", medium, new, unused_byte)? {
        let Extent { offset, len_bytes } = new;
        steps.extend([Step::Fill { what: "BAT", offset, len_bytes, byte: unused_byte }, Step::Barrier]);
    }
    let raw = RawFooter::from(&footer);
    // One after the other: a sector that is torn by a crash must not take both.
    steps.extend([write("footer copy", 0, raw.bytes()), Step::Barrier]);
    steps.push(write("footer", footer_offset, raw.bytes()));
    Ok(steps)
}

/// Makes a sparse image hold nothing. A power cut between batmap and header of the batmap, where blocks were full, leaves
/// an image that can be read but not written.
pub fn kill_data<M: Medium>(image: &Image<M>) -> Result<()> {
    // Where a file ends before its BAT, filling it would leave the primary footer in the middle.
    image.bat()?;
    let Extent { offset, len_bytes } = Bat::extent(image.footer(), image.header()?)?;
    let mut steps = Vec::new();
    if let Some((mut raw, batmap)) = image.raw_batmap_header()?.zip(image.batmap()?) {
        // Header and map before the BAT: a block that is not there must not be said to be full.
        let map = batmap.header().map_extent(image.footer())?;
        let zeros = vec![0; in_memory("batmap", map.len_bytes)?];
        raw.set_checksum(batmap.header().computed_checksum(&zeros));
        let at = Bat::room(image.header()?).and_then(BatmapHeader::extent)?;
        steps.push(write("batmap header", at.offset, raw.bytes()));
        steps.push(write("batmap", map.offset, &zeros));
        steps.push(Step::Barrier);
    }
    let [unused_byte, ..] = UNUSED.to_be_bytes();
    steps.push(Step::Fill { what: "BAT", offset, len_bytes, byte: unused_byte });
    perform(image, steps)
}

/// The byte position after all that the image holds, its primary footer aside.
pub(crate) fn end<M: Medium>(image: &Image<M>) -> Result<u64> {
    if !image.footer().kind.is_sparse() {
        return Ok(image.footer().current_bytes);
    }
    let blocks_end = image.bat()?.end_of_data().unwrap_or(0);
    Ok(image.metadata_end()?.max(blocks_end))
}

/// Performs the steps and makes them durable.
pub(crate) fn perform<M: Medium>(image: &Image<M>, steps: Vec<Step>) -> Result<()> {
    image.check_not_poisoned()?;
    image.check_apart(image.footer())?;
    image.file().perform(&Plan { steps })?;
    image.file().flush()
}

fn write(what: &'static str, offset: u64, bytes: &[u8]) -> Step {
    Step::Write { what, offset, bytes: bytes.to_vec() }
}
