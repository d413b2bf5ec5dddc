//! Reads a directory into a `Tree` at the price of one `lstat` a file: digests are remembered by mtime, ctime, size and inode.
//!
//! A file that changed in the same clock tick in which it was read could keep its old identity; such files are not remembered
//! (git's "racy" rule). A damaged index is only slow: everything is read again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::digest::{Digest, Hash};
use crate::error::{Context, Error, Result};
use crate::tree::{Node, Rooted, Tree, source_mode};

/// File time stamps come from the kernel's coarse clock: two changes closer than this may look like one.
const TICK_NS: i64 = 20_000_000;

#[derive(Clone, PartialEq, Message)]
struct Index {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<Entry>,
    /// Digest of the tree, if the entries are all of it; else empty.
    #[prost(bytes = "vec", tag = "2")]
    root: Vec<u8>,
    #[prost(uint64, tag = "3")]
    root_size: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(sfixed64, tag = "2")]
    mtime_ns: i64,
    #[prost(sfixed64, tag = "3")]
    ctime_ns: i64,
    #[prost(uint64, tag = "4")]
    size: u64,
    #[prost(uint64, tag = "5")]
    inode: u64,
    #[prost(bytes = "vec", tag = "6")]
    hash: Vec<u8>,
    /// Permission bits, and one of the three below.
    #[prost(uint32, tag = "7")]
    mode: u32,
    /// Of a symbolic link.
    #[prost(string, tag = "8")]
    target: String,
    /// Never written: it may change and look the same.
    #[prost(bool, tag = "9")]
    is_racy: bool,
}

const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

impl Entry {
    fn node(&self) -> Node {
        let mode = self.mode & 0o7777;
        match self.mode & !0o7777 {
            SYMLINK => Node::Symlink { target: self.target.clone() },
            DIRECTORY => Node::Directory { mode },
            _ => {
                let hash =
                    <[u8; 32]>::try_from(self.hash.as_slice()).expect("a file's entry has the hash that was read");
                Node::File { digest: Digest { hash: Hash(hash), size: self.size }, mode }
            }
        }
    }
}

/// How modes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modes {
    /// Sources: executable or not; everything else depends on a umask.
    Source,
    /// Results: all permission bits count.
    Exact,
}

/// What a walk came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// A file or a symbolic link.
    File,
    /// A directory, before anything below it.
    Directory,
    /// A directory in which nothing was found that stays.
    Empty,
}

/// True for a path, relative to the top, that is no part of the tree.
type LeaveOut<'a> = dyn FnMut(&str, Met) -> Result<bool> + 'a;

/// Everything below `dir`, read to the last byte.
pub fn read_tree(dir: &Path, modes: Modes) -> Result<Tree> {
    let nothing = &mut |_: &str, _| Ok(false);
    let mut walk = Walk::new(modes, Vec::new(), nothing);
    walk.directory(dir, "")?;
    Ok(tree_of(&walk.entries))
}

/// Everything below `dir`, digests remembered in `index_file`. `.git` at any depth and everything else that is neither file,
/// directory nor symbolic link is left out, and so are the names in `skip`, at the top only.
pub fn scan(dir: &Path, index_file: &Path, modes: Modes, skip: &[&str]) -> Result<Rooted> {
    scan_without(dir, index_file, modes, &mut |path, _| Ok(skip.contains(&path)))
}

/// The same without whatever `leave_out` says.
pub fn scan_without(dir: &Path, index_file: &Path, modes: Modes, leave_out: &mut LeaveOut<'_>) -> Result<Rooted> {
    let mut index = read(index_file);
    let mut walk = Walk::new(modes, std::mem::take(&mut index.entries), leave_out);
    walk.directory(dir, "")?;
    let Walk { known, mut entries, changed, .. } = walk;
    if !changed
        && entries.len() == known.len()
        && let Ok(hash) = <[u8; 32]>::try_from(index.root.as_slice())
    {
        let root = Digest { hash: Hash(hash), size: index.root_size };
        return Ok(Rooted::known(root, move || tree_of(&entries)));
    }
    let tree = Rooted::from(tree_of(&entries));
    let all = entries.len();
    entries.retain(|entry| !entry.is_racy);
    let is_whole = entries.len() == all;
    let (root, root_size) = if is_whole { (tree.root().hash.0.to_vec(), tree.root().size) } else { (Vec::new(), 0) };
    // Whoever may only look, or has no space left, looks at every file again the next time.
    write(index_file, Index { entries, root, root_size }).unwrap_or_default();
    Ok(tree)
}

fn tree_of(entries: &[Entry]) -> Tree {
    Tree(entries.iter().map(|entry| (entry.path.clone(), entry.node())).collect())
}

