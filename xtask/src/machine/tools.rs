//! What makes one program of the machine the same as another: the file behind its name. Where a program is only a door
//! (a compiler driver, a script), what is behind it is in the packages of the build.

use std::fs::File;
use std::path::Path;

use super::remembered::{Remembered, stamps};
use crate::digest::{Digest, Hash};
use crate::error::{Context, Error, Result};

/// Where programs are looked for, as in the sandbox.
pub(super) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The real path of the program `name` found in `path`, and the SHA-256 of that file.
pub(super) fn fingerprint(name: &str, path: &str, remembered: &Remembered) -> Result<String> {
    let found = which::which_in(name, Some(path), "/").map_err(|_| {
        Error::machine(format!("cannot find tool `{name}` in {path}"))
            .help("cargo xtask doctor   # says which package it is of")
    })?;
    let real = found.canonicalize().context(|| format!("cannot follow `{}`", found.display()))?;
    Ok(format!("{} {}", real.display(), file_hash(&real, remembered)?))
}

/// The SHA-256 of a file, read only if the file changed.
pub(super) fn file_hash(path: &Path, remembered: &Remembered) -> Result<Hash> {
    let question = format!("sha256 of {}", path.display());
    if let Some(known) = remembered.recall(&question) {
        return Ok(known);
    }
    let stamps = stamps([path]);
    let reading = || format!("cannot read `{}`", path.display());
    let hash = Digest::of_reader(&mut File::open(path).context(reading)?).context(reading)?.hash;
    remembered.keep(&question, stamps, &hash)?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_tool_is_the_file_behind_its_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let program = |name: &str, text: &str| {
            std::fs::write(root.join(name), text).unwrap();
            std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("cc-12", "one");
        symlink("cc-12", root.join("cc")).unwrap();
        let remembered = Remembered::open(root.join("state.json"));
        let ask = |name| fingerprint(name, &root.to_string_lossy(), &remembered);
        let first = ask("cc").unwrap();
        assert_eq!(first, format!("{}/cc-12 {}", root.display(), Digest::of(b"one").hash));
        assert_eq!(ask("cc").unwrap(), first);
        std::fs::remove_file(root.join("cc-12")).unwrap();
        program("cc-12", "two");
        assert!(ask("cc").unwrap().ends_with(&Digest::of(b"two").hash.to_string()));
        let error = ask("no-such-tool").unwrap_err();
        assert!(error.report().contains("cannot find tool `no-such-tool`"), "{}", error.report());
    }
}
