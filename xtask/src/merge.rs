//! Many outputs into one tree, with an owner for each path: `dist/`, and the sysroot that a component's needs make.

use std::collections::BTreeMap;

use crate::definition::Name;
use crate::error::{Error, Result};
use crate::tree::{Node, Tree};

/// A merged tree and who brought each path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Everything.
    pub tree: Tree,
    /// The component that brought a path.
    pub owners: BTreeMap<String, Name>,
}

/// Merges outputs in order. A path that two components bring is an error unless `shared` (installed absolute paths) names whose
/// copy is taken. A directory is nobody's: it may be in every output, but then with one mode.
pub fn merge<'a>(
    outputs: impl IntoIterator<Item = (&'a Name, &'a Tree)>,
    shared: &BTreeMap<String, Name>,
) -> Result<Merged> {
    let mut merged = Merged::default();
    let mut conflicts: Vec<String> = Vec::new();
    for (component, tree) in outputs {
        for (path, node) in &tree.0 {
            let owner = merged.owners.get(path);
            let winner = shared.get(&format!("/{path}"));
            match owner {
                None => {}
                Some(_) if winner == Some(component) => {}
                Some(owner) if winner == Some(owner) => continue,
                Some(_) if merged.tree.0.get(path) == Some(node) && matches!(node, Node::Directory { .. }) => continue,
                Some(owner) => {
                    conflicts.push(format!("`/{path}` is installed by `{owner}` and by `{component}`"));
                    continue;
                }
            }
            merged.tree.0.insert(path.clone(), node.clone());
            merged.owners.insert(path.clone(), component.clone());
        }
    }
    // A file of one component where another has a directory.
    for (path, owner) in &merged.owners {
        let is_directory = matches!(merged.tree.0.get(path), Some(Node::Directory { .. }));
        let below = format!("{path}/");
        if let Some((other, their)) =
            merged.owners.range(below.clone()..).next().filter(|(other, _)| other.starts_with(&below))
            && !is_directory
        {
            conflicts.push(format!("`/{path}` is a file of `{owner}` and a directory in `{their}` (`/{other}`)"));
        }
    }
    if let Some(first) = conflicts.first() {
        let path = first.split('`').nth(1).unwrap_or("/path");
        return Err(Error::input(format!("two components install the same path: {}", conflicts.join("; ")))
            .help(format!("say in the manifest whose copy is taken: [shared] \"{path}\" = \"COMPONENT\"")));
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &[&str], b: &[&str], shared: &[(&str, &str)]) -> Result<Merged> {
        let tree = |paths: &[&str]| {
            let mut tree = Tree::default();
            for path in paths {
                match path.strip_suffix('/') {
                    Some(dir) => drop(tree.0.insert(dir.to_owned(), Node::Directory { mode: 0o755 })),
                    None => tree.insert_file(path, path.as_bytes(), 0o644),
                }
            }
            tree
        };
        let names: [Name; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        let shared = shared.iter().map(|(path, name)| ((*path).to_owned(), name.parse().unwrap())).collect();
        merge([(&names[0], &tree(a)), (&names[1], &tree(b))], &shared)
    }

    #[test]
    fn each_path_has_an_owner() {
        let merged = check(&["bin/x", "var/"], &["bin/y", "var/"], &[]).unwrap();
        assert_eq!((merged.owners["bin/x"].as_str(), merged.owners["bin/y"].as_str()), ("a", "b"));
    }

    #[test]
    fn two_owners_are_an_error_unless_declared() {
        let error = check(&["bin/x", "bin/y"], &["bin/x", "bin/y"], &[]).unwrap_err().report();
        assert!(error.contains("`/bin/x` is installed by `a` and by `b`; `/bin/y`"), "{error}");
        assert!(error.contains("[shared] \"/bin/x\""), "{error}");
        for winner in ["a", "b"] {
            let merged = check(&["bin/x"], &["bin/x"], &[("/bin/x", winner)]).unwrap();
            assert_eq!(merged.owners["bin/x"].as_str(), winner);
        }
    }

    #[test]
    fn a_file_where_another_has_a_directory_is_an_error() {
        assert!(
            check(&["bin"], &["bin/x"], &[]).unwrap_err().report().contains("is a file of `a` and a directory in `b`")
        );
    }
}
