//! An archive compared with what it should be: every byte of it is a member that belongs there, or is named. What differs is found
//! member by member; where nothing does, the whole file is compared, so that nothing hides between members or behind the last.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use tar::EntryType;

use super::contents::Contents;
use super::format::Format;
use super::write::{Hashing, tar, write};
use crate::difference::of_nodes;
use crate::digest::Digest;
use crate::error::{Context, Error, Kind, Result};
use crate::process::Cancel;
use crate::tree::Node;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Which path, below the top; empty for the archive as a whole.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

/// As it is printed: what a name would do to a terminal is spelt out.
impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "the archive" } else { &self.path };
        f.write_str(&spelt_out(&format!("{path} {}", self.what)))
    }
}

fn spelt_out(text: &str) -> String {
    let mut all = String::new();
    for char in text.chars() {
        match char.is_control() {
            true => all.extend(char.escape_default()),
            false => all.push(char),
        }
    }
    all
}

/// Names of an archive may be in what could not be read of it.
fn not_whole(archive: &Path, error: &Error) -> Error {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let why = causes.map(|error| spelt_out(&error.to_string())).collect::<Vec<_>>().join(": ");
    Error::input(format!("`{}` is no whole archive", archive.display()))
        .because(why)
        .help("cargo xtask tarball   # makes it again")
}

/// What an archive has at a path.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    node: Node,
    /// What of its header is not as every member's is.
    odd: Vec<String>,
}

/// Compares the file with what it should be. No findings: it is that, byte for byte.
pub fn account(
    archive: &Path,
    contents: &Contents,
    threads: usize,
    cancel: &Cancel,
    progress: &dyn Fn(u64),
) -> Result<Vec<Finding>> {
    let (format, mut file) = Format::open(archive)?;
    let is_over = Cell::new(false);
    let (mut found, mut findings) = (BTreeMap::new(), Vec::new());
    let from = Limited { from: format.reader(&mut file)?, left: limit(contents), is_over: &is_over };
    match read(from, contents, cancel, &mut found, &mut findings) {
        // Nobody waits for the end of a bomb.
        Err(_) if is_over.get() => {
            findings.push(Finding { path: String::new(), what: BOMB.to_owned() });
            return Ok(findings);
        }
        Err(error) if error.kind() == Kind::Interrupted => return Err(error),
        Err(error) => return Err(not_whole(archive, &error)),
        Ok(()) => {}
    }
    let mut tell = |path: &str, what: String| findings.push(Finding { path: path.to_owned(), what });
    let directories = contents.directories();
    let wanted: BTreeSet<&String> = contents.members.keys().chain(&directories).collect();
    for path in wanted.iter().copied().chain(found.keys()).collect::<BTreeSet<_>>() {
        let directory = Node::Directory { mode: 0o755 };
        let member = contents.members.get(path);
        let node = member.map(|member| &member.node).or_else(|| directories.contains(path).then_some(&directory));
        let whose = member.map(|member| format!(" ({})", member.owner)).unwrap_or_default();
        match (node, found.get(path)) {
            (Some(_), None) => tell(path, format!("is missing{whose}")),
            (None, Some(_)) => tell(path, "is extra: nothing that is released has it".to_owned()),
            (Some(wanted), Some(found)) => {
                of_nodes(wanted, &found.node).into_iter().for_each(|what| tell(path, format!("{what}{whose}")));
                found.odd.iter().for_each(|what| tell(path, what.clone()));
            }
            (None, None) => {}
        }
    }
    if findings.is_empty() {
        findings.extend(whole(archive, format, contents, threads, cancel, progress)?);
    }
    Ok(findings)
}

const BOMB: &str = "goes on long after everything that a release has: it is not read any further";

/// More bytes than the archive can have: those of all files, and of each member two headers, a long name and what fills its last block.
fn limit(contents: &Contents) -> u64 {
    const MEMBER: u64 = 4 << 10;
    const ENDS: u64 = 1 << 20;
    let members = contents.members.len() + contents.directories().len();
    contents.bytes() + MEMBER * members as u64 + ENDS
}

