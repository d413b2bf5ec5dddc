//! What has to be done in a root so that it holds a tree, and what is left alone there. Looks at the root, changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, mem};

use super::record::{Entry, RECORD, Record, What};
use crate::definition::Name;
use crate::error::{Error, Result};
use crate::merge::Merged;
use crate::placing::{self, There};
use crate::tree::Node;

/// One change, by paths in the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Keep what stands there as its original.
    Keep { path: String },
    /// Put a file or link there; `from` is its path in the tree.
    Write { path: String, from: String, node: Node },
    /// Remove what is ours.
    Remove { path: String },
    /// Give the original its name back.
    PutBack { path: String },
    /// The mode of a directory of the result that is ours; it is made if need be.
    Directory { path: String, mode: u32 },
}

/// Everything, in order.
#[derive(Debug)]
pub struct Plan {
    /// The changes.
    pub steps: Vec<Step>,
    /// What is ours while they are made.
    pub during: Record,
    /// What is ours after them.
    pub after: Record,
    /// Changed here since it was installed, and kept; with the name of the new one beside it, or of the original when it is no longer ours.
    pub kept: Vec<(String, Option<String>)>,
    /// Was there before us with the same content; stays whoever's it is.
    pub same: Vec<String>,
}

/// Name of what stood there before us.
pub fn original(path: &str) -> String {
    format!("{path}.sultana-orig")
}

/// Name of what we would have put there.
fn beside(path: &str) -> String {
    format!("{path}.sultana-new")
}

struct Planner<'a> {
    root: &'a Path,
    old: Record,
    backup: bool,
    plan: Plan,
    /// Files of others in the way.
    strangers: Vec<String>,
    /// What no option helps against.
    obstacles: Vec<String>,
}

/// The plan that makes `root`, which holds what `old` says, hold `merged`: nothing at all for an uninstall. With `backup` a file of
/// somebody else's in the way is kept as its original, else it is an error.
pub fn plan(root: &Path, old: Record, merged: &Merged, backup: bool) -> Result<Plan> {
    let plan = Plan {
        steps: Vec::new(),
        during: Record { whole: false, ..old.clone() },
        after: Record::default(),
        kept: Vec::new(),
        same: Vec::new(),
    };
    let mut planner = Planner { root, old, backup, plan, strangers: Vec::new(), obstacles: Vec::new() };
    let mut from: BTreeMap<String, &str> = BTreeMap::new();
    let mut directories = Vec::new();
    for (path, node) in &merged.tree.0 {
        let real = placing::real(root, path)?;
        if let Node::Directory { mode } = node {
            // A link to one will do.
            let there = fs::symlink_metadata(root.join(&real));
            if there.is_ok_and(|there| !there.is_dir() && !there.is_symlink()) {
                planner.obstacles.push(real);
            } else {
                directories.push((real, *mode));
            }
            continue;
        }
        if let Some(other) = from.insert(real.clone(), path) {
            return Err(Error::input(format!(
                "cannot install into `{}`: links there make `{other}` and `{path}` the same file, `{real}`",
                root.display()
            )));
        }
        planner.want(real, path, node, &merged.owners[path])?;
    }
    planner.refuse()?;
    planner.remove_the_rest()?;
    planner.directories(directories);
    Ok(planner.plan)
}

