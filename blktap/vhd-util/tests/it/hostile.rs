//! Images on which blktap's tools crash, hang or are fooled: here each command ends, and says what is wrong.

use std::time::Duration;

use vhd::footer::DiskKind;

use crate::bench::Bench;
use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers, edit_header, patch_header};

/// Much more than any of these takes, less than for ever.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs commands on `t.vhd`, with `a.vhd` beside it. Each ends with its status.
fn check(image: &[u8], other: &[u8], commands: &[(&str, i32)]) {
    let bench = Bench::with(&[("t.vhd", image), ("a.vhd", other)]);
    for &(command, status) in commands {
        let words = command.split(' ');
        let done = bench.command().args(words).args(["-n", "t.vhd"]).timeout(LIMIT).assert();
        let output = done.get_output();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{command}: {said}");
    }
}

fn over(parent: &str) -> Vec<u8> {
    child(parent.as_ref(), BASE_UUID, &LIBVHD_CODES)
}

#[test]
fn blocks_smaller_than_a_sector() {
    // C: `check` says valid, `read -r` divides by zero.
    let mut image = dynamic(64);
    patch_header(&mut image, 32, &256u32.to_be_bytes());
    check(&image, &[], &[("check", 22), ("read -r 0 -c 1", 22), ("read -p", 22), ("query -d", 22)]);
}

#[test]
fn small_blocks_with_a_bat_for_large_ones() {
    // C: `check` says valid, reads go past the BAT in memory.
    let mut image = dynamic(64);
    patch_header(&mut image, 32, &(64u32 << 10).to_be_bytes());
    check(&image, &[], &[("check", 22), ("read -r 0 -c 1", 22), ("read -p", 22), ("query -s", 22), ("query -d", 0)]);
}

#[test]
fn paths_longer_than_their_room() {
    // C: reads past its buffer; 32-bit arithmetic makes the larger one an allocation of nothing.
    for len_bytes in [0x0010_0000, u32::MAX] {
        let mut image = over("./a.vhd");
        edit_header(&mut image, |header| {
            for locator in &mut header.locators[..3] {
                locator.len_bytes = len_bytes;
            }
        });
        let commands = [("check", 22), ("read -r 0 -c 1", 22), ("query -p", 22), ("query -d", 22), ("read -p", 0)];
        check(&image, &dynamic(64), &commands);
    }
}

#[test]
fn parents_of_each_other() {
    // C: `query -d` and `read` never end.
    let (mut image, mut other) = (over("./a.vhd"), over("./t.vhd"));
    for image in [&mut image, &mut other] {
        edit_footers(image, |footer| footer.uuid = BASE_UUID);
    }
    check(
        &image,
        &other,
        &[("query -d", 40), ("read -r 0 -c 1", 40), ("check -p", 40), ("read -p", 0), ("query -p", 0)],
    );
}

#[test]
fn a_disk_of_2_tib_in_a_file_of_3_kib() {
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.current_bytes = 2 << 40);
    check(&image, &[], &[("check", 22), ("read -r 0 -c 1", 22), ("read -p", 22), ("query -s", 22), ("query -v", 0)]);
    // And with a BAT that is as large.
    edit_header(&mut image, |header| header.max_bat_entries = 1 << 20);
    check(&image, &[], &[("check", 22), ("read -r 0 -c 1", 32), ("read -p", 32), ("query -s", 32), ("query -v", 0)]);
}

#[test]
fn a_differencing_footer_without_header_or_parent() {
    // C before 2026: a segmentation fault.
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.kind = DiskKind::Differencing);
    let mut alone = image[..512].to_vec();
    check(&image, &[], &[("check", 22), ("read -r 0 -c 1", 22), ("query -p", 22), ("query -d", 0)]);
    image[512..1536].fill(0);
    check(&image, &[], &[("check", 22), ("read -r 0 -c 1", 22), ("query -d", 22)]);
    edit_footers(&mut alone, |footer| footer.uuid = BASE_UUID);
    check(&alone, &[], &[("check", 32), ("read -r 0 -c 1", 32), ("query -d", 32)]);
}

#[test]
fn a_batmap_of_no_size() {
    // C aborts.
    let mut image = dynamic(64);
    image[2048 + 16..][..4].fill(0);
    check(&image, &[], &[("check", 22), ("query -s", 22), ("read -r 0 -c 1", 0), ("query -d", 0)]);
}
