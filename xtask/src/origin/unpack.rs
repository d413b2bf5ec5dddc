//! Unpacks tar archives (plain, .gz, .xz, .bz2) that nobody has to trust: nothing is ever written outside the target, not through a
//! link of the archive either, and nothing but files, directories and links is made.

use std::collections::HashSet;
use std::fs::{self, File, FileTimes};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tar::{Archive, Entry, EntryType};

use crate::error::{Context, Error, Result};
use crate::tree::source_mode;

/// Leading path parts that are not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strip {
    /// That many, as the definition says.
    Parts(usize),
    /// The top directory where all members are in one, as dpkg-source does.
    Top,
}

/// Unpacks `archive` into the new directory `into` and returns the newest modification time in it, in seconds since 1970.
pub(super) fn unpack(archive: &Path, strip: Strip, into: &Path) -> Result<u64> {
    let cannot = || format!("cannot unpack `{}`", archive.display());
    let parts = match strip {
        Strip::Parts(parts) => parts,
        Strip::Top => usize::from(has_one_top(archive)?),
    };
    fs::create_dir_all(into).context(cannot)?;
    let mut unpacked = Unpacked { root: into, directories: HashSet::from([PathBuf::new()]) };
    let mut newest = 0;
    let mut tar = Archive::new(open(archive)?);
    for entry in tar.entries().context(cannot)? {
        let mut entry = entry.context(cannot)?;
        let modified = entry.header().mtime().context(cannot)?;
        if unpacked.add(&mut entry, parts).map_err(|error| Error::machine(cannot()).because(error))? {
            newest = newest.max(modified);
        }
    }
    if unpacked.is_empty().context(cannot)? {
        return Err(Error::machine(cannot())
            .because(format!("nothing is left of it after {parts} leading path parts are dropped")));
    }
    Ok(newest)
}

/// The archive's bytes, decompressed as its first bytes say; its name may say anything.
fn open(archive: &Path) -> Result<Box<dyn Read>> {
    let cannot = || format!("cannot open `{}`", archive.display());
    let mut file = File::open(archive).context(cannot)?;
    let mut magic = [0; 6];
    let mut filled = 0;
    while filled < magic.len() {
        match file.read(&mut magic[filled..]).context(cannot)? {
            0 => break,
            read => filled += read,
        }
    }
    io::Seek::rewind(&mut file).context(cannot)?;
    let file = BufReader::with_capacity(128 * 1024, file);
    match magic {
        [0x1f, 0x8b, ..] => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file))),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Ok(Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file))),
        [b'B', b'Z', b'h', ..] => Ok(Box::new(bzip2::bufread::MultiBzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [b'P', b'K', ..] => Err(Error::input(cannot())
            .because("only .tar, .tar.gz, .tar.xz and .tar.bz2 are understood")
            .help("name the .tar.gz or .tar.xz of the same release in the manifest")),
        _ => Ok(Box::new(file)),
    }
}

/// All members are below one directory.
fn has_one_top(archive: &Path) -> Result<bool> {
    let cannot = || format!("cannot read `{}`", archive.display());
    let mut tar = Archive::new(open(archive)?);
    let mut top: Option<PathBuf> = None;
    for entry in tar.entries().context(cannot)? {
        let entry = entry.context(cannot)?;
        if is_remark(entry.header().entry_type()) {
            continue;
        }
        let path = entry.path().context(cannot)?;
        let mut parts = path.components().filter(|part| *part != Component::CurDir);
        let Some(first) = parts.next() else { continue };
        let first: PathBuf = [first].iter().collect();
        let is_below = parts.next().is_some() || entry.header().entry_type().is_dir();
        match &top {
            _ if !is_below => return Ok(false),
            Some(top) if *top != first => return Ok(false),
            Some(_) => {}
            None => top = Some(first),
        }
    }
    Ok(top.is_some())
}

/// A header that is no member: git writes the commit id into one.
fn is_remark(kind: EntryType) -> bool {
    kind.is_pax_global_extensions()
}

struct Unpacked<'a> {
    root: &'a Path,
    /// What we made ourselves, relative to the root: only there is anything written, so no link is ever followed.
    directories: HashSet<PathBuf>,
}

