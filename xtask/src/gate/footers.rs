//! `Depends-On:` footers of commits.

use xtask_gate::model::Revision;
use xtask_gate::world::Needed;

/// What the values of `Depends-On:` footers, a line each, say: `TREE COMMIT` or `TREE@COMMIT`, the commit in full. Anything else was
/// not written for us: other projects put addresses of reviews there.
pub(super) fn needed(values: &str) -> Vec<Needed> {
    let one = |line: &str| {
        let (tree, commit) = line.trim().split_once(|c: char| c == '@' || c.is_whitespace())?;
        let (tree, commit) = (tree.trim(), commit.trim());
        let is_commit = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_name = tree.parse::<crate::definition::Name>().is_ok();
        (is_commit && is_name)
            .then(|| Needed { tree: tree.to_owned(), revision: Revision(commit.to_ascii_lowercase()) })
    };
    values.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_and_a_whole_commit_are_ours_and_nothing_else_is() {
        let commit = "3fb3b1c2".repeat(5);
        let upper = commit.to_uppercase();
        let values =
            format!("qemu {commit}\nxen@{upper}\n\nhttps://review.example/1234\nqemu 3fb3b1c2\n../x {commit}\n");
        let wanted = |tree: &str| Needed { tree: tree.to_owned(), revision: Revision(commit.clone()) };
        assert_eq!(needed(&values), [wanted("qemu"), wanted("xen")]);
    }
}
