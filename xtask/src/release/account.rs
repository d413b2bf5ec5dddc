//! An archive compared with what it should be: every byte of it is a member that belongs there, or is named. What differs is found
//! member by member; where nothing does, the whole file is compared, so that nothing hides between members or behind the last.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use tar::EntryType;

use super::contents::Contents;
use super::write::{Format, tar, write};
use crate::difference::of_nodes;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
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
    let cannot = || format!("cannot read `{}`", archive.display());
    let mut file = BufReader::with_capacity(1 << 20, File::open(archive).context(cannot)?);
    let format = Format::of(file.fill_buf().context(cannot)?)
        .ok_or_else(|| Error::input(cannot()).because("it is no .tar.gz, .tar.xz or .tar.zst"))?;
    let (found, mut findings) = read(format.reader(&mut file)?, contents, cancel)
        .map_err(|error| Error::input(format!("`{}` is no whole archive", archive.display())).because(error))?;
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

/// Every member, and what is wrong with those that cannot be compared.
fn read<'a>(
    from: impl Read + 'a,
    contents: &Contents,
    cancel: &Cancel,
) -> Result<(BTreeMap<String, Found>, Vec<Finding>)> {
    let cannot = || "a member cannot be read".to_owned();
    let (mut all, mut findings) = (BTreeMap::new(), Vec::new());
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
        let odd = odd(entry.header(), contents.epoch);
        let mode = entry.header().mode().context(cannot)?;
        let node = match entry.header().entry_type() {
            EntryType::Regular => Node::File { digest: Digest::of_reader(&mut entry).context(cannot)?, mode },
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
    Ok((all, findings))
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
    let open = || File::open(archive).context(cannot).map(|file| BufReader::with_capacity(1 << 20, file));
    let is = Digest::of_reader(&mut open()?).context(cannot)?;
    let should = write(contents, format, threads, std::io::sink(), cancel, progress)?;
    if is == should {
        return Ok(None);
    }
    let unpacked = Digest::of_reader(&mut format.reader(open()?)?).context(cannot)?;
    let mut plain = Counting::default();
    tar(contents, &mut plain, cancel, &|_| {})?;
    let what = if plain.digest() == unpacked {
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

/// The digest of what is written into it.
#[derive(Default)]
struct Counting {
    hasher: sha2::Sha256,
    size: u64,
}

impl Counting {
    fn digest(self) -> Digest {
        use sha2::Digest as _;
        Digest { hash: crate::digest::Hash(self.hasher.finalize().into()), size: self.size }
    }
}

impl std::io::Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        use sha2::Digest as _;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
