//! Two results compared, member by member: what only one of them has, what is of another kind or mode, and where the bytes of a file
//! part. Reads what differs; decides nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};
use serde::Serialize;

use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::store::{Found, Store};
use crate::tree::{Node, Tree};

/// How much of a text before and after the first difference is shown.
const SHOWN: usize = 48;
/// A section that is the digest of all others.
const BUILD_ID: &str = ".note.gnu.build-id";

/// One way in which a member is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// Which member.
    pub path: String,
    /// What differs.
    pub what: String,
    /// For bytes: where they first do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parting: Option<Parting>,
}

/// Where two files part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Parting {
    /// The first byte that differs; of ELF files the first in a section, since headers and digests say nothing.
    pub offset: u64,
    /// That section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The text around it where it should be and where it is, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<(String, String)>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path, self.what)?;
        let Some(Parting { offset, section, texts }) = &self.parting else { return Ok(()) };
        write!(f, ", from byte {offset} on")?;
        if let Some(section) = section {
            write!(f, ", in {section}")?;
        }
        if let Some((wanted, found)) = texts {
            write!(f, ": `{found}`, should be `{wanted}`")?;
        }
        Ok(())
    }
}

/// A tree and how one gets at the bytes of a file in it.
struct Side<'a> {
    tree: &'a Tree,
    /// Gives the bytes of the file at that path.
    read: &'a dyn Fn(&str, &Digest) -> Result<Vec<u8>>,
}

/// Everything in which `found`, which stands in `dir`, is not `wanted`, which the store has; in the order of paths.
pub fn with_store(store: &Store, wanted: &Tree, dir: &Path, found: &Tree) -> Result<Vec<Difference>> {
    let stored = |path: &str, digest: &Digest| match store.read(*digest)? {
        Found::Here(bytes) => Ok(bytes),
        Found::Missing => Err(Error::machine(format!("the store lost `{path}`, which was to be compared"))
            .help("cargo xtask build   # makes it again")),
    };
    let here = |path: &str, _: &Digest| {
        let file = dir.join(path);
        fs::read(&file).context(|| format!("cannot read `{}`", file.display()))
    };
    compare(&Side { tree: wanted, read: &stored }, &Side { tree: found, read: &here })
}

fn compare(wanted: &Side<'_>, found: &Side<'_>) -> Result<Vec<Difference>> {
    let mut all = Vec::new();
    let paths: BTreeSet<&String> = wanted.tree.0.keys().chain(found.tree.0.keys()).collect();
    for path in paths {
        let mut tell = |what: String, parting| all.push(Difference { path: path.clone(), what, parting });
        match (wanted.tree.0.get(path), found.tree.0.get(path)) {
            (Some(_), None) => tell("is missing".to_owned(), None),
            (None, Some(_)) => tell("is extra".to_owned(), None),
            (Some(one), Some(other)) => {
                for what in of_nodes(one, other) {
                    tell(what, None);
                }
                if let (Node::File { digest: one, .. }, Node::File { digest: other, .. }) = (one, other)
                    && one != other
                {
                    let (one, other) = ((wanted.read)(path, one)?, (found.read)(path, other)?);
                    if let Some(last) = all.iter_mut().rev().find(|it| it.what.starts_with(CHANGED)) {
                        last.parting = parting(&one, &other);
                    }
                }
            }
            (None, None) => {}
        }
    }
    Ok(all)
}

const CHANGED: &str = "is changed";

/// What differs between two nodes, in words.
pub fn of_nodes(wanted: &Node, found: &Node) -> Vec<String> {
    let mut all = Vec::new();
    let mut modes = |its: &u32, mode: &u32| {
        if its != mode {
            all.push(format!("has mode {mode:o}, should have {its:o}"));
        }
    };
    match (wanted, found) {
        (Node::File { digest: one, mode: its }, Node::File { digest: other, mode }) => {
            modes(its, mode);
            if one != other {
                let bytes = |digest: &Digest| format!("{} ({} bytes)", digest.short(), digest.size);
                all.push(format!("{CHANGED}: {}, should be {}", bytes(other), bytes(one)));
            }
        }
        (Node::Symlink { target: one }, Node::Symlink { target: other }) if one != other => {
            all.push(format!("is a link to `{other}`, should be one to `{one}`"));
        }
        (Node::Directory { mode: its }, Node::Directory { mode }) => modes(its, mode),
        (one, other) if std::mem::discriminant(one) != std::mem::discriminant(other) => {
            let kind = |node: &Node| match node {
                Node::File { .. } => "a file",
                Node::Symlink { .. } => "a link",
                Node::Directory { .. } => "a directory",
            };
            all.push(format!("is {}, should be {}", kind(other), kind(one)));
        }
        _ => {}
    }
    all
}

