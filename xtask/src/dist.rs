//! `dist/`: the merged result on disk. Writes what differs, removes what we wrote and is no longer part of it, and leaves alone
//! what somebody else put there.
//!
//! A file is written below `dist/.xtask` first and renamed from there, so nobody ever sees a part of one, not even after a kill.
//! What we own is written down before the first file changes, as the union of before and after: a kill at any point leaves a
//! record under which the next run can finish the work.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::definition::Name;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::merge::Merged;
use crate::placing;
use crate::stat_index::{Modes, scan};
use crate::store::{Found, Placement, Store};
use crate::tree::{Node, Rooted, Tree};

/// The record of what we own in `dist/`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// Root directory of the merged tree when it was last whole.
    pub root: Option<Digest>,
    /// Who brought each path.
    pub owners: BTreeMap<String, Name>,
}

/// What an installation did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Files and links written.
    pub written: usize,
    /// Files and links removed.
    pub removed: usize,
    /// Paths in `dist/` that are not ours.
    pub foreign: Vec<String>,
    /// The store lost blobs of these components; they must be built again.
    pub lost: Vec<Name>,
}

/// Where files of `dist/` are written before they get their names; there only while we install.
pub const STAGED: &str = ".xtask";

/// Everything in `dist/` that may be somebody's.
pub fn read_dist(layout: &Layout) -> Result<Rooted> {
    scan(&layout.dist(), &layout.state().join("dist.index"), Modes::Exact, &[STAGED])
}

fn record_file(layout: &Layout) -> PathBuf {
    layout.state().join("dist.json")
}