impl Planner<'_> {
    fn read(&self, path: &str) -> Result<There> {
        placing::read(&self.root.join(path))
    }

    fn want(&mut self, path: String, from: &str, node: &Node, owner: &Name) -> Result<()> {
        let there = match self.read(&path)? {
            There::Node(Node::Directory { .. }) | There::Special => {
                self.obstacles.push(path);
                return Ok(());
            }
            There::Node(there) => Some(there),
            There::Nothing => None,
        };
        let Some(what) = What::of(node) else { return Ok(()) };
        let entry = self.old.files.get(&path).cloned();
        let original = entry.as_ref().is_some_and(|entry| entry.has_original);
        let ours = Entry { owner: owner.clone(), ours: vec![what.clone()], has_original: original };
        let write = Step::Write { path: path.clone(), from: from.to_owned(), node: node.clone() };
        match (there, entry) {
            (None, _) => self.take(path, ours, Some(write)),
            (Some(there), None) if there == *node => self.plan.same.push(path),
            (Some(there), Some(_)) if there == *node => self.take(path, ours, None),
            (Some(there), Some(entry)) if is_ours(&entry, &there) => self.take(path, ours, Some(write)),
            (Some(_), entry) if entry.is_none() || original && self.is_not_replaced(&path) => {
                if !self.backup {
                    self.strangers.push(path);
                } else if self.read(&self::original(&path))? == There::Nothing || self.is_not_replaced(&path) {
                    self.plan.steps.push(Step::Keep { path: path.clone() });
                    self.take(path, Entry { has_original: true, ..ours }, Some(write));
                } else {
                    self.obstacles.push(self::original(&path));
                }
            }
            (Some(_), entry) => {
                // What is new is offered once: whoever merged it and removed it is not asked again.
                let is_new = entry.is_none_or(|entry| entry.ours != ours.ours);
                let new = beside(&path);
                self.take(path.clone(), ours, None);
                self.offer(path, new, is_new, from, node, owner)?;
            }
        }
        Ok(())
    }

    /// Puts the new version of a changed file beside it.
    fn offer(&mut self, path: String, new: String, is_new: bool, from: &str, node: &Node, owner: &Name) -> Result<()> {
        let there = self.read(&new)?;
        let known = self.old.files.get(&new);
        let is_known = |there: &Node| known.is_some_and(|entry| is_ours(entry, there));
        let ours = Entry { owner: owner.clone(), ours: What::of(node).into_iter().collect(), has_original: false };
        let write = Step::Write { path: new.clone(), from: from.to_owned(), node: node.clone() };
        let step = match &there {
            There::Nothing if !is_new => {
                self.plan.kept.push((path, None));
                return Ok(());
            }
            There::Node(there) if there == node && known.is_some() => None,
            There::Nothing => Some(write),
            There::Node(there) if is_known(there) => Some(write),
            There::Node(_) | There::Special => {
                self.obstacles.push(new);
                return Ok(());
            }
        };
        self.take(new.clone(), ours, step);
        self.plan.kept.push((path, Some(new)));
        Ok(())
    }

    /// From now on `path` is ours as `entry` says.
    fn take(&mut self, path: String, entry: Entry, step: Option<Step>) {
        let during = self.plan.during.files.entry(path.clone()).or_insert_with(|| entry.clone());
        during.has_original = entry.has_original;
        let missing: Vec<What> = entry.ours.iter().filter(|what| !during.ours.contains(what)).cloned().collect();
        during.ours.extend(missing);
        self.plan.after.files.insert(path, entry);
        self.plan.steps.extend(step);
    }

    /// A kill came between the original's second name and the file that takes its place.
    fn is_not_replaced(&self, path: &str) -> bool {
        let (there, kept) = (self.root.join(path), self.root.join(original(path)));
        fs::symlink_metadata(&kept).is_err() || super::is_same(&there, &kept)
    }

    fn refuse(&mut self) -> Result<()> {
        let list = |paths: &[String]| {
            let shown = paths.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = paths.len().saturating_sub(10);
            if more > 0 { format!("{shown} and {more} more") } else { shown }
        };
        let root = self.root.display();
        if !self.obstacles.is_empty() {
            let paths = list(&self.obstacles);
            return Err(Error::input(format!(
                "cannot install into `{root}`: what stands there is not ours and not replaced: {paths}"
            ))
            .help("look at it, then move it away"));
        }
        if !self.strangers.is_empty() {
            let paths = list(&self.strangers);
            return Err(Error::input(format!(
                "cannot install into `{root}`: files that we did not install would be overwritten: {paths}"
            ))
            .help(format!(
                "to keep each as NAME.sultana-orig until uninstall: cargo xtask install --root {root} --backup"
            )));
        }
        Ok(())
    }

    fn remove_the_rest(&mut self) -> Result<()> {
        for (path, entry) in mem::take(&mut self.old.files) {
            if self.plan.after.files.contains_key(&path) {
                continue;
            }
            // A link that was put above it since leads to what is not ours.
            let there = match placing::real(self.root, &path) {
                Ok(real) if real == path => self.read(&path)?,
                Ok(_) | Err(_) => There::Nothing,
            };
            let not_replaced = entry.has_original && self.is_not_replaced(&path);
            match there {
                There::Node(there) if is_ours(&entry, &there) => {
                    self.plan.steps.push(Step::Remove { path: path.clone() });
                }
                There::Nothing => {}
                There::Node(_) if not_replaced && self.read(&original(&path))? != There::Nothing => {}
                There::Node(_) | There::Special => {
                    let original = entry.has_original.then(|| original(&path));
                    self.plan.kept.push((path, original));
                    continue;
                }
            }
            if entry.has_original {
                self.plan.steps.push(Step::PutBack { path });
            }
        }
        Ok(())
    }

    /// Which directories are made, and which of them stay ours.
    fn directories(&mut self, wanted: Vec<(String, u32)>) {
        let plan = &mut self.plan;
        let is_new = |path: &str| fs::symlink_metadata(self.root.join(path)).is_err();
        let mut needed: BTreeSet<String> = BTreeSet::new();
        let files = plan.after.files.keys().map(String::as_str);
        let record = (!plan.after.files.is_empty() || !wanted.is_empty()).then_some(RECORD);
        for path in files.chain(wanted.iter().map(|(path, _)| path.as_str())).chain(record) {
            needed.extend(Path::new(path).ancestors().skip(1).filter_map(Path::to_str).map(str::to_owned));
        }
        needed.extend(wanted.iter().map(|(path, _)| path.clone()));
        for path in needed {
            if is_new(&path) {
                plan.during.directories.insert(path.clone());
            }
            if plan.during.directories.contains(&path) {
                plan.after.directories.insert(path);
            }
        }
        for (path, mode) in wanted {
            let set = is_new(&path) || !self.old.whole && self.old.directories.contains(&path);
            if set {
                plan.steps.push(Step::Directory { path, mode });
            }
        }
    }
}

fn is_ours(entry: &Entry, there: &Node) -> bool {
    What::of(there).is_some_and(|what| entry.ours.contains(&what))
}
