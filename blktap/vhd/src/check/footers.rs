//! Faults of the two footers.

use super::{Options, Place, Report};
use crate::error::Result;
use crate::footer::{DiskKind, FEATURES_RESERVED, FEATURES_TEMPORARY, FOOTER_BYTES, Footer, NO_HEADER, RawFooter};
use crate::geometry::Geometry;
use crate::image_file::ImageFile;
use crate::medium::Medium;
use crate::timestamp::Timestamp;
use crate::version::Version;

/// Clocks of hosts that share storage differ by this much.
const CLOCK_SLACK_SECS: u32 = 1800;

/// The footer that says what the disk is, and whether the primary one is right.
pub(super) struct Believed {
    pub(super) footer: Footer,
    pub(super) has_primary: bool,
}

/// Checks both footers; `None` when neither says what the disk is.
pub(super) fn check(file: &ImageFile, options: &Options, report: &mut Report) -> Option<Believed> {
    let primary = faults_of("primary footer", read_primary(file), options);
    if !options.ignore_primary_footer {
        note(Place::PrimaryFooter, "primary footer", &primary, report);
    }
    let believed = primary.as_ref().ok().and_then(|(raw, _)| Footer::try_from(raw).ok());
    if let Some(footer) = &believed
        && footer.kind == DiskKind::Fixed
    {
        return believed.map(|footer| Believed { footer, has_primary: true });
    }
    let backup = faults_of("backup footer", read_at(file, 0), options);
    note(Place::BackupFooter, "backup footer", &backup, report);
    let is_good = |footer: &Judged| footer.as_ref().is_ok_and(|(_, faults)| faults.is_empty());
    if let (Ok((first, _)), Ok((second, _))) = (&primary, &backup)
        && !options.ignore_primary_footer
        && is_good(&primary)
        && is_good(&backup)
        && first != second
        && !second.is_hidden_copy_of(first)
    {
        report.add(Place::BackupFooter, "primary and backup footers do not match");
    }
    let has_primary = is_good(&primary);
    let of_backup = || backup.ok().and_then(|(raw, _)| Footer::try_from(&raw).ok());
    believed.or_else(of_backup).map(|footer| Believed { footer, has_primary })
}

type Judged = std::result::Result<(RawFooter, Vec<&'static str>), (String, i32)>;

fn faults_of(name: &str, raw: Result<RawFooter>, options: &Options) -> Judged {
    let unreadable = |errno| (format!("error reading {name}: -{errno}"), errno);
    raw.map(|raw| (raw, faults(&raw, options))).map_err(|error| unreadable(error.errno()))
}

fn note(place: Place, name: &str, judged: &Judged, report: &mut Report) {
    match judged {
        Ok((_, faults)) => faults.iter().for_each(|fault| report.add(place, format!("{name} invalid: {fault}"))),
        Err((message, errno)) => report.add_errno(place, message, *errno),
    }
}

fn read_at(file: &ImageFile, offset: u64) -> Result<RawFooter> {
    Ok(RawFooter::from_prefix(&file.read("footer", offset, FOOTER_BYTES)?))
}

/// The last 512 bytes, or the 511 that old versions of Virtual PC wrote.
fn read_primary(file: &ImageFile) -> Result<RawFooter> {
    let len_bytes = file.len_bytes();
    let raw = read_at(file, len_bytes.saturating_sub(FOOTER_BYTES as u64))?;
    if len_bytes % FOOTER_BYTES as u64 == FOOTER_BYTES as u64 - 1 && Footer::try_from(&raw).is_err() {
        let short = file.read("footer", len_bytes + 1 - FOOTER_BYTES as u64, FOOTER_BYTES - 1)?;
        return Ok(RawFooter::from_prefix(&short));
    }
    Ok(raw)
}

/// What is wrong with a footer. Nothing but cookie and checksum means anything where these are wrong.
fn faults(raw: &RawFooter, options: &Options) -> Vec<&'static str> {
    if !raw.has_cookie() {
        return vec!["invalid cookie"];
    }
    if raw.stored_checksum() != raw.computed_checksum() && !raw.is_hidden_without_checksum() {
        return vec!["invalid checksum"];
    }
    let footer = raw.fields();
    let is_known = matches!(footer.kind, DiskKind::Fixed | DiskKind::Dynamic | DiskKind::Differencing);
    let latest = Timestamp(options.now.0.saturating_add(CLOCK_SLACK_SECS));
    let largest = Geometry::for_size(footer.current_bytes).size_bytes();
    let creator = &footer.creator;
    [
        (footer.features & FEATURES_RESERVED == 0, "invalid 'reserved' feature"),
        (footer.features & !(FEATURES_RESERVED | FEATURES_TEMPORARY) != 0, "invalid extra features"),
        (footer.format_version != Version::new(1, 0), "invalid file format version"),
        (!footer.kind.is_sparse() && footer.data_offset != NO_HEADER, "invalid data offset"),
        (!options.ignore_timestamps && footer.timestamp > latest, "creation time in future"),
        (creator.is_tap() && creator.version > Version::new(1, 3), "unsupported tap creator version"),
        (footer.geometry.size_bytes() > largest, "geometry too large"),
        (!is_known, "invalid type"),
        (footer.saved > 1, "invalid 'saved' state"),
        (footer.hidden > 1, "invalid 'hidden' state"),
        (footer.uuid.is_nil(), "invalid (NULL) uuid"),
        (footer.reserved.iter().any(|&byte| byte != 0), "invalid 'reserved' bits"),
    ]
    .into_iter()
    .filter_map(|(is_wrong, fault)| is_wrong.then_some(fault))
    .collect()
}