impl Record {
    /// The record; empty when there is none.
    pub fn read(layout: &Layout) -> Self {
        fs::read(record_file(layout)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn write(&self, layout: &Layout) -> Result<()> {
        let bytes = serde_json::to_vec(self).context(|| "cannot encode the record of dist/".to_owned())?;
        crate::atomic::write(&record_file(layout), &bytes)
    }
}

/// What `build` put into `dist/`; an error when that is no longer all of it.
pub fn whole(layout: &Layout) -> Result<Merged> {
    let dist = layout.dist();
    let refused = |why: &str| {
        Err(Error::input(format!("`{}` is not a whole result", dist.display()))
            .because(why.to_owned())
            .help("cargo xtask build   # completes it"))
    };
    let record = Record::read(layout);
    let Some(root) = record.root else { return refused("nothing was built yet, or the last build did not end") };
    let there = read_dist(layout)?;
    let mut tree = Tree::default();
    for path in record.owners.keys() {
        let plain = Node::Directory { mode: 0o755 };
        let node = there.0.get(path).cloned().or_else(|| is_plain_directory(&dist, path, &plain).then_some(plain));
        tree.0.extend(node.map(|node| (path.clone(), node)));
    }
    if tree.root() != root {
        return refused("files there were changed or removed since the last build");
    }
    Ok(Merged { tree, owners: record.owners })
}

/// Makes `dist/` hold `merged`.
pub fn install(layout: &Layout, store: &Store, merged: &Merged) -> Result<Installed> {
    let dist = layout.dist();
    fs::create_dir_all(&dist).context(|| format!("cannot make `{}`", dist.display()))?;
    crate::atomic::remove_tree(&dist.join(STAGED))?;
    let there = read_dist(layout)?;
    let mut record = Record::read(layout);
    let root = merged.tree.root();
    let mut installed = Installed::default();
    let ours = |record: &Record, path: &str| record.owners.contains_key(path);
    installed.foreign = there
        .0
        .iter()
        .filter(|(path, node)| {
            !matches!(node, Node::Directory { .. }) && !ours(&record, path) && !merged.tree.0.contains_key(*path)
        })
        .map(|(path, _)| path.clone())
        .collect();
    let differs = |path: &str, node: &Node| there.0.get(path) != Some(node) && !is_plain_directory(&dist, path, node);
    let to_write: Vec<(&String, &Node)> = merged.tree.0.iter().filter(|(path, node)| differs(path, node)).collect();
    let to_remove: Vec<String> =
        record.owners.keys().filter(|path| !merged.tree.0.contains_key(*path)).cloned().collect();
    if to_write.is_empty() && to_remove.is_empty() {
        if record.root != Some(root) {
            Record { root: Some(root), owners: merged.owners.clone() }.write(layout)?;
        }
        return Ok(installed);
    }
    let is_file = |path: &str| there.0.get(path).is_some_and(|node| !matches!(node, Node::Directory { .. }));
    let strangers: Vec<&str> =
        to_write.iter().map(|(path, _)| path.as_str()).filter(|path| is_file(path) && !ours(&record, path)).collect();
    if !strangers.is_empty() {
        let shown = strangers.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = strangers.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return Err(Error::input(format!(
            "cannot install into `{}`: it holds files that nobody here installed and that would be overwritten: {shown}{more}",
            dist.display()
        ))
        .help("move them away, or throw them away: cargo xtask distclean --discard"));
    }
    let bytes: u64 =
        to_write.iter().map(|(_, node)| if let Node::File { digest, .. } = node { digest.size } else { 0 }).sum();
    crate::machine::need(&dist, bytes + (16 << 20), "installing into dist/")?;
    record.root = None;
    record.owners.extend(merged.owners.clone());
    record.write(layout)?;

    let staged = dist.join(STAGED);
    fs::create_dir(&staged).context(|| format!("cannot make `{}`", staged.display()))?;
    for path in &to_remove {
        installed.removed += usize::from(remove(&dist, path)?);
    }
    for (path, node) in to_write {
        match write(&dist, path, node, store)? {
            Found::Here(()) => installed.written += usize::from(!matches!(node, Node::Directory { .. })),
            Found::Missing => installed.lost.extend(merged.owners.get(path).cloned()),
        }
    }
    crate::atomic::remove_tree(&staged)?;
    set_directory_modes(&dist, &merged.tree)?;
    installed.lost.dedup();
    if installed.lost.is_empty() {
        Record { root: Some(root), owners: merged.owners.clone() }.write(layout)?;
    }
    Ok(installed)
}

/// A directory that the scan leaves out because it is not empty and has the usual mode.
fn is_plain_directory(dist: &Path, path: &str, node: &Node) -> bool {
    *node == Node::Directory { mode: 0o755 }
        && fs::symlink_metadata(dist.join(path)).is_ok_and(|metadata| metadata.is_dir())
}

fn remove(dist: &Path, path: &str) -> Result<bool> {
    let file = dist.join(path);
    let removing = || format!("cannot remove `{}`", file.display());
    let Ok(metadata) = fs::symlink_metadata(&file) else { return Ok(false) };
    if metadata.is_dir() {
        // Only if nothing else is in it.
        fs::remove_dir(&file).unwrap_or_default();
        return Ok(false);
    }
    fs::remove_file(&file).context(removing)?;
    let mut parent = file.parent();
    while let Some(dir) = parent.filter(|dir| *dir != dist && fs::remove_dir(dir).is_ok()) {
        parent = dir.parent();
    }
    Ok(true)
}

fn write(dist: &Path, path: &str, node: &Node, store: &Store) -> Result<Found<()>> {
    let target = dist.join(path);
    let writing = || format!("cannot write `{}`", target.display());
    make_parents(dist, path)?;
    if let Ok(metadata) = fs::symlink_metadata(&target)
        && metadata.is_dir() != matches!(node, Node::Directory { .. })
    {
        // One kind takes the place of the other; a directory goes only when it is empty.
        if metadata.is_dir() {
            fs::remove_dir(&target).map_err(|error| {
                Error::machine(writing())
                    .because(error)
                    .help("a directory that is not empty is in the way; look at it, then remove it")
            })?;
        } else {
            fs::remove_file(&target).context(writing)?;
        }
    }
    if let Node::Directory { .. } = node {
        fs::create_dir_all(&target).context(writing)?;
        return Ok(Found::Here(()));
    }
    placing::write(node, path, Placement::Store(store), &dist.join(STAGED).join("new"), &target)
}

/// Makes the directories above `path`. A link in their place, which somebody else put there, could lead out of `dist/`.
fn make_parents(dist: &Path, path: &str) -> Result<()> {
    if placing::real(dist, path)? != path {
        return Err(Error::machine(format!("cannot make the directories above `{}`", dist.join(path).display()))
            .because("a link that is not ours is in the way")
            .help("look at it, then remove it"));
    }
    placing::make_parents(&dist.join(path))
}

fn set_directory_modes(dist: &Path, tree: &Tree) -> Result<()> {
    for (path, node) in &tree.0 {
        if let Node::Directory { mode } = node {
            let dir = dist.join(path);
            // A removal takes along the directories that it emptied, these too.
            fs::create_dir_all(&dir).context(|| format!("cannot make `{}`", dir.display()))?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(*mode))
                .context(|| format!("cannot set the mode of `{}`", dir.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::merge::merge;

    struct World {
        _dir: tempfile::TempDir,
        layout: Layout,
        store: Store,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { root: dir.path().to_path_buf(), store: dir.path().join("store") };
        let store = Store::open(&layout.store).unwrap();
        World { layout, store, _dir: dir }
    }

    fn merged(store: &Store, files: &[(&str, &str)]) -> Merged {
        let mut tree = Tree::default();
        for (path, text) in files {
            store.put(text.as_bytes()).unwrap();
            tree.insert_file(path, text.as_bytes(), 0o644);
        }
        tree.0.insert("var/lib/x".into(), Node::Directory { mode: 0o700 });
        merge([(&"a".parse().unwrap(), &tree)], &BTreeMap::new()).unwrap()
    }

    #[test]
    fn dist_follows_the_outputs_and_leaves_strangers_alone() {
        let world = world();
        let dist = world.layout.dist();
        let first =
            install(&world.layout, &world.store, &merged(&world.store, &[("bin/x", "1"), ("bin/y", "2")])).unwrap();
        assert_eq!((first.written, first.removed), (2, 0));
        assert_eq!(fs::metadata(dist.join("var/lib/x")).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(dist.join("mine"), "user's").unwrap();

        let again =
            install(&world.layout, &world.store, &merged(&world.store, &[("bin/x", "1"), ("bin/y", "2")])).unwrap();
        assert_eq!((again.written, again.removed, again.foreign), (0, 0, vec!["mine".to_owned()]));
        fs::remove_file(dist.join("bin/x")).unwrap();
        fs::write(dist.join("bin/y"), "damaged").unwrap();
        let repaired =
            install(&world.layout, &world.store, &merged(&world.store, &[("bin/x", "1"), ("bin/y", "2")])).unwrap();
        assert_eq!(repaired.written, 2);

        let moved = install(&world.layout, &world.store, &merged(&world.store, &[("sbin/x", "1")])).unwrap();
        assert_eq!((moved.written, moved.removed), (1, 2));
        assert!(!dist.join("bin").exists() && dist.join("mine").exists() && dist.join("sbin/x").exists());
    }

    #[test]
    fn a_directory_that_is_emptied_stays_when_it_is_part_of_the_result() {
        let world = world();
        let full = merged(&world.store, &[("var/lib/x/file", "1")]);
        install(&world.layout, &world.store, &full).unwrap();
        let empty = merged(&world.store, &[("bin/y", "1")]);
        assert_eq!(install(&world.layout, &world.store, &empty).unwrap().removed, 1);
        assert!(world.layout.dist().join("var/lib/x").is_dir());
    }

    #[test]
    fn what_somebody_else_put_there_is_not_overwritten() {
        let world = world();
        let dist = world.layout.dist();
        fs::create_dir_all(dist.join("bin")).unwrap();
        fs::write(dist.join("bin/mine"), "mine").unwrap();
        let merged = merged(&world.store, &[("bin/mine", "ours"), ("bin/other", "1")]);
        let error = install(&world.layout, &world.store, &merged).unwrap_err().report();
        assert!(error.contains("would be overwritten: bin/mine") && error.contains("--discard"), "{error}");
        assert_eq!(fs::read(dist.join("bin/mine")).unwrap(), b"mine");
        assert!(!dist.join("bin/other").exists());
        // The same content is nobody's loss: the record was lost, not the files.
        fs::write(dist.join("bin/mine"), "ours").unwrap();
        fs::set_permissions(dist.join("bin/mine"), fs::Permissions::from_mode(0o644)).unwrap();
        install(&world.layout, &world.store, &merged).unwrap();
    }

    #[test]
    fn a_kill_in_the_middle_is_finished_by_the_next_run() {
        let world = world();
        let before = merged(&world.store, &[("old", "1")]);
        install(&world.layout, &world.store, &before).unwrap();
        // as after a kill: the union is on record, one of two files is written
        let after = merged(&world.store, &[("new", "2"), ("newer", "3")]);
        let mut record = Record::read(&world.layout);
        record.root = None;
        record.owners.extend(after.owners.clone());
        record.write(&world.layout).unwrap();
        fs::write(world.layout.dist().join("new"), "2").unwrap();
        // and then a third thing is installed
        let third = merged(&world.store, &[("third", "4")]);
        install(&world.layout, &world.store, &third).unwrap();
        let there = scan(&world.layout.dist(), &world.layout.state().join("t"), Modes::Exact, &[]).unwrap();
        assert_eq!(*there, third.tree);
    }

    #[test]
    fn nothing_is_written_through_a_link_that_is_not_ours() {
        let world = world();
        let dist = world.layout.dist();
        let outside = world.layout.root.join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir_all(&dist).unwrap();
        symlink(&outside, dist.join("bin")).unwrap();
        let error = install(&world.layout, &world.store, &merged(&world.store, &[("bin/x", "1")])).unwrap_err();
        assert!(error.report().contains("is in the way"), "{}", error.report());
        assert!(fs::read_dir(&outside).unwrap().next().is_none());
        fs::remove_file(dist.join("bin")).unwrap();
        install(&world.layout, &world.store, &merged(&world.store, &[("bin/x", "1")])).unwrap();
        assert_eq!(fs::read_to_string(dist.join("bin/x")).unwrap(), "1");
    }

    #[test]
    fn a_lost_blob_names_its_component() {
        let world = world();
        let merged = merged(&world.store, &[("bin/x", "1")]);
        fs::remove_dir_all(world.layout.store.join("cas")).unwrap();
        fs::create_dir(world.layout.store.join("cas")).unwrap();
        let installed = install(&world.layout, &world.store, &merged).unwrap();
        assert_eq!(installed.lost, ["a".parse().unwrap()]);
        assert_eq!(Record::read(&world.layout).root, None, "not whole");
    }
}
