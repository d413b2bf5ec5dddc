//! The same build in other circumstances: whatever it compiles in of the place, the time, the user or the number of processors comes out
//! otherwise. Where something does, single circumstances are changed one after the other, until it is known which is to blame.
//!
//! A build in the sandbox never meets another path or user. What depends on them is found all the same, since whoever builds from a
//! release by hand does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::action::Inputs;
use crate::definition::{Driver, Name};
use crate::difference::{Difference, with_store};
use crate::error::Result;
use crate::process::Cancel;
use crate::recipe::Paths;
use crate::run::{Building, Event, Job, Report, job_budget};
use crate::sandbox::{ELSEWHERE, Guise};
use crate::store::{Found, Output};
use crate::world::World;

/// A way in which one build differs from another, though its inputs are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Circumstance {
    /// Nothing that is known: the order in which things end, addresses, random numbers.
    Chance,
    /// How many processors there are, and jobs at once.
    Jobs,
    /// The clock.
    Time,
    /// The user's number and name, and that of the machine.
    User,
    /// Where everything stands.
    Path,
}

impl Circumstance {
    /// As messages name it.
    pub fn words(self) -> &'static str {
        match self {
            Circumstance::Chance => "differs from one build to the next",
            Circumstance::Jobs => "depends on the number of processors or jobs",
            Circumstance::Time => "depends on the time",
            Circumstance::User => "depends on the user or the machine's name",
            Circumstance::Path => "depends on the path",
        }
    }
}

/// What differs, and why.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Blamed {
    /// What.
    pub difference: Difference,
    /// The one circumstance that makes it differ; nothing where it takes several at once.
    pub because: Option<Circumstance>,
}

/// Builds again.
#[derive(Debug)]
pub struct Repro<'a> {
    /// Sources, plan and store.
    pub world: &'a World,
    /// Jobs of the build as it always is.
    pub jobs: usize,
    /// libfaketime, if it is here.
    pub clock: Option<PathBuf>,
    /// Where it is shown.
    pub report: &'a Report,
    /// Stops it.
    pub cancel: &'a Cancel,
}

