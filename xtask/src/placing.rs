//! One thing of a result on a disk, or a whole tree: read as a value, written aside and renamed into place, never where a link would lead
//! it out of its root. `dist`, `installed` and whoever replaces a directory do this; what is whose is theirs to know.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::store::{Found, Placement, place_file};
use crate::tree::Node;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// A file, a link or a directory.
    Node(Node),
    /// A device, a socket, a FIFO.
    Special,
}

/// Reads what stands at `path`, content too.
pub fn read(path: &Path) -> Result<There> {
    let reading = || format!("cannot read `{}`", path.display());
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(There::Nothing);
        }
        metadata => metadata.context(reading)?,
    };
    let mode = metadata.permissions().mode() & 0o7777;
    Ok(if metadata.is_symlink() {
        let target = fs::read_link(path).context(reading)?;
        There::Node(Node::Symlink { target: target.to_string_lossy().into_owned() })
    } else if metadata.is_dir() {
        There::Node(Node::Directory { mode })
    } else if metadata.is_file() {
        let digest = File::open(path).and_then(|mut file| Digest::of_reader(&mut file)).context(reading)?;
        There::Node(Node::File { digest, mode })
    } else {
        There::Special
    })
}

/// Where `path` really is below `root`, relative to it: links among its parents are followed as they are when `root` is `/`. The
/// last name is not followed.
pub fn real(root: &Path, path: &str) -> Result<String> {
    const MOST_LINKS: usize = 40;
    let finding = || format!("cannot find the directory of `{}`", root.join(path).display());
    let names = |path: &Path| path.components().rev().map(|name| name.as_os_str().to_owned()).collect::<Vec<_>>();
    let (parent, name) = path.rsplit_once('/').map_or(("", path), |(parent, name)| (parent, name));
    let mut open: Vec<OsString> = names(Path::new(parent));
    let mut found = PathBuf::new();
    let mut links = 0;
    while let Some(next) = open.pop() {
        match Path::new(&next).components().next() {
            Some(Component::ParentDir) => drop(found.pop()),
            Some(Component::RootDir) => found.clear(),
            Some(Component::Normal(_)) => {
                let here = root.join(&found).join(&next);
                match fs::symlink_metadata(&here) {
                    Ok(metadata) if metadata.is_symlink() => {
                        links += 1;
                        if links > MOST_LINKS {
                            return Err(Error::machine(finding()).because("its links lead in a circle"));
                        }
                        open.extend(names(&fs::read_link(&here).context(finding)?));
                    }
                    Ok(metadata) if !metadata.is_dir() => {
                        return Err(Error::machine(finding())
                            .because(format!("`{}` is no directory and is in the way", here.display()))
                            .help("look at it, then move it away"));
                    }
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context(finding),
                    Ok(_) | Err(_) => found.push(next),
                }
            }
            Some(Component::CurDir | Component::Prefix(_)) | None => {}
        }
    }
    let real = found.join(name).into_os_string();
    real.into_string().map_err(|path| {
        Error::machine(finding()).because(format!("a link leads to `{}`, which is not UTF-8", path.display()))
    })
}

/// Makes the directories above `target`.
pub fn make_parents(target: &Path) -> Result<()> {
    let Some(parent) = target.parent() else { return Ok(()) };
    fs::create_dir_all(parent).context(|| format!("cannot make `{}`", parent.display()))
}

/// Puts a file or link, `path` in `from`, at `target`. It is written as `aside`, on the same file system, and renamed.
pub fn write(node: &Node, path: &str, from: Placement<'_>, aside: &Path, target: &Path) -> Result<Found<()>> {
    let writing = || format!("cannot write `{}`", target.display());
    remove_file(aside)?;
    match node {
        Node::File { digest, mode } => {
            if place_file(from, path, (*digest, *mode), aside, None)? == Found::Missing {
                return Ok(Found::Missing);
            }
        }
        Node::Symlink { target } => symlink(target, aside).context(writing)?,
        Node::Directory { .. } => return Ok(Found::Here(())),
    }
    fs::rename(aside, target).context(writing)?;
    Ok(Found::Here(()))
}

/// Removes a file or link. Nothing there is fine.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        other => other.context(|| format!("cannot remove `{}`", path.display())),
    }
}

/// Renames `tree` to `place`. What was there is exchanged in the same moment, and where a file system cannot do that, moved to `aside` first
/// and removed then.
pub fn replace_tree(tree: &Path, place: &Path, aside: &Path) -> Result<()> {
    let cannot = || format!("cannot put the new tree at `{}`", place.display());
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).context(cannot)?;
    }
    if !place.exists() {
        return fs::rename(tree, place).context(cannot);
    }
    if renameat_with(CWD, tree, CWD, place, RenameFlags::EXCHANGE).is_ok() {
        return Ok(());
    }
    // A file system that cannot exchange (NFS).
    fs::rename(place, aside).context(cannot)?;
    fs::rename(tree, place).context(cannot)?;
    fs::remove_dir_all(aside).context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        for (target, link) in [
            ("usr/lib", "lib"),
            ("/run", "usr/run"),
            ("../../../../etc", "usr/out"),
            ("loop", "loop"),
            ("lib", "lib64"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let check = |path: &str, wanted: &str| assert_eq!(real(root, path).unwrap(), wanted, "{path}");
        check("lib/xen/x", "usr/lib/xen/x");
        check("lib64/x", "usr/lib/x");
        check("usr/run/x", "run/x");
        check("usr/out/passwd", "etc/passwd");
        check("lib", "lib");
        check("new/x", "new/x");
        assert!(real(root, "loop/x").unwrap_err().report().contains("circle"));
        fs::write(root.join("usr/file"), "").unwrap();
        assert!(real(root, "usr/file/x").unwrap_err().report().contains("usr/file` is no directory and is in the way"));
    }
}
