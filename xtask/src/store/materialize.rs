//! Trees out of the store, or out of a source, onto a disk: every file checked against its digest on the way, none a hard link.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::blobs::{Found, Store};
use crate::digest::{Digest, copy_hashing};
use crate::error::{Context, Error, Result};
use crate::tree::{Node, Tree};

/// Where the content of files comes from.
#[derive(Clone, Copy, Debug)]
pub enum Placement<'a> {
    /// The store.
    Store(&'a Store),
    /// A directory that holds the same tree.
    Directory(&'a Path),
}

/// Writes `tree` below `target`, every file and directory with the time `epoch` (seconds since 1970). Says `Missing` when the store lost a blob.
pub fn place(tree: &Tree, from: Placement<'_>, target: &Path, epoch: u64) -> Result<Found<()>> {
    let time = UNIX_EPOCH + Duration::from_secs(epoch);
    let making = |path: &Path| format!("cannot make `{}`", path.display());
    fs::create_dir_all(target).context(|| making(target))?;
    let mut last_parent = String::new();
    for (path, node) in &tree.0 {
        let on_disk = target.join(path);
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if parent != last_parent {
            parent.clone_into(&mut last_parent);
            let dir = target.join(parent);
            fs::create_dir_all(&dir).context(|| making(&dir))?;
        }
        match node {
            Node::File { digest, mode } => {
                if place_file(from, path, (*digest, *mode), &on_disk, Some(time))? == Found::Missing {
                    return Ok(Found::Missing);
                }
            }
            Node::Symlink { target } => symlink(target, &on_disk).context(|| making(&on_disk))?,
            Node::Directory { .. } => fs::create_dir_all(&on_disk).context(|| making(&on_disk))?,
        }
    }
    // Times and modes of directories last: a read-only one could not be filled, and filling one changes its time.
    set_directory_times(tree, target, time).context(|| making(target))?;
    for (path, node) in tree.0.iter().rev() {
        if let Node::Directory { mode } = node {
            let on_disk = target.join(path);
            fs::set_permissions(&on_disk, fs::Permissions::from_mode(*mode)).context(|| making(&on_disk))?;
        }
    }
    Ok(Found::Here(()))
}

/// One file, content and mode, to one path that does not exist yet; `path` is its name in a directory.
pub fn place_file(
    from: Placement<'_>,
    path: &str,
    (digest, mode): (Digest, u32),
    to: &Path,
    time: Option<SystemTime>,
) -> Result<Found<()>> {
    match from {
        Placement::Store(store) => copy_file(store, digest, to, mode, time),
        Placement::Directory(dir) => {
            let file = dir.join(path);
            let copying = || format!("cannot copy `{}` to `{}`", file.display(), to.display());
            if copy(&file, to, mode, time).context(copying)? != digest {
                return Err(Error::machine(copying()).because("it changed while it was read"));
            }
            Ok(Found::Here(()))
        }
    }
}

/// A recipe that packs a directory packs its time too.
fn set_directory_times(tree: &Tree, target: &Path, time: SystemTime) -> io::Result<()> {
    let parents = tree.0.keys().flat_map(|path| Path::new(path).ancestors().skip(1));
    let own = tree.0.iter().filter(|(_, node)| matches!(node, Node::Directory { .. })).map(|(path, _)| Path::new(path));
    for dir in parents.chain(own).collect::<BTreeSet<_>>() {
        File::open(target.join(dir))?.set_modified(time)?;
    }
    Ok(())
}

/// One blob to one path that does not exist yet.
fn copy_file(store: &Store, digest: Digest, to: &Path, mode: u32, time: Option<SystemTime>) -> Result<Found<()>> {
    let blob = store.blob(digest);
    match copy(&blob, to, mode, time) {
        Ok(copied) if copied == digest => Ok(Found::Here(())),
        Ok(_) => {
            fs::remove_file(to).context(|| format!("cannot remove `{}`", to.display()))?;
            store.put_aside(digest)?;
            Ok(Found::Missing)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !blob.exists() => Ok(Found::Missing),
        Err(error) => Err(error).context(|| format!("cannot write `{}`", to.display())),
    }
}

/// A clone where the file system has them, and then the clone is what is checked; a checking copy elsewhere.
fn copy(from: &Path, to: &Path, mode: u32, time: Option<SystemTime>) -> io::Result<Digest> {
    let (file, digest) = match reflink_copy::reflink(from, to) {
        Ok(()) => {
            let digest = Digest::of_reader(&mut File::open(to)?)?;
            fs::set_permissions(to, fs::Permissions::from_mode(0o600))?;
            (File::options().write(true).open(to)?, digest)
        }
        Err(_) => {
            let mut source = File::open(from)?;
            let mut file = File::options().write(true).create_new(true).open(to)?;
            let digest = copy_hashing(&mut source, &mut file)?;
            (file, digest)
        }
    };
    if let Some(time) = time {
        file.set_modified(time)?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat_index::{Modes, scan};

    #[test]
    fn a_tree_goes_in_and_comes_out_and_a_lost_blob_is_a_miss() {
        let dir = tempfile::tempdir().unwrap();
        let stage = dir.path().join("stage");
        fs::create_dir_all(stage.join("usr/bin")).unwrap();
        fs::create_dir_all(stage.join("var/lib/xen")).unwrap();
        fs::set_permissions(stage.join("var/lib/xen"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(stage.join("usr/bin/xl"), "program").unwrap();
        fs::set_permissions(stage.join("usr/bin/xl"), fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("xl", stage.join("usr/bin/xm")).unwrap();
        let tree = scan(&stage, &dir.path().join("i"), Modes::Exact, &[]).unwrap().into_tree();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let action = Digest::of(b"action");
        let output = store.put_output(action, &stage, tree.clone()).unwrap();
        assert_eq!(store.output(action).unwrap(), Found::Here(output));

        let copy = dir.path().join("copy");
        assert_eq!(place(&tree, Placement::Store(&store), &copy, 1).unwrap(), Found::Here(()));
        assert_eq!(*scan(&copy, &dir.path().join("j"), Modes::Exact, &[]).unwrap(), tree);

        let blob = store.blob(Digest::of(b"program"));
        fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&blob, "pr0gram").unwrap();
        let again = dir.path().join("again");
        assert_eq!(place(&tree, Placement::Store(&store), &again, 1).unwrap(), Found::Missing);
        assert_eq!(store.output(action).unwrap(), Found::Missing);
        assert_eq!(store.take_damaged().len(), 1);
    }
}
