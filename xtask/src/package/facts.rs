//! What installed files say of what they need: ELF files their libraries, scripts their interpreter. Reads; decides nothing.

use std::collections::BTreeMap;
use std::path::Path;

use crate::elf::Elf;
use crate::error::{Context, Result};
use crate::process::Cancel;
use crate::tree::{Node, Tree};

/// Of many files, by installed path without the first `/`.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What is linked dynamically.
    pub elf: BTreeMap<String, Elf>,
    /// Scripts that can be executed, with the absolute path of what runs them.
    pub interpreters: BTreeMap<String, String>,
}

/// Reads the files of `tree` in `dir`.
pub fn read(tree: &Tree, dir: &Path, cancel: &Cancel) -> Result<Facts> {
    let mut facts = Facts::default();
    for (path, node) in &tree.0 {
        let Node::File { mode, .. } = node else { continue };
        cancel.check()?;
        let file = dir.join(path);
        let bytes = std::fs::read(&file).context(|| format!("cannot read `{}`", file.display()))?;
        if let Some(interpreter) = interpreter(&bytes).filter(|_| mode & 0o111 != 0) {
            facts.interpreters.insert(path.clone(), interpreter);
        } else if let Some(elf) = Elf::read(&bytes) {
            facts.elf.insert(path.clone(), elf);
        }
    }
    Ok(facts)
}

/// What runs a script; what `env` looks for is taken to be in /usr/bin.
fn interpreter(bytes: &[u8]) -> Option<String> {
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_whitespace();
    let program = words.next().filter(|program| program.starts_with('/'))?;
    match program {
        "/usr/bin/env" | "/bin/env" => {
            let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
            Some(format!("/usr/bin/{name}"))
        }
        other => Some(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters() {
        let check = |text: &str| interpreter(text.as_bytes());
        assert_eq!(check("#! /bin/bash\nx").as_deref(), Some("/bin/bash"));
        assert_eq!(check("#!/usr/bin/env -S python3 -s\n").as_deref(), Some("/usr/bin/python3"));
        assert_eq!(check("#!/bin/sh").as_deref(), Some("/bin/sh"));
        assert_eq!((check("x"), check("#!"), check("#!sh\n")), (None, None, None));
    }
}
