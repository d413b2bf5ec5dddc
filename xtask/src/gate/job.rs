//! One job of a flight: the checkout is brought to the tuple, then its build, program or boot scenarios run, each step with a log.
//! What the machine cannot do is broken, never failed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::Signal;
use xtask_gate::model::{CHECKOUT, DIST, FETCH, JobState, Revision, StepState};
use xtask_gate::world::{JobEnd, JobOrder, OnStep, StepEvent};

use super::checkout::Checkout;
use super::is_machine;
use super::leftovers::MARK;
use crate::definition::{Does, Job, Name};
use crate::error::{Context, Error, Result};
use crate::machine::{free_bytes, is_full};
use crate::process::{Cancel, Children, Ended, Program};
use crate::turn::{self, Hold, Turn};

/// With less free space than this a failure says nothing of the candidate.
const LEAST_SPACE: u64 = 64 << 20;

/// The step that is a test's own program.
const TEST: &str = "test";

/// A job to run.
pub(super) struct Run<'a> {
    pub(super) checkout: &'a Checkout,
    pub(super) job: &'a Job,
    pub(super) order: &'a JobOrder<'a>,
    pub(super) logs: PathBuf,
    pub(super) say: &'a dyn Fn(&str),
}

/// A step of a job.
struct Step {
    testid: String,
    program: Program,
    /// What it leaves in the checkout that belongs to its log.
    artefacts: Option<PathBuf>,
}

impl Step {
    fn new(testid: impl Into<String>, program: Program) -> Step {
        Step { testid: testid.into(), program, artefacts: None }
    }
}

