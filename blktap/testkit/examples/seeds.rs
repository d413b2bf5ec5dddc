//! Writes the first inputs of each fuzz target: `cargo run -p testkit --example seeds -- DIRECTORY` makes `DIRECTORY/TARGET/`.
#![allow(clippy::unwrap_used, reason = "a tool for whoever runs the fuzzers")]

use std::fs;
use std::path::PathBuf;

use testkit::fuzz::{TARGETS, seeds};

fn main() {
    let directory = PathBuf::from(std::env::args_os().nth(1).expect("usage: seeds DIRECTORY"));
    for (target, _) in TARGETS {
        let directory = directory.join(target);
        fs::create_dir_all(&directory).unwrap();
        for (name, bytes) in seeds::of(target) {
            fs::write(directory.join(name), bytes).unwrap();
        }
    }
}
