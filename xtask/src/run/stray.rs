//! Files that a build without a sandbox left outside of its stage. Found by ctime, which no program can set back.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The directories that recipes are configured for.
const WATCHED: [&str; 4] = ["/usr", "/etc", "/boot", "/opt"];
/// Enough to see the pattern.
const MOST: usize = 20;

/// Files below the watched directories that appeared or changed since `since`.
pub fn stray_files(since: SystemTime) -> Vec<PathBuf> {
    let since = since.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut found = Vec::new();
    for dir in WATCHED {
        walk(Path::new(dir), i64::try_from(since).unwrap_or(i64::MAX), &mut found);
    }
    found
}

fn walk(dir: &Path, since: i64, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if found.len() >= MOST {
            return;
        }
        if metadata.is_dir() {
            walk(&entry.path(), since, found);
        } else if metadata.ctime() > since {
            found.push(entry.path());
        }
    }
}
