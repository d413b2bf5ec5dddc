//! Files that appear whole or not at all.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Context, Result};

/// Replaces `path` by `bytes`: a reader sees the old content or the new, never a part. Makes the directory if need be.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let writing = || format!("cannot write `{}`", path.display());
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).context(writing)?;
    // For others too, as far as the umask lets them: locks are committed, indexes shared.
    let mode = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".tmp-").permissions(mode).tempfile_in(dir).context(writing)?;
    file.write_all(bytes).context(writing)?;
    file.persist(path).context(writing)?;
    Ok(())
}

/// Reads `path`; `None` where there is no such file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(|| format!("cannot read `{}`", path.display())),
    }
}

/// Removes a directory tree, also one whose directories a build made read-only. Nothing there is fine.
pub fn remove_tree(path: &Path) -> Result<()> {
    let removing = || format!("cannot remove `{}`", path.display());
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            make_writable(path);
            fs::remove_dir_all(path).context(removing)
        }
        other => other.context(removing),
    }
}

/// As far as it goes; what cannot be made writable is reported by the removal after it.
fn make_writable(path: &Path) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if !metadata.is_dir() || fs::set_permissions(path, fs::Permissions::from_mode(0o700)).is_err() {
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        make_writable(&entry.path());
    }
}
