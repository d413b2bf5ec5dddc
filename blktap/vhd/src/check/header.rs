//! Faults of the sparse header, and of the parent fields of a disk that has no parent.

use super::{Place, Report};
use crate::bat::Bat;
use crate::footer::{DiskKind, Footer};
use crate::header::{BlockSize, HEADER_BYTES, RawHeader};
use crate::image_file::ImageFile;
use crate::medium::Medium;
use crate::units::SECTOR_BYTES;

/// Checks the header; whether there is one at all.
pub(super) fn check(file: &ImageFile, footer: &Footer, data_end: u64, report: &mut Report) -> bool {
    let raw = match file.read("header", footer.data_offset, HEADER_BYTES) {
        Ok(bytes) => RawHeader::from_prefix(&bytes),
        Err(error) => {
            report.add_errno(Place::Header, format!("error reading header: -{}", error.errno()), error.errno());
            return false;
        }
    };
    for fault in faults(&raw, footer, data_end) {
        report.add(Place::Header, format!("header is invalid: {fault}"));
    }
    for fault in parent_faults(&raw, footer.kind) {
        report.add(Place::Header, format!("differencing header is invalid: {fault}"));
    }
    true
}

fn faults(raw: &RawHeader, footer: &Footer, data_end: u64) -> Vec<&'static str> {
    if !raw.has_cookie() {
        return vec!["invalid cookie"];
    }
    if raw.stored_checksum() != raw.computed_checksum() {
        return vec!["invalid checksum"];
    }
    let table = raw.table_offset();
    let header_end = footer.data_offset.saturating_add(HEADER_BYTES as u64);
    let table_end = table.saturating_add(Bat::room_bytes(raw.max_bat_entries()));
    let is_table_outside = !table.is_multiple_of(SECTOR_BYTES) || table < header_end || table_end > data_end;
    [
        (raw.version() != 0x0001_0000, "invalid header version"),
        (raw.data_offset() != u64::MAX, "invalid data offset"),
        (is_table_outside, "invalid table offset"),
        (BlockSize::try_from(raw.block_bytes()).is_err(), "invalid block size"),
        (raw.has_reserved_bits(), "invalid reserved bits"),
    ]
    .into_iter()
    .filter_map(|(is_wrong, fault)| is_wrong.then_some(fault))
    .collect()
}

fn parent_faults(raw: &RawHeader, kind: DiskKind) -> Vec<&'static str> {
    let name = raw.parent_name();
    let faults = match kind {
        DiskKind::Differencing => vec![(name.decode().is_err(), "invalid parent name")],
        _ => vec![
            (name.0.iter().any(|&byte| byte != 0), "invalid non-null parent name"),
            (raw.has_locators(), "invalid non-null parent locators"),
            (!raw.parent_uuid().is_nil(), "invalid non-null parent uuid"),
            (raw.parent_timestamp().0 != 0, "invalid non-zero parent timestamp"),
        ],
    };
    faults.into_iter().filter_map(|(is_wrong, fault)| is_wrong.then_some(fault)).collect()
}
