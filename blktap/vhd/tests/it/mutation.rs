//! No image, however damaged, makes the library panic, run on, or read what is not there.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use vhd::check::{MAX_FINDINGS, Options};
use vhd::compact::Compact;
use vhd::convert::{self, Format};
use vhd::relink::Until;
use vhd::resize::Subject;
use vhd::revert::{InDoubt, Reverted, revert};
use vhd::snapshot::Base;
use vhd::{Disk, Image, Timestamp, chain, edit, relink};

use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic};
use crate::sim_disk::SimDisk;

/// Bytes to put somewhere: small damage, or one of the numbers that arithmetic stumbles over.
fn damage() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![
        Just(0u64),
        Just(1),
        Just(511),
        Just(513),
        Just(1 << 31),
        Just(u64::from(u32::MAX)),
        Just(1 << 41),
        Just(u64::MAX - 511),
        Just(u64::MAX)
    ];
    prop_oneof![
        vec(any::<u8>(), 1..4),
        number.clone().prop_map(|number| number.to_be_bytes().to_vec()),
        number.prop_map(|number| number.to_be_bytes()[4..].to_vec()),
    ]
}

/// Asks the image everything. Only that this comes back matters.
fn check(image: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.vhd");
    std::fs::write(&path, image).unwrap();
    std::fs::write(directory.path().join("a.vhd"), dynamic(2)).unwrap();
    drop(vhd::peek(&path));
    if let Ok(image) = Image::open(&path) {
        drop((image.bat().map(|bat| (bat.allocated_blocks(), bat.end_of_data())), image.batmap(), image.marker()));
        drop((image.physical_bytes(), image.max_virtual_bytes()));
        drop((chain::parent(&image), chain::stored_parent(&image)));
    }
    drop(chain::depth(&path));
    let options = Options { check_bitmaps: true, count_sectors: true, ..Options::default() };
    let report = vhd::check::check(&path, &options).unwrap();
    assert!(report.findings.len() <= MAX_FINDINGS);
    read_and_write(&path);
}

/// Reads and writes it, and changes all that it says about itself.
fn read_and_write(path: &Path) {
    let ends = |size: u64| [0, (4 << 20) - 512, size.saturating_sub(512) / 512 * 512];
    if let Ok(disk) = Disk::open(path) {
        for at in ends(disk.size_bytes()) {
            drop(disk.read_at(at, &mut [0; 512]));
        }
        drop(disk.read_at(0, &mut vec![0; 3 << 20]));
    }
    convert_and_compact(path);
    if let Ok(mut disk) = Disk::open_rw(path) {
        for at in ends(disk.size_bytes()) {
            drop(disk.write_at(at, &[1; 512]));
        }
        drop(disk.write_at(0, &vec![1; 3 << 20]));
    }
    let image = || Image::open_rw(path);
    drop(image().and_then(|image| edit::set_marker(&image, 1)));
    drop(image().and_then(|image| edit::set_hidden(&image, 1)));
    drop(image().and_then(|image| relink::relink(&image, &Base::vhd(&path.with_file_name("a.vhd"))?, Until::End)));
    drop(image().and_then(|image| edit::set_physical_size(&image, 8 << 20)));
    drop(image().and_then(|image| edit::kill_data(&image)));
    resize_and_revert(path);
    drop(image().and_then(|image| edit::grow(&image, 128 << 20)));
}

/// Whatever it can be converted to reads the same, and so does what it is compacted to.
fn convert_and_compact(path: &Path) {
    // Pieces that are no zeros.
    let read = |disk: &Disk| {
        let (zeros, mut bytes) = (vec![0; 256 << 10], vec![0; 256 << 10]);
        let mut held = Vec::new();
        for at in (0..Some(disk.size_bytes()).filter(|&size| size <= 128 << 20)?).step_by(bytes.len()) {
            let len = usize::try_from(disk.size_bytes() - at).unwrap().min(bytes.len());
            disk.read_at(at, &mut bytes[..len]).ok()?;
            if bytes[..len] != zeros[..len] {
                held.push((at, bytes[..len].to_vec()));
            }
        }
        Some((disk.size_bytes(), held))
    };
    let Some(before) = Disk::open(path).ok().and_then(|disk| read(&disk)) else { return };
    let raw = path.with_file_name("raw");
    let request = convert::Request {
        format: Format::Raw,
        uuid: BASE_UUID,
        timestamp: Timestamp(0),
        is_preallocated: false,
        replaces: true,
        is_durable: false,
    };
    if convert::convert(&Disk::open(path).unwrap(), &raw, &request, |_| ()).is_ok() {
        assert!(read(&Disk::open_raw(&raw).unwrap()) == Some(before.clone()));
    }
    let compacted = Compact::open(path).and_then(|compact| {
        let found = compact.find(|_| ())?;
        compact.run(&found, true, |_| ())
    });
    assert!(compacted.is_err() || read(&Disk::open(path).unwrap()) == Some(before));
}

/// What is good enough to be resized comes back as it was.
fn resize_and_revert(path: &Path) {
    // What was written before may have made it huge, of holes.
    if std::fs::metadata(path).unwrap().len() > 16 << 20 {
        return;
    }
    let sim = SimDisk::file(std::fs::read(path).unwrap());
    let (before, journal) = (sim.bytes(), SimDisk::file(vec![]));
    let Ok(image) = Image::on(sim.clone()) else { return };
    let Ok(resize) = Subject::of(&image).and_then(|subject| subject.grow(4 << 30)) else { return };
    resize.write_journal(&journal).unwrap();
    resize.begin().unwrap();
    for stage in resize.stages() {
        resize.perform(stage).unwrap();
    }
    assert_eq!(revert(sim.clone(), &journal, InDoubt::Refuse).unwrap(), Reverted::Restored);
    assert!(sim.bytes() == before);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn damaged_images_do_no_harm(
        is_child: bool,
        damages in vec((any::<Index>(), damage()), 1..6),
        cut in proptest::option::weighted(0.2, any::<Index>()),
        is_repaired in proptest::bool::weighted(0.9),
    ) {
        let mut image = if is_child { child("./a.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES) } else { dynamic(64) };
        for (at, bytes) in damages {
            let at = at.index(image.len() - bytes.len());
            image[at..][..bytes.len()].copy_from_slice(&bytes);
        }
        if let Some(cut) = cut {
            image.truncate(cut.index(image.len()));
        }
        if is_repaired {
            testkit::checksums::fix(&mut image);
        }
        check(&image);
    }

    #[test]
    fn noise_does_no_harm(image in vec(any::<u8>(), 0..4096)) {
        check(&image);
    }
}
