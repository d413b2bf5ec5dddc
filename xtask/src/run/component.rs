//! One component: an empty directory, its inputs, its steps, and what it installed into the store. The directory is wiped before
//! and after, so nothing half-done is ever taken for done; a failed one stays for whoever wants to look, one that is kept
//! (`kept.rs`) for the next build.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::event::Event;
use super::failure::{first_error, hints, lacks_memory, lacks_space, read_log};
use super::kept::{self, Kept};
use super::patches::Patched;
use super::report::Report;
use super::stray::Since;
use crate::action::{Action, Inputs};
use crate::definition::{Component, Name};
use crate::error::{Context, Error, Kind, Result};
use crate::machine::Family;
use crate::process::{Cancel, shell_line};
use crate::recipe::{Role, Step};
use crate::sandbox::Sandbox;
use crate::settings::Directories;
use crate::stat_index::{Modes, scan};
use crate::store::{Found, Output, Placement, Store, place};
use crate::tree::Tree;

/// What one build needs beside its inputs.
#[derive(Debug)]
pub struct Job<'a> {
    /// Which component.
    pub name: &'a Name,
    /// Its definition.
    pub component: &'a Component,
    /// Everything that decides the result.
    pub inputs: &'a Inputs,
    /// The same as a value.
    pub action: &'a Action,
    /// Where the files of its source are.
    pub source: &'a Path,
    /// The pin that its source is at; nothing when somebody works in it.
    pub pin: Option<String>,
    /// Where the files of other sources are.
    pub extra: &'a BTreeMap<String, PathBuf>,
    /// SOURCE_DATE_EPOCH, which every source file gets as its time.
    pub epoch: u64,
    /// Where it runs.
    pub sandbox: &'a Sandbox,
    /// Where things are installed.
    pub directories: &'a Directories,
    /// The checkout.
    pub root: &'a Path,
    /// Where its logs go.
    pub logs: &'a Path,
    /// Keep the directory of a success too.
    pub keep: bool,
}

/// Why a step failed.
struct Failed {
    error: Error,
    /// The program itself said so: it was not killed, and the machine is well.
    by_itself: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed { error, by_itself: false }
    }
}

/// What all builds of a run share.
#[derive(Clone, Debug)]
pub struct Building<'a> {
    /// The store.
    pub store: &'a Store,
    /// Where events go.
    pub report: &'a Report,
    /// Stops everything.
    pub cancel: &'a Cancel,
    /// The job budget.
    pub jobserver: &'a jobserver::Client,
    /// How many jobs there are in all.
    pub jobs: usize,
    /// No step may run longer.
    pub timeout: Option<Duration>,
}

/// File of a step's log; `index` counts from 0.
pub fn log_name(index: usize, step: &Step) -> String {
    format!("{:02}-{}.log", index + 1, step.name)
}

/// Seconds by step.
pub type Timings = Vec<(String, f64)>;

