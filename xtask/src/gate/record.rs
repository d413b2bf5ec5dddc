//! The record of tested tuples: commits of the project as it was tested, with the lock at the tuple. Makes them; moves no ref.

use xtask_gate::model::Flight;

use super::checkout::Checkout;
use super::repository::git;
use crate::error::Result;

impl Checkout {
    /// A commit behind what is recorded: the project as this flight had it, with its lock; nothing where that is recorded already.
    /// Gives where the ref is and where it goes.
    pub(super) fn record_of(&self, to: &str, flight: &Flight) -> Result<Option<(Option<String>, String)>> {
        self.prepare(flight.flight, &flight.tuple)?;
        let project = self.project_of(flight.flight, &flight.tuple)?;
        let repository = &self.repository;
        let old = repository.read_ref(to)?;
        repository.fetch(&[to])?;
        let cannot = || format!("cannot make the commit that records flight {}", flight.flight);
        let index = self.index("record-index")?.display().to_string();
        let indexed = |arguments: &[&str]| -> Result<String> {
            let program = git(&repository.mirror, arguments).env("GIT_INDEX_FILE", &index);
            let out = program.run(&self.cancel)?.success(cannot)?;
            Ok(String::from_utf8_lossy(&out).trim().to_owned())
        };
        indexed(&["read-tree", &project])?;
        for path in [self.manifest_path(), self.lock_path()] {
            let file = self.dir.join(&path);
            if file.is_file() {
                let blob = indexed(&["hash-object", "-w", "--no-filters", &file.display().to_string()])?;
                indexed(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")])?;
            }
        }
        let tree = indexed(&["write-tree"])?;
        let mut parents = Vec::new();
        if let Some(old) = &old {
            if tree == indexed(&["rev-parse", "--verify", &format!("{old}^{{tree}}")])? {
                return Ok(None);
            }
            parents.push(old.as_str());
        }
        if !old.as_ref().is_some_and(|old| repository.contains(old, &project).unwrap_or(false)) {
            parents.push(&project);
        }
        let message = message(flight);
        let mut arguments = vec!["commit-tree", &tree, "-m", &message];
        arguments.extend(parents.iter().flat_map(|parent| ["-p", parent]));
        let mut commit = git(&repository.mirror, &arguments);
        for (what, value) in [("NAME", "Sultana's gate"), ("EMAIL", "gate@invalid")] {
            commit = commit.env(format!("GIT_AUTHOR_{what}"), value).env(format!("GIT_COMMITTER_{what}"), value);
        }
        let date = format!("{} +0000", flight.finished.unwrap_or(flight.started));
        commit = commit.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        let new = commit.run(&self.cancel)?.success(cannot)?;
        Ok(Some((old, String::from_utf8_lossy(&new).trim().to_owned())))
    }
}

/// What a person or a script finds in the log of the record.
fn message(flight: &Flight) -> String {
    let number = flight.flight;
    let mut text = format!("{}: tested tuple of flight {number}\n\n", flight.branch);
    let baseline = flight.baseline.clone().unwrap_or_default();
    for (tree, old, new) in flight.tuple.moved_from(&baseline) {
        text += &format!("{tree}: {} -> {new}\n", old.map_or("nothing", |old| old.0.as_str()));
    }
    text += &format!("\nGate-Branch: {}\nGate-Flight: {number}\n", flight.branch);
    for (tree, revision) in &flight.tuple.0 {
        text += &format!("Gate-Tested: {tree} {revision}\n");
    }
    text
}
