//! Damaged and hostile images: what opens, what does not, and with which number.

use std::cell::Cell;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use vhd::footer::{Creator, DiskKind};
use vhd::locator::DataSpace;
use vhd::plan::Target;
use vhd::units::MAX_BAT_ENTRIES;
use vhd::{Disk, ErrorKind, Image, Medium, Version};

use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers, edit_header, patch_header};
use crate::sim_disk::SimDisk;

fn with_image<T>(image: &[u8], look: impl FnOnce(vhd::Result<Image>) -> T) -> T {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.vhd");
    std::fs::write(&path, image).unwrap();
    look(Image::open(&path))
}

/// Opens the image; `expected` is the error number or 0.
fn check(image: &[u8], expected: i32) {
    assert_eq!(with_image(image, |opened| opened.err().map_or(0, |error| error.errno())), expected);
}

fn errno<T>(result: vhd::Result<T>) -> i32 {
    result.err().map_or(0, |error| error.errno())
}

/// A device whose header another host is writing: so many reads find half of it.
#[derive(Debug)]
struct HalfWritten(SimDisk, Cell<u32>);

impl Medium for HalfWritten {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn len_bytes(&self) -> u64 {
        self.0.len_bytes()
    }

    fn target(&self) -> Target {
        self.0.target()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)?;
        if bytes.len() == 1024 && self.1.get() > 0 {
            self.1.set(self.1.get() - 1);
            bytes[600] ^= 1;
        }
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        self.0.truncate(len_bytes)
    }
}

#[test]
fn a_header_that_another_host_is_writing_is_read_again() {
    let open = |disk, reads| errno(Image::on(HalfWritten(disk, Cell::new(reads))));
    assert_eq!([0, 3, u32::MAX].map(|reads| open(SimDisk::device(dynamic(64)), reads)), [0, 0, 22]);
    // Of a file it is half done for as long as a copy in memory takes.
    assert_eq!(open(SimDisk::file(dynamic(64)), 1), 22);
}

#[test]
fn files_too_small_for_a_footer_are_refused() {
    check(&[], 32);
    check(&[0; 100], 22);
    check(&[0; 510], 22);
    check(&[0; 512], 22);
}

#[test]
fn a_footer_is_found_at_the_end_then_short_then_at_the_start() {
    let good = dynamic(64);
    check(&good[..good.len() - 1], 0);
    check(&good[..good.len() - 512], 0);
    let mut image = good.clone();
    image[3072 + 100] ^= 1;
    check(&image, 0);
    image[100] ^= 1;
    check(&image, 22);
}

#[test]
fn the_short_footer_is_read_where_the_backup_is_gone() {
    let mut image = dynamic(64);
    image[100] ^= 1;
    check(&image[..image.len() - 1], 0);
}

#[test]
fn the_backup_alone_counts_where_it_is_asked_for() {
    let open = |image: &[u8]| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), image).unwrap();
        errno(Image::open_by_backup(file.path()))
    };
    let mut image = dynamic(64);
    let end = image.len() - 512;
    image[end..].fill(0xc7);
    assert_eq!(open(&image), 0);
    assert_eq!((open(&image[..511]), open(&[])), (32, 32));
    image[100] ^= 1;
    assert_eq!(open(&image), 22);
}

#[test]
fn a_header_beyond_the_end_is_a_short_read() {
    check(&dynamic(64)[..1024], 32);
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.data_offset = u64::MAX - 100);
    check(&image, 32);
}

#[test]
fn a_differencing_footer_without_a_header_is_refused() {
    let mut image = dynamic(64);
    image[512..1536].fill(0);
    edit_footers(&mut image, |footer| footer.kind = DiskKind::Differencing);
    check(&image, 22);
    image.truncate(512);
    check(&image, 32);
}

#[test]
fn blocks_smaller_than_a_sector_are_refused() {
    let mut image = dynamic(64);
    patch_header(&mut image, 32, &256u32.to_be_bytes());
    check(&image, 22);
}

#[test]
fn a_bat_too_short_for_the_disk_is_refused_where_it_is_needed() {
    let mut image = dynamic(64);
    patch_header(&mut image, 32, &(64u32 << 10).to_be_bytes());
    with_image(&image, |opened| assert_eq!(errno(opened.unwrap().bat()), 22));
    for current_bytes in [66 << 20, 2 << 40, u64::MAX] {
        let mut image = dynamic(64);
        edit_footers(&mut image, |footer| footer.current_bytes = current_bytes);
        with_image(&image, |opened| {
            let image = opened.unwrap();
            assert_eq!([errno(image.bat()), errno(image.batmap()), errno(image.physical_bytes())], [22; 3]);
        });
    }
}

#[test]
fn a_huge_bat_takes_no_memory() {
    let mut image = dynamic(64);
    edit_header(&mut image, |header| header.max_bat_entries = u32::MAX);
    edit_footers(&mut image, |footer| footer.current_bytes = u64::from(u32::MAX) << 21);
    with_image(&image, |opened| assert_eq!(errno(opened.unwrap().bat()), 27));
    edit_footers(&mut image, |footer| footer.current_bytes = 1 << 40);
    with_image(&image, |opened| assert_eq!(errno(opened.unwrap().bat()), 32));
}

#[test]
fn tables_anywhere_else_do_no_harm() {
    for table_offset in [0, 512, 1 << 40, u64::MAX - 511, u64::MAX] {
        let mut image = dynamic(64);
        edit_header(&mut image, |header| header.table_offset = table_offset);
        with_image(&image, |opened| assert_ne!(errno(opened.unwrap().physical_bytes()), 0));
    }
}

