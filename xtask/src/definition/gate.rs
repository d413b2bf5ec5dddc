//! `ci/gates/NAME.toml`: what a gate tests and pushes; `ci/jobs/NAME.toml`: one job. Read together, all mistakes shown together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::diagnostic::{Diagnostics, Finding, Problem};
use super::load::{Opened, gate_names, toml_stems};
use super::place::Place;
use super::{Name, Origin, did_you_mean};
use crate::boot::Scenario;
use crate::layout::Layout;

/// What gates have in common beside their state, where each has a directory of its own name.
const TAKEN: [&str; 6] = ["bisection", "gate.db", "gate.lock", "git", "log", "versions"];

/// A gate, with its jobs.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Gate {
    /// What it guards, in one line.
    pub summary: String,
    /// The manifest whose components are built.
    pub manifest: Name,
    /// Files of `ci/jobs/`.
    pub jobs: Vec<Name>,
    /// Sources of the manifest whose refs it watches and moves.
    pub trees: BTreeMap<Name, Tracked>,
    /// Where tested tuples are written down; a gate of this project itself has none, its tested ref is the record.
    pub record: Option<Record>,
    /// Directory, relative to the repository's root, whose pages are brought up to date after each run.
    #[serde(default)]
    pub site: Option<PathBuf>,
    /// False: the culprit of a regression is hunted only when somebody asks.
    #[serde(default = "yes")]
    pub bisect: bool,
    /// Which candidates are tested, and how many at once.
    #[serde(default)]
    pub queue: Queue,
    /// The jobs themselves, each behind what it needs.
    #[serde(skip)]
    pub defined: Vec<(Name, Job)>,
}

/// Which candidates are tested, and how many at once.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Queue {
    /// Every commit along first parents is a candidate, not the tip alone.
    pub each_commit: bool,
    /// At most so many candidates on top of one another: more with each push, half of them after a regression.
    pub window: u32,
    /// At most so many candidates as one; where that is a regression, halves of them until one is to blame.
    pub batch: u32,
}

/// A tree: the refs of a repository, or an origin that has none.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tracked {
    /// Where it is fetched from and pushed to: a URL, or a path relative to the repository's root.
    pub repository: Option<String>,
    /// Ref whose tip is the candidate.
    pub untested: Option<String>,
    /// Ref that only the gate moves.
    pub tested: Option<String>,
    /// Of a tree without refs: what its origin would be to give the candidate; else it is the manifest's own. Pushed are the lock
    /// and the manifest.
    pub candidate: Option<Origin>,
    /// It is this project: components, manifests and everything built by path are the candidate's own.
    #[serde(default)]
    pub project: bool,
    /// The untested ref is rewritten at times: the tested one follows it without containing what was there.
    #[serde(default)]
    pub rebasing: bool,
    /// False: never a candidate, always at its tested revision.
    #[serde(default = "yes")]
    pub moves: bool,
}

/// Where the refs of a tree are.
#[derive(Clone, Copy, Debug)]
pub struct Refs<'a> {
    /// As `Tracked` has it.
    pub repository: &'a str,
    /// As `Tracked` has it.
    pub untested: &'a str,
    /// As `Tracked` has it.
    pub tested: &'a str,
}

impl Tracked {
    /// The refs; nothing where the lock is what moves.
    pub fn refs(&self) -> Option<Refs<'_>> {
        let (repository, untested) = (self.repository.as_deref()?, self.untested.as_deref()?);
        Some(Refs { repository, untested, tested: self.tested.as_deref()? })
    }
}

/// Where tested tuples are written down: a commit of the manifest's lock.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// A repository of this project.
    #[serde(default = "here")]
    pub repository: String,
    /// Ref of it that has components and manifests to test with, and programs that jobs run; gate and jobs are the work tree's.
    pub from: String,
    /// Ref of it that gets the locks; made where it is missing.
    pub to: String,
}

/// One job.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Job {
    /// What it shows, in one line.
    pub summary: String,
    /// What it does.
    pub run: Does,
    /// Jobs that must have passed.
    #[serde(default)]
    pub needs: Vec<Name>,
    /// When it runs.
    #[serde(default)]
    pub tier: Tier,
    /// Killed after that, for example `10m`.
    #[serde(default = "hour", with = "humantime_text")]
    #[cfg_attr(feature = "extras", schemars(with = "String"))]
    pub timeout: Duration,
    /// How often a broken machine or a failed test is tried again.
    #[serde(default)]
    pub retries: u32,
    /// False: its failures are shown and stop nobody.
    #[serde(default = "yes")]
    pub blocking: bool,
    /// The same inputs always give the same result: a pass may be used again.
    #[serde(default)]
    pub deterministic: bool,
    /// What of this machine nobody else may use meanwhile, by any name; gates with the same store wait for one another.
    #[serde(default)]
    pub resources: Vec<Name>,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Does {
    /// Builds components, through the store.
    Build {
        /// Which.
        components: Vec<Name>,
    },
    /// Runs a program in the gate's checkout. It ends with 0 when the test passed, with 3 or 77 when this machine cannot run it.
    Test {
        /// The program with its arguments.
        argv: Vec<String>,
        /// Sources that it is a test of.
        sources: Vec<Name>,
    },
    /// Builds the whole manifest into `dist/`, and boots that as `cargo xtask boot` does.
    Boot {
        /// One after the other, each a step.
        scenarios: Vec<Scenario>,
    },
}