impl Building<'_> {
    /// Builds one component and keeps what it installed; and its directory, if that is `kept`.
    pub fn build(&self, job: &Job<'_>, mut kept: Option<Kept>) -> Result<(Output, Timings)> {
        let dir = job.sandbox.host("");
        let goes_on = kept.as_ref().is_some_and(Kept::goes_on);
        kept::forget(&dir)?;
        // What a run that was killed left here may still write here.
        kill_leftovers(job);
        crate::atomic::remove_tree(job.logs)?;
        fs::create_dir_all(job.logs).context(|| format!("cannot make `{}`", job.logs.display()))?;
        match &mut kept {
            Some(kept) if goes_on => {
                crate::atomic::remove_tree(&job.sandbox.host("stage"))?;
                crate::atomic::remove_tree(&job.sandbox.host("tmp"))?;
                crate::machine::need(&dir, 64 << 20, &format!("building `{}`", job.name))?;
                job.sandbox.make_dirs()?;
                kept.bring(job.source, job.epoch)?;
            }
            _ => self.prepare(job)?,
        }
        let since = Since::now(&job.sandbox.host("tmp"))?;
        let timings = match self.steps(job, goes_on, kept.is_some()) {
            Ok(timings) => timings,
            Err((role, Failed { error, by_itself })) => {
                // What is wrong is likely in the line that was just changed, so the next try is to be cheap too.
                if let (Some(kept), Role::Make, true) = (kept, role, by_itself) {
                    kept.ended(&job.inputs.src, self.store)?;
                }
                let exact =
                    format!("cargo xtask build {} --clean   # if it fails only because of what was there", job.name);
                return Err(if goes_on { error.help(exact) } else { error });
            }
        };
        let output = self.capture(job, &since)?;
        match kept {
            Some(kept) => kept.ended(&job.inputs.src, self.store)?,
            None if job.keep => {}
            None => crate::atomic::remove_tree(&dir)?,
        }
        Ok((output, timings))
    }

    /// Builds one component in an empty directory and keeps nothing: gives what it installed, which stays in that directory.
    pub fn try_out(&self, job: &Job<'_>) -> Result<Tree> {
        crate::atomic::remove_tree(job.logs)?;
        fs::create_dir_all(job.logs).context(|| format!("cannot make `{}`", job.logs.display()))?;
        self.prepare(job)?;
        let since = Since::now(&job.sandbox.host("tmp"))?;
        self.steps(job, false, false).map_err(|(_, Failed { error, .. })| error)?;
        self.installed(job, &since)
    }

    fn steps(&self, job: &Job<'_>, goes_on: bool, is_kept: bool) -> Result<Timings, (Role, Failed)> {
        let mut timings = Timings::new();
        for (index, step) in job.inputs.steps.iter().enumerate() {
            self.cancel.check().map_err(|error| (step.role, error.into()))?;
            if goes_on && step.role == Role::Done {
                continue;
            }
            let (component, name) = (job.name.to_string(), step.name.clone());
            self.report.send(Event::Step { component, step: name, number: index + 1, of: job.inputs.steps.len() });
            let clock = Instant::now();
            self.step(job, index, step, is_kept).map_err(|failed| (step.role, failed))?;
            timings.push((step.name.clone(), clock.elapsed().as_secs_f64()));
        }
        Ok(timings)
    }

    /// An empty directory with the inputs in it, as it stands before the first step.
    pub fn prepare(&self, job: &Job<'_>) -> Result<()> {
        let dir = job.sandbox.host("");
        crate::atomic::remove_tree(&dir)?;
        let source_bytes: u64 = sizes(&job.inputs.src) + sizes(&job.inputs.deps);
        crate::machine::need(&dir, 4 * source_bytes + (64 << 20), &format!("building `{}`", job.name))?;
        job.sandbox.make_dirs()?;
        self.place_inputs(job)
    }

    fn place_inputs(&self, job: &Job<'_>) -> Result<()> {
        let lost = || {
            Error::machine(format!("cannot build `{}`: the store lost an output that it needs", job.name))
                .help(format!("it is made again by: cargo xtask build {}", job.name))
        };
        place(&job.inputs.src, Placement::Directory(job.source), &job.sandbox.host("src"), job.epoch)?;
        for (source, tree) in &job.inputs.extra {
            let target = job.sandbox.host("extra").join(source);
            let from = job.extra.get(source).ok_or_else(lost)?;
            place(tree, Placement::Directory(from), &target, job.epoch)?;
        }
        if place(&job.inputs.deps, Placement::Store(self.store), &job.sandbox.host("deps"), job.epoch)?
            == Found::Missing
        {
            return Err(lost());
        }
        let patched = Patched {
            component: job.name.as_str(),
            source: (job.component.source.as_str(), job.pin.as_deref()),
            tree: &job.sandbox.host("src"),
            tmp: &job.sandbox.host("tmp"),
            root: job.root,
        };
        for (name, bytes) in &job.inputs.patches {
            patched.apply(name, bytes, self.cancel)?;
        }
        crate::atomic::remove_tree(&job.sandbox.host("tmp"))?;
        fs::create_dir_all(job.sandbox.host("tmp")).context(|| "cannot make the build's own tmp".to_owned())
    }

    fn step(&self, job: &Job<'_>, index: usize, step: &Step, is_kept: bool) -> Result<(), Failed> {
        let mut step = step.clone();
        if is_kept && step.argv.first().is_some_and(|program| program == "make") {
            // make would take for whole what a command that failed half-way left as its target.
            step.argv.insert(1, "--eval=.DELETE_ON_ERROR:".to_owned());
        }
        step.timeout = self.timeout.map_or(step.timeout, |limit| limit.min(step.timeout));
        for item in &mut step.argv {
            *item = item.replace("$JOBS", &self.jobs.to_string());
        }
        let log = job.logs.join(log_name(index, &step));
        let file = File::create(&log).context(|| format!("cannot write `{}`", log.display()))?;
        let mut program = job.sandbox.program(&step, &job.inputs.variables).log_to(file);
        if !job.component.serial {
            program = program.jobserver(self.jobserver.clone());
        }
        let ended = program.run(self.cancel);
        kill_leftovers(job);
        let ended = ended?;
        if ended.status.success() {
            return Ok(());
        }
        let text = read_log(&log);
        let end = if ended.timed_out {
            format!("killed with everything it had started, after {}", humantime::format_duration(step.timeout))
        } else {
            ended.status.to_string()
        };
        let mut message =
            format!("step `{}` of `{}` failed: {end}\n  ran: {}", step.name, job.name, shell_line(&step.argv));
        if let Some(excerpt) = first_error(&text) {
            message.push_str(&format!("\n{}", excerpt.render().trim_end_matches('\n')));
        }
        message.push_str(&format!("\n  log: {}", log.display()));
        // On a full disk the log, too, may lack what the step said last.
        let dir = job.sandbox.host("");
        let mut error = if crate::machine::is_full(&dir) || lacks_space(&text) {
            let free = crate::machine::free_bytes(&dir).map_or("unknown".to_owned(), crate::machine::size);
            let message = format!("{message}\n  no space left; free now in `{}`: {free}", dir.display());
            Error::machine(message).help_with_space()
        } else if lacks_memory(&text) {
            Error::machine(message)
        } else {
            Error::step(message)
        };
        for hint in hints(&text, Family::here()) {
            error = error.help(hint);
        }
        let error = error.help(format!(
            "cargo xtask log {}   # the whole log; the tree as it failed is in {}",
            job.name,
            job.sandbox.host("").display()
        ));
        let by_itself = !ended.timed_out && ended.status.code().is_some() && error.kind() == Kind::Step;
        Err(Failed { error, by_itself })
    }

    /// What it installed, if that is what was to come.
    fn installed(&self, job: &Job<'_>, since: &Since) -> Result<Tree> {
        let stage = job.sandbox.host("stage");
        let index = tempfile::NamedTempFile::new().context(|| "cannot make a temporary file".to_owned())?;
        let tree = scan(&stage, index.path(), Modes::Exact, &[])?.into_tree();
        let wanted = job.component.outputs.values().chain(&job.component.must_exist);
        let wanted = wanted.map(|path| job.directories.path(path));
        let missing: Vec<String> = wanted.filter(|path| !exists(&tree, path)).collect();
        if !job.inputs.environment.sealed {
            let stray = since.stray_files(job.root, self.store.root());
            if !stray.is_empty() {
                let named: Vec<String> = stray.iter().map(|path| format!("  {}", path.display())).collect();
                return Err(Error::step(format!(
                    "`{}` wrote outside of its stage, on this machine:\n{}",
                    job.name,
                    named.join("\n")
                ))
                .help("look at each, remove what is not your system's, and let the recipe install below {stage}"));
            }
        }
        if !missing.is_empty() {
            return Err(Error::step(format!(
                "`{}` installed {} files, but not {}",
                job.name,
                tree.0.len(),
                missing.join(", ")
            ))
            .help(format!("what it did install is below {}", stage.display()))
            .help(format!("cargo xtask log {} install", job.name)));
        }
        if exists(&tree, crate::dist::STAGED) {
            let message = format!("`{}` installed `/{}`, a name that is ours in dist/", job.name, crate::dist::STAGED);
            return Err(Error::step(message).help("let the recipe install it under another name"));
        }
        Ok(tree)
    }

    fn capture(&self, job: &Job<'_>, since: &Since) -> Result<Output> {
        let tree = self.installed(job, since)?;
        let bytes = self.store.missing_bytes(&tree);
        crate::machine::need(self.store.root(), bytes + (1 << 20), &format!("the output of `{}`", job.name))?;
        let output = self.store.put_output(job.action.digest, &job.sandbox.host("stage"), tree)?;
        job.action.keep(job.inputs, self.store)?;
        Ok(output)
    }
}

/// Nothing of a build may live on: it would hold files, ports and processors.
fn kill_leftovers(job: &Job<'_>) {
    if !job.inputs.environment.sealed
        && let Some(dir) = job.inputs.variables.get("TMPDIR")
    {
        crate::process::kill_leftovers("TMPDIR", dir);
    }
}

fn sizes(tree: &Tree) -> u64 {
    let size =
        |node: &crate::tree::Node| if let crate::tree::Node::File { digest, .. } = node { digest.size } else { 0 };
    tree.0.values().map(size).sum()
}

/// An installed absolute path is in a tree: itself, or as the directory of something.
fn exists(tree: &Tree, path: &str) -> bool {
    let path = path.trim_start_matches('/').trim_end_matches('/');
    let below = format!("{path}/");
    tree.0.contains_key(path)
        || tree.0.range(below.clone()..).next().is_some_and(|(other, _)| other.starts_with(&below))
}
