//! One job of a flight: the checkout is brought to the tuple, then its build or its program runs, each step with a log. What the
//! machine cannot do is broken, never failed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use xtask_gate::model::{JobState, Revision, StepState};
use xtask_gate::world::{JobEnd, JobOrder, OnStep, StepEvent};

use super::checkout::Checkout;
use super::is_machine;
use crate::definition::{Does, Job};
use crate::error::{Context, Error, Result};
use crate::machine::free_bytes;
use crate::process::{Cancel, Ended, Program};

/// With less free space than this a failure says nothing of the candidate.
const LEAST_SPACE: u64 = 64 << 20;

/// A job to run.
pub(super) struct Run<'a> {
    pub(super) checkout: &'a Checkout,
    pub(super) job: &'a Job,
    pub(super) order: &'a JobOrder<'a>,
    pub(super) logs: PathBuf,
    pub(super) from: &'a str,
}

impl Run<'_> {
    /// Runs it. `Err` only where the user stops us.
    pub(super) fn go(&self, on_step: OnStep<'_>, cancel: &Cancel) -> Result<JobEnd> {
        let mut end = JobEnd { state: JobState::Pass, built: BTreeMap::new(), runvars: BTreeMap::new() };
        let (state, reason) = match self.checkout.prepare(self.from, self.order.tuple) {
            Ok(()) => (StepState::Pass, None),
            Err(error) if !is_machine(&error) => return Err(error),
            Err(error) => (StepState::Broken, Some(one_line(&error))),
        };
        on_step(StepEvent::Begin { testid: "checkout".to_owned(), log: None })?;
        on_step(StepEvent::End { state, reason })?;
        end.state = job_state(state);
        if end.state != JobState::Pass {
            return Ok(end);
        }
        for (testid, program) in self.steps()? {
            let log = format!("{}.log", testid.replace('/', "-"));
            let relative = format!("log/{}/{}/{log}", self.order.flight, self.order.job.name);
            on_step(StepEvent::Begin { testid, log: Some(relative) })?;
            let (state, reason) = self.step(program, &log, cancel)?;
            on_step(StepEvent::End { state, reason })?;
            end.state = job_state(state);
            if end.state != JobState::Pass {
                break;
            }
        }
        end.built = self.built()?;
        Ok(end)
    }

    fn steps(&self) -> Result<Vec<(String, Program)>> {
        let build = |component: &str| self.checkout.xtask(&["build", component, "--only"]);
        match &self.job.run {
            Does::Build { components } => {
                components.iter().map(|name| Ok((format!("build/{name}"), build(name.as_str())?))).collect()
            }
            Does::Test { argv, sources } => {
                let mut steps = Vec::new();
                if !sources.is_empty() {
                    let names = sources.iter().map(|source| source.as_str());
                    let arguments: Vec<&str> = std::iter::once("fetch").chain(names).collect();
                    steps.push(("fetch".to_owned(), self.checkout.xtask(&arguments)?));
                }
                let mut program = Program::new(argv.clone()).dir(&self.checkout.dir);
                for (tree, revision) in &self.order.tuple.0 {
                    let name = tree.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
                    let source = self.checkout.dir.join(".xtask/src").join(tree);
                    program = program
                        .env(format!("GATE_REVISION_{name}"), &revision.0)
                        .env(format!("GATE_SOURCE_{name}"), source);
                }
                let own = std::env::current_exe().context(|| "cannot tell what program this is".to_owned())?;
                program = program.env("GATE_FLIGHT", self.order.flight.to_string()).env("XTASK", own);
                program = program.env("XTASK_STORE", &self.checkout.store);
                steps.push(("test".to_owned(), program));
                Ok(steps)
            }
        }
    }

    fn step(&self, program: Program, log: &str, cancel: &Cancel) -> Result<(StepState, Option<String>)> {
        let path = self.logs.join(log);
        let file = fs::create_dir_all(&self.logs).and_then(|()| File::create(&path));
        let ended = file
            .context(|| format!("cannot write `{}`", path.display()))
            .and_then(|file| program.timeout(self.job.timeout).log_to(file).run(cancel));
        match ended {
            Ok(ended) => Ok(self.judged(&ended)),
            Err(error) if is_machine(&error) => Ok((StepState::Broken, Some(one_line(&error)))),
            Err(error) => Err(error),
        }
    }

    /// Whose fault it is.
    fn judged(&self, ended: &Ended) -> (StepState, Option<String>) {
        if ended.status.success() {
            return (StepState::Pass, None);
        }
        let why = match ended.timed_out {
            true => format!("killed after {}", humantime::format_duration(self.job.timeout)),
            false => ended.status.to_string(),
        };
        let full = [&self.checkout.dir, &self.checkout.store, &self.logs]
            .into_iter()
            .find(|dir| free_bytes(dir).is_ok_and(|free| free < LEAST_SPACE));
        if let Some(full) = full {
            return (StepState::Broken, Some(format!("{why}; the disk of `{}` is full", full.display())));
        }
        match ended.status.code() {
            _ if ended.timed_out => (StepState::Fail, Some(why)),
            Some(3) => (StepState::Broken, Some("this machine could not".to_owned())),
            Some(77) => (StepState::Broken, Some("not run: it said that this machine cannot".to_owned())),
            // Somebody else killed it: the kernel short of memory, an operator.
            None => (StepState::Broken, Some(why)),
            Some(_) => (StepState::Fail, Some(why)),
        }
    }

    /// What the sources in the checkout really are, of those that this job is made of.
    fn built(&self) -> Result<BTreeMap<String, Revision>> {
        let mut built = BTreeMap::new();
        for tree in self.order.tuple.0.keys() {
            let place = self.checkout.dir.join(".xtask/src").join(tree);
            let is_meant = match &self.job.run {
                Does::Build { .. } => true,
                Does::Test { sources, .. } => sources.iter().any(|source| source.as_str() == tree),
            };
            let Ok(repository) = git2::Repository::open(&place) else { continue };
            let head = repository.head().and_then(|head| head.peel_to_commit());
            if let (true, Ok(head)) = (is_meant, head) {
                built.insert(tree.clone(), Revision(head.id().to_string()));
            }
        }
        Ok(built)
    }
}

fn job_state(step: StepState) -> JobState {
    match step {
        StepState::Pass => JobState::Pass,
        StepState::Fail => JobState::Fail,
        StepState::Blocked => JobState::Blocked,
        StepState::Broken | StepState::Running | StepState::Unknown => JobState::Broken,
    }
}

fn one_line(error: &Error) -> String {
    let text = format!("{error}: {}", crate::error::causes(error));
    text.lines().next().unwrap_or_default().trim_end_matches(": ").to_owned()
}
