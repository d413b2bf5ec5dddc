//! Where parents may be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use vhd::{Disk, Gate, Image, chain};

use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic};

/// Opens `in/b.vhd`, whose parent is this path, with parents allowed in `in`; an error number if that fails.
fn check(parent: &str, prepare: impl Fn(&Path), expected: Result<(), i32>) {
    let directory = tempfile::tempdir().unwrap();
    for name in ["in", "in/deep", "out"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    for name in ["in/deep/a.vhd", "out/a.vhd"] {
        fs::write(directory.path().join(name), dynamic(64)).unwrap();
    }
    prepare(directory.path());
    let path = directory.path().join("in/b.vhd");
    fs::write(&path, child(parent.as_ref(), BASE_UUID, &LIBVHD_CODES)).unwrap();
    let gate = Gate::within([directory.path().join("in")]).unwrap();
    let open = || Image::open_through(&path, &gate).unwrap();
    let disk = Disk::on(open()).map(|_| ()).map_err(|error| error.errno());
    assert_eq!(disk, expected, "{parent}");
    assert_eq!(chain::depth_of(open()).map_err(|error| error.errno()), expected.map(|()| 2), "{parent}");
    assert!(Disk::open(&path).is_ok());
}

#[test]
fn parents_below_an_allowed_directory_open() {
    check("./deep/a.vhd", |_| {}, Ok(()));
}

#[test]
fn parents_elsewhere_are_refused() {
    check("../out/a.vhd", |_| {}, Err(13));
    let link = |directory: &Path| symlink("../out/a.vhd", directory.join("in/link.vhd")).unwrap();
    check("./link.vhd", link, Err(13));
}

#[test]
fn a_directory_that_is_not_there_cannot_be_allowed() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(Gate::within([directory.path().join("none")]).unwrap_err().errno(), 2);
}