impl Unpacked<'_> {
    /// Adds one member; `false` where it is stripped away or no member.
    fn add(&mut self, entry: &mut Entry<'_, Box<dyn Read>>, strip: usize) -> Result<bool> {
        let kind = entry.header().entry_type();
        if is_remark(kind) {
            return Ok(false);
        }
        let name = entry.path().context(|| "a member has no usable name".to_owned())?.into_owned();
        let cannot = || format!("member `{}`", name.display());
        let Some(path) = relative(&name, strip).map_err(|why| Error::input(cannot()).because(why))? else {
            return Ok(false);
        };
        let at = self.root.join(&path);
        if kind.is_dir() {
            self.directory(&path)?;
            return Ok(true);
        }
        self.directory(path.parent().unwrap_or(Path::new("")))?;
        let target = || entry.link_name().ok().flatten().map(|target| target.into_owned());
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mode = source_mode(entry.header().mode().context(cannot)?);
                let modified = entry.header().mtime().context(cannot)?;
                let mut file = anew(&at, || create(&at, mode)).context(cannot)?;
                io::copy(entry, &mut file).context(cannot)?;
                file.flush().context(cannot)?;
                set_modified(&file, modified).context(cannot)?;
            }
            EntryType::Symlink => {
                let target = target().ok_or_else(|| Error::input(cannot()).because("a link without target"))?;
                anew(&at, || symlink(&target, &at)).context(cannot)?;
            }
            EntryType::Link => {
                let target = target().ok_or_else(|| Error::input(cannot()).because("a link without target"))?;
                self.copy_of_link(&target, &at, strip).map_err(|error| Error::input(cannot()).because(error))?;
            }
            other => {
                return Err(
                    Error::input(cannot()).because(format!("it is neither file, directory nor link but {other:?}"))
                );
            }
        }
        Ok(true)
    }

    /// A hard link becomes a file of its own: editing one must not edit the other.
    fn copy_of_link(&self, target: &Path, at: &Path, strip: usize) -> Result<()> {
        let refused = || format!("hard link to `{}`", target.display());
        let path = relative(target, strip)
            .and_then(|path| path.ok_or_else(|| "it is stripped away".to_owned()))
            .map_err(|why| Error::input(refused()).because(why))?;
        let from = self.root.join(&path);
        let is_ours = path.parent().is_some_and(|parent| self.directories.contains(parent));
        if !is_ours || !fs::symlink_metadata(&from).is_ok_and(|there| there.is_file()) {
            return Err(Error::input(refused()).because("the archive has no such file before it"));
        }
        let modified = fs::metadata(&from).and_then(|metadata| metadata.modified()).context(refused)?;
        let mode = fs::metadata(&from).context(refused)?.permissions().mode();
        let mut copy = anew(at, || create(at, mode)).context(refused)?;
        io::copy(&mut File::open(&from).context(refused)?, &mut copy).context(refused)?;
        copy.set_modified(modified).context(refused)
    }

    /// Makes a directory and those above it. What stands there already must be one that we made.
    fn directory(&mut self, path: &Path) -> Result<()> {
        if self.directories.contains(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        fs::create_dir(self.root.join(path))
            .map_err(|error| Error::input(format!("cannot make directory `{}`", path.display())).because(error))?;
        self.directories.insert(path.to_path_buf());
        Ok(())
    }

    fn is_empty(&self) -> io::Result<bool> {
        Ok(fs::read_dir(self.root)?.next().is_none())
    }
}

/// Makes something new at a path. A member that comes twice counts the second time, as with tar(1): what the first one made goes.
fn anew<T>(at: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(at)?;
            make()
        }
        result => result,
    }
}

/// A new file, never through a link: what was there is removed and `create_new` refuses what came in between.
fn create(at: &Path, mode: u32) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(mode).open(at)
}

fn set_modified(file: &File, seconds: u64) -> io::Result<()> {
    let when = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    file.set_times(FileTimes::new().set_modified(when).set_accessed(when))
}

/// The path below the root after `strip` parts are dropped; `None` where nothing is left.
fn relative(path: &Path, strip: usize) -> Result<Option<PathBuf>, String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err("it leaves the tree".to_owned());
            }
        }
    }
    let kept: PathBuf = parts.iter().skip(strip).collect();
    if kept.as_os_str().is_empty() {
        return Ok(None);
    }
    if kept.components().any(|part| part.as_os_str() == ".git") {
        return Err("an archive may not bring a `.git`: git would take it for its own".to_owned());
    }
    Ok(Some(kept))
}

#[cfg(test)]
mod tests {
    use tar::{Builder, Header};

    use super::*;

