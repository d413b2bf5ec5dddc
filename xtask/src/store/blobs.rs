//! Content by digest: one file a blob, `cas/ab/abcd…`. Knows bytes; not what they mean.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::digest::{Digest, copy_hashing};
use crate::error::{Context, Error, Result};

/// A store directory. Cheap to clone; clones share the list of what was found damaged.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    damaged: Arc<Mutex<Vec<String>>>,
}

/// What asking for a blob gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// It is there and intact.
    Here(T),
    /// It is not there, or was damaged and has been put aside.
    Missing,
}

impl Store {
    /// Opens (and makes, if need be) the store in `root`.
    pub fn open(root: &Path) -> Result<Self> {
        for dir in ["cas", "ac", "incoming", "roots"] {
            let dir = root.join(dir);
            fs::create_dir_all(&dir).context(|| format!("cannot make the store directory `{}`", dir.display()))?;
        }
        Ok(Store { root: root.to_path_buf(), damaged: Arc::default() })
    }

    /// Where it stands.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Blobs found damaged or gone since the last call, each as a line for the user.
    pub fn take_damaged(&self) -> Vec<String> {
        std::mem::take(&mut *self.damaged.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(super) fn blob(&self, digest: Digest) -> PathBuf {
        let hash = digest.hash.to_string();
        self.root.join("cas").join(&hash[..2]).join(hash)
    }

    pub(super) fn temporary(&self) -> Result<tempfile::NamedTempFile> {
        let dir = self.root.join("incoming");
        tempfile::Builder::new()
            .prefix(&format!("{}-", std::process::id()))
            .tempfile_in(&dir)
            .context(|| format!("cannot write in the store `{}`", dir.display()))
    }

    /// It is there with the right length. Content is checked when it is read.
    pub fn has(&self, digest: Digest) -> bool {
        fs::symlink_metadata(self.blob(digest))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == digest.size)
    }

    /// Keeps bytes.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if !self.has(digest) {
            let mut file = self.temporary()?;
            io::Write::write_all(&mut file, bytes).context(|| format!("cannot keep {digest} in the store"))?;
            self.keep(file, digest)?;
        }
        Ok(digest)
    }

    /// Keeps a file whose digest is known; it is read once more and must still have it.
    pub fn put_file(&self, path: &Path, digest: Digest) -> Result<()> {
        if self.has(digest) {
            return Ok(());
        }
        let keeping = || format!("cannot keep `{}` in the store", path.display());
        let mut file = self.temporary()?;
        let copied = copy_hashing(&mut File::open(path).context(keeping)?, &mut file).context(keeping)?;
        if copied != digest {
            return Err(Error::machine(keeping()).because("it changed while it was read"));
        }
        self.keep(file, digest)
    }

    fn keep(&self, file: tempfile::NamedTempFile, digest: Digest) -> Result<()> {
        let blob = self.blob(digest);
        let keeping = || format!("cannot keep `{}` in the store", blob.display());
        file.as_file().set_permissions(fs::Permissions::from_mode(0o444)).context(keeping)?;
        fs::create_dir_all(blob.parent().unwrap_or(&self.root)).context(keeping)?;
        file.persist(&blob).context(keeping)?;
        Ok(())
    }

    /// The bytes of a blob, checked.
    pub fn read(&self, digest: Digest) -> Result<Found<Vec<u8>>> {
        let blob = self.blob(digest);
        match fs::read(&blob) {
            Ok(bytes) if Digest::of(&bytes) == digest => Ok(Found::Here(bytes)),
            Ok(_) => {
                self.put_aside(digest)?;
                Ok(Found::Missing)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
            Err(error) => Err(Error::machine(format!("cannot read `{}`", blob.display())).because(error)),
        }
    }

    /// A blob that no longer matches its name is removed and remembered for the user.
    pub(super) fn put_aside(&self, digest: Digest) -> Result<()> {
        let blob = self.blob(digest);
        match fs::remove_file(&blob) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::machine(format!("cannot remove the damaged `{}`", blob.display())).because(error));
            }
            Ok(()) | Err(_) => {}
        }
        self.tell_lost(digest, "held a damaged blob");
        Ok(())
    }

    /// Remembers for the user that a blob which a result names is damaged or gone. `what` happened to it.
    pub(super) fn tell_lost(&self, digest: Digest, what: &str) {
        let blob = format!("`{}`", self.blob(digest).display());
        let line = format!("the store {what}, {blob}; it counts as missing and is made again");
        let mut damaged = self.damaged.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !damaged.iter().any(|line| line.contains(&blob)) {
            damaged.push(line);
        }
    }

    /// Files of runs that died before they could clean up.
    pub fn sweep(&self) -> Result<()> {
        let dir = self.root.join("incoming");
        for entry in fs::read_dir(&dir).context(|| format!("cannot read `{}`", dir.display()))?.flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.split('-').next()).and_then(|pid| pid.parse::<u32>().ok());
            if owner.is_none_or(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
                crate::atomic::remove_tree(&entry.path()).or_else(|_| {
                    fs::remove_file(entry.path()).context(|| format!("cannot remove `{}`", entry.path().display()))
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_found_and_what_was_damaged_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store.put(b"hello").unwrap();
        assert_eq!(store.read(digest).unwrap(), Found::Here(b"hello".to_vec()));
        assert_eq!(store.read(Digest::of(b"other")).unwrap(), Found::Missing);
        fs::remove_file(store.blob(digest)).unwrap();
        fs::write(store.blob(digest), "hellO").unwrap();
        assert!(store.has(digest), "the length is right");
        assert_eq!(store.read(digest).unwrap(), Found::Missing);
        assert_eq!(store.take_damaged().len(), 1);
        assert!(!store.has(digest));
    }

    #[test]
    fn temporary_files_of_dead_runs_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mine = store.temporary().unwrap();
        fs::write(dir.path().join("incoming/4194999-dead"), "half").unwrap();
        store.sweep().unwrap();
        assert!(mine.path().exists() && !dir.path().join("incoming/4194999-dead").exists());
    }
}
