//! Files that a build without a sandbox left outside of its stage. Found by ctime, which no program can set back.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// The directories that recipes are configured for.
const WATCHED: [&str; 4] = ["/usr", "/etc", "/boot", "/opt"];
/// Enough to see the pattern.
const MOST: usize = 20;

/// A moment by the clock that file systems stamp changes with, which lags behind `SystemTime::now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Since(i64, i64);

impl Since {
    /// Now; `dir` can be written.
    pub fn now(dir: &Path) -> Result<Self> {
        let telling = || format!("cannot tell the time with a file in `{}`", dir.display());
        let file = tempfile::NamedTempFile::new_in(dir).context(telling)?;
        Ok(Since::of(&file.as_file().metadata().context(telling)?))
    }

    fn of(metadata: &fs::Metadata) -> Self {
        Since(metadata.ctime(), metadata.ctime_nsec())
    }

    /// Files below the watched directories, but not below our own `root` and `store`, that appeared or changed since then.
    pub fn stray_files(self, root: &Path, store: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for dir in WATCHED {
            self.walk(Path::new(dir), &[root, store], &mut found);
        }
        found
    }

    fn walk(self, dir: &Path, ours: &[&Path], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let path = entry.path();
            if found.len() >= MOST || ours.contains(&path.as_path()) {
                continue;
            }
            if metadata.is_dir() {
                self.walk(&path, ours, found);
            } else if Since::of(&metadata) >= self {
                found.push(path);
            }
        }
    }
}
