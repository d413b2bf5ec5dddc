//! What an ELF file says of itself to the dynamic linker: the libraries it needs, the symbols and versions it takes from them, and what it
//! gives. Knows bytes; not who brings what.

use std::collections::{BTreeMap, BTreeSet};

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, SectionHeader, Sym};
use object::{Endianness, SymbolIndex};

/// A file that is linked dynamically, for 64 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elf {
    /// Libraries by the names under which they are looked for: `libc.so.6`.
    pub needed: Vec<String>,
    /// Its own such name.
    pub soname: Option<String>,
    /// Symbols that somebody else must have, each with its version where that is known.
    pub undefined: BTreeSet<(String, Option<String>)>,
    /// Versions that it wants of each library.
    pub wanted_versions: BTreeMap<String, BTreeSet<String>>,
    /// Versions that it has itself.
    pub versions: BTreeSet<String>,
    /// It has symbols or lines for a debugger, which the linker does not read.
    pub has_symbols: bool,
}

impl Elf {
    /// Reads a file; nothing if it is none for 64 bits, or is linked to nothing. What is damaged counts as that too: the loader is to
    /// complain, not we.
    pub fn read(bytes: &[u8]) -> Option<Elf> {
        let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
        let endian = header.endian().ok()?;
        let sections = header.sections(endian, bytes).ok()?;
        let (dynamic, strings) = sections.dynamic(endian, bytes).ok()??;
        let strings = sections.strings(endian, bytes, strings).ok()?;
        let mut found = Elf::default();
        for entry in dynamic {
            let text = || Some(lossy(entry.string(endian, strings).ok()?));
            match entry.tag(endian) {
                elf::DT_NEEDED => found.needed.extend(text()),
                elf::DT_SONAME => found.soname = text(),
                _ => {}
            }
        }
        let is_symbols = |section: &elf::SectionHeader64<Endianness>| section.sh_type(endian) == elf::SHT_SYMTAB;
        found.has_symbols = sections.iter().any(is_symbols);
        let versions = sections.versions(endian, bytes).ok().flatten();
        let symbols = sections.symbols(endian, bytes, elf::SHT_DYNSYM).ok()?;
        for (index, symbol) in symbols.iter().enumerate().skip(1) {
            if !symbol.is_undefined(endian) {
                continue;
            }
            let Ok(name) = symbol.name(endian, symbols.strings()) else { continue };
            let version = versions.as_ref().and_then(|versions| {
                let index = versions.version_index(endian, SymbolIndex(index));
                versions.version(index.index()).ok().flatten().map(|version| lossy(version.name()))
            });
            found.undefined.insert((lossy(name), version));
        }
        if let Ok(Some((mut needs, strings))) = sections.gnu_verneed(endian, bytes) {
            let strings = sections.strings(endian, bytes, strings).ok()?;
            while let Ok(Some((need, mut wanted))) = needs.next() {
                let library = lossy(need.file(endian, strings).ok()?);
                let versions = found.wanted_versions.entry(library).or_default();
                while let Ok(Some(one)) = wanted.next() {
                    versions.insert(lossy(one.name(endian, strings).ok()?));
                }
            }
        }
        if let Ok(Some((mut has, strings))) = sections.gnu_verdef(endian, bytes) {
            let strings = sections.strings(endian, bytes, strings).ok()?;
            while let Ok(Some((definition, mut names))) = has.next() {
                let is_base = definition.vd_flags.get(endian).contains(elf::VER_FLG_BASE);
                if let Ok(Some(name)) = names.next()
                    && !is_base
                {
                    found.versions.insert(lossy(name.name(endian, strings).ok()?));
                }
            }
        }
        Some(found)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_what_it_is_linked_to_and_damage_says_nothing() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let found = Elf::read(&own).unwrap();
        let libc = found.needed.iter().find(|name| name.starts_with("libc.so")).unwrap();
        assert_eq!(found.soname, None);
        assert!(found.undefined.iter().any(|(name, _)| name == "malloc"), "{:?}", found.undefined);
        assert!(!found.wanted_versions[libc].is_empty() || cfg!(not(target_env = "gnu")));
        assert_eq!(Elf::read(b"#!/bin/sh\n"), None);
        for length in [0, 4, 63, 64, 100, own.len() / 2] {
            Elf::read(&own[..length]);
        }
    }
}
