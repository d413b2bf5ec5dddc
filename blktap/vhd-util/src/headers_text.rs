//! Headers as text, in the labels and columns of libvhd; `sm` parses some of these lines. Prints; never judges, beyond
//! saying whether a checksum is good.

use base16ct::lower;
use jiff::tz::TimeZone;
use vhd::batmap::Batmap;
use vhd::footer::{DiskKind, FEATURES_RESERVED, FEATURES_TEMPORARY, RawFooter};
use vhd::header::RawHeader;
use vhd::locator::{Locator, PlatformCode};
use vhd::units::MIB_BYTES;
use vhd::{Image, Timestamp};

use crate::number::Radix;
use crate::terminal::Terminal;

const OS_WINDOWS: u32 = u32::from_be_bytes(*b"Wi2k");
const OS_MACINTOSH: u32 = u32::from_be_bytes(*b"Mac ");

/// Prints everything about an image that could be opened.
pub(crate) fn image(image: &Image, radix: Radix, terminal: &mut Terminal) {
    footer(image.raw_footer(), radix, terminal);
    if let Some(raw) = image.raw_header() {
        header(raw, radix, terminal);
    }
    if image.has_parent() {
        locators(image, radix, terminal);
    }
    match image.batmap() {
        Ok(None) => {}
        Ok(Some(map)) => batmap(&map, radix, terminal),
        Err(error) => {
            terminal.print("failed to get batmap header\n");
            terminal.explain(&error);
        }
    }
}

/// Prints a footer.
pub(crate) fn footer(raw: &RawFooter, radix: Radix, terminal: &mut Terminal) {
    let footer = raw.fields();
    let mut features = String::new();
    for (bit, name) in [(FEATURES_TEMPORARY, "<TEMP>"), (FEATURES_RESERVED, "<RESV>")] {
        if footer.features & bit != 0 {
            features.push_str(name);
        }
    }
    let (format, creator, geometry) = (footer.format_version, footer.creator, footer.geometry);
    let kind = match footer.kind {
        DiskKind::Fixed => "Fixed hard disk",
        DiskKind::Dynamic => "Dynamic hard disk",
        DiskKind::Differencing => "Differencing hard disk",
        DiskKind::Other(0) => "None",
        DiskKind::Other(1 | 5 | 6) => "Reserved (deprecated)",
        DiskKind::Other(_) => "Unknown type!",
    };
    let os = match creator.os {
        OS_WINDOWS => "Windows",
        OS_MACINTOSH => "Macintosh",
        _ => "Unknown!",
    };
    title("VHD Footer Summary:", "-------------------", terminal);
    bytes_field("Cookie", b"", until_zero(&raw.cookie()), b"", terminal);
    field("Features", format_args!("({:#010x}) {features}", footer.features), terminal);
    field("File format version", format_args!("Major: {}, Minor: {}", format.major, format.minor), terminal);
    field("Data offset", radix.show(footer.data_offset), terminal);
    field("Timestamp", local_time(footer.timestamp), terminal);
    bytes_field("Creator Application", b"'", until_zero(&creator.app), b"'", terminal);
    field(
        "Creator version",
        format_args!("Major: {}, Minor: {}", creator.version.major, creator.version.minor),
        terminal,
    );
    field("Creator OS", os, terminal);
    field("Original disk size", mib_and_bytes(footer.original_bytes, radix), terminal);
    field("Current disk size", mib_and_bytes(footer.current_bytes, radix), terminal);
    let cylinders = radix.show(geometry.cylinders);
    let (heads, sectors) = (radix.show(geometry.heads), radix.show(geometry.sectors_per_track));
    field("Geometry", format_args!("Cyl: {cylinders}, Hds: {heads}, Sctrs: {sectors}"), terminal);
    field("", format_args!("= {}", mib_and_bytes(geometry.size_bytes(), radix)), terminal);
    field("Disk type", kind, terminal);
    checksum(raw.stored_checksum(), raw.computed_checksum(), terminal);
    field("UUID", footer.uuid.hyphenated(), terminal);
    field("Saved state", if footer.saved == 0 { "No" } else { "Yes" }, terminal);
    field("Hidden", footer.hidden.cast_signed(), terminal);
    terminal.print("\n");
}

