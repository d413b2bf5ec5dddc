//! HEAD, loose refs and `packed-refs`, read and written as the files they are (gitrepository-layout(5)).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::error::{Context, Result};

/// Full names of refs with the ids they hold.
pub(super) type Refs = BTreeMap<String, String>;

/// The commit of HEAD, through as many symbolic refs as git follows.
pub(super) fn head(git_dir: &Path) -> Option<String> {
    const DEPTH: usize = 5;
    let mut name = "HEAD".to_owned();
    for _ in 0..DEPTH {
        let text = match fs::read_to_string(git_dir.join(&name)) {
            Ok(text) => text,
            Err(_) => return packed(git_dir).ok()?.remove(&name),
        };
        match text.trim().strip_prefix("ref:") {
            Some(next) => name = next.trim().to_owned(),
            None => return is_id(text.trim()).then(|| text.trim().to_owned()),
        }
    }
    None
}

fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What `packed-refs` holds. Lines that say what a tag is peeled to are left out: git works it out again.
pub(super) fn packed(git_dir: &Path) -> Result<Refs> {
    let bytes = crate::atomic::read(&git_dir.join("packed-refs"))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let refs = text.lines().filter(|line| !line.starts_with(['#', '^'])).filter_map(|line| line.split_once(' '));
    Ok(refs.filter(|(id, _)| is_id(id)).map(|(id, name)| (name.to_owned(), id.to_owned())).collect())
}

/// All refs, loose ones over packed ones; symbolic ones are left out.
pub(super) fn all(git_dir: &Path) -> Result<Refs> {
    let mut refs = packed(git_dir)?;
    let mut open = vec!["refs".to_owned()];
    while let Some(prefix) = open.pop() {
        let dir = git_dir.join(&prefix);
        let cannot = || format!("cannot read refs in `{}`", dir.display());
        for entry in fs::read_dir(&dir).context(cannot)? {
            let entry = entry.context(cannot)?;
            let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}/{name}")) else { continue };
            if entry.file_type().context(cannot)?.is_dir() {
                open.push(name);
            } else if let Ok(text) = fs::read_to_string(entry.path())
                && is_id(text.trim())
            {
                refs.insert(name, text.trim().to_owned());
            }
        }
    }
    Ok(refs)
}

/// Writes `packed-refs`, whole.
pub(super) fn write_packed(git_dir: &Path, refs: &Refs) -> Result<()> {
    let lines = refs.iter().map(|(name, id)| format!("{id} {name}\n"));
    let text: String = std::iter::once("# pack-refs with: sorted \n".to_owned()).chain(lines).collect();
    crate::atomic::write(&git_dir.join("packed-refs"), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_found_detached_on_a_loose_and_on_a_packed_branch() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        assert_eq!(head(root.path()), None);
        crate::atomic::write(&root.path().join("HEAD"), format!("{one}\n").as_bytes()).unwrap();
        assert_eq!(head(root.path()), Some(one.clone()));
        crate::atomic::write(&root.path().join("HEAD"), b"ref: refs/heads/x\n").unwrap();
        write_packed(root.path(), &Refs::from([("refs/heads/x".into(), two.clone())])).unwrap();
        assert_eq!(head(root.path()), Some(two.clone()));
        crate::atomic::write(&root.path().join("refs/heads/x"), format!("{one}\n").as_bytes()).unwrap();
        assert_eq!(head(root.path()), Some(one.clone()));
        assert_eq!(all(root.path()).unwrap(), Refs::from([("refs/heads/x".into(), one)]));
    }
}
