//! The gate's own checkout of this project: components and manifests at the commit that a flight is tested with, the lock at the
//! flight's tuple. The operator's checkout is never touched.

use std::fs;
use std::path::PathBuf;

use xtask_gate::model::{FlightNo, Tuple};

use super::repository::{Repository, git};
use crate::definition::{self, Name, Origin};
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::origin::{self, State};
use crate::process::{Cancel, Program};

/// The checkout.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    /// What is gated.
    pub(super) gate: definition::Gate,
    /// Where the project and the record of tested tuples are.
    pub(super) repository: Repository,
    /// Its work tree.
    pub(super) dir: PathBuf,
    /// Where each flight has a directory.
    pub(super) logs: PathBuf,
    /// The store, shared with everybody.
    pub(super) store: PathBuf,
    /// What is started here opens no socket.
    pub(super) offline: bool,
    /// Set when the user wants to stop.
    pub(super) cancel: Cancel,
}

impl Checkout {
    /// This program, in the checkout.
    pub(super) fn xtask(&self, arguments: &[&str]) -> Result<Program> {
        let own = std::env::current_exe().context(|| "cannot tell what program this is".to_owned())?;
        let (dir, store) = (self.dir.display().to_string(), self.store.display().to_string());
        let mut argv = vec![own.display().to_string()];
        argv.extend(
            ["--checkout", &dir, "--store", &store, "--manifest", self.gate.manifest.as_str()].map(str::to_owned),
        );
        argv.extend(self.offline.then(|| "--offline".to_owned()));
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Ok(Program::new(argv).dir(&self.dir))
    }

    /// Where things stand in it.
    pub(super) fn layout(&self) -> Layout {
        Layout { root: self.dir.clone(), store: self.store.clone() }
    }

    /// The manifest, relative to the project's root.
    pub(super) fn manifest_path(&self) -> String {
        format!("manifests/{}.toml", self.gate.manifest)
    }

    /// Its lock.
    pub(super) fn lock_path(&self) -> String {
        format!("manifests/{}.lock", self.gate.manifest)
    }

    /// Brings it to what a flight tests. What that took is kept with the flight's logs, so that every job of it, and the push,
    /// find the same.
    pub(super) fn prepare(&self, flight: FlightNo, tuple: &Tuple) -> Result<()> {
        self.lay_out_tuple(flight, tuple)?;
        self.restore_sources()
    }

    fn lay_out_tuple(&self, flight: FlightNo, tuple: &Tuple) -> Result<()> {
        let commit = self.project_of(flight, tuple)?;
        self.lay_out(&commit)?;
        let paths = [self.manifest_path(), self.lock_path()];
        let kept = |path: &String| self.logs.join(flight.to_string()).join(path.trim_start_matches("manifests/"));
        if kept(&paths[1]).is_file() {
            for path in &paths {
                crate::atomic::write(&self.dir.join(path), &read(&kept(path))?)?;
            }
            return Ok(());
        }
        for (tree, revision) in &tuple.0 {
            let tracked = self.gate.trees.get(tree.as_str());
            match tracked {
                Some(tracked) if tracked.project => continue,
                Some(tracked) if tracked.refs().is_none() => self.take_version(tree, revision)?,
                _ => {
                    let ended = self.xtask(&["pin", tree, &revision.0])?.run(&self.cancel)?;
                    ended.success(|| format!("cannot pin `{tree}` at {revision}"))?;
                }
            }
        }
        if self.gate.record.is_some() {
            // What is not the candidate's is not held against it.
            let definitions = definition::Definitions::load(&self.layout(), &self.gate.manifest)?;
            definitions.check_lock(&self.layout())?;
        }
        // The lock last: what it stands for is there then.
        for path in paths.iter().filter(|path| self.dir.join(path).is_file()) {
            crate::atomic::write(&kept(path), &read(&self.dir.join(path))?)?;
        }
        Ok(())
    }

    /// Whatever a job wrote into a source goes: nobody works in this checkout.
    fn restore_sources(&self) -> Result<()> {
        let layout = self.layout();
        // What cannot be read is the candidate's fault: its own step says so.
        let Ok(definitions) = definition::Definitions::load(&layout, &self.gate.manifest) else { return Ok(()) };
        for (source, origin) in &definitions.manifest.sources {
            let pin = definitions.lock.as_ref().and_then(|lock| lock.sources.get(source));
            if matches!(origin, Origin::Path(_))
                || !matches!(origin::state(&layout, source, origin, pin)?, State::Worked { .. })
            {
                continue;
            }
            let ended = self.xtask(&["fetch", source.as_str(), "--discard"])?.run(&self.cancel)?;
            ended.success(|| format!("cannot restore source `{source}`, into which a job wrote"))?;
        }
        Ok(())
    }

