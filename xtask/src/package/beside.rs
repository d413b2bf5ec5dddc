//! Two versions installed beside each other: what both would have at one path stands in a directory of its version, and at that path is a
//! link to a launcher that starts the version which belongs to the running hypervisor. Pure.

use std::collections::BTreeMap;

use fast_glob::glob_match;

use super::Package;
use super::split::{Holes, resolve};
use crate::definition::Beside;
use crate::error::{Error, Result};
use crate::tree::{Node, Tree};

/// Files of one package, as they stand in it.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub files: BTreeMap<String, Node>,
    /// Where each of those stands in the result that has another place there.
    pub origins: BTreeMap<String, String>,
    pub started: Option<Started>,
}

/// Programs that are started by a launcher.
#[derive(Debug)]
pub(super) struct Started {
    /// The package with the launcher, as definitions call it.
    pub by: String,
    /// Its path.
    launcher: String,
    text: String,
    /// Paths that lead to it.
    links: Vec<String>,
}

/// Moves files to the directory of their version. `tree` is all that was built, `name` that of the package with `{minor}` in it, which stands
/// too in what people are told to type where the version that runs is `lacks`.
pub(super) fn moved(
    beside: &Beside,
    (name, lacks): (&str, &str),
    files: BTreeMap<String, Node>,
    tree: &Tree,
    holes: &Holes<'_>,
) -> Result<Moved> {
    let relative = |dir: &str| holes.fill(dir).trim_start_matches('/').to_owned();
    let directory = relative(&beside.directory);
    let bin = format!("{directory}/bin");
    let programs: Vec<String> = beside.programs.iter().map(|dir| relative(dir)).collect();
    let python: Vec<String> = beside.python.iter().map(|dir| relative(dir)).collect();
    let below = |dirs: &[String], path: &str| {
        let mut above = path.match_indices('/').map(|(at, _)| path.split_at(at));
        let (_, rest) = above.find(|(above, _)| dirs.iter().any(|dir| glob_match(dir, above)))?;
        Some(rest[1..].to_owned())
    };
    let program = |path: &str| below(&programs, path).filter(|rest| !rest.contains('/'));
    let place = |path: &str| match (program(path), below(&python, path)) {
        (Some(name), _) => format!("{bin}/{name}"),
        (None, Some(rest)) => format!("{directory}/lib/python/{rest}"),
        (None, None) => path.to_owned(),
    };
    let (mut moved, mut links) = (Moved::default(), Vec::new());
    for (path, node) in files {
        let new = place(&path);
        if program(&path).is_some() {
            links.push(path.clone());
        }
        let node = match (resolve(tree, &path).map(|file| place(&file)), node) {
            // A second name of one program leads to the launcher too, and is none beside it.
            (Some(target), Node::Symlink { .. }) if target == new => continue,
            (Some(target), Node::Symlink { .. }) if new != path => Node::Symlink { target: link(&new, &target) },
            (_, node) => node,
        };
        if new != path {
            moved.origins.insert(new.clone(), path);
        }
        if moved.files.insert(new.clone(), node).is_some() {
            return Err(Error::input(format!("two files of `{name}` would be /{new}"))
                .help("give one of them another name, or leave it out of `programs` of [package.beside]"));
        }
    }
    let text = launcher(&holes.directories.path(&beside.directory), lacks);
    let launcher = relative("{prefix}/lib/xen-common/bin/xen-utils-wrapper");
    moved.started = (!links.is_empty()).then(|| Started { by: beside.started_by.clone(), launcher, text, links });
    Ok(moved)
}

impl Started {
    /// Adds the launcher and the links to it.
    pub(super) fn add_to(self, package: &mut Package) {
        for path in self.links {
            let target = link(&path, &self.launcher);
            package.files.insert(path, Node::Symlink { target });
        }
        package.add_program(self.launcher, self.text.into_bytes());
    }
}

/// What a link at `from` says to lead to `to`, both below one root.
fn link(from: &str, to: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.split('/').collect(), to.split('/').collect());
    let same = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let same = same.min(from.len() - 1).min(to.len() - 1);
    let up = vec![".."; from.len() - 1 - same];
    up.into_iter().chain(to[same..].iter().copied()).collect::<Vec<_>>().join("/")
}

/// `directory` and `lacks` with `{minor}` in them.
fn launcher(directory: &str, lacks: &str) -> String {
    let lacks = lacks.replace("{minor}", "$version");
    let (running, any) = (directory.replace("{minor}", "$version"), directory.replace("{minor}", "[0-9]*"));
    format!(
        r#"#!/bin/sh
# Starts the program by whose name it is called: that of the version of Xen that runs, or, where none does, of the newest that is installed.
name=${{0##*/}}
if [ -e /sys/hypervisor/version/minor ]; then
	read -r major </sys/hypervisor/version/major
	read -r minor </sys/hypervisor/version/minor
	version=$major.$minor
	directory="{running}"
	missing="Xen $version runs, and its $name is not installed ({lacks})"
else
	directory=$(printf '%s
' {any}/bin/"$name" | sort -V | tail -n 1)
	directory=${{directory%/bin/*}}
	missing="no version of Xen with it is installed"
fi
program=$directory/bin/$name
if [ ! -x "$program" ]; then
	echo "$name: $missing" >&2
	exit 127
fi
read -r first <"$program"
case $first in
'#!'*python*) export PYTHONPATH="$directory/lib/python${{PYTHONPATH:+:$PYTHONPATH}}" ;;
esac
exec "$program" "$@"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_they_should() {
        let check = |from: &str, to: &str, wanted: &str| assert_eq!(link(from, to), wanted);
        check("usr/sbin/xl", "usr/lib/xen-common/bin/w", "../lib/xen-common/bin/w");
        check("usr/lib/xen/bin/x", "usr/lib/xen-common/bin/w", "../../xen-common/bin/w");
        check("usr/lib/a", "usr/lib/b", "b");
        check("a", "b/c", "b/c");
    }
}
