//! The gate's outside, for real: refs of repositories, jobs that build through the store or run a program, the record of tested
//! tuples. Judges nothing: that is the crate `xtask-gate`.
//!
//! `repository.rs`: what git is asked and told. `checkout.rs`: the gate's own checkout of this project. `record.rs`: commits of what was
//! tested. `versions.rs`: trees without refs. `footers.rs`: what commits need of other trees. `job.rs`: a job's steps. `built.rs`: what a
//! job was really made of. `again.rs`: whether a test would end as before. `leftovers.rs`: what outlives its job, or a killed gate.

mod again;
mod built;
mod checkout;
mod footers;
mod job;
mod leftovers;
mod record;
mod repository;
mod versions;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use xtask_gate::model::{Flight, FlightNo, JobKind, Revision, Tier, Tuple};
use xtask_gate::plan::{JobPlan, Plan, Policy, TreePlan};
use xtask_gate::report::Commit;
use xtask_gate::store::{Intent, PushState};
use xtask_gate::world::{JobEnd, JobOrder, Needed, OnStep, Pushed, World};

use crate::definition::{self, Does, Gate, Job, Name, Refs};
use crate::error::{Error, Kind, Result};
use crate::layout::Layout;
use crate::process::Cancel;
use checkout::Checkout;
use repository::Repository;

/// What a gate works with.
pub struct RealWorld<'a> {
    /// Its definition.
    gate: Gate,
    /// Its own checkout of this project.
    checkout: Checkout,
    /// By name of the tree.
    trees: BTreeMap<String, Repository>,
    /// Where logs are, one directory a flight.
    logs: PathBuf,
    /// Set when the user wants to stop.
    cancel: &'a Cancel,
    /// Gets one plain line.
    say: &'a dyn Fn(&str),
}

impl<'a> RealWorld<'a> {
    /// Everything of one gate; below `dir` is what it keeps. The caller has its state alone: what a killed gate left there is cleared
    /// away.
    pub fn new(
        layout: &Layout,
        name: &Name,
        gate: Gate,
        dir: PathBuf,
        cancel: &'a Cancel,
        say: &'a dyn Fn(&str),
    ) -> Result<RealWorld<'a>> {
        let repository = |address: &str, name: &str| {
            let mirror = dir.join("git").join(format!("{name}.git"));
            Repository::new(repository::address(layout, address), mirror, cancel)
        };
        let mut trees = BTreeMap::new();
        for (name, tree) in &gate.trees {
            if let Some(refs) = tree.refs() {
                trees.insert(name.to_string(), repository(refs.repository, name.as_str()));
            }
        }
        // No tree can be called so: names begin with a letter or digit.
        let record = gate.record.as_ref().map(|record| repository(&record.repository, "_record"));
        // A gate of this project has no record, and one tree.
        let project = record.or(trees.values().next().cloned()).unwrap_or_else(|| repository(".", "_record"));
        let logs = dir.join("log");
        let checkout = Checkout {
            gate: gate.clone(),
            repository: project,
            dir: dir.join(name).join("checkout"),
            logs: logs.clone(),
            store: layout.store.clone(),
            offline: false,
            cancel: cancel.clone(),
        };
        leftovers::end_processes(&logs);
        let mirrors = trees.values().chain([&checkout.repository]);
        mirrors.into_iter().try_for_each(|repository| leftovers::remove_locks(&repository.mirror))?;
        Ok(RealWorld { gate, checkout, trees, logs, cancel, say })
    }

    /// Jobs open no socket; repositories are still asked where they are.
    pub fn offline(mut self, offline: bool) -> Self {
        self.checkout.offline = offline;
        self
    }

    /// Where a tree is; `None` for one without refs.
    fn tree(&self, name: &str) -> Result<Option<(&Repository, Refs<'_>)>> {
        let tracked = self.gate.trees.get(name);
        let tracked = tracked.ok_or_else(|| {
            let known = self.gate.trees.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
            Error::input(format!("the gate has no tree `{name}`; it has {known}"))
        })?;
        Ok(self.trees.get(name).zip(tracked.refs()))
    }

    fn job(&self, name: &str) -> Result<&Job> {
        let found = self.gate.defined.iter().find(|(defined, _)| defined.as_str() == name);
        found.map(|(_, job)| job).ok_or_else(|| Error::input(format!("the gate has no job `{name}`")))
    }

    /// Where a ref is that moves. Its repository may have another address by now.
    fn repository_of(&self, intent: &Intent) -> Result<&Repository> {
        let Some(tree) = &intent.tree else { return Ok(&self.checkout.repository) };
        let found = self.tree(tree)?.map(|(repository, _)| repository);
        found
            .ok_or_else(|| Error::input(format!("tree `{tree}` has no refs any more, and one of them is to be pushed")))
    }

    /// The revision of a tree that somebody names: a commit, tag or branch, or the version of a tree without refs.
    pub fn named(&self, tree: &str, text: &str) -> Result<Revision> {
        match self.tree(tree)? {
            Some((repository, refs)) => repository.named(text, &[refs.untested, refs.tested]),
            None => Ok(Revision(text.to_owned())),
        }
    }

    /// The commits between two revisions, newest first.
    pub fn commits(&self, tree: &str, old: &str, new: &str) -> Result<Vec<Commit>> {
        match self.tree(tree)? {
            Some((repository, _)) => repository.log(tree, old, new),
            None => Ok(Vec::new()),
        }
    }

    /// Who made the commits between two revisions, and which: as `git shortlog` has it.
    pub fn shortlog(&self, tree: &str, old: &str, new: &str) -> Result<Vec<String>> {
        match self.tree(tree)? {
            Some((repository, _)) => repository.shortlog(old, new),
            None => Ok(Vec::new()),
        }
    }
}