    /// The commit of this project that a flight is tested with: the candidate where that is this project, else what the gate's
    /// ref was when the flight began, or the one that it measures.
    pub(super) fn project_of(&self, flight: FlightNo, tuple: &Tuple) -> Result<String> {
        let project = self.gate.trees.iter().find(|(_, tracked)| tracked.project);
        if let Some((name, tracked)) = project {
            let commit = tuple.0.get(name.as_str()).map(|revision| revision.0.clone());
            self.repository
                .fetch(&tracked.refs().iter().flat_map(|refs| [refs.untested, refs.tested]).collect::<Vec<_>>())?;
            return commit.ok_or_else(|| Error::input(format!("the tuple names no revision of `{name}`")));
        }
        let noted = self.project_file(flight);
        if let Ok(commit) = fs::read_to_string(&noted) {
            return Ok(commit.trim().to_owned());
        }
        let tip = self.tip()?;
        crate::atomic::write(&noted, format!("{tip}\n").as_bytes())?;
        Ok(tip)
    }

    /// A flight that begins has the commit of this project that another one had, where that noted it.
    pub(super) fn take_project(&self, flight: FlightNo, like: FlightNo) -> Result<()> {
        match crate::atomic::read(&self.project_file(like))? {
            Some(commit) => crate::atomic::write(&self.project_file(flight), &commit),
            None => Ok(()),
        }
    }

    fn project_file(&self, flight: FlightNo) -> PathBuf {
        self.logs.join(flight.to_string()).join("project")
    }

    /// The tip of the ref that has components and manifests.
    pub(super) fn tip(&self) -> Result<String> {
        let from = self.record()?.from.as_str();
        let tip = self.repository.read_ref(from)?.ok_or_else(|| {
            Error::input(format!("`{}` has no ref `{from}` to take definitions from", self.repository.address))
                .help("it is `from` in the gate's [record]")
        })?;
        self.repository.fetch(&[from])?;
        Ok(tip)
    }

    /// Where tested tuples are written down.
    pub(super) fn record(&self) -> Result<&definition::Record> {
        self.gate.record.as_ref().ok_or_else(|| Error::input("this gate has no [record]"))
    }

    /// Makes the work tree that of a commit.
    pub(super) fn lay_out(&self, commit: &str) -> Result<()> {
        fs::create_dir_all(&self.dir).context(|| format!("cannot make `{}`", self.dir.display()))?;
        let cannot = || format!("cannot check out {commit} into `{}`", self.dir.display());
        // What is ignored stays: sources that are there already need not be fetched again.
        self.index("index")?;
        let arguments: [&[&str]; 3] = [
            &["read-tree", "--reset", "-u", commit],
            // The lock of the tuple before, and whatever a job did to a file.
            &["checkout-index", "--force", "--all"],
            &["clean", "--quiet", "-ffd", "-e", "/.xtask", "-e", "/dist"],
        ];
        for arguments in arguments {
            self.git_here(arguments).run(&self.cancel)?.success(cannot)?;
        }
        Ok(())
    }

    /// The work tree is that of a commit: no file of it was changed.
    pub(super) fn is_at(&self, commit: &str) -> Result<bool> {
        // Says what needs an update by its status; the index has learned what is only newer.
        self.git_here(&["update-index", "-q", "--refresh"]).run(&self.cancel)?;
        Ok(self.git_here(&["diff-index", "--quiet", commit]).run(&self.cancel)?.status.success())
    }

    /// An index beside the work tree. Only one gate works with a state: a lock of it was left by a git that was killed.
    pub(super) fn index(&self, extension: &str) -> Result<PathBuf> {
        let lock = self.dir.with_extension(format!("{extension}.lock"));
        match fs::remove_file(&lock) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context(|| format!("cannot remove `{}`, left by a git that was killed", lock.display()))
            }
            _ => Ok(self.dir.with_extension(extension)),
        }
    }

    fn git_here(&self, arguments: &[&str]) -> Program {
        let tree = self.dir.display().to_string();
        let arguments = [&["--work-tree", &tree], arguments].concat();
        let index = self.dir.with_extension("index");
        git(&self.repository.mirror, &arguments).dir(&self.dir).env("GIT_INDEX_FILE", index)
    }

    /// The name of a tree, which is that of a source.
    pub(super) fn source(tree: &str) -> Result<Name> {
        tree.parse().map_err(|why: String| Error::input(format!("cannot use tree `{tree}`")).because(why))
    }
}

fn read(path: &std::path::Path) -> Result<Vec<u8>> {
    fs::read(path).context(|| format!("cannot read `{}`", path.display()))
}