struct Walk<'a, 'b> {
    leave_out: &'a mut LeaveOut<'b>,
    modes: Modes,
    /// As the last walk met them; one that is met again is taken out of here and leaves an empty one.
    known: Vec<Entry>,
    /// What is expected next: a directory that did not change is listed in the same order.
    next: usize,
    /// Where each path is in `known`; made at the first surprise.
    places: Option<HashMap<String, usize>>,
    entries: Vec<Entry>,
    changed: bool,
    now_ns: i64,
}

impl<'a, 'b> Walk<'a, 'b> {
    fn new(modes: Modes, known: Vec<Entry>, leave_out: &'a mut LeaveOut<'b>) -> Self {
        let entries = Vec::with_capacity(known.len());
        Walk { leave_out, modes, known, next: 0, places: None, entries, changed: false, now_ns: now_ns() }
    }

    /// What was remembered of a path.
    fn recall(&mut self, path: &str) -> Option<Entry> {
        let place = match self.known.get(self.next) {
            Some(entry) if entry.path == path => self.next,
            _ => {
                let known = self.known.iter().enumerate();
                let places = self
                    .places
                    .get_or_insert_with(|| known.map(|(place, entry)| (entry.path.clone(), place)).collect());
                *places.get(path)?
            }
        };
        self.next = place + 1;
        Some(std::mem::take(&mut self.known[place])).filter(|entry| entry.path == path)
    }

    /// Says whether anything of it stays.
    fn directory(&mut self, dir: &Path, prefix: &str) -> Result<bool> {
        let reading = || format!("cannot read directory `{}`", dir.display());
        let mut empty = true;
        for entry in fs::read_dir(dir).context(reading)? {
            let entry = entry.context(reading)?;
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| Error::input(format!("`{}` has a name that is not UTF-8", entry.path().display())))?;
            if name == ".git" {
                continue;
            }
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let metadata = entry.metadata().context(|| format!("cannot look at `{}`", entry.path().display()))?;
            let kind = metadata.file_type();
            if (self.leave_out)(&path, if kind.is_dir() { Met::Directory } else { Met::File })? {
                continue;
            }
            if kind.is_dir() {
                if !self.directory(&entry.path(), &path)? {
                    continue;
                }
                empty = false;
                if self.modes == Modes::Exact && metadata.mode() & 0o7777 != 0o755 {
                    let mode = DIRECTORY | (metadata.mode() & 0o7777);
                    self.add(Entry { path, mode, ..Entry::default() });
                }
            } else if kind.is_symlink() {
                let target =
                    fs::read_link(entry.path()).context(|| format!("cannot read link `{}`", entry.path().display()))?;
                let target = target.into_os_string().into_string().map_err(|target| {
                    Error::input(format!("link `{}` points to {target:?}, which is not UTF-8", entry.path().display()))
                })?;
                empty = false;
                self.add(Entry { path, mode: SYMLINK, target, ..Entry::default() });
            } else {
                empty = false;
                if kind.is_file() {
                    self.file(&entry, path, &metadata)?;
                }
            }
        }
        // One of an odd mode is added by whoever called us.
        if empty && !prefix.is_empty() {
            if (self.leave_out)(prefix, Met::Empty)? {
                return Ok(false);
            }
            let mode = fs::symlink_metadata(dir).context(reading)?.mode() & 0o7777;
            if self.modes == Modes::Source || mode == 0o755 {
                self.add(Entry { path: prefix.to_owned(), mode: DIRECTORY | 0o755, ..Entry::default() });
            }
        }
        Ok(true)
    }

    /// What has no content of its own.
    fn add(&mut self, entry: Entry) {
        self.changed |= self.recall(&entry.path).as_ref() != Some(&entry);
        self.entries.push(entry);
    }

    fn file(&mut self, file: &fs::DirEntry, path: String, metadata: &fs::Metadata) -> Result<()> {
        let mode = match self.modes {
            Modes::Source => source_mode(metadata.mode()),
            Modes::Exact => metadata.mode() & 0o7777,
        };
        let known = self.recall(&path).unwrap_or_default();
        let mut entry = Entry {
            path,
            mtime_ns: metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec()),
            ctime_ns: metadata.ctime().wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec()),
            size: metadata.size(),
            inode: metadata.ino(),
            mode: FILE | mode,
            hash: known.hash,
            ..Entry::default()
        };
        let is_same = (known.mtime_ns, known.ctime_ns, known.size, known.inode, known.mode)
            == (entry.mtime_ns, entry.ctime_ns, entry.size, entry.inode, entry.mode);
        if !is_same || entry.hash.len() != 32 {
            let file = file.path();
            let reading = || format!("cannot read `{}`", file.display());
            let digest = Digest::of_reader(&mut File::open(&file).context(reading)?).context(reading)?;
            self.changed = true;
            entry.is_racy = entry.ctime_ns >= self.now_ns - TICK_NS || digest.size != entry.size;
            entry.hash = digest.hash.0.to_vec();
            entry.size = digest.size;
        }
        self.entries.push(entry);
        Ok(())
    }
}

fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

fn read(index_file: &Path) -> Index {
    fs::read(index_file).ok().and_then(|bytes| Index::decode(bytes.as_slice()).ok()).unwrap_or_default()
}

fn write(index_file: &Path, index: Index) -> Result<()> {
    crate::atomic::write(index_file, &index.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_seen_and_an_unchanged_one_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, index) = (dir.path().join("tree"), dir.path().join("index"));
        fs::create_dir_all(tree.join("sub/empty")).unwrap();
        fs::create_dir_all(tree.join(".git")).unwrap();
        fs::write(tree.join("sub/a"), "one").unwrap();
        std::os::unix::fs::symlink("sub/a", tree.join("link")).unwrap();
        let first = scan(&tree, &index, Modes::Source, &[]).unwrap();
        assert_eq!(first.0.keys().collect::<Vec<_>>(), ["link", "sub/a", "sub/empty"]);
        // an identity that lies shows that the second scan does not read the file
        fs::File::options().write(true).open(tree.join("sub/a")).unwrap().set_modified(UNIX_EPOCH).unwrap();
        std::thread::sleep(std::time::Duration::from_nanos(3 * TICK_NS as u64));
        assert_eq!(scan(&tree, &index, Modes::Source, &[]).unwrap(), first);
        let mut lie = Index::decode(fs::read(&index).unwrap().as_slice()).unwrap();
        lie.entries.iter_mut().find(|entry| entry.path == "sub/a").unwrap().hash = vec![9; 32];
        lie.root.clear();
        write(&index, lie).unwrap();
        let Node::File { digest, .. } = scan(&tree, &index, Modes::Source, &[]).unwrap().0["sub/a"].clone() else {
            panic!()
        };
        assert_eq!(digest.hash, Hash([9; 32]));
        fs::write(tree.join("sub/a"), "two").unwrap();
        let Node::File { digest, .. } = scan(&tree, &index, Modes::Source, &[]).unwrap().0["sub/a"].clone() else {
            panic!()
        };
        assert_eq!(digest, Digest::of(b"two"));
    }

    #[test]
    fn the_digest_of_the_whole_is_remembered_until_anything_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, index) = (dir.path().join("tree"), dir.path().join("index"));
        fs::create_dir_all(tree.join("empty")).unwrap();
        fs::write(tree.join("file"), "one").unwrap();
        std::os::unix::fs::symlink("file", tree.join("link")).unwrap();
        let old = |path: &str| File::open(tree.join(path)).unwrap();
        old("file").set_modified(UNIX_EPOCH).unwrap();
        std::thread::sleep(std::time::Duration::from_nanos(3 * TICK_NS as u64));
        let ask = || scan(&tree, &index, Modes::Exact, &[]).unwrap();
        let mut last = ask();
        assert_eq!(read(&index).root, last.root().hash.0);
        let mut is_seen = |what: &str, change: &dyn Fn()| {
            change();
            let now = ask();
            assert_ne!(now.root(), last.root(), "{what}");
            assert_eq!(now, now.clone().into_tree().into(), "{what}");
            assert_eq!(ask(), now, "{what}");
            last = now;
        };
        is_seen("another target", &|| {
            fs::remove_file(tree.join("link")).unwrap();
            std::os::unix::fs::symlink("empty", tree.join("link")).unwrap();
        });
        let mode = |path: &str, mode| {
            fs::set_permissions(tree.join(path), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        is_seen("a file's mode", &|| mode("file", 0o755));
        is_seen("a directory's mode", &|| mode("empty", 0o700));
        is_seen("a directory goes", &|| fs::remove_dir(tree.join("empty")).unwrap());
        is_seen("a file comes", &|| fs::write(tree.join("more"), "").unwrap());
        is_seen("a link goes", &|| fs::remove_file(tree.join("link")).unwrap());
    }

    #[test]
    fn a_damaged_index_is_only_slow() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, index) = (dir.path().join("tree"), dir.path().join("index"));
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("a"), "one").unwrap();
        let first = scan(&tree, &index, Modes::Exact, &[]).unwrap();
        fs::write(&index, [0xff; 100]).unwrap();
        assert_eq!(scan(&tree, &index, Modes::Exact, &[]).unwrap(), first);
    }
}
