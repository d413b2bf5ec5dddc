//! The gate's own checkout of this project: components, manifests and job definitions at the tip that the gate names, with the
//! lock at the tuple to test. The operator's checkout is never touched.

use std::fs;
use std::path::PathBuf;

use xtask_gate::model::{Flight, Tuple};

use super::repository::{Repository, git};
use crate::definition::Name;
use crate::error::{Context, Error, Result};
use crate::process::{Cancel, Program};

/// The checkout.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    /// Where the project and the record of tested tuples are.
    pub(super) repository: Repository,
    /// Its work tree.
    pub(super) dir: PathBuf,
    /// The store, shared with everybody.
    pub(super) store: PathBuf,
    /// The manifest whose lock is moved.
    pub(super) manifest: Name,
    /// Set when the user wants to stop.
    pub(super) cancel: Cancel,
}

impl Checkout {
    /// This program, in the checkout.
    pub(super) fn xtask(&self, arguments: &[&str]) -> Result<Program> {
        let own = std::env::current_exe().context(|| "cannot tell what program this is".to_owned())?;
        let (dir, store) = (self.dir.display().to_string(), self.store.display().to_string());
        let mut argv = vec![own.display().to_string()];
        argv.extend(["--checkout", &dir, "--store", &store, "--manifest", self.manifest.as_str()].map(str::to_owned));
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Ok(Program::new(argv).dir(&self.dir))
    }

    /// The tip of `from`, with the tuple's pins in the lock.
    pub(super) fn prepare(&self, from: &str, tuple: &Tuple) -> Result<()> {
        let tip = self.tip(from)?;
        fs::create_dir_all(&self.dir).context(|| format!("cannot make `{}`", self.dir.display()))?;
        let index = self.dir.with_extension("index");
        let (tree, index) = (self.dir.display().to_string(), index.display().to_string());
        let cannot = || format!("cannot check out `{from}` into `{tree}`");
        // What is ignored stays: sources that are there already need not be fetched again.
        let arguments: [&[&str]; 3] = [
            &["read-tree", "--reset", "-u", &tip],
            // The lock of the tuple before, and whatever a job did to a file.
            &["checkout-index", "--force", "--all"],
            &["clean", "--quiet", "-ffd", "-e", "/.xtask", "-e", "/dist"],
        ];
        for arguments in arguments {
            let arguments = [&["--work-tree", &tree], arguments].concat();
            let program = git(&self.repository.mirror, &arguments).dir(&self.dir).env("GIT_INDEX_FILE", &index);
            program.run(&self.cancel)?.success(cannot)?;
        }
        for (tree, revision) in &tuple.0 {
            let ended = self.xtask(&["pin", tree, &revision.0])?.run(&self.cancel)?;
            ended.success(|| format!("cannot pin `{tree}` at {revision}"))?;
        }
        Ok(())
    }

    /// A commit on top of what is recorded that has the lock as it stands here; nothing where the record has it already. Gives
    /// where the ref is and where it goes; moves nothing.
    pub(super) fn record(&self, from: &str, to: &str, flight: &Flight) -> Result<Option<(Option<String>, String)>> {
        let repository = &self.repository;
        repository.fetch(&[to])?;
        let old = repository.read_ref(to)?;
        let parent = match &old {
            Some(old) => old.clone(),
            None => self.tip(from)?,
        };
        let path = format!("manifests/{}.lock", self.manifest);
        let cannot = || format!("cannot make the commit that records flight {}", flight.flight);
        let file = self.dir.join(&path).display().to_string();
        let blob = repository.ask(&["hash-object", "-w", "--no-filters", &file], cannot)?;
        let index = self.dir.with_extension("record-index").display().to_string();
        let indexed = |arguments: &[&str]| -> Result<String> {
            let program = git(&repository.mirror, arguments).env("GIT_INDEX_FILE", &index);
            let out = program.run(&self.cancel)?.success(cannot)?;
            Ok(String::from_utf8_lossy(&out).trim().to_owned())
        };
        indexed(&["read-tree", &parent])?;
        indexed(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")])?;
        let tree = indexed(&["write-tree"])?;
        let before = repository.ask(&["rev-parse", "--verify", &format!("{parent}^{{tree}}")], cannot)?;
        if tree == before && old.is_some() {
            return Ok(None);
        }
        let message = message(flight);
        let identity = [("NAME", "Sultana's gate"), ("EMAIL", "gate@invalid")];
        let mut commit = git(&repository.mirror, &["commit-tree", &tree, "-p", &parent, "-m", &message]);
        for (what, value) in identity {
            commit = commit.env(format!("GIT_AUTHOR_{what}"), value).env(format!("GIT_COMMITTER_{what}"), value);
        }
        let date = format!("{} +0000", flight.finished.unwrap_or(flight.started));
        commit = commit.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        let new = commit.run(&self.cancel)?.success(cannot)?;
        Ok(Some((old, String::from_utf8_lossy(&new).trim().to_owned())))
    }

    fn tip(&self, name: &str) -> Result<String> {
        self.repository.fetch(&[name])?;
        self.repository.read_ref(name)?.ok_or_else(|| {
            Error::input(format!("`{}` has no ref `{name}` to take definitions from", self.repository.address))
                .help("it is `from` in the gate's [record]")
        })
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
