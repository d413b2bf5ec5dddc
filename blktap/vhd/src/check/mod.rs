//! Checking a whole image: every fault it has, in the order in which blktap's `check` would meet them and in its words,
//! which scripts and people know. Reads; never writes. Time is O(n log n) in blocks; findings are bounded.

mod blocks;
mod footers;
mod header;
mod parents;
mod unique;

use std::error::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};

pub use unique::{UniqueSectors, unique_sectors};

use crate::error::{Error, Result};
use crate::footer::{DiskKind, FOOTER_BYTES};
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::medium::Medium;
use crate::timestamp::Timestamp;

/// Findings that are kept; a hostile image can have millions.
pub const MAX_FINDINGS: usize = 1000;

const FOOTER_LEN: u64 = FOOTER_BYTES as u64;

/// What to look at, and what to overlook.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A missing or damaged primary footer is no fault.
    pub ignore_primary_footer: bool,
    /// A parent with another identity is no fault.
    pub ignore_parent_uuid: bool,
    /// A creation time in the future is no fault.
    pub ignore_timestamps: bool,
    /// Blocks may overlap.
    pub ignore_overlaps: bool,
    /// Sectors that bitmaps call absent must hold zeros; reads all data.
    pub check_bitmaps: bool,
    /// Count sectors; reads all bitmaps.
    pub count_sectors: bool,
    /// The present time.
    pub now: Timestamp,
}

/// Where a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// What only opening the image finds. blktap's `check` says no word about it.
    Opening,
    /// The footer at the end.
    PrimaryFooter,
    /// The footer at offset 0.
    BackupFooter,
    /// The sparse header.
    Header,
    /// The BAT.
    Bat,
    /// The batmap.
    Batmap,
    /// A parent locator.
    Locator,
    /// The parent.
    Parent,
    /// The bitmap of a block.
    Bitmap,
}

impl Place {
    /// A stable name for machines.
    pub fn name(self) -> &'static str {
        match self {
            Place::File => "file",
            Place::Opening => "opening",
            Place::PrimaryFooter => "primary-footer",
            Place::BackupFooter => "backup-footer",
            Place::Header => "header",
            Place::Bat => "bat",
            Place::Batmap => "batmap",
            Place::Locator => "locator",
            Place::Parent => "parent",
            Place::Bitmap => "bitmap",
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it is.
    pub place: Place,
    /// What it is, as blktap's `check` says it.
    pub message: String,
    /// The Linux error number of its cause.
    pub errno: i32,
}

/// Sectors of blocks that are allocated, and those of them that hold data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectorCounts {
    /// Sectors of allocated blocks.
    pub allocated: u64,
    /// Sectors that bitmaps call present.
    pub written: u64,
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Faults in blktap's order, the first one is the one that it reports; at most [`MAX_FINDINGS`].
    pub findings: Vec<Finding>,
    /// Faults beyond that.
    pub omitted: u64,
    /// Whether the image has a header and blocks; of a fixed disk only the footer is checked.
    pub is_sparse: bool,
    /// The parent, when it is a VHD that could be found.
    pub parent: Option<PathBuf>,
    /// With [`Options::count_sectors`], of a disk whose tables could be read.
    pub sectors: Option<SectorCounts>,
}

impl Report {
    /// Whether nothing was found.
    pub fn is_valid(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, place: Place, message: impl fmt::Display) {
        self.add_errno(place, message, rustix::io::Errno::INVAL.raw_os_error());
    }

    fn add_errno(&mut self, place: Place, message: impl fmt::Display, errno: i32) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { place, message: message.to_string(), errno });
        } else {
            self.omitted += 1;
        }
    }
}

/// Checks the image at `path`. An error only when the file cannot be opened or is no file; all else is a finding.
pub fn check(path: &Path, options: &Options) -> Result<Report> {
    check_with_progress(path, options, &mut |_, _| ())
}

/// The same; says how many bytes of the disk were looked at, of how many, where all data or all bitmaps are read.
pub fn check_with_progress(path: &Path, options: &Options, progress: &mut dyn FnMut(u64, u64)) -> Result<Report> {
    let file = ImageFile::open(path)?;
    let mut report = Report::default();
    // A short footer counts as a whole one.
    let end = if file.len_bytes() % FOOTER_LEN == FOOTER_LEN - 1 { file.len_bytes() + 1 } else { file.len_bytes() };
    let Some(data_end) = end.checked_sub(FOOTER_LEN).filter(|_| file.len_bytes() >= FOOTER_LEN) else {
        report.add(Place::File, "error calculating end of file: -22");
        return Ok(report);
    };
    let Some(footers::Believed { footer, has_primary }) = footers::check(&file, options, &mut report) else {
        if report.is_valid() {
            Image::on(file).err().iter().for_each(|error| unopened(error, &mut report));
        }
        return Ok(report);
    };
    if footer.kind == DiskKind::Fixed {
        return Ok(report);
    }
    report.is_sparse = true;
    if !header::check(&file, &footer, data_end, &mut report) {
        return Ok(report);
    }
    match Image::on(file) {
        Ok(image) => {
            // Where nobody misses the primary footer, the last block may have its place.
            let blocks_end = if options.ignore_primary_footer && !has_primary { end } else { data_end };
            tables(&image, data_end, blocks_end, options, &mut report, progress);
        }
        Err(error) if report.is_valid() => unopened(&error, &mut report),
        Err(_) => {}
    }
    Ok(report)
}

fn unopened(error: &Error, report: &mut Report) {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    report.add_errno(Place::Opening, message, error.errno());
}

fn tables(
    image: &Image,
    data_end: u64,
    blocks_end: u64,
    options: &Options,
    report: &mut Report,
    progress: &mut dyn FnMut(u64, u64),
) {
    match (image.bat(), image.metadata_end()) {
        (Err(error), _) => {
            report.add_errno(Place::Bat, format!("error reading bat: -{}", error.errno()), error.errno());
        }
        (Ok(_), Err(error)) => {
            let message = format!("error calculating end of metadata: -{}", error.errno());
            report.add_errno(Place::Batmap, message, error.errno());
        }
        (Ok(bat), Ok(metadata_end)) => {
            let room = metadata_end..blocks_end;
            let is_readable = blocks::check(&bat, &room, options, report);
            blocks::check_batmap(image, bat.entries(), data_end, report);
            if options.check_bitmaps || options.count_sectors {
                blocks::check_bitmaps(image, &bat, &is_readable, options, report, progress);
            }
        }
    }
    parents::check(image, data_end, options, report);
}
