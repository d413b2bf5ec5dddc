//! An open image and what can be read of it. Lenient like libvhd: what is damaged is an error where it is needed,
//! not when the image is opened. Reads; never writes.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::apart;
use crate::attribute;
use crate::bat::{Bat, BatUsage};
use crate::bat_pages::{BatPages, PAGE_BYTES};
use crate::batmap::{Batmap, BatmapHeader, RawBatmapHeader};
use crate::bitmap::Bitmap;
use crate::error::{Error, ErrorKind, Result};
use crate::footer::{DiskKind, FOOTER_BYTES, Footer, RawFooter};
use crate::footer_copies;
use crate::gate::Gate;
use crate::header::{HEADER_BYTES, Header, RawHeader};
use crate::image_file::ImageFile;
use crate::key_hash::{KeyHash, RawKeyHash};
use crate::locator::Locator;
use crate::locator_path;
use crate::medium::Medium;
use crate::plan::Target;
use crate::units::{Extent, SECTOR_BYTES, in_memory, sector_aligned, sum};

/// A footer's length on a 64-bit scale.
const FOOTER_LEN: u64 = FOOTER_BYTES as u64;
/// Bytes of a BAT that are read at a time: what a processor's cache holds, and whole pages.
const BAT_PIECE_BYTES: usize = 16 * PAGE_BYTES;

/// How often a header that is wrong is read of a device, and the time between.
const MAX_HEADER_READS: u32 = 10;
const HEADER_PAUSE: Duration = Duration::from_millis(20);

/// An image that was opened for reading. Its footer, and if sparse its header, are right.
#[derive(Debug)]
pub struct Image<M: Medium = ImageFile> {
    file: M,
    raw_footer: RawFooter,
    footer: Footer,
    sparse: Option<(RawHeader, Header)>,
}

impl Image<ImageFile> {
    /// Opens an image: the primary footer, else a short one of 511 bytes, else the copy at offset 0; then the header
    /// if the disk has one. Images under a resize journal open too.
    pub fn open(path: &Path) -> Result<Self> {
        Image::on(ImageFile::open(path)?)
    }

    /// The same; its parents open through this gate.
    pub fn open_through(path: &Path, gate: &Gate) -> Result<Self> {
        Image::on(ImageFile::open(path)?.through(gate))
    }

    /// The same by the copy of the footer at offset 0: for an image whose end another host may be writing.
    pub fn open_by_backup(path: &Path) -> Result<Self> {
        Image::on_by_backup(ImageFile::open(path)?)
    }

    /// The same as [`Image::open`], to be written as well.
    pub fn open_rw(path: &Path) -> Result<Self> {
        Image::on(ImageFile::open_rw(path)?)
    }

    /// The same for changes of a few bytes while a disk, on this host or another, may be writing the image.
    pub fn open_live(path: &Path) -> Result<Self> {
        Image::on(ImageFile::open_live(path)?)
    }
}

impl<M: Medium> Image<M> {
    /// Opens the image that lies on a medium.
    pub fn on(file: M) -> Result<Self> {
        let path = file.path().to_owned();
        let doing = |what| format!("cannot read {what} of `{}`", path.display());
        let (raw_footer, footer) = footer_copies::read(&file).map_err(|error| error.within(doing("footer")))?;
        Image::with_footer(file, raw_footer, footer)
    }

    /// The same by the copy of the footer at offset 0.
    pub fn on_by_backup(file: M) -> Result<Self> {
        let path = file.path().to_owned();
        let doing = || format!("cannot read footer copy of `{}`", path.display());
        let (raw_footer, footer) = footer_copies::read_backup(&file).map_err(|error| error.within(doing()))?;
        Image::with_footer(file, raw_footer, footer)
    }

    /// An image that this footer describes.
    pub(crate) fn with_footer(file: M, raw_footer: RawFooter, footer: Footer) -> Result<Self> {
        let path = file.path().to_owned();
        let doing = |what| format!("cannot read {what} of `{}`", path.display());
        let sparse = match footer.kind.is_sparse() {
            true => Some(read_header(&file, footer.data_offset).map_err(|error| error.within(doing("header")))?),
            false => None,
        };
        Ok(Image { file, raw_footer, footer, sparse })
    }

