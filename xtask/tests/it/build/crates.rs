//! The crates of a cargo component are where its steps look for them, with a sandbox and without.

use std::fs;

use xtask::digest::Digest;

use super::checkout::{Checkout, How};
use super::run::ran;

const SUM: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

/// A component that uses a crate which only the store has.
fn project() -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["c"], "");
    checkout.component("c", "[build.cargo]\nbins = { c = '/usr/bin/c' }\n");
    let lock = format!(
        "version = 3\n\n[[package]]\nname = \"c\"\nversion = \"0.1.0\"\ndependencies = [\n \"dep\",\n]\n\n[[package]]\nname = \"dep\"\n\
         version = \"0.1.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{SUM}\"\n"
    );
    checkout.write(
        "c/Cargo.toml",
        "[package]\nname = 'c'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\ndep = '0.1.0'\n",
    );
    checkout.write("c/Cargo.lock", &lock);
    checkout.write("c/src/main.rs", "fn main() { println!(\"{}\", dep::WORD) }\n");
    let dep = checkout.store().join("crates").join(Digest::of(lock.as_bytes()).hash.to_string()).join("dep-0.1.0");
    fs::create_dir_all(dep.join("src")).unwrap();
    fs::write(dep.join("Cargo.toml"), "[package]\nname = 'dep'\nversion = '0.1.0'\nedition = '2021'\n").unwrap();
    fs::write(dep.join("src/lib.rs"), "pub const WORD: &str = \"found\";\n").unwrap();
    fs::write(dep.join(".cargo-checksum.json"), format!("{{\"files\":{{}},\"package\":\"{SUM}\"}}")).unwrap();
    checkout
}

#[test]
fn crates_are_found_with_a_sandbox_and_without() {
    for how in How::all() {
        let checkout = project();
        // rustup finds the toolchain in the home that this run does not have.
        let rustup = ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = checkout.command(&[&["build", "--offline"], how.args()].concat());
        let built = ran(command.envs(rustup.into_iter().flatten()));
        assert_eq!(built.code, Some(0), "{how:?}: {}", built.stderr);
        let said = ran(&mut std::process::Command::new(checkout.path("dist/usr/bin/c")));
        assert_eq!(said.stdout, "found\n", "{how:?}");
        // The crates are nobody's to remove.
        assert!(checkout.store().join("crates").read_dir().unwrap().next().is_some());
    }
}