impl Repro<'_> {
    /// Everything that is changed for a component. Without libfaketime the clock only goes on, and so it does for rustc, which hangs
    /// with it: its allocator asks for the time before libfaketime is ready to tell.
    pub fn circumstances(&self, name: &Name) -> Vec<Circumstance> {
        let is_cargo = matches!(self.world.component(name).build, Driver::Cargo(_));
        let time = (self.clock.is_some() && !is_cargo).then_some(Circumstance::Time);
        [Circumstance::Jobs, Circumstance::User, Circumstance::Path].into_iter().chain(time).collect()
    }

    /// The output of a component as it always is: from the store, or built for it.
    pub fn usual(&self, name: &Name, outputs: &BTreeMap<Name, Output>) -> Result<Output> {
        let inputs = self.world.inputs(name, &|need| outputs.get(need).cloned())?;
        if let Found::Here(output) = self.world.store.output(inputs.action()?.digest)? {
            self.report.send(Event::Restored { component: name.to_string() });
            return Ok(output);
        }
        let sandbox = self.world.sandbox(name)?;
        let logs = self.world.layout.logs(name);
        self.with_job(name, &inputs, &sandbox, &logs, self.jobs, |building, job| Ok(building.build(job, None)?.0))
    }

    /// What comes out otherwise where everything is changed, each with what is to blame.
    pub fn blamed(&self, name: &Name, usual: &Output, outputs: &BTreeMap<Name, Output>) -> Result<Vec<Blamed>> {
        let all = self.differences(name, usual, outputs, &self.circumstances(name))?;
        let mut blamed: Vec<Blamed> = all.into_iter().map(|difference| Blamed { difference, because: None }).collect();
        for one in [Circumstance::Chance].into_iter().chain(self.circumstances(name)) {
            if blamed.iter().all(|it| it.because.is_some()) {
                break;
            }
            self.report.note(format!("{name}: looking whether it {}", one.words()));
            let differences = self.differences(name, usual, outputs, &[one])?;
            for it in blamed.iter_mut().filter(|it| it.because.is_none()) {
                let same = differences.iter().any(|other| other.path == it.difference.path);
                it.because = same.then_some(one);
            }
        }
        Ok(blamed)
    }

    fn differences(
        &self,
        name: &Name,
        usual: &Output,
        outputs: &BTreeMap<Name, Output>,
        changed: &[Circumstance],
    ) -> Result<Vec<Difference>> {
        let dir = self.world.layout.work().join("repro").join(name);
        let guise = self.guise(changed);
        let inputs = self.world.inputs_at(&guise.paths, name, &|need| outputs.get(need).cloned())?;
        let sandbox = self.world.sandbox(name)?.disguised(dir.clone(), guise);
        let logs = self.world.layout.work().join("log").join("repro").join(name);
        let jobs = if changed.contains(&Circumstance::Jobs) { self.jobs + 1 } else { self.jobs };
        let tree = self.with_job(name, &inputs, &sandbox, &logs, jobs, |building, job| building.try_out(job))?;
        let differences = with_store(&self.world.store, &usual.tree, &dir.join("stage"), &tree)?;
        crate::atomic::remove_tree(&dir)?;
        Ok(differences)
    }

    fn with_job<T>(
        &self,
        name: &Name,
        inputs: &Inputs,
        sandbox: &crate::sandbox::Sandbox,
        logs: &Path,
        jobs: usize,
        build: impl FnOnce(&Building<'_>, &Job<'_>) -> Result<T>,
    ) -> Result<T> {
        let (source, extra) = self.world.source_dirs(name)?;
        let budget = job_budget(jobs)?;
        let building = Building {
            store: &self.world.store,
            report: self.report,
            cancel: self.cancel,
            jobserver: &budget,
            jobs,
            timeout: None,
        };
        let job = Job {
            name,
            component: self.world.component(name),
            inputs,
            action: &inputs.action()?,
            source: &source.dir,
            pin: None,
            extra: &extra,
            epoch: source.epoch,
            sandbox,
            directories: &self.world.definitions.chosen.directories,
            root: &self.world.layout.root,
            logs,
            keep: false,
        };
        self.report.building(name.as_str(), || build(&building, &job))
    }

    /// What a build sees where these are changed.
    fn guise(&self, changed: &[Circumstance]) -> Guise {
        let mut guise = Guise::default();
        for one in changed {
            match one {
                Circumstance::Chance => {}
                Circumstance::Jobs => guise.before = one_processor(),
                Circumstance::Time => guise.variables.extend(self.later()),
                Circumstance::User => {
                    (guise.user, guise.host) = (1234, "elsewhere");
                    let names = ["USER", "LOGNAME"].map(|name| (name.to_owned(), "somebody".to_owned()));
                    guise.variables.extend(names);
                }
                Circumstance::Path => {
                    let dir = Path::new(ELSEWHERE).join("build");
                    guise.paths = Paths::real(&dir, Path::new("/opt/rust"));
                }
            }
        }
        guise
    }

    /// A clock that is more than a year ahead. Times of files stay true, or nothing would be up to date.
    fn later(&self) -> BTreeMap<String, String> {
        let Some(library) = &self.clock else { return BTreeMap::new() };
        [
            ("LD_PRELOAD", library.to_string_lossy().into_owned()),
            ("FAKETIME", "+400d".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// Holds a program, and what it starts, on the first processor that we may use. Nothing where that cannot be done.
pub fn one_processor() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let first: String = allowed.trim().chars().take_while(char::is_ascii_digit).collect();
    match which::which("taskset") {
        Ok(program) if !first.is_empty() => {
            vec![program.to_string_lossy().into_owned(), "--cpu-list".to_owned(), first]
        }
        _ => Vec::new(),
    }
}

/// libfaketime of this machine, where distributions put it.
pub fn libfaketime(arch: &str) -> Option<PathBuf> {
    let directories = [format!("/usr/lib/{arch}-linux-gnu"), "/usr/lib64".to_owned(), "/usr/lib".to_owned()];
    let files = directories.iter().map(|directory| Path::new(directory).join("faketime/libfaketime.so.1"));
    files.into_iter().find(|file| file.is_file())
}