impl Run<'_> {
    /// Runs it. `Err` only where the user stops us.
    pub(super) fn go(&self, on_step: OnStep<'_>, cancel: &Cancel) -> Result<JobEnd> {
        let mut end = JobEnd { state: JobState::Pass, built: BTreeMap::new(), runvars: BTreeMap::new() };
        let prepared = self.resources(cancel).and_then(|turns| {
            self.checkout.prepare(self.order.flight, self.order.tuple)?;
            Ok(turns)
        });
        // They are held until the last step has ended.
        let (_turns, state, reason) = match prepared {
            Ok(turns) => (turns, StepState::Pass, None),
            Err(error) if !is_machine(&error) => return Err(error),
            Err(error) => (Vec::new(), StepState::Broken, Some(one_line(&error))),
        };
        on_step(StepEvent::Begin { testid: CHECKOUT.to_owned(), log: None })?;
        on_step(StepEvent::End { state, reason })?;
        end.state = job_state(state);
        if end.state != JobState::Pass {
            return Ok(end);
        }
        let mut built = None;
        for step in self.steps()? {
            if step.testid == TEST {
                // What it writes into its sources does not change what it is a test of.
                built = Some(self.built()?);
            }
            let name = step.testid.replace('/', "-");
            let relative = format!("log/{}/{}/{name}.log", self.order.flight, self.order.job.name);
            on_step(StepEvent::Begin { testid: step.testid, log: Some(relative) })?;
            if step.artefacts.is_some() {
                // That somebody else boots here is not this candidate's time.
                let waiting = format!("{}: {}", self.order.job.name, crate::boot::WAITING);
                turn::take(&crate::boot::turn_of(&self.checkout.store), Hold::Alone, cancel, self.say, &waiting)?;
            }
            let (state, reason) = self.step(step.program, &name, step.artefacts.as_deref(), cancel)?;
            on_step(StepEvent::End { state, reason })?;
            end.state = job_state(state);
            if end.state != JobState::Pass {
                break;
            }
        }
        end.built = built.map_or_else(|| self.built(), Ok)?;
        Ok(end)
    }

    /// What the checkout is made of now. What cannot be read says nothing of what it is: then no tree counts as tested by this job.
    fn built(&self) -> Result<BTreeMap<String, Revision>> {
        match self.checkout.built(&self.job.run, self.order.tuple) {
            Err(error) if !is_machine(&error) => Err(error),
            built => Ok(built.unwrap_or_default()),
        }
    }

    /// What nobody else may use, by name: always in the same order, so that no two wait for each other.
    fn resources(&self, cancel: &Cancel) -> Result<Vec<Turn>> {
        let mut names: Vec<_> = self.job.resources.iter().collect();
        names.sort();
        let take = |name: &Name| {
            let lock = self.checkout.store.join("gate/resources").join(name);
            let waiting = format!("{}: another job has `{name}`; waiting for its end", self.order.job.name);
            turn::take(&lock, Hold::Alone, cancel, self.say, &waiting)
        };
        names.into_iter().map(take).collect()
    }

    fn steps(&self) -> Result<Vec<Step>> {
        let xtask = |arguments: &[&str]| self.checkout.xtask(arguments);
        match &self.job.run {
            Does::Build { components } => components
                .iter()
                .map(|name| Ok(Step::new(format!("build/{name}"), xtask(&["build", name.as_str(), "--only"])?)))
                .collect(),
            Does::Boot { scenarios } => {
                // Whatever an earlier flight left in dist/ is replaced.
                let mut steps = vec![Step::new(DIST, xtask(&["build"])?)];
                for scenario in scenarios {
                    let name = scenario.name();
                    let artefacts = self.checkout.layout().work().join("log/boot").join(name);
                    let step = Step::new(format!("boot/{name}"), xtask(&["boot", name])?);
                    steps.push(Step { artefacts: Some(artefacts), ..step });
                }
                Ok(steps)
            }
            Does::Test { argv, sources } => {
                let mut steps = Vec::new();
                if !sources.is_empty() {
                    let names = sources.iter().map(|source| source.as_str());
                    let arguments: Vec<&str> = std::iter::once("fetch").chain(names).collect();
                    steps.push(Step::new(FETCH, xtask(&arguments)?));
                }
                let mut program = Program::new(argv.clone()).dir(&self.checkout.dir);
                for (tree, revision) in &self.order.tuple.0 {
                    let name = tree.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
                    let is_project = self.checkout.gate.trees.get(tree.as_str()).is_some_and(|tracked| tracked.project);
                    let source = match is_project {
                        true => self.checkout.dir.clone(),
                        false => self.checkout.layout().source_root().join(tree),
                    };
                    program = program
                        .env(format!("GATE_REVISION_{name}"), &revision.0)
                        .env(format!("GATE_SOURCE_{name}"), source);
                }
                let own = std::env::current_exe().context(|| "cannot tell what program this is".to_owned())?;
                program = program.env("GATE_FLIGHT", self.order.flight.to_string()).env("XTASK", own);
                program = program.env("XTASK_STORE", &self.checkout.store);
                program = program.env("XTASK_MANIFEST", self.checkout.gate.manifest.as_str());
                steps.push(Step::new(TEST, program));
                Ok(steps)
            }
        }
    }

    fn step(
        &self,
        program: Program,
        name: &str,
        artefacts: Option<&Path>,
        cancel: &Cancel,
    ) -> Result<(StepState, Option<String>)> {
        let path = self.logs.join(format!("{name}.log"));
        let program = program.env(MARK, &self.checkout.logs);
        let before = Children::now();
        // Artefacts of another flight are not this one's.
        let ended = artefacts
            .map_or(Ok(()), crate::atomic::remove_tree)
            .and_then(|()| {
                let file = fs::create_dir_all(&self.logs).and_then(|()| File::create(&path));
                file.context(|| format!("cannot write `{}`", path.display()))
            })
            .and_then(|file| program.timeout(self.job.timeout).log_to(file).run(cancel))
            .and_then(|ended| self.keep(artefacts, name).map(|()| ended));
        // A daemon would hold files, ports and processors of the next.
        before.kill_later();
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
        // Compilers write below the temporary directory too.
        let temporary = std::env::temp_dir();
        let full = [&self.checkout.dir, &self.checkout.store, &self.logs, &temporary]
            .into_iter()
            .find(|dir| is_full(dir) || free_bytes(dir).is_ok_and(|free| free < LEAST_SPACE));
        if let Some(full) = full {
            return (StepState::Broken, Some(format!("{why}; the disk of `{}` is full", full.display())));
        }
        match ended.status.code() {
            _ if ended.timed_out => (StepState::Fail, Some(why)),
            Some(3) => (StepState::Broken, Some("this machine could not".to_owned())),
            Some(77) => (StepState::Broken, Some("not run: it said that this machine cannot".to_owned())),
            None if is_own_fault(ended.status) => (StepState::Fail, Some(why)),
            // Somebody else killed it: the kernel short of memory, an operator.
            None => (StepState::Broken, Some(why)),
            Some(_) => (StepState::Fail, Some(why)),
        }
    }

    /// Copies what a step left beside its log.
    fn keep(&self, artefacts: Option<&Path>, name: &str) -> Result<()> {
        let Some(from) = artefacts.filter(|dir| dir.is_dir()) else { return Ok(()) };
        let into = self.logs.join(name);
        let cannot = || format!("cannot keep `{}` in `{}`", from.display(), into.display());
        fs::create_dir_all(&into).context(cannot)?;
        for entry in fs::read_dir(from).context(cannot)? {
            let entry = entry.context(cannot)?;
            if entry.file_type().context(cannot)?.is_file() {
                fs::copy(entry.path(), into.join(entry.file_name())).context(cannot)?;
            }
        }
        Ok(())
    }
}

/// It died of a signal that a program brings upon itself.
fn is_own_fault(status: ExitStatus) -> bool {
    let own = [Signal::SEGV, Signal::ABORT, Signal::BUS, Signal::ILL, Signal::FPE, Signal::SYS, Signal::TRAP];
    own.iter().any(|signal| status.signal() == Some(signal.as_raw()))
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