/// When a job runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Before the full tier, which waits for it.
    Smoke,
    /// After the smoke tier.
    #[default]
    Full,
}

fn yes() -> bool {
    true
}

fn here() -> String {
    ".".to_owned()
}

fn hour() -> Duration {
    Duration::from_secs(3600)
}

/// A duration as people write it.
mod humantime_text {
    use serde::{Deserialize, Deserializer, de::Error};

    /// For the default in the schema.
    #[cfg(feature = "extras")]
    pub(super) fn serialize<S: serde::Serializer>(duration: &std::time::Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*duration))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<std::time::Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(|_| D::Error::custom(format!("`{text}` is no duration such as `10m`")))
    }
}

impl Gate {
    /// Reads a gate with its jobs.
    pub fn load(layout: &Layout, name: &Name) -> Result<Gate, Diagnostics> {
        let mut problems = Vec::new();
        if TAKEN.contains(&name.as_str()) {
            let message = format!("no gate can be called `{name}`: what all gates keep together is called so");
            let help = format!("git mv ci/gates/{name}.toml ci/gates/{name}-gate.toml");
            problems.push(Problem::without_file(message, Some(help)));
        }
        let opened = Opened::<Gate>::open(&layout.root, format!("ci/gates/{name}.toml"));
        if matches!(opened, Opened::Absent) {
            let known = gate_names(layout);
            let near = did_you_mean(name.as_str(), known.iter().map(Name::as_str));
            let list = || known.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => "write ci/gates/NAME.toml; ci/README.md has an example".to_owned(),
                None => format!("gates here: {}", list()),
            };
            problems.push(Problem::without_file(format!("there is no gate `{name}`"), Some(help)));
        }
        let read = opened.note(&mut problems);
        let mut jobs = BTreeMap::new();
        if let Some((gate, file)) = &read {
            let known = toml_stems(&layout.root.join("ci/jobs")).unwrap_or_default();
            let mut findings = check(gate);
            for (index, job) in gate.jobs.iter().enumerate() {
                let opened = Opened::<Job>::open(&layout.root, format!("ci/jobs/{job}.toml"));
                if matches!(opened, Opened::Absent) {
                    let finding = Finding::new(
                        Place::of("jobs").index(index),
                        format!("there is no job `{job}`"),
                        "not in ci/jobs/",
                    );
                    let near = did_you_mean(job.as_str(), known.iter().map(String::as_str));
                    findings.push(near.map_or(finding.clone(), |near| finding.help(format!("did you mean `{near}`?"))));
                }
                if let Some((defined, file)) = opened.note(&mut problems) {
                    file.note(check_job(gate, &defined), &mut problems);
                    jobs.insert(job.clone(), defined);
                }
            }
            file.note(findings, &mut problems);
        }
        let (Some((mut gate, _)), true) = (read, problems.is_empty()) else { return Err(Diagnostics::new(problems)) };
        gate.defined = match ordered(&gate.jobs, jobs) {
            Ok(jobs) => jobs,
            Err(cycle) => {
                let names = cycle.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
                let message = format!("jobs of gate `{name}` need one another in a circle: {names}");
                return Err(Diagnostics::new(vec![Problem::without_file(message, None)]));
            }
        };
        Ok(gate)
    }
}

fn check(gate: &Gate) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, job) in gate.jobs.iter().enumerate() {
        if gate.jobs[..index].contains(job) {
            let place = Place::of("jobs").index(index);
            findings.push(Finding::new(place, format!("job `{job}` is listed twice"), "again here"));
        }
    }
    let mut check_ref = |place: Place, name: &str| {
        if !name.starts_with("refs/") || name.contains([' ', '~', '^', ':', '?', '*', '[', '\\']) || name.contains("..")
        {
            let finding = Finding::new(place, format!("`{name}` is no full name of a ref"), "begins with `refs/`");
            findings.push(finding.help(format!("refs/heads/{name}")));
        }
    };
    for (name, tree) in &gate.trees {
        for (key, value) in [("untested", &tree.untested), ("tested", &tree.tested)] {
            if let Some(value) = value {
                check_ref(Place::of("trees").key(name.as_str()).key(key), value);
            }
        }
    }
    if let Some(record) = &gate.record {
        check_ref(Place::of("record").key("from"), &record.from);
        check_ref(Place::of("record").key("to"), &record.to);
        if record.from == record.to {
            let place = Place::of("record").key("to");
            findings.push(Finding::new(place, "the record goes to the ref that it is made from", "another ref"));
        }
    }
    findings.extend(gate.trees.iter().filter_map(|(name, tree)| check_tree(name, tree)));
    findings.extend(check_project(gate));
    if gate.queue.window > 1 && gate.queue.batch > 1 {
        let place = Place::of("queue").key("batch");
        findings.push(Finding::new(place, "a queue has a window or batches, not both", "one of them is wanted"));
    }
    for (key, is_empty) in [("jobs", gate.jobs.is_empty()), ("trees", gate.trees.is_empty())] {
        if is_empty {
            findings.push(Finding::new(Place::of(key), format!("a gate without {key} tests nothing"), "at least one"));
        }
    }
    findings
}

