//! Full disks: what ran out, where and how much is said, nothing half-done counts as done, and with space the same command works.

use std::io::Read;
use std::path::Path;

use super::checkout::{Checkout, How};
use super::small::Small;
use crate::origin::{Fault, Server};

/// A component that installs so many files of so many bytes.
fn installing(number: usize, bytes: usize) -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    let script = format!("for n in `seq {number}`; do head -c {bytes} /dev/urandom > $STAGE/f$n; done");
    checkout.script("a", "", &script);
    checkout
}

/// Builds on a small file system, which must fail so, and again on a larger one.
fn check(checkout: &Checkout, at: &Path, small: &str, large: &str, words: &[&str]) {
    let Some(place) = Small::mount(at, small) else { return };
    let how = How::all()[0];
    let failed = place.build(checkout, how);
    assert_eq!(failed.code, Some(3), "{}", failed.stderr);
    failed.says(words);
    failed.says(&[&at.display().to_string(), "help: cargo xtask gc"]);
    failed.never_says(&["panicked"]);
    place.grow(large);
    let again = place.build(checkout, how);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let there = place.files(&checkout.path("dist"));
    assert!(!there.is_empty() && there.iter().all(|path| path.starts_with('f')), "{there:?}");
    again.says(&[&format!("{} files", there.len())]);
    let third = place.build(checkout, how);
    third.says(&["up to date", "none changed"]);
}

#[test]
fn of_the_store() {
    let checkout = installing(3, 3 << 20);
    let words = ["not enough space for the output of `a`", "10.0 MiB needed", "MiB free"];
    check(&checkout, checkout.store(), "size=6m", "size=64m", &words);
}

#[test]
fn of_the_store_in_the_middle() {
    let checkout = installing(60, 1000);
    check(
        &checkout,
        checkout.store(),
        "size=64m,nr_inodes=50",
        "nr_inodes=1000",
        &["in the store", "No space left on device"],
    );
}

#[test]
fn of_the_store_by_a_download() {
    let checkout = Checkout::new();
    let file = checkout.path("a-1.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&file).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(8 << 20);
    header.set_mode(0o644);
    header.set_mtime(1_600_000_000);
    tar.append_data(&mut header, "a-1/f", std::io::repeat(7).take(8 << 20)).unwrap();
    tar.finish().unwrap();
    checkout.script("a", "", "cp f $STAGE/f");
    let server = Server::http(checkout.root(), |_| Fault::None);
    let url = server.url("http", "a-1.tar");
    checkout.write(
        "manifests/m.toml",
        &format!("summary = 'm'\ncomponents = ['a']\n[sources]\na.archive.urls = ['{url}']\n"),
    );
    let updated = checkout.run(&["update"]);
    assert_eq!(updated.code, Some(0), "{}", updated.stderr);
    std::fs::remove_dir_all(checkout.store()).unwrap();
    std::fs::remove_dir_all(checkout.path(".xtask")).unwrap();
    let words = ["not enough space for downloading `http://", "8.0 MiB needed", "free"];
    check(&checkout, checkout.store(), "size=4m", "size=64m", &words);
}

#[test]
fn of_the_build_directory() {
    let checkout = installing(1, 1000);
    let words = ["not enough space for building `a`", "64.0 MiB needed", "MiB free"];
    check(&checkout, &checkout.path(".xtask"), "size=32m", "size=100m", &words);
}

#[test]
fn of_the_build_directory_during_a_step() {
    let checkout = installing(1, 100 << 20);
    let words = ["step `run` of `a` failed", "no space left; free now in"];
    check(&checkout, &checkout.path(".xtask"), "size=80m", "size=400m", &words);
}

#[test]
fn of_dist() {
    let checkout = installing(2, 1 << 20);
    let words = ["not enough space for installing into dist/", "18.0 MiB needed, 8.0 MiB free"];
    check(&checkout, &checkout.path("dist"), "size=8m", "size=64m", &words);
}

#[test]
fn of_dist_in_the_middle() {
    let checkout = installing(60, 1000);
    let words = ["cannot write", "No space left on device"];
    check(&checkout, &checkout.path("dist"), "size=64m,nr_inodes=40", "nr_inodes=1000", &words);
}
