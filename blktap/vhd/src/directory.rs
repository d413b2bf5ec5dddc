//! The directory that a file has its name in. Knows names; never looks into files.

use std::fs::File;
use std::io;
use std::path::Path;

/// Where the name is.
pub(crate) fn of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a name durable, or its absence: syncing the file does not.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(of(path))?.sync_all()
}
