//! The corpus of each fuzz target passes, without a fuzzer.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::fuzz::{TARGETS, seeds};

fn fuzz_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// Runs a target over its corpus and its seeds, and says which input it was that failed.
fn check(target: &str) {
    let (_, run) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let mut inputs = seeds::of(target);
    for entry in fs::read_dir(fuzz_directory().join("corpus").join(target)).unwrap() {
        let path = entry.unwrap().path();
        inputs.push((path.display().to_string(), fs::read(path).unwrap()));
    }
    for (name, bytes) in inputs {
        let done = std::panic::catch_unwind(|| run(&bytes));
        assert!(done.is_ok(), "{target} fails on {name}");
    }
}

#[test]
fn the_corpus_of_cbt_passes() {
    check("cbt");
}

#[test]
fn the_corpus_of_chain_passes() {
    check("chain");
}

#[test]
fn the_corpus_of_cli_passes() {
    check("cli");
}

#[test]
fn the_corpus_of_edit_passes() {
    check("edit");
}

#[test]
fn the_corpus_of_frames_passes() {
    check("frames");
}

#[test]
fn the_corpus_of_journal_passes() {
    check("journal");
}

#[test]
fn the_corpus_of_nbd_passes() {
    check("nbd");
}

#[test]
fn the_corpus_of_open_passes() {
    check("open");
}

#[test]
fn the_corpus_of_read_passes() {
    check("read");
}

#[test]
fn every_target_has_a_program() {
    let mut programs: Vec<String> = fs::read_dir(fuzz_directory().join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    programs.sort();
    assert_eq!(programs, TARGETS.map(|(name, _)| name));
}
