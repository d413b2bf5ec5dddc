//! The site's directory: made aside, with hard links to the pages that did not change, and exchanged for the old one in one step, so
//! that whoever reads sees all of the old or all of the new.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};

/// What a directory of ours has: what it was made of.
const RECORD: &str = ".site.json";

/// Pages that are made together, and of what.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Made {
    of: u64,
    files: Vec<String>,
}

/// A site in the making.
#[derive(Debug)]
pub(super) struct Output {
    target: PathBuf,
    fresh: PathBuf,
    old: BTreeMap<String, Made>,
    new: BTreeMap<String, Made>,
    written: usize,
    kept: usize,
    _alone: File,
}

/// How many pages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Made now.
    pub written: usize,
    /// As they were.
    pub kept: usize,
}

impl Output {
    /// `target` is a site, or an empty directory, or not there yet.
    pub(super) fn begin(target: &Path) -> Result<Output> {
        let making = || format!("cannot make the site `{}`", target.display());
        let target = std::path::absolute(target).context(making)?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(Error::input(making()).because("it has no name").help("name a directory of its own"));
        };
        let record = target.join(RECORD);
        let is_empty = || target.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        if target.symlink_metadata().is_ok() && !record.is_file() && !is_empty() {
            return Err(Error::input(making())
                .because("there is something, and it is no site of a gate")
                .help("name a directory that is empty or not there yet"));
        }
        fs::create_dir_all(parent).context(making)?;
        let beside = |end: &str| parent.join(format!(".{}.{end}", name.to_string_lossy()));
        let alone = File::options().create(true).truncate(false).write(true).open(beside("lock")).context(making)?;
        flock(&alone, FlockOperation::LockExclusive).context(making)?;
        // Ours alone now: what is there was left by one that was killed.
        let fresh = beside("new");
        xtask_content::atomic::remove_tree(&fresh)?;
        fs::create_dir(&fresh).context(making)?;
        // A record that cannot be read means only that everything is made anew.
        let old = fs::read(&record).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Ok(Output { target, fresh, old, new: BTreeMap::new(), written: 0, kept: 0, _alone: alone })
    }

    /// The pages of one thing: as they were, where what they are made of is the same; else what `make` gives.
    pub(super) fn pages(
        &mut self,
        thing: &str,
        of: &impl Hash,
        make: impl FnOnce() -> Result<Vec<(String, String)>>,
    ) -> Result<()> {
        let mut hasher = DefaultHasher::new();
        super::render::TEMPLATES.hash(&mut hasher);
        of.hash(&mut hasher);
        let of = hasher.finish();
        if let Some(made) = self.old.get(thing).filter(|made| made.of == of).cloned()
            && made.files.iter().all(|file| self.link(file).is_ok())
        {
            self.kept += made.files.len();
            self.new.insert(thing.to_owned(), made);
            return Ok(());
        }
        let mut files = Vec::new();
        for (file, text) in make()? {
            let path = self.fresh.join(&file);
            let writing = || format!("cannot write `{}`", path.display());
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir).context(writing)?;
            }
            // A link of above would write into the old page.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context(writing),
                _ => fs::write(&path, text).context(writing)?,
            }
            files.push(file);
        }
        self.written += files.len();
        self.new.insert(thing.to_owned(), Made { of, files });
        Ok(())
    }

    fn link(&self, file: &str) -> std::io::Result<()> {
        let to = self.fresh.join(file);
        match fs::hard_link(self.target.join(file), &to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(to.parent().unwrap_or(&self.fresh))?;
                fs::hard_link(self.target.join(file), &to)
            }
            done => done,
        }
    }

    /// Puts the new site where the old one was.
    pub(super) fn finish(self) -> Result<Written> {
        let placing = || format!("cannot put the site to `{}`", self.target.display());
        let record = serde_json::to_vec(&self.new).context(placing)?;
        fs::write(self.fresh.join(RECORD), record).context(placing)?;
        match renameat_with(CWD, &self.fresh, CWD, &self.target, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(Errno::NOENT) => fs::rename(&self.fresh, &self.target).context(placing)?,
            // A file system that cannot exchange: for a moment there is none.
            Err(Errno::INVAL | Errno::NOSYS) => {
                let aside = self.fresh.with_extension("old");
                xtask_content::atomic::remove_tree(&aside)?;
                fs::rename(&self.target, &aside).context(placing)?;
                fs::rename(&self.fresh, &self.target).context(placing)?;
                xtask_content::atomic::remove_tree(&aside)?;
            }
            Err(errno) => return Err(errno).context(placing),
        }
        xtask_content::atomic::remove_tree(&self.fresh)?;
        Ok(Written { written: self.written, kept: self.kept })
    }
}
