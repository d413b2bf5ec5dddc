//! A disk and the bytes that it must read: writes go to both.

use std::path::Path;

use vhd::Disk;

use crate::bench::Bench;

pub(crate) fn write(path: &Path, offset: usize, bytes: &[u8], oracle: &mut [u8]) {
    let mut disk = Disk::open_rw(path).unwrap();
    disk.write_at(offset as u64, bytes).unwrap();
    disk.flush().unwrap();
    oracle[offset..][..bytes.len()].copy_from_slice(bytes);
}

/// The image reads the same, and it and its parents have no faults.
pub(crate) fn check(bench: &Bench, name: &str, oracle: &[u8]) {
    let mut bytes = vec![0xee; oracle.len()];
    Disk::open(&bench.path(name)).unwrap().read_at(0, &mut bytes).unwrap();
    assert!(bytes == oracle, "{name} reads something else");
    bench.run(["check", "-n", name, "-b", "-p"]).code(0);
}