/// A tree has all of its refs or none.
fn check_tree(name: &Name, tree: &Tracked) -> Option<Finding> {
    let place = Place::of("trees").key(name.as_str());
    let named = [&tree.repository, &tree.untested, &tree.tested].into_iter().flatten().count();
    let (message, label) = match (named, &tree.candidate) {
        (1 | 2, _) => {
            ("has some of `repository`, `untested`, `tested`", "all three, or none where its origin has no refs")
        }
        (3, Some(_)) => ("has refs and a `candidate`", "its candidate is the tip of `untested`"),
        (0, _) if tree.project => ("is this project and has no refs", "`repository`, `untested`, `tested`"),
        (0, Some(Origin::Git(_) | Origin::Path(_))) => {
            ("has a candidate that is not apt's or an archive", "name its refs")
        }
        _ => return None,
    };
    Some(Finding::new(place, format!("tree `{name}` {message}"), label))
}

/// A gate of this project is of nothing else: what would be recorded beside it would be recorded in it.
fn check_project(gate: &Gate) -> Option<Finding> {
    let project = gate.trees.iter().find(|(_, tree)| tree.project).map(|(name, _)| name);
    match (project, &gate.record) {
        (Some(name), _) if gate.trees.len() > 1 => {
            let message = format!("tree `{name}` is this project, and there are others");
            Some(Finding::new(Place::of("trees"), message, "a gate of its own for each"))
        }
        (Some(name), Some(_)) => {
            let message = format!("tree `{name}` is this project: its tested ref is the record");
            Some(Finding::new(Place::of("record"), message, "not wanted"))
        }
        (None, None) => {
            let finding =
                Finding::new(Place::default(), "tested tuples are written down nowhere", "there is no [record]");
            Some(finding.help("[record]\nfrom = \"refs/heads/main\"\nto = \"refs/heads/tested/NAME\""))
        }
        _ => None,
    }
}

fn check_job(gate: &Gate, job: &Job) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, need) in job.needs.iter().enumerate().filter(|(_, need)| !gate.jobs.contains(need)) {
        let place = Place::of("needs").index(index);
        findings.push(Finding::new(place, format!("job `{need}` is not one of the gate's"), "not in its `jobs`"));
    }
    let run = || Place::of("run");
    match &job.run {
        Does::Build { components } if components.is_empty() => {
            findings.push(Finding::new(run().key("build").key("components"), "it builds nothing", "at least one"));
        }
        Does::Test { argv, .. } if argv.is_empty() => {
            findings.push(Finding::new(run().key("test").key("argv"), "it runs nothing", "a program is wanted"));
        }
        Does::Test { sources, .. } => {
            for (index, source) in sources.iter().enumerate().filter(|(_, source)| !gate.trees.contains_key(*source)) {
                let place = run().key("test").key("sources").index(index);
                findings.push(Finding::new(place, format!("`{source}` is no tree of the gate"), "not in its `trees`"));
            }
        }
        Does::Boot { scenarios } if scenarios.is_empty() => {
            findings.push(Finding::new(run().key("boot").key("scenarios"), "it boots nothing", "at least one"));
        }
        Does::Build { .. } | Does::Boot { .. } => {}
    }
    findings
}

/// Each job behind what it needs, otherwise as listed; `Err` names those of a circle.
fn ordered(names: &[Name], mut jobs: BTreeMap<Name, Job>) -> Result<Vec<(Name, Job)>, Vec<Name>> {
    let mut done: Vec<(Name, Job)> = Vec::new();
    while !jobs.is_empty() {
        let is_done = |need: &Name| done.iter().any(|(name, _)| name == need);
        let next = names.iter().find(|name| jobs.get(*name).is_some_and(|job| job.needs.iter().all(is_done)));
        let Some((name, job)) = next.and_then(|name| jobs.remove_entry(name)) else {
            return Err(jobs.into_keys().collect());
        };
        done.push((name, job));
    }
    Ok(done)
}