/// What the model has to know of a gate.
pub fn plan(name: &Name, gate: &Gate) -> Plan {
    let tree = |(name, tree): (&Name, &definition::Tracked)| TreePlan {
        name: name.to_string(),
        moves: tree.moves,
        rebasing: tree.rebasing,
    };
    let job = |(name, job): &(Name, Job)| JobPlan {
        name: name.to_string(),
        kind: match job.run {
            Does::Build { .. } => JobKind::Build,
            Does::Test { .. } | Does::Boot { .. } => JobKind::Test,
        },
        tier: match job.tier {
            definition::Tier::Smoke => Tier::Smoke,
            definition::Tier::Full => Tier::Full,
        },
        needs: job.needs.iter().map(ToString::to_string).collect(),
        retries: job.retries,
        advisory: !job.blocking,
        deterministic: job.deterministic,
    };
    Plan {
        branch: name.to_string(),
        trees: gate.trees.iter().map(tree).collect(),
        jobs: gate.defined.iter().map(job).collect(),
        policy: Policy {
            bisect: gate.bisect,
            each_commit: gate.queue.each_commit,
            window: gate.queue.window,
            batch: gate.queue.batch,
        },
    }
}

impl World for RealWorld<'_> {
    fn now(&mut self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
    }

    fn candidate(&mut self, tree: &str) -> Result<Revision> {
        let Some((repository, refs)) = self.tree(tree)? else { return self.checkout.newest(tree) };
        let tip = repository.read_ref(refs.untested)?;
        tip.map(Revision).ok_or_else(|| {
            let (address, untested) = (&repository.address, refs.untested);
            Error::input(format!("tree `{tree}`: `{address}` has no ref `{untested}`"))
                .help(format!("git ls-remote {address}"))
        })
    }

    fn tested(&mut self, tree: &str) -> Result<Option<Revision>> {
        match self.tree(tree)? {
            Some((repository, refs)) => Ok(repository.read_ref(refs.tested)?.map(Revision)),
            None => self.checkout.tested_version(tree),
        }
    }

    fn contains(&mut self, tree: &str, new: &Revision, old: &Revision) -> Result<bool> {
        let Some((repository, refs)) = self.tree(tree)? else { return Ok(!versions::is_older(new, old)) };
        repository.fetch(&[refs.untested, refs.tested])?;
        repository.contains(&new.0, &old.0)
    }

    fn row(&mut self, from: &Tuple, to: &Tuple) -> Result<Vec<Tuple>> {
        let mut queues = Vec::new();
        for (name, old, new) in to.moved_from(from) {
            let commits = match (self.tree(name)?, old) {
                (Some((repository, refs)), Some(old)) => {
                    repository.fetch(&[refs.untested, refs.tested])?;
                    match repository.contains(&new.0, &old.0)? {
                        true => repository.commits(&new.0, &[&old.0])?,
                        false => vec![(0, new.0.clone())],
                    }
                }
                _ => vec![(0, new.0.clone())],
            };
            queues.push((name, VecDeque::from(commits)));
        }
        let mut row = vec![from.clone()];
        let next = |queues: &mut Vec<(&str, VecDeque<(i64, String)>)>| {
            let earliest = queues.iter_mut().filter(|(_, queue)| !queue.is_empty());
            let (name, queue) = earliest.min_by_key(|(_, queue)| queue.front().map(|(date, _)| *date))?;
            queue.pop_front().map(|(_, commit)| (name.to_owned(), commit))
        };
        while let Some((name, commit)) = next(&mut queues) {
            let tuple = row.last().unwrap_or(from).with(&name, &Revision(commit));
            row.push(tuple);
        }
        Ok(row)
    }

    fn merged(&mut self, tree: &str, commit: &Revision) -> Result<Vec<Vec<Revision>>> {
        let sides = self.tree(tree)?.map(|(repository, _)| repository.merged(&commit.0)).transpose()?;
        Ok(sides.unwrap_or_default().into_iter().map(|side| side.into_iter().map(Revision).collect()).collect())
    }

    fn depends_on(&mut self, tree: &str, old: &Revision, new: &Revision) -> Result<Vec<Needed>> {
        let Some((repository, refs)) = self.tree(tree)? else { return Ok(Vec::new()) };
        repository.fetch(&[refs.untested, refs.tested])?;
        Ok(footers::needed(&repository.footers("Depends-On", &old.0, &new.0)?))
    }

    fn begin_like(&mut self, flight: FlightNo, like: FlightNo) -> Result<()> {
        self.checkout.take_project(flight, like)
    }

    fn digest(&mut self, order: &JobOrder<'_>) -> Result<Option<String>> {
        let job = self.job(&order.job.name)?;
        // Builds are found again by the store itself, and boot jobs always run.
        if !matches!(job.run, Does::Test { .. }) {
            return Ok(None);
        }
        let prepared = self.checkout.prepare(order.flight, order.tuple);
        match prepared.and_then(|()| self.checkout.project_of(order.flight, order.tuple)) {
            Ok(project) => again::digest(&self.checkout, job, order, &project, self.cancel),
            Err(error) if is_machine(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn run(&mut self, order: &JobOrder<'_>, on_step: OnStep<'_>) -> Result<JobEnd> {
        let job = self.job(&order.job.name)?;
        let logs = self.logs.join(order.flight.to_string()).join(&order.job.name);
        let run = job::Run { checkout: &self.checkout, job, order, logs, say: self.say };
        run.go(on_step, self.cancel)
    }

    fn refs(&mut self, flight: &Flight) -> Result<Vec<Intent>> {
        let baseline = flight.baseline.clone().unwrap_or_default();
        let mut refs = Vec::new();
        for (name, old, new) in flight.tuple.moved_from(&baseline) {
            let rewinds = self.gate.trees.get(name).is_some_and(|tracked| tracked.rebasing);
            // Of a tree without refs the lock is what moves.
            let Some((repository, tracked)) = self.tree(name)? else { continue };
            refs.push(Intent {
                tree: Some(name.to_owned()),
                repository: repository.address.clone(),
                r#ref: tracked.tested.to_owned(),
                old: old.map(|old| old.0.clone()),
                new: new.0.clone(),
                rewinds,
                state: PushState::Intended,
            });
        }
        let Some(record) = &self.gate.record else { return Ok(refs) };
        if let Some((old, new)) = self.checkout.record_of(&record.to, flight)? {
            let repository = self.checkout.repository.address.clone();
            let (r#ref, state) = (record.to.clone(), PushState::Intended);
            refs.push(Intent { tree: None, repository, r#ref, old, new, rewinds: false, state });
        }
        Ok(refs)
    }

    fn read_ref(&mut self, intent: &Intent) -> Result<Option<String>> {
        self.repository_of(intent)?.read_ref(&intent.r#ref)
    }

    fn is_forward(&mut self, intent: &Intent) -> Result<bool> {
        match &intent.old {
            Some(old) => self.repository_of(intent)?.contains(&intent.new, old),
            None => Ok(true),
        }
    }

    fn push(&mut self, intent: &Intent) -> Result<Pushed> {
        self.repository_of(intent)?.push(&intent.r#ref, intent.old.as_deref(), &intent.new)
    }

    fn say(&mut self, line: &str) {
        (self.say)(line);
    }
}

/// What the machine does to a job: `None` where it is the user who stops us.
fn is_machine(error: &Error) -> bool {
    error.kind() != Kind::Interrupted
}
