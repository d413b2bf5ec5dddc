//! Golden images of every kind, ours and those of other programs (`../golden/README.md`): they read as they always did,
//! as independent judges read them, and we still make the same bytes.
//!
//! `SNAPSHOTS=overwrite cargo test -p vhd --test it golden` makes ours anew and rewrites what is known of all.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use blockcrypto::Key;
use flate2::{Compression, GzBuilder, read::GzDecoder};
use sha2::{Digest, Sha256};
use snapbox::{Data, assert_data_eq};
use vhd::create::{Request, Storage};
use vhd::snapshot::{self, Base};
use vhd::{Disk, Image, Parent, chain, check, create_image, edit};

use crate::golden_makers::OURS;
use crate::judge;
use crate::oracle::{Oracle, flat};
use crate::vhdi::{flat_by_libvhdi, has_libvhdi};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn is_overwriting() -> bool {
    std::env::var("SNAPSHOTS").is_ok_and(|action| action == "overwrite")
}

/// A directory with our images, made just now.
fn made() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    OURS.iter().for_each(|(name, make)| make(&directory.path().join(name)));
    directory
}

/// A directory with those golden files whose names begin so, and the names of the images among them, in order.
fn unpacked(prefixes: &[&str]) -> (tempfile::TempDir, Vec<String>) {
    if is_overwriting() {
        let made = made();
        OURS.iter().for_each(|(name, _)| pack(name, &fs::read(made.path().join(name)).unwrap()));
    }
    let directory = tempfile::tempdir().unwrap();
    let packed = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = packed
        .filter_map(|name| name.strip_suffix(".gz").map(str::to_owned))
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    names.sort();
    names.iter().for_each(|name| fs::write(directory.path().join(name), golden(name)).unwrap());
    names.retain(|name| name.ends_with(".vhd"));
    (directory, names)
}

fn golden(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packed = File::open(folder().join(format!("{name}.gz"))).unwrap();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Appears whole: other tests read it at the same time.
fn pack(name: &str, bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new_in(folder()).unwrap();
    let mut packer = GzBuilder::new().write(file, Compression::best());
    packer.write_all(bytes).unwrap();
    let file = packer.finish().unwrap();
    fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    drop(file.persist(folder().join(format!("{name}.gz"))).unwrap());
}

/// What there is to know of an image, for people.
fn describe(directory: &Path, name: &str) -> String {
    let path = directory.join(name);
    let mut text = format!("{name}\n");
    match Image::open(&path) {
        Ok(image) => describe_image(&mut text, &path, &image).unwrap(),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            writeln!(text, "  refused  status {}: {cause}", error.errno()).unwrap();
        }
    }
    let options = check::Options { check_bitmaps: true, ignore_timestamps: true, ..check::Options::default() };
    let report = check::check(&path, &options).unwrap();
    if report.is_valid() {
        text.push_str("  check    valid\n");
    }
    for finding in report.findings {
        let message = finding.message.replace(&format!("{}/", directory.canonicalize().unwrap().display()), "");
        writeln!(text, "  check    {message}").unwrap();
    }
    text
}

