//! Repairing footers: what is behind them and before them stays.

use std::fs;

use vhd::repair::{Repair, Source};

use crate::small::{DISK_SECTORS, Kind, SECTOR, empty};

#[test]
fn data_in_front_of_a_short_footer_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.vhd");
    let mut bytes = empty(Kind::Fixed);
    let (data, footer) = (vec![7; DISK_SECTORS * SECTOR], bytes.split_off(DISK_SECTORS * SECTOR));
    fs::write(&path, [&data[..], &footer[..SECTOR - 1]].concat()).unwrap();
    Repair::open(&path, Source::Any).unwrap().write().unwrap();
    assert!(fs::read(&path).unwrap() == [data, footer].concat());
}
