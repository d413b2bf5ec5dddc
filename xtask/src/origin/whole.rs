//! Files that appear whole or not at all: written beside their place, then renamed over it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Context, Result};

/// Writes `bytes` to `path`, making its directory.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let cannot = || format!("cannot write `{}`", path.display());
    let dir = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput)).context(cannot)?;
    let file = match tempfile::NamedTempFile::new_in(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(dir).context(cannot)?;
            tempfile::NamedTempFile::new_in(dir)
        }
        file => file,
    };
    let mut file = file.context(cannot)?;
    file.write_all(bytes).context(cannot)?;
    file.persist(path).context(cannot)?;
    Ok(())
}

/// Reads `path`; `None` where there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(|| format!("cannot read `{}`", path.display())),
    }
}