/// Prints a sparse header.
pub(crate) fn header(raw: &RawHeader, radix: Radix, terminal: &mut Terminal) {
    let name = raw.parent_name().decode().unwrap_or_else(|_| "failed to read name".to_owned());
    let block_bytes = radix.show(raw.block_bytes());
    let block_mib = radix.show(u64::from(raw.block_bytes()) / MIB_BYTES);
    title("VHD Header Summary:", "-------------------", terminal);
    bytes_field("Cookie", b"", until_zero(&raw.cookie()), b"", terminal);
    field("Data offset (unusd)", radix.show(raw.data_offset()), terminal);
    field("Table offset", radix.show(raw.table_offset()), terminal);
    field("Header version", format_args!("{:#010x}", raw.version()), terminal);
    field("Max BAT size", radix.show(raw.max_bat_entries()), terminal);
    field("Block size", format_args!("{block_bytes} ({block_mib} MB)"), terminal);
    field("Parent name", name, terminal);
    field("Parent UUID", raw.parent_uuid().hyphenated(), terminal);
    field("Parent timestamp", local_time(raw.parent_timestamp()), terminal);
    checksum(raw.stored_checksum(), raw.computed_checksum(), terminal);
    terminal.print("\n");
}

fn locators(image: &Image, radix: Radix, terminal: &mut Terminal) {
    title("VHD Parent Locators:", "--------------------", terminal);
    let locators = image.header().map(|header| header.locators).unwrap_or_default();
    for (slot, locator) in locators.iter().enumerate().filter(|(_, locator)| locator.is_used()) {
        self::locator(image, slot, locator, radix, terminal);
    }
}

fn locator(image: &Image, slot: usize, locator: &Locator, radix: Radix, terminal: &mut Terminal) {
    let code = match locator.code {
        PlatformCode::None => "PLAT_CODE_NONE",
        PlatformCode::Wi2r => "PLAT_CODE_WI2R",
        PlatformCode::Wi2k => "PLAT_CODE_WI2K",
        PlatformCode::W2ru => "PLAT_CODE_W2RU",
        PlatformCode::W2ku => "PLAT_CODE_W2KU",
        PlatformCode::Mac => "PLAT_CODE_MAC",
        PlatformCode::MacX => "PLAT_CODE_MACX",
    };
    field("locator:", slot, terminal);
    field("       code", code, terminal);
    field("       data_space", radix.show(locator.space.0), terminal);
    field("       data_length", radix.show(locator.len_bytes), terminal);
    field("       data_offset", radix.show(locator.offset), terminal);
    match image.locator_path(locator) {
        Ok(path) => {
            terminal.print(format_args!("{:<20}: ", "       decoded name"));
            terminal.print_path(&path);
            terminal.print("\n");
        }
        Err(error) => {
            terminal.print("failed to read parent name\n");
            terminal.explain(&error);
        }
    }
    terminal.print("\n");
}

fn batmap(batmap: &Batmap, radix: Radix, terminal: &mut Terminal) {
    let header = batmap.header();
    title("VHD Batmap Summary:", "-------------------", terminal);
    field("Batmap offset", radix.show(header.map_offset), terminal);
    field("Batmap size (secs)", radix.show(header.map_sectors), terminal);
    field("Batmap version", format_args!("{:#010x}", u32::from(header.version)), terminal);
    if let Some(key) = &header.key_hash {
        field("Batmap keyhash nonce", lower::encode_string(&key.nonce), terminal);
        field("Batmap keyhash hash", lower::encode_string(&key.hash), terminal);
    }
    // A batmap whose checksum differs is none.
    checksum(header.checksum, header.checksum, terminal);
    terminal.print("\n");
}

fn title(text: &str, line: &str, terminal: &mut Terminal) {
    terminal.print(format_args!("{text}\n{line}\n"));
}

fn field(label: &str, value: impl std::fmt::Display, terminal: &mut Terminal) {
    terminal.print(format_args!("{label:<20}: {value}\n"));
}

/// A field whose value need not be UTF-8.
fn bytes_field(label: &str, open: &[u8], value: &[u8], close: &[u8], terminal: &mut Terminal) {
    terminal.print(format_args!("{label:<20}: "));
    terminal.print_bytes(&[open, value, close, b"\n"].concat());
}

fn checksum(stored: u32, computed: u32, terminal: &mut Terminal) {
    let verdict = if stored == computed { "Good!" } else { "Bad!" };
    field("Checksum", format_args!("{stored:#x}|{computed:#x} ({verdict})"), terminal);
}

fn mib_and_bytes(len_bytes: u64, radix: Radix) -> String {
    format!("{} MB ({} Bytes)", radix.show(len_bytes / MIB_BYTES), radix.show(len_bytes))
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A time as ctime(3) prints it, in the machine's time zone.
fn local_time(time: Timestamp) -> String {
    match jiff::Timestamp::from_second(time.unix_secs()) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%a %b %e %H:%M:%S %Y").to_string(),
        Err(_) => time.unix_secs().to_string(),
    }
}