#[test]
fn locators_longer_than_their_room_are_not_read() {
    for len_bytes in [0, 513, 0x0010_0000, u32::MAX] {
        let mut image = child("./a.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
        edit_header(&mut image, |header| {
            header.locators[0].len_bytes = len_bytes;
            header.locators[1].space = DataSpace(u32::MAX - 511);
            header.locators[1].len_bytes = len_bytes.max(70_000);
            header.locators[2].offset = u64::MAX - 511;
        });
        with_image(&image, |opened| {
            let image = opened.unwrap();
            for locator in &image.header().unwrap().locators[..3] {
                assert_ne!(errno(image.locator_path(locator)), 0);
            }
        });
    }
}

#[test]
fn a_batmap_smaller_than_the_disk_needs_is_refused() {
    let mut image = dynamic(64);
    image[2048 + 16..][..4].fill(0);
    with_image(&image, |opened| assert_eq!(errno(opened.unwrap().batmap()), 22));
}

#[test]
fn the_checksum_of_a_small_disks_batmap_covers_a_sector() {
    let mut image = dynamic(2);
    image[2560] = 0x80;
    with_image(&image, |opened| assert_eq!(errno(opened.unwrap().batmap()), 22));
    image[2048 + 24..][..4].copy_from_slice(&(!0x80u32).to_be_bytes());
    with_image(&image, |opened| assert!(opened.unwrap().batmap().unwrap().unwrap().is_full(0)));
}

#[test]
fn a_damaged_batmap_keeps_its_marker() {
    let mut image = dynamic(64);
    image[2048 + 28] = 5;
    image[2048 + 24] ^= 1;
    with_image(&image, |opened| {
        let image = opened.unwrap();
        assert_eq!((image.marker().unwrap(), errno(image.batmap())), (5, 22));
    });
}

/// Opens an image of this creator, whose batmap's cookie is broken or not, and compares what became of the batmap.
fn check_batmap(app: &[u8; 4], version: Version, has_cookie: bool, expected: Result<bool, i32>) {
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.creator = Creator { app: *app, version, os: 0 });
    if !has_cookie {
        image[2048] = 0;
    }
    let found = with_image(&image, |opened| opened.unwrap().batmap());
    assert_eq!(found.map(|batmap| batmap.is_some()).map_err(|error| error.errno()), expected);
}

#[test]
fn a_batmap_that_need_not_be_may_lie_beyond_the_end() {
    for (version, expected) in [(Version::new(1, 3), 32), (Version::new(1, 1), 0)] {
        let mut image = dynamic(64);
        edit_footers(&mut image, |footer| footer.creator.version = version);
        with_image(&image[..2048], |opened| assert_eq!(errno(opened.unwrap().marker()), expected));
    }
}

#[test]
fn only_images_of_blktap_have_a_batmap() {
    check_batmap(b"tap\0", Version::new(1, 3), true, Ok(true));
    check_batmap(b"tap\0", Version::new(1, 3), false, Err(22));
    check_batmap(b"tap\0", Version::new(1, 1), true, Ok(true));
    check_batmap(b"tap\0", Version::new(1, 1), false, Ok(false));
    check_batmap(b"tap\0", Version::new(0, 0), true, Ok(false));
    check_batmap(b"vpc ", Version::new(1, 3), true, Ok(false));
}

#[test]
fn blktap_1_1_hides_in_the_backup_footer_only() {
    let hidden = |version, primary, backup| {
        let mut image = dynamic(64);
        edit_footers(&mut image, |footer| {
            footer.creator.version = version;
            footer.hidden = backup;
        });
        let copy: Vec<u8> = image[..512].to_vec();
        edit_footers(&mut image, |footer| footer.hidden = primary);
        image[..512].copy_from_slice(&copy);
        with_image(&image, |opened| opened.unwrap().footer().hidden)
    };
    assert_eq!(hidden(Version::new(1, 1), 0, 1), 1);
    assert_eq!(hidden(Version::new(1, 1), 1, 0), 0);
    assert_eq!(hidden(Version::new(1, 3), 0, 1), 0);
}

#[test]
fn the_tables_of_a_chain_are_bounded_together() {
    let directory = tempfile::tempdir().unwrap();
    // Each has the most entries that are read, in a hole of its file.
    for number in 0..6 {
        let mut image = child(format!("./{}.vhd", number + 1).as_ref(), BASE_UUID, &LIBVHD_CODES);
        edit_header(&mut image, |header| {
            header.max_bat_entries = MAX_BAT_ENTRIES;
            header.table_offset = 8192;
        });
        edit_footers(&mut image, |footer| {
            footer.uuid = BASE_UUID;
            footer.creator.app = *b"vpc ";
            footer.current_bytes = u64::from(MAX_BAT_ENTRIES) << 21;
        });
        let file = std::fs::File::create(directory.path().join(format!("{number}.vhd"))).unwrap();
        let (body, footer) = image.split_at(image.len() - 512);
        file.write_all_at(body, 0).unwrap();
        file.write_all_at(footer, 128 << 20).unwrap();
    }
    let error = Disk::open(&directory.path().join("0.vhd")).unwrap_err();
    assert_eq!((error.kind(), error.errno()), (ErrorKind::TooLarge, 27));
}