/// Reads so many bytes; more are an error.
struct Limited<'a, R> {
    from: R,
    left: u64,
    is_over: &'a Cell<bool>,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            self.is_over.set(true);
            return Err(std::io::Error::other(BOMB));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let read = self.from.read(&mut bytes[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Every member, and what is wrong with those that cannot be compared.
fn read<'a>(
    from: impl Read + 'a,
    contents: &Contents,
    cancel: &Cancel,
    all: &mut BTreeMap<String, Found>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let cannot = || "a member cannot be read".to_owned();
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries().context(cannot)? {
        cancel.check()?;
        let mut entry = entry.context(cannot)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut tell = |path: &str, what: &str| findings.push(Finding { path: path.to_owned(), what: what.to_owned() });
        let inside = name.strip_prefix(&contents.top).map(|rest| rest.trim_matches('/').to_owned());
        let Some(path) = inside.filter(|_| name.split('/').next() == Some(&contents.top[..])) else {
            tell(&name, &format!("is extra: it is not below `{}/`", contents.top));
            continue;
        };
        let mut odd = odd(entry.header(), contents.epoch);
        if entry.pax_extensions().context(cannot)?.is_some() {
            odd.push("has a pax header, which no release has".to_owned());
        }
        let mode = entry.header().mode().context(cannot)?;
        let node = match entry.header().entry_type() {
            EntryType::Regular => {
                let digest = Digest::of_reader(&mut entry).context(|| format!("`{path}` cannot be read"))?;
                Node::File { digest, mode }
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().map(|it| String::from_utf8_lossy(&it).into_owned());
                Node::Symlink { target: target.unwrap_or_default() }
            }
            EntryType::Directory => Node::Directory { mode },
            other => {
                tell(&path, &format!("is extra: a member of kind {other:?}, which no release has"));
                continue;
            }
        };
        if path.is_empty() {
            odd.iter().for_each(|what| tell("", what));
        } else if all.insert(path.clone(), Found { node, odd }).is_some() {
            tell(&path, "is there twice");
        }
    }
    Ok(())
}

fn odd(header: &tar::Header, epoch: u64) -> Vec<String> {
    let mut odd = Vec::new();
    let mut number = |what: &str, value: std::io::Result<u64>, wanted: u64| match value {
        Ok(value) if value == wanted => {}
        Ok(value) => odd.push(format!("has {what} {value}, should have {wanted}")),
        Err(error) => odd.push(format!("has no {what}: {error}")),
    };
    number("owner", header.uid(), 0);
    number("group", header.gid(), 0);
    number("time", header.mtime(), epoch);
    odd
}

/// Members are the same; so must the bytes be.
fn whole(
    archive: &Path,
    format: Format,
    contents: &Contents,
    threads: usize,
    cancel: &Cancel,
    progress: &dyn Fn(u64),
) -> Result<Option<Finding>> {
    let cannot = || format!("cannot read `{}`", archive.display());
    let is = Digest::of_reader(&mut Format::open(archive)?.1).context(cannot)?;
    let should = write(contents, format, threads, std::io::sink(), cancel, progress)?;
    if is == should {
        return Ok(None);
    }
    let is_over = Cell::new(false);
    let mut unpacked =
        Limited { from: format.reader(Format::open(archive)?.1)?, left: limit(contents), is_over: &is_over };
    // What cannot be unpacked stands behind the last member, or it would have been met.
    let unpacked = Digest::of_reader(&mut unpacked).ok();
    let mut plain = Hashing::new(std::io::sink());
    tar(contents, &mut plain, cancel, &|_| {})?;
    let what = if is_over.get() {
        BOMB.to_owned()
    } else if Some(plain.digest()) == unpacked {
        format!(
            "was packed by something else, or has something behind its end: it is {}, should be {}",
            is.short(),
            should.short()
        )
    } else {
        "has bytes between its members, or in headers, that no release has".to_owned()
    };
    Ok(Some(Finding { path: String::new(), what }))
}
