//! `read -p`: the dump of headers, label by label.

use std::path::Path;

use snapbox::Data;
use vhd::footer::{Creator, FEATURES_TEMPORARY};
use vhd::{Timestamp, Version};

use crate::bench::Bench;
use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers, patch_header};

/// Standard output as kept in `golden/`; `SNAPSHOTS=overwrite cargo test` writes it anew.
fn golden(name: &str) -> Data {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    Data::read_from(&directory.join(name).with_extension("txt"), None)
}

fn check(image: &[u8], status: i32, name: &str) {
    let bench = Bench::with(&[("t.vhd", image)]);
    bench.run(["read", "-p", "-n", "t.vhd"]).code(status).stdout_eq(golden(name));
}

#[test]
fn a_dynamic_disk() {
    check(&dynamic(64), 0, "dynamic");
}

#[test]
fn a_differencing_disk_with_locators_and_key() {
    let mut image = child("./é字.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    image[2048 + 29] = 1;
    for (at, byte) in image[2048 + 30..][..64].iter_mut().zip(0..) {
        *at = byte;
    }
    // The second locator is not UTF-16.
    image[3584 + 4..][..2].copy_from_slice(&[0, 0xd8]);
    check(&image, 0, "differencing");
}

#[test]
fn odd_fields() {
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| {
        footer.features = FEATURES_TEMPORARY;
        footer.creator = Creator { app: *b"vpc ", version: Version::new(5, 3), os: u32::from_be_bytes(*b"Wi2k") };
        footer.original_bytes = (1 << 20) + 1;
        footer.timestamp = Timestamp(0);
        footer.saved = 1;
        footer.hidden = 255;
    });
    patch_header(&mut image, 64, &[0xd8, 0, 0, b'a']);
    check(&image, 0, "odd-fields");
}

#[test]
fn a_damaged_image_is_dumped_as_it_is() {
    let mut image = dynamic(64);
    let end = image.len();
    image[300] = 7;
    image[end - 300] = 7;
    check(&image, 22, "damaged");
}

#[test]
fn zeros_are_dumped_as_zeros() {
    check(&[0; 4096], 22, "zeros");
}

#[test]
fn what_is_not_there_has_no_headers() {
    let bench = Bench::new();
    let stdout = "Failed to open nope: -2\n\nnope appears invalid; dumping headers\n\n";
    bench.run(["read", "-p", "-n", "nope"]).code(2).stdout_eq(stdout);
}

#[test]
fn an_image_without_bat_stops_there() {
    let bench = Bench::new();
    bench.run(["create", "-n", "f.vhd", "-s", "2", "-r"]).code(0);
    bench.run(["read", "-p", "-n", "f.vhd"]).code(22).stdout_eq("Failed to get bat for f.vhd: -22\n");
}

#[test]
fn times_are_local() {
    let bench = Bench::with(&[("a.vhd", &dynamic(64))]);
    let command = bench.command().env("TZ", "<-05>5").args(["read", "-p", "-n", "a.vhd"]);
    let output = String::from_utf8(command.assert().code(0).get_output().stdout.clone()).unwrap();
    assert!(output.contains("Parent timestamp    : Fri Dec 31 19:00:00 1999\n"), "{output}");
}
