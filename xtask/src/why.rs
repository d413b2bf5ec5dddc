//! The difference between two actions, leaf by leaf, in words a person uses: this file, this flag, this package.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::action::{ENVIRONMENT, Inputs, Preimage, STEPS};
use crate::tree::{Node, Tree};

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// What kind of input: `file of xen`, `step`, `package`, `tool`, `variable`, `output of xen-tools`, `patch`, `sandbox`.
    pub kind: String,
    /// Which one.
    pub name: String,
    /// What it was; nothing if it is new.
    pub before: Option<String>,
    /// What it is; nothing if it is gone.
    pub now: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = (&self.kind, &self.name);
        match (&self.before, &self.now) {
            (None, Some(now)) => write!(f, "{kind} {name}: new, {now}"),
            (Some(before), None) => write!(f, "{kind} {name}: gone, was {before}"),
            (before, now) => {
                let text = |value: &Option<String>| value.clone().unwrap_or_default();
                write!(f, "{kind} {name}: {} -> {}", text(before), text(now))
            }
        }
    }
}

/// What differs between two actions. `owner` names the component that brought a path of the sysroot.
pub fn compare(
    before: &Preimage,
    now: &Preimage,
    source: &str,
    owner: &dyn Fn(&str) -> Option<String>,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut add = |kind: &str, before: &BTreeMap<String, String>, now: &BTreeMap<String, String>| {
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        for name in names.into_iter().filter(|name| before.get(*name) != now.get(*name)) {
            let (before, now) = (before.get(name).cloned(), now.get(name).cloned());
            differences.push(Difference { kind: kind.to_owned(), name: name.clone(), before, now });
        }
    };
    add("package", &before.environment.packages, &now.environment.packages);
    add("tool", &before.environment.tools, &now.environment.tools);
    add("variable", &before.variables, &now.variables);
    add("step", &steps(&before.steps), &steps(&now.steps));
    let sandbox =
        |preimage: &Preimage| BTreeMap::from([("sealed".to_owned(), preimage.environment.sealed.to_string())]);
    add("sandbox", &sandbox(before), &sandbox(now));
    let (old, new) = (files(&before.root), files(&now.root));
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for path in paths.into_iter().filter(|path| old.get(*path) != new.get(*path)) {
        let (kind, name) = kind_of(path, source, owner);
        differences.push(Difference { kind, name, before: old.get(path).cloned(), now: new.get(path).cloned() });
    }
    differences
}

fn kind_of(path: &str, source: &str, owner: &dyn Fn(&str) -> Option<String>) -> (String, String) {
    if let Some(file) = path.strip_prefix("src/") {
        return (format!("file of {source}:"), file.to_owned());
    }
    if let Some((other, file)) = path.strip_prefix("extra/").and_then(|rest| rest.split_once('/')) {
        return (format!("file of {other}:"), file.to_owned());
    }
    if let Some(file) = path.strip_prefix("deps/") {
        let owner = owner(file).unwrap_or_else(|| "a need".to_owned());
        return (format!("output of {owner}:"), format!("/{file}"));
    }
    ("patch".to_owned(), path.trim_start_matches("patches/").to_owned())
}

/// Everything but our own two files, which are compared by what they say.
fn files(root: &Tree) -> BTreeMap<String, String> {
    let ours = |path: &&String| *path != ENVIRONMENT && *path != STEPS;
    root.0.keys().filter(ours).map(|path| (path.clone(), show(&root.0[path]))).collect()
}

fn show(node: &Node) -> String {
    match node {
        Node::File { digest, mode } => format!("{} ({} bytes, mode {mode:o})", digest.short(), digest.size),
        Node::Symlink { target } => format!("link to {target}"),
        Node::Directory { mode } => format!("directory, mode {mode:o}"),
    }
}

/// Steps by name out of `steps.sh`.
fn steps(script: &str) -> BTreeMap<String, String> {
    steps_in_order(script).into_iter().collect()
}

/// The same as they run.
pub fn steps_in_order(script: &str) -> Vec<(String, String)> {
    let blocks = script.split("\n\n# ").skip(1).filter_map(|block| block.split_once('\n'));
    blocks.map(|(name, lines)| (name.to_owned(), lines.trim().replace('\n', "; "))).collect()
}

/// Every input as a line.
pub fn everything(preimage: &Preimage) -> Vec<String> {
    let environment = &preimage.environment;
    let mut lines = vec![format!("sealed {}", environment.sealed)];
    lines.extend(environment.packages.iter().map(|(name, version)| format!("package {name} {version}")));
    lines.extend(environment.tools.iter().map(|(name, what)| format!("tool {name} {what}")));
    lines.extend(preimage.variables.iter().map(|(name, value)| format!("variable {name}={value}")));
    lines.extend(steps(&preimage.steps).iter().map(|(name, line)| format!("step {name}: {line}")));
    lines.extend(files(&preimage.root).iter().map(|(path, what)| format!("file {path} {what}")));
    lines
}

/// How many of what would make a component rebuild.
pub fn summary(inputs: &Inputs) -> String {
    let extra: usize = inputs.extra.values().map(|tree| tree.0.len()).sum();
    format!(
        "{} files of its source, {extra} of others, {} of its needs, {} patches, {} packages, {} tools, {} steps",
        inputs.src.0.len(),
        inputs.deps.0.len(),
        inputs.patches.len(),
        inputs.environment.packages.len(),
        inputs.environment.tools.len(),
        inputs.steps.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Environment;

    fn preimage(change: impl Fn(&mut Preimage)) -> Preimage {
        let mut preimage = Preimage {
            root: Tree::default(),
            environment: Environment { sealed: true, ..Environment::default() },
            steps: "#!/bin/sh\nset -e\n\n# make\ncd /b/src\nmake all\n".into(),
            variables: BTreeMap::new(),
        };
        change(&mut preimage);
        preimage
    }

    #[test]
    fn differences_are_named_as_people_name_them() {
        let before = preimage(|p| {
            p.root.insert_file("src/a.c", b"1", 0o644);
            p.root.insert_file("deps/usr/include/x.h", b"1", 0o644);
            p.environment.packages.insert("bison".into(), "2:3.8.2".into());
        });
        let now = preimage(|p| {
            p.root.insert_file("src/a.c", b"22", 0o644);
            p.root.insert_file("patches/0001-x.patch", b"p", 0o644);
            p.environment.packages.insert("bison".into(), "2:3.9".into());
            p.steps = p.steps.replace("make all", "make all debug=y");
        });
        let texts: Vec<String> =
            compare(&before, &now, "xen", &|_| Some("xen-tools".into())).iter().map(ToString::to_string).collect();
        assert!(texts.contains(&"package bison: 2:3.8.2 -> 2:3.9".to_owned()), "{texts:?}");
        assert!(
            texts.contains(&"step make: cd /b/src; make all -> cd /b/src; make all debug=y".to_owned()),
            "{texts:?}"
        );
        assert!(texts.iter().any(|t| t.starts_with("file of xen: a.c: ")), "{texts:?}");
        assert!(texts.iter().any(|t| t.starts_with("output of xen-tools: /usr/include/x.h: gone")), "{texts:?}");
        assert!(texts.iter().any(|t| t.starts_with("patch 0001-x.patch: new")), "{texts:?}");
        assert_eq!(texts.len(), 5);
    }
}
