//! Libraries with the versions of their symbols, as rpm's generators name them: `libc.so.6(GLIBC_2.34)(64bit)`. Pure.

use std::collections::BTreeSet;

use crate::elf::Elf;
use crate::package::Package;
use crate::package::facts::Facts;

/// What the files of a package need and what its libraries bring.
pub(super) fn of_files(package: &Package, facts: &Facts) -> (BTreeSet<String>, BTreeSet<String>) {
    let elves = || package.elves(facts).map(|(_, elf)| elf);
    let is_found = |elf: &&Elf| elf.soname.as_ref().is_some_and(|soname| package.libraries.contains(soname));
    let provided: BTreeSet<String> = elves().filter(is_found).flat_map(provided).collect();
    let needed = elves().flat_map(needed).filter(|name| !provided.contains(name)).collect();
    (needed, provided)
}

fn needed(elf: &Elf) -> Vec<String> {
    let plain = elf.needed.iter().map(|library| name(library, ""));
    let versions = elf.wanted_versions.iter().flat_map(|(library, versions)| {
        // What only one build of the C library has, rpm does not name either.
        versions.iter().filter(|version| *version != "GLIBC_PRIVATE").map(|version| name(library, version))
    });
    plain.chain(versions).collect()
}

fn provided(elf: &Elf) -> Vec<String> {
    let Some(soname) = &elf.soname else { return Vec::new() };
    std::iter::once(name(soname, "")).chain(elf.versions.iter().map(|version| name(soname, version))).collect()
}

/// `elf.rs` only reads files for 64 bits.
fn name(library: &str, version: &str) -> String {
    format!("{library}({version})(64bit)")
}