/// Where they part; nothing if they are the same.
fn parting(wanted: &[u8], found: &[u8]) -> Option<Parting> {
    let parts = |one: &[u8], other: &[u8]| {
        let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
        (same < one.len() || same < other.len()).then_some(same)
    };
    let at = parts(wanted, found)?;
    let (theirs, ours) = (sections(wanted).unwrap_or_default(), sections(found).unwrap_or_default());
    let pairs = theirs.iter().zip(&ours).filter(|(one, other)| one.name == other.name && one.name != BUILD_ID);
    for (one, other) in pairs {
        if let Some(at) = parts(one.bytes, other.bytes) {
            let texts = text_at(one.bytes, at).zip(text_at(other.bytes, at));
            return Some(Parting { offset: one.offset + at as u64, section: Some(one.name.clone()), texts });
        }
    }
    let texts = text_at(wanted, at).zip(text_at(found, at));
    Some(Parting { offset: at as u64, section: None, texts })
}

/// The line of text that a byte is in, as far as it is text.
fn text_at(bytes: &[u8], at: usize) -> Option<String> {
    let is_text = |byte: &&u8| byte.is_ascii_graphic() || **byte == b' ';
    let before = bytes.get(..at)?.iter().rev().take(SHOWN).take_while(is_text).count();
    let after = bytes[at..].iter().take(SHOWN).take_while(is_text).count();
    // A few such bytes are in a row everywhere.
    (after > 0 && before + after >= 4).then(|| String::from_utf8_lossy(&bytes[at - before..at + after]).into_owned())
}

/// A part of an ELF file.
struct Section<'a> {
    name: String,
    offset: u64,
    bytes: &'a [u8],
}

/// Those of an ELF file for 64 bits; nothing of any other, or of one that is damaged.
fn sections(bytes: &[u8]) -> Option<Vec<Section<'_>>> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let table = header.sections(endian, bytes).ok()?;
    let mut all = Vec::new();
    for section in table.iter() {
        let name = String::from_utf8_lossy(table.section_name(endian, section).ok()?).into_owned();
        let offset = section.file_range(endian).map_or(0, |(offset, _)| offset);
        all.push(Section { name, offset, bytes: section.data(endian, bytes).ok()? });
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &[u8], u32)]) -> Tree {
        let mut tree = Tree::default();
        files.iter().for_each(|(path, bytes, mode)| tree.insert_file(path, bytes, *mode));
        tree
    }

    fn check(wanted: &[(&str, &[u8], u32)], found: &[(&str, &[u8], u32)], said: &[&str]) {
        let (one, other) = (tree(wanted), tree(found));
        let read = |files: &[(&str, &[u8], u32)], path: &str| {
            Ok(files.iter().find(|(name, ..)| *name == path).unwrap().1.to_vec())
        };
        let wanted = Side { tree: &one, read: &|path, _| read(wanted, path) };
        let found = Side { tree: &other, read: &|path, _| read(found, path) };
        let all: Vec<String> = compare(&wanted, &found).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(all.len(), said.len(), "{all:?}");
        for (one, said) in all.iter().zip(said) {
            assert!(one.contains(said), "{one}");
        }
    }

    #[test]
    fn members_modes_and_bytes_are_compared() {
        check(&[("a", b"1", 0o644)], &[("a", b"1", 0o644)], &[]);
        check(
            &[("a", b"1", 0o644), ("b", b"\0built at 12:00:01\0", 0o644), ("c", b"1", 0o755)],
            &[("b", b"\0built at 12:00:59\0", 0o644), ("c", b"12", 0o644), ("d", b"1", 0o644)],
            &[
                "a is missing",
                ", from byte 16 on: `built at 12:00:59`, should be `built at 12:00:01`",
                "c has mode 644, should have 755",
                "c is changed",
                "d is extra",
            ],
        );
    }

    #[test]
    fn of_a_program_the_section_is_said() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let text = b"bytes are compared";
        let at = own.windows(text.len()).position(|bytes| bytes == text).unwrap();
        let mut other = own.clone();
        other[at] = b'B';
        let parting = parting(&own, &other).unwrap();
        assert_eq!((parting.offset, parting.section.as_deref()), (at as u64, Some(".rodata")));
        for length in [0, 4, 63, 64, 100, own.len() / 2] {
            sections(&own[..length]);
        }
    }
}
