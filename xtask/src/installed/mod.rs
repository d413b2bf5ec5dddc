//! What of a result stands in a root that is not ours alone: `install --root`. Only what the record there names, and what is unchanged,
//! is ever replaced or removed. `record.rs` is the record, `plan.rs` decides, and here it is done.
//!
//! The record names everything before the first file changes, as the union of before and after. A kill at any point leaves a record
//! under which the same command finishes, or an uninstall takes all of it back.

mod plan;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

pub use plan::{Plan, Step, original, plan};
pub use record::{ASIDE, Entry, RECORD, Record, What};

use crate::error::{Context, Result};
use crate::placing;
use crate::process::Cancel;
use crate::store::Placement;
use crate::tree::Node;

/// Does what `plan` says; files come out of the directory `from`.
pub fn perform(root: &Path, from: &Path, plan: &Plan, old: Option<&Record>, cancel: &Cancel) -> Result<()> {
    let is_gone = plan.after.files.is_empty();
    if !is_gone && plan.steps.is_empty() && old == Some(&plan.after) {
        return Ok(());
    }
    plan.during.write(root)?;
    if old.is_some_and(|old| !old.whole) {
        sweep(root, &plan.during)?;
    }
    for step in &plan.steps {
        cancel.check()?;
        step.perform(root, from)?;
    }
    let mut after = plan.after.clone();
    remove_directories(root, plan.during.directories.iter().filter(|dir| !plan.after.directories.contains(*dir)));
    if is_gone {
        Record::remove(root)?;
        remove_directories(root, plan.during.directories.iter());
        return Ok(());
    }
    // Somebody put something there; it may be gone the next time.
    after.directories = plan.during.directories.iter().filter(|dir| root.join(dir).is_dir()).cloned().collect();
    after.write(root)
}

/// Removes what a killed run was writing.
fn sweep(root: &Path, record: &Record) -> Result<()> {
    let dirs: BTreeSet<&Path> = record.files.keys().filter_map(|path| Path::new(path).parent()).collect();
    dirs.into_iter().try_for_each(|dir| placing::remove_file(&root.join(dir).join(ASIDE)))
}

/// Those that are empty, the deepest first.
fn remove_directories<'a>(root: &Path, directories: impl DoubleEndedIterator<Item = &'a String>) {
    for dir in directories.rev() {
        if dir.is_empty() || placing::real(root, dir).is_ok_and(|real| real == *dir) {
            fs::remove_dir(if dir.is_empty() { root.to_path_buf() } else { root.join(dir) }).unwrap_or_default();
        }
    }
}

impl Step {
    fn perform(&self, root: &Path, from: &Path) -> Result<()> {
        match self {
            Step::Keep { path } => {
                let (there, kept) = (root.join(path), root.join(original(path)));
                let keeping = || format!("cannot keep `{}` as `{}`", there.display(), kept.display());
                // A second name leaves no moment without the file; not every file system has them.
                if !is_same(&there, &kept) && fs::hard_link(&there, &kept).is_err() {
                    fs::rename(&there, &kept).context(keeping)?;
                }
                Ok(())
            }
            Step::Write { path, from: source, node } => {
                let target = root.join(path);
                placing::make_parents(&target)?;
                let aside = target.with_file_name(ASIDE);
                placing::write(node, source, Placement::Directory(from), &aside, &target).map(|_| ())
            }
            Step::Remove { path } => placing::remove_file(&root.join(path)),
            Step::PutBack { path } => {
                let (there, kept) = (root.join(path), root.join(original(path)));
                if is_same(&there, &kept) {
                    return placing::remove_file(&kept);
                }
                let putting = || format!("cannot put `{}` back as `{}`", kept.display(), there.display());
                match fs::rename(&kept, &there) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    other => other.context(putting),
                }
            }
            Step::Directory { path, mode } => {
                let dir = root.join(path);
                let making = || format!("cannot make `{}`", dir.display());
                fs::create_dir_all(&dir).context(making)?;
                fs::set_permissions(&dir, fs::Permissions::from_mode(*mode)).context(making)
            }
        }
    }

    /// The bytes that it needs.
    pub fn bytes(&self) -> u64 {
        match self {
            Step::Write { node: Node::File { digest, .. }, .. } => digest.size,
            _ => 0,
        }
    }
}

/// Two names of one file.
fn is_same(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    identity(a).is_some() && identity(a) == identity(b)
}
