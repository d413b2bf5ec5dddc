//! Free space, asked for before work that needs it: a build that fails half-way for want of space wastes all its time.

use std::path::Path;

use crate::error::{Error, Result};

/// Bytes that we may still write where `path` is or will be.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let telling = || format!("cannot tell the free space at `{}`", path.display());
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let space = rustix::fs::statvfs(there).map_err(|errno| Error::machine(telling()).because(errno))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// `Err` unless `bytes` are free at `path`; `what` says what for: `building \`xen\``.
pub fn need(path: &Path, bytes: u64, what: &str) -> Result<()> {
    let free = free_bytes(path)?;
    if free >= bytes {
        return Ok(());
    }
    let message =
        format!("not enough space for {what} in `{}`: {} needed, {} free", path.display(), size(bytes), size(free));
    Err(Error::machine(message).help_with_space())
}

/// Nothing of use can be written where `path` is any more: no bytes or no files.
pub fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|space| {
        space.f_bavail.saturating_mul(space.f_frsize) < (1 << 20) || (space.f_files > 0 && space.f_favail == 0)
    })
}

/// Bytes as people say them: `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_units_of_people() {
        let path = std::env::temp_dir().join("not-there/yet");
        assert!(need(&path, 1, "nothing").is_ok());
        let error = need(&path, 3 << 60, "building `xen`").unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Machine);
        assert!(error.report().contains("not enough space for building `xen`"), "{}", error.report());
        assert!(error.report().contains("3145728.0 TiB needed"), "{}", error.report());
        assert_eq!((size(7), size(1536), size(5 << 30)), ("7 bytes".into(), "1.5 KiB".into(), "5.0 GiB".into()));
    }
}