    /// The image itself, unless it is in the middle of a resize: then its blocks and tables may not belong together.
    pub fn not_poisoned(self) -> Result<Self> {
        self.check_not_poisoned()?;
        Ok(self)
    }

    pub(crate) fn check_not_poisoned(&self) -> Result<()> {
        match self.footer.is_poisoned {
            false => Ok(()),
            true => {
                let path = self.file.path().display();
                Err(Error::corrupt(format!("`{path}` is in the middle of a resize: revert its journal first")))
            }
        }
    }

    /// The file.
    pub fn file(&self) -> &M {
        &self.file
    }

    /// The footer.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The footer as it lies on disk.
    pub fn raw_footer(&self) -> &RawFooter {
        &self.raw_footer
    }

    /// The header as it lies on disk; `None` when the disk has none.
    pub fn raw_header(&self) -> Option<&RawHeader> {
        self.sparse.as_ref().map(|(raw, _)| raw)
    }

    /// The header. An error when the disk is not dynamic or differencing.
    pub fn header(&self) -> Result<&Header> {
        match &self.sparse {
            Some((_, header)) => Ok(header),
            None => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "`{}` has no header: its disk type is {}",
                    self.file.path().display(),
                    u32::from(self.footer.kind)
                ),
            )),
        }
    }

    /// Whether the disk lives on top of a parent.
    pub fn has_parent(&self) -> bool {
        self.footer.kind == DiskKind::Differencing
    }

    /// Reads the BAT.
    pub fn bat(&self) -> Result<Bat> {
        let mut entries = Vec::new();
        self.each_bat_piece(|piece, len| {
            entries.reserve_exact(len - entries.len());
            entries.extend(Bat::decode(piece));
        })?;
        Ok(Bat::new(entries, self.header()?.block_size))
    }

    /// Reads the BAT for a disk that will be open for long.
    pub(crate) fn bat_pages(&self) -> Result<BatPages> {
        let mut pages = BatPages::default();
        self.each_bat_piece(|piece, len| {
            if pages.len() == 0 {
                pages = BatPages::with_room(len);
            }
            pages.push(piece);
        })?;
        Ok(pages)
    }

    /// Reads the BAT for what of it is in use, without keeping it.
    pub fn bat_usage(&self) -> Result<BatUsage> {
        let mut usage = BatUsage::of(self.header()?.block_size);
        self.each_bat_piece(|piece, _| Bat::decode(piece).for_each(|entry| usage.add(entry)))?;
        Ok(usage)
    }

    /// Calls with entries in their order, as they lie on disk, and with how many there are in all: a table of megabytes
    /// passes through little memory, which is the faster way too.
    fn each_bat_piece(&self, mut each: impl FnMut(&[u8], usize)) -> Result<()> {
        let within = |error: Error| error.within(self.cannot_read("BAT"));
        let extent = Bat::extent(&self.footer, self.header()?).map_err(within)?;
        let len = in_memory("BAT", extent.len_bytes)?;
        self.file.check_end("BAT", extent.offset, len).map_err(within)?;
        let mut bytes = vec![0; len.min(BAT_PIECE_BYTES)];
        let mut done = 0;
        while done < len {
            let piece = bytes.len().min(len - done);
            let bytes = &mut bytes[..piece];
            self.file.read_into("BAT", extent.offset + done as u64, bytes).map_err(within)?;
            each(bytes, len / 4);
            done += piece;
        }
        Ok(())
    }

    /// Reads the bitmap of the block that is at this entry of the BAT.
    pub fn bitmap(&self, entry: u32) -> Result<Bitmap> {
        let len_bytes = Bitmap::len_bytes(self.header()?.block_size);
        let offset = u64::from(entry) * SECTOR_BYTES;
        Ok(Bitmap::from_bytes(self.file.read_extent("bitmap", Extent { offset, len_bytes })?))
    }

    /// Reads all sectors of the block that is at this entry of the BAT, present or not. Zeros stand for what lies past
    /// the place of the footer: a file may end inside its last block.
    pub fn block_data(&self, entry: u32) -> Result<Vec<u8>> {
        let block_size = self.header()?.block_size;
        let offset = u64::from(entry) * SECTOR_BYTES + Bitmap::len_bytes(block_size);
        let len = in_memory("block", block_size.bytes())?;
        let there = self.file.len_bytes().checked_sub(FOOTER_LEN).and_then(|footer_at| footer_at.checked_sub(offset));
        let there = there.unwrap_or(u64::MAX).min(block_size.bytes());
        let mut bytes = self.file.read("block", offset, in_memory("block", there)?)?;
        bytes.resize(len, 0);
        Ok(bytes)
    }

    /// Reads the header of the batmap without judging it; `None` when the creator writes none.
    pub fn raw_batmap_header(&self) -> Result<Option<RawBatmapHeader>> {
        let creator = &self.footer.creator;
        // libvhd looks for a batmap in every image of blktap but those of version 0.0.
        if !creator.is_tap() || u32::from(creator.version) == 0 || self.sparse.is_none() {
            return Ok(None);
        }
        let extent = Bat::room(self.header()?).and_then(BatmapHeader::extent);
        let bytes = extent.and_then(|extent| self.file.read_extent("batmap header", extent));
        match bytes.map(|bytes| RawBatmapHeader::from_prefix(&bytes)) {
            Ok(raw) => Ok((creator.always_has_batmap() || raw.has_cookie()).then_some(raw)),
            Err(error) if creator.always_has_batmap() => Err(error.within(self.cannot_read("batmap header"))),
            // Where a batmap need not be, what cannot be read is none.
            Err(_) => Ok(None),
        }
    }

    /// Reads the batmap and checks it; `None` when the image has none.
    pub fn batmap(&self) -> Result<Option<Batmap>> {
        let Some(raw) = self.raw_batmap_header()? else { return Ok(None) };
        let read = || {
            let header = BatmapHeader::try_from(&raw)?;
            header.check_version()?;
            // The BAT's limit on blocks bounds the map as well.
            Bat::extent(&self.footer, self.header()?)?;
            let map = self.file.read_extent("batmap", header.map_extent(&self.footer)?)?;
            Batmap::new(header, map)
        };
        read().map(Some).map_err(|error: Error| error.within(self.cannot_read("batmap")))
    }

    /// The marker of the batmap, without a batmap that of the file's attribute; 0 for none. Valid even where the rest of
    /// the batmap is damaged.
    pub fn marker(&self) -> Result<u8> {
        match self.raw_batmap_header()? {
            Some(raw) => Ok(raw.marker()),
            None => Ok(attribute::read(&self.file, attribute::MARKER)?.unwrap_or(0)),
        }
    }

    /// The hash of the key that the disk is encrypted with, from the same places; `None` for a disk in the clear.
    pub fn key_hash(&self) -> Result<Option<KeyHash>> {
        Ok(self.raw_key_hash()?.and_then(|raw| raw.checked()))
    }

    pub(crate) fn raw_key_hash(&self) -> Result<Option<RawKeyHash>> {
        match self.raw_batmap_header()? {
            Some(raw) => Ok(Some(raw.raw_key_hash())),
            None => attribute::read(&self.file, attribute::KEY_HASH),
        }
    }

    /// Bytes that the image takes. A fixed disk takes its file; a dynamic one what lies before the end of its metadata
    /// and blocks, and a footer, which on a device is less than the device.
    pub fn physical_bytes(&self) -> Result<u64> {
        if self.sparse.is_none() {
            return Ok(self.file.len_bytes());
        }
        let blocks_end = self.bat_usage()?.end_of_data().unwrap_or(0);
        let end = self.metadata_end().map_err(|error| error.within(self.cannot_read("metadata")))?;
        sum("footer", &[end.max(blocks_end), FOOTER_LEN])
    }

    /// The byte position after headers, BAT, batmap and the parent's paths.
    pub(crate) fn metadata_end(&self) -> Result<u64> {
        self.metadata_end_with(self.batmap()?.as_ref())
    }

    /// The same for who has read the batmap.
    pub(crate) fn metadata_end_with(&self, batmap: Option<&Batmap>) -> Result<u64> {
        let header = self.header()?;
        let header_end = sum("header", &[self.footer.data_offset, HEADER_BYTES as u64])?;
        let mut end = header_end.max(Bat::room(header)?.end("BAT")?);
        if let Some(batmap) = batmap {
            end = end.max(batmap.header().map_room().end("batmap")?);
        }
        for locator in header.locators.iter().filter(|locator| locator.is_used()) {
            end = end.max(locator.end()?);
        }
        sector_aligned("metadata", end)
    }

    /// Where the footer stands that counts; `None` when it is the copy at offset 0. A short one counts as a whole one.
    pub(crate) fn primary_offset(&self) -> Option<u64> {
        let is_at_end = footer_copies::is_at_end(&self.file, &self.raw_footer);
        is_at_end.then(|| self.file.len_bytes().saturating_sub(FOOTER_LEN))
    }

    /// An error when the image must not be written: under this footer, its own or a new one, its metadata lies over itself,
    /// or the file ends where a longer file would have a batmap.
    pub(crate) fn check_apart(&self, footer: &Footer) -> Result<()> {
        let batmap = self.batmap().map_err(|error| error.within(self.cannot_write()))?;
        self.check_apart_with(footer, batmap.as_ref())
    }

    /// The same for who has read the batmap.
    pub(crate) fn check_apart_with(&self, footer: &Footer, batmap: Option<&Batmap>) -> Result<()> {
        let Some((_, header)) = &self.sparse else { return Ok(()) };
        let checked = || {
            let (at, len_bytes) = (Bat::room(header).and_then(BatmapHeader::extent)?, self.file.len_bytes());
            if footer.creator.is_tap() && at.offset < len_bytes && len_bytes < at.end("batmap header")? {
                return Err(Error::corrupt(format!("file ends inside the header of a batmap: {len_bytes}")));
            }
            apart::check(footer, header, batmap, self.primary_offset())
        };
        checked().map_err(|error| error.within(self.cannot_write()))
    }

    /// Bytes that a fast resize can let the disk grow to: what the BAT has room for.
    pub fn max_virtual_bytes(&self) -> Result<u64> {
        let header = self.header()?;
        Ok(u64::from(header.max_bat_entries) * header.block_size.bytes())
    }

    /// The path that a locator stands for, as it is stored.
    pub fn locator_path(&self, locator: &Locator) -> Result<PathBuf> {
        let bytes = locator.extent().and_then(|extent| self.file.read_extent("parent locator", extent));
        bytes
            .and_then(|bytes| locator_path::decode(locator.code, &bytes))
            .map_err(|error| error.within(self.cannot_read("parent locator")))
    }

    pub(crate) fn cannot_write(&self) -> String {
        format!("cannot write to `{}`", self.file.path().display())
    }

    fn cannot_read(&self, what: &str) -> String {
        format!("cannot read {what} of `{}`", self.file.path().display())
    }
}

/// Another host that gives the image another parent writes two sectors; of a device that can be seen half done, and then
/// the checksum is wrong for a moment. libvhd reads again for this reason, once a second.
fn read_header(file: &impl Medium, offset: u64) -> Result<(RawHeader, Header)> {
    let mut tries = if file.target() == Target::File { 1 } else { MAX_HEADER_READS };
    loop {
        let raw = RawHeader::from_prefix(&file.read("header", offset, HEADER_BYTES)?);
        match Header::try_from(&raw) {
            Ok(header) => return Ok((raw, header)),
            Err(_) if tries > 1 && raw.has_cookie() && raw.stored_checksum() != raw.computed_checksum() => {
                thread::sleep(HEADER_PAUSE);
                tries -= 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Footer and header of whatever is there, unjudged, to show what is wrong with it. What cannot be read is zero.
pub fn peek(path: &Path) -> Result<(RawFooter, RawHeader)> {
    let file = ImageFile::open(path)?;
    let footer = footer_copies::peek(&file);
    let bytes = file.read("header", footer.fields().data_offset, HEADER_BYTES).unwrap_or_default();
    Ok((footer, RawHeader::from_prefix(&bytes)))
}
