//! Which package gets a file: the first of the component's `[[package]]` that wants it. Pure.

use std::collections::BTreeMap;

use fast_glob::glob_match;

use super::facts::Facts;
use crate::definition::{Component, Packaged};
use crate::settings::Directories;
use crate::tree::{Node, Tree};

/// What stands for `{minor}`, `{major}`, `{arch}` and the directories.
pub(super) struct Holes<'a> {
    pub minor: &'a str,
    pub major: &'a str,
    pub arch: &'a str,
    pub directories: &'a Directories,
}

impl Holes<'_> {
    pub(super) fn fill(&self, text: &str) -> String {
        let text = self.directories.path(text);
        text.replace("{minor}", self.minor).replace("{major}", self.major).replace("{arch}", self.arch)
    }
}

/// The files of a component by the package that gets them: its name in `deb`, and which of `[[package]]` it is.
#[derive(Debug, Default)]
pub(super) struct Split<'a> {
    pub packages: BTreeMap<String, (&'a Packaged, BTreeMap<String, Node>)>,
    /// Paths that nobody wants.
    pub nobodys: Vec<String>,
}

pub(super) fn split<'a>(
    rules: &'a [Packaged],
    component: &Component,
    tree: &Tree,
    facts: &Facts,
    holes: &Holes<'_>,
) -> Split<'a> {
    let globs = |globs: &[String]| globs.iter().map(|glob| holes.fill(glob)).collect::<Vec<_>>();
    let left: Vec<String> = component.unpackaged.iter().flat_map(|left| globs(&left.files)).collect();
    let rules: Vec<(&Packaged, Vec<String>)> = rules.iter().map(|rule| (rule, globs(&rule.files))).collect();
    let mut split = Split::default();
    for (path, node) in &tree.0 {
        let installed = format!("/{path}");
        let is_wanted = |globs: &[String]| globs.iter().any(|glob| glob_match(glob, &installed));
        if is_wanted(&left) {
            continue;
        }
        let name = |rule: &Packaged| match rule.deb.contains("{soname}") {
            true => soname(tree, facts, path).map(|soname| rule.deb.replace("{soname}", &library_package(soname))),
            false => Some(rule.deb.clone()),
        };
        let owner = rules.iter().find_map(|(rule, globs)| Some((*rule, name(rule).filter(|_| is_wanted(globs))?)));
        let Some((rule, name)) = owner else {
            split.nobodys.push(installed);
            continue;
        };
        let package = split.packages.entry(holes.fill(&name)).or_insert_with(|| (rule, BTreeMap::new()));
        package.1.insert(path.clone(), node.clone());
    }
    split
}

/// The name under which the linker finds the library at `path`, or the one to which a link there leads.
fn soname<'a>(tree: &Tree, facts: &'a Facts, path: &str) -> Option<&'a str> {
    let file = resolve(tree, path)?;
    facts.elf.get(&file)?.soname.as_deref()
}

/// Where a path leads inside the tree. Links whose target is elsewhere lead nowhere.
pub(super) fn resolve(tree: &Tree, path: &str) -> Option<String> {
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Node::Symlink { target } = tree.0.get(&path)? else { return Some(path) };
        let mut parts: Vec<&str> = match target.strip_prefix('/') {
            Some(_) => Vec::new(),
            None => path.split('/').collect(),
        };
        parts.pop();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()?),
                name => parts.push(name),
            }
        }
        path = parts.join("/");
    }
    None
}

/// What Debian calls the package of a library: `libxencall1` of `libxencall.so.1`, `libfoo2-3` of `libfoo2.so.3`.
fn library_package(soname: &str) -> String {
    let (name, version) = soname.split_once(".so").unwrap_or((soname, ""));
    let version = version.trim_start_matches('.');
    let dash = if name.ends_with(|c: char| c.is_ascii_digit()) && !version.is_empty() { "-" } else { "" };
    format!("{name}{dash}{version}").to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_called_as_debian_calls_them() {
        assert_eq!(library_package("libxencall.so.1"), "libxencall1");
        assert_eq!(library_package("libxenctrl.so.4.17"), "libxenctrl4.17");
        assert_eq!(library_package("libdb5.so.3"), "libdb5-3");
        assert_eq!(library_package("libVHD_io.so.0"), "libvhd-io0");
    }

    #[test]
    fn links_are_followed_inside_the_tree_only() {
        let mut tree = Tree::default();
        tree.insert_file("usr/lib/l.so.1.0", b"", 0o644);
        for (path, target) in [
            ("usr/lib/l.so.1", "l.so.1.0"),
            ("usr/lib/l.so", "./l.so.1"),
            ("usr/bin/a", "../lib/l.so"),
            ("usr/bin/b", "/usr/lib/l.so"),
            ("usr/bin/c", "/bin/sh"),
            ("usr/bin/d", "d"),
            ("usr/bin/e", "../../../../x"),
        ] {
            tree.0.insert(path.to_owned(), Node::Symlink { target: target.to_owned() });
        }
        for path in ["usr/lib/l.so.1", "usr/lib/l.so", "usr/bin/a", "usr/bin/b", "usr/lib/l.so.1.0"] {
            assert_eq!(resolve(&tree, path).as_deref(), Some("usr/lib/l.so.1.0"), "{path}");
        }
        for path in ["usr/bin/c", "usr/bin/d", "usr/bin/e", "nothing"] {
            assert_eq!(resolve(&tree, path), None, "{path}");
        }
    }
}