    /// A tar of `(name, kind, link target or content)`, with names as they are: the tar crate itself would refuse evil ones.
    fn archive(members: &[(&str, EntryType, &str)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = Builder::new(file.reopen().unwrap());
        for (index, (name, kind, text)) in members.iter().enumerate() {
            let mut header = Header::new_ustar();
            let raw = header.as_old_mut();
            raw.name[..name.len()].copy_from_slice(name.as_bytes());
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            if is_link {
                raw.linkname[..text.len()].copy_from_slice(text.as_bytes());
            }
            let content = if is_link { "" } else { text };
            header.set_entry_type(*kind);
            header.set_mode(if name.ends_with("run") { 0o775 } else { 0o664 });
            header.set_mtime(1000 + index as u64);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap();
        file
    }

    fn check(members: &[(&str, EntryType, &str)], strip: Strip) -> (Result<u64>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let file = archive(members);
        (unpack(file.path(), strip, &dir.path().join("tree")), dir)
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn files_links_and_directories_come_out() {
        let members = [
            ("pax_global_header", EntryType::XGlobalHeader, "12 comment=x\n"),
            ("x-1.0/", EntryType::Directory, ""),
            ("x-1.0/bin/run", FILE, "run"),
            ("x-1.0/link", EntryType::Symlink, "/anywhere/at/all"),
            ("x-1.0/hard", EntryType::Link, "x-1.0/bin/run"),
            ("x-1.0/bin/run", FILE, "again"),
        ];
        let (newest, dir) = check(&members, Strip::Top);
        assert_eq!(newest.unwrap(), 1005);
        let at = |path: &str| dir.path().join("tree").join(path);
        assert_eq!(fs::read_to_string(at("bin/run")).unwrap(), "again");
        assert_eq!(fs::read_to_string(at("hard")).unwrap(), "run");
        assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("/anywhere/at/all"));
        let metadata = fs::metadata(at("bin/run")).unwrap();
        assert_eq!(metadata.modified().unwrap(), UNIX_EPOCH + Duration::from_secs(1005));
        assert_eq!(metadata.permissions().mode() & 0o777, 0o755);
        let (newest, dir) = check(&[("a/b/c", FILE, "c"), ("a/d", FILE, "d")], Strip::Parts(2));
        assert_eq!(newest.unwrap(), 1000);
        assert_eq!(fs::read_dir(dir.path().join("tree")).unwrap().count(), 1);
    }

    #[test]
    fn one_top_directory_is_dropped_and_two_are_kept() {
        let (_, dir) = check(&[("./x/a", FILE, ""), ("./x/b", FILE, "")], Strip::Top);
        assert!(dir.path().join("tree/a").exists());
        let (_, dir) = check(&[("x/a", FILE, ""), ("y/b", FILE, "")], Strip::Top);
        assert!(dir.path().join("tree/x/a").exists());
        let (_, dir) = check(&[("x/a", FILE, ""), ("b", FILE, "")], Strip::Top);
        assert!(dir.path().join("tree/b").exists());
    }

    #[test]
    fn nothing_leaves_the_tree() {
        let link = ("out", EntryType::Symlink, "..");
        for members in [
            vec![("../evil", FILE, "x")],
            vec![("a/../../evil", FILE, "x")],
            vec![("/evil", FILE, "x")],
            vec![link, ("out/evil", FILE, "x")],
            vec![link, ("out/", EntryType::Directory, ""), ("out/evil", FILE, "x")],
            vec![link, ("evil", EntryType::Link, "out/secret")],
            vec![("evil", EntryType::Link, "../secret")],
            vec![("evil", EntryType::Link, "/etc/passwd")],
            vec![("evil", EntryType::Link, "not-there")],
            vec![("evil", EntryType::Char, "")],
            vec![("evil", EntryType::Fifo, "")],
            vec![(".git/config", FILE, "x")],
            vec![("a/.git/hooks/x", FILE, "x")],
        ] {
            let (result, dir) = check(&members, Strip::Parts(0));
            let error = result.expect_err(members[0].0).report();
            assert!(error.contains("cannot unpack"), "{error}");
            assert!(!dir.path().join("evil").exists(), "{members:?}");
        }
        // A file where a link was: the link goes, what it names stays.
        let (result, dir) = check(&[("evil", EntryType::Symlink, "../evil"), ("evil", FILE, "x")], Strip::Parts(0));
        result.unwrap();
        assert!(!dir.path().join("evil").exists() && dir.path().join("tree/evil").is_file());
    }

    #[test]
    fn what_is_no_archive_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let check = |bytes: &[u8]| {
            fs::write(dir.path().join("x"), bytes).unwrap();
            unpack(&dir.path().join("x"), Strip::Parts(0), &dir.path().join("tree")).unwrap_err().report()
        };
        assert!(check(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0]).contains("only .tar, .tar.gz, .tar.xz and .tar.bz2"));
        assert!(check(b"BZh91AY").contains("cannot unpack"));
        assert!(check(b"<html>not found</html>").contains("cannot unpack"));
        assert!(check(&[0x1f, 0x8b, 8, 0, 1, 2, 3]).contains("cannot unpack"));
        assert!(check(b"").contains("cannot unpack"));
    }
}
