//! Full disks: what ran out, where and how much is said, nothing half-done counts as done, and with space the same command works.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::checkout::{Checkout, How, files, root};
use super::run::{Ran, ran};
use crate::tier;

/// A mount namespace with a small file system at one place, as long as its holder lives.
struct Small {
    holder: Child,
    at: PathBuf,
}

impl Small {
    /// None where that cannot be had; the skip is on record.
    fn mount(at: &Path, options: &str) -> Option<Small> {
        if !root() {
            return None;
        }
        std::fs::create_dir_all(at).unwrap();
        let script = format!("mount -t tmpfs -o {options} small '{}' && echo ready && exec cat", at.display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line != "ready\n" {
            tier::skip("this machine lets nobody mount a tmpfs");
            holder.wait().unwrap();
            return None;
        }
        Some(Small { holder, at: at.to_path_buf() })
    }

    fn enter(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--mount=/proc/{}/ns/mnt", self.holder.id())]
    }

    /// `build` where the file system is.
    fn build(&self, checkout: &Checkout, how: How) -> Ran {
        let [nsenter, mount] = self.enter();
        let dir = format!("--wdns={}", checkout.root().display());
        ran(&mut checkout.through(&[&nsenter, &mount, &dir], &[&["build"], how.args()].concat()))
    }

    fn grow(&self, options: &str) {
        let [nsenter, mount] = self.enter();
        let options = format!("remount,{options}");
        let status = Command::new(nsenter).arg(mount).args(["mount", "-o", &options]).arg(&self.at).status().unwrap();
        assert!(status.success());
    }

    /// The content of something there.
    fn files(&self, path: &Path) -> Vec<String> {
        let seen = format!("/proc/{}/root{}", self.holder.id(), path.display());
        files(Path::new(&seen)).into_keys().collect()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
    }
}

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