fn describe_image(text: &mut String, path: &Path, image: &Image) -> std::fmt::Result {
    let footer = image.footer();
    let (kind, creator) = (footer.kind, &footer.creator);
    let (app, version) = (creator.app.trim_ascii_end().escape_ascii(), creator.version);
    writeln!(text, "  disk     {kind:?}, {} bytes, {}", footer.current_bytes, footer.uuid)?;
    writeln!(text, "  creator  \"{app}\" {}.{}, at {}", version.major, version.minor, footer.timestamp.0)?;
    if let (Ok(header), Ok(bat)) = (image.header(), image.bat()) {
        let (blocks, entries) = (bat.allocated_blocks(), bat.entries().len());
        let (bytes, most) = (header.block_size.bytes(), header.max_bat_entries);
        writeln!(text, "  blocks   {blocks} of {entries}, room for {most}, {bytes} bytes each")?;
    }
    if let Ok(Some(batmap)) = image.batmap() {
        let (header, full) = (batmap.header(), (0..64).filter(|&block| batmap.is_full(block)).count());
        let (version, has_key) = (header.version, header.key_hash.is_some());
        writeln!(text, "  batmap   {}.{}, {full} full, key hash: {has_key}", version.major, version.minor)?;
    }
    let (hidden, marker) = (footer.hidden, image.marker().unwrap());
    writeln!(text, "  says     hidden {hidden}, marker {marker}, in a resize: {}", footer.is_poisoned)?;
    if let Some(parent) = chain::stored_parent(image).unwrap() {
        let header = image.header().unwrap();
        let (name, time, depth) = (header.parent_name.decode().unwrap(), header.parent_timestamp.0, chain::depth(path));
        writeln!(text, "  parent   {}, \"{name}\" at {time}, depth {}", parent.display(), depth.unwrap())?;
    }
    match Disk::open(path) {
        Ok(_) => writeln!(text, "  holds    sha256 {}", sha256(&flat(path))),
        Err(error) => writeln!(text, "  holds    status {}", error.errno()),
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn images_read_as_they_always_did() {
    let (directory, names) = unpacked(&[""]);
    let described: Vec<String> = names.iter().map(|name| describe(directory.path(), name)).collect();
    assert_data_eq!(described.join("\n"), Data::read_from(&folder().join("known.txt"), None).raw());
}

#[test]
fn we_make_the_bytes_that_we_always_made() {
    let made = made();
    // When they are to be made anew, that happens here.
    drop(unpacked(&[]));
    for (name, _) in OURS {
        check_bytes(&fs::read(made.path().join(name)).unwrap(), &golden(name), name);
    }
}

fn check_bytes(found: &[u8], wanted: &[u8], name: &str) {
    assert_eq!(found.len(), wanted.len(), "length of {name}");
    let at = found.iter().zip(wanted).position(|(found, wanted)| found != wanted);
    assert_eq!(at, None, "first byte of {name} that differs");
}

/// Makes the image that blktap made, with its identity and time.
fn make_as_blktap(directory: &Path, name: &str, storage: Storage, base: Option<&str>) {
    let (path, theirs) = (directory.join("ours.vhd"), Image::open(&directory.join(name)).unwrap());
    let footer = theirs.footer();
    let request = Request { storage, size_bytes: footer.current_bytes, uuid: footer.uuid, timestamp: footer.timestamp };
    match base {
        None => create_image(&path, &request).unwrap(),
        Some(base) => {
            let parent = directory.join(base);
            let time = UNIX_EPOCH
                + Duration::from_secs(theirs.header().unwrap().parent_timestamp.unix_secs().try_into().unwrap());
            File::options().write(true).open(&parent).unwrap().set_modified(time).unwrap();
            let is_raw = theirs.header().unwrap().parent_uuid.is_nil();
            let base = if is_raw { Base::raw(&parent) } else { Base::vhd(&parent) };
            snapshot::create(&path, &request, &base.unwrap()).unwrap();
        }
    }
    check_bytes(&fs::read(&path).unwrap(), &fs::read(directory.join(name)).unwrap(), name);
}

#[test]
fn new_images_are_those_of_blktap_to_the_byte() {
    let (directory, _) = unpacked(&["blktap-new", "raw"]);
    let dynamic = |max_mib: Option<u64>| Storage::Dynamic { max_bytes: max_mib.map(|mib| mib << 20) };
    make_as_blktap(directory.path(), "blktap-new.vhd", dynamic(None), None);
    make_as_blktap(directory.path(), "blktap-new-room.vhd", dynamic(Some(65_536)), None);
    make_as_blktap(directory.path(), "blktap-new-fixed.vhd", Storage::Fixed, None);
    make_as_blktap(directory.path(), "blktap-new-child.vhd", dynamic(None), Some("blktap-new.vhd"));
    make_as_blktap(directory.path(), "blktap-new-on-raw.vhd", dynamic(None), Some("raw.img"));
}

#[test]
fn judges_read_golden_images_as_we_do() {
    let (has_qemu, has_libvhdi) = (judge::has(&["qemu-img"]), has_libvhdi());
    let (directory, names) = unpacked(&[""]);
    let mut judged = BTreeMap::from([("qemu", 0), ("libvhdi", 0)]);
    // qemu knows neither footers that are short nor checksums that are not of what stands there.
    let unknown_to_qemu = ["short-footer.vhd", "tap-1.1.vhd"];
    for name in &names {
        let path = directory.path().join(name);
        let Ok(image) = Image::open(&path).and_then(Image::not_poisoned) else { continue };
        let oracle = Oracle(flat(&path));
        if !image.has_parent() && !unknown_to_qemu.contains(&name.as_str()) && has_qemu {
            oracle.check(&judge::flat_by_qemu(directory.path(), name), &format!("{name} read by qemu"));
            *judged.get_mut("qemu").unwrap() += 1;
        }
        // libvhdi cannot read past the end of a parent, nor raw ones.
        if let Ok(Some(Parent::Vhd(parent))) = chain::parent(&image)
            && Image::open(&parent).unwrap().footer().current_bytes == image.footer().current_bytes
            && has_libvhdi
        {
            let found = flat_by_libvhdi(directory.path(), name).unwrap();
            oracle.check(found.last().unwrap(), &format!("{name} read by libvhdi"));
            *judged.get_mut("libvhdi").unwrap() += 1;
        }
    }
    assert!(!has_qemu || judged["qemu"] > 10, "{judged:?}");
    assert!(!has_libvhdi || judged["libvhdi"] > 2, "{judged:?}");
}

#[test]
fn what_tapdisk_encrypted_reads_right_with_its_key() {
    let (directory, _) = unpacked(&["blktap-encrypted"]);
    let path = directory.path().join("blktap-encrypted.vhd");
    let key = Key::new(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-").unwrap();
    let open = |key| Disk::open_rw(&path).unwrap().unlock(key);
    assert_eq!(open(None).unwrap_err().errno(), 126);
    // As `foreign.sh` has it: zeros that were written are encrypted, sectors that were not are none.
    let mut oracle = Oracle::zeros(3 << 12);
    for (value, at, len) in [(1, 0, 512), (2, 2560, 1536), (3, 2_096_128, 2048), (4, 6_287_360, 4096)] {
        oracle.0[at..][..len].fill(value);
    }
    let check = |oracle: &Oracle, when: &str| {
        let disk = open(Some(&key)).unwrap();
        let mut found = vec![1; oracle.0.len()];
        disk.read_at(0, &mut found).unwrap();
        oracle.check(&found, when);
    };
    check(&oracle, "as tapdisk wrote it");
    assert!(Oracle(flat(&path)).0[4_198_400..][..1024] != [0; 1024], "as they lie on disk");
    let mut disk = open(Some(&key)).unwrap();
    disk.write_at(2560, &[5; 1024]).unwrap();
    disk.write_zeroes(2_096_128, 1024).unwrap();
    disk.close().unwrap();
    oracle.0[2560..][..1024].fill(5);
    oracle.0[2_096_128..][..1024].fill(0);
    check(&oracle, "written on");
}

#[test]
fn a_marker_leaves_the_batmap_alone() {
    // C blktap's own `set -f marker` does not.
    let (directory, _) = unpacked(&["blktap-dynamic"]);
    let image = Image::open_rw(&directory.path().join("blktap-dynamic.vhd")).unwrap();
    edit::set_marker(&image, 8).unwrap();
    let batmap = image.batmap().unwrap().unwrap();
    assert_eq!((image.marker().unwrap(), batmap.is_full(0), batmap.is_full(1)), (8, false, true));
}

#[test]
fn golden_images_can_be_written_on() {
    let (directory, names) = unpacked(&[""]);
    // Under a journal, not to be opened at all, with a damaged batmap.
    let refused = ["in-a-resize.vhd", "blktap-in-a-resize.vhd", "tap-0.1.vhd", "blktap-marked-late.vhd"];
    for name in &names {
        let path = directory.path().join(name);
        if refused.contains(&name.as_str()) {
            assert_eq!(Disk::open_rw(&path).unwrap_err().errno(), 22, "{name}");
            continue;
        }
        let mut oracle = Oracle(flat(&path));
        let mut disk = Disk::open_rw(&path).unwrap();
        let last = disk.size_bytes() - 512;
        for offset in [0, 1536, last / 1024 * 512, last] {
            disk.write_at(offset, &[0xb7; 512]).unwrap();
            oracle.0[usize::try_from(offset).unwrap()..][..512].fill(0xb7);
        }
        disk.flush().unwrap();
        oracle.check_image(&path, &format!("{name} written on"));
    }
}
