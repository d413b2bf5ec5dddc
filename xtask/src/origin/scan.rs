//! A plain walk that reads a whole tree from disk. To be replaced by `stat_index::scan`, which reads only what changed.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::tree::{Node, Tree, source_mode};

/// Everything below `root` except `.git` (at any depth: submodules have theirs), modes as `source_mode` reduces them.
pub(super) fn scan(root: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut open = vec![String::new()];
    while let Some(prefix) = open.pop() {
        let dir = root.join(&prefix);
        let cannot = || format!("cannot read directory `{}`", dir.display());
        let mut is_empty = true;
        for entry in fs::read_dir(&dir).context(cannot)? {
            let entry = entry.context(cannot)?;
            let name = entry.file_name();
            if name == ".git" {
                continue;
            }
            is_empty = false;
            let at = entry.path();
            let cannot = || format!("cannot read `{}`", at.display());
            let name = name
                .to_str()
                .ok_or_else(|| Error::input(format!("cannot use `{}`: its name is not UTF-8", at.display())))?;
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let kind = entry.file_type().context(cannot)?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_symlink() {
                let target = fs::read_link(&at).context(cannot)?;
                let target = target.to_str().map(str::to_owned).ok_or_else(|| {
                    Error::input(format!("cannot use link `{}`: what it says is not UTF-8", at.display()))
                })?;
                tree.0.insert(path, Node::Symlink { target });
            } else if kind.is_file() {
                let mut file = File::open(&at).context(cannot)?;
                let mode = source_mode(file.metadata().context(cannot)?.permissions().mode());
                tree.0.insert(path, Node::File { digest: Digest::of_reader(&mut file).context(cannot)?, mode });
            } else {
                return Err(Error::input(format!(
                    "cannot use `{}`: it is neither file, directory nor symbolic link",
                    at.display()
                )));
            }
        }
        if is_empty && !prefix.is_empty() {
            tree.0.insert(prefix, Node::Directory);
        }
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_sees_files_links_and_empty_directories_but_no_git() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("a/empty")).unwrap();
        fs::create_dir_all(at("a/sub/.git/refs")).unwrap();
        fs::write(at("a/run"), "x").unwrap();
        fs::set_permissions(at("a/run"), fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("../nowhere", at("a/link")).unwrap();
        let tree = scan(root.path()).unwrap();
        let seen: Vec<_> = tree.0.iter().map(|(path, node)| (path.as_str(), node.clone())).collect();
        let run = Node::File { digest: Digest::of(b"x"), mode: 0o755 };
        let link = Node::Symlink { target: "../nowhere".into() };
        let expected = [("a/empty", Node::Directory), ("a/link", link), ("a/run", run), ("a/sub", Node::Directory)];
        assert_eq!(seen, expected);
    }
}
