//! The gate's outside, for real: refs of repositories, jobs that build through the store or run a program, the record of tested
//! tuples. Judges nothing: that is the crate `xtask-gate`.
//!
//! `repository.rs`: what git is asked and told. `checkout.rs`: the gate's own checkout of this project. `job.rs`: a job's steps.

mod checkout;
mod job;
mod repository;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use xtask_gate::model::{Flight, JobKind, Revision, Tier, Tuple};
use xtask_gate::plan::{JobPlan, Plan, TreePlan};
use xtask_gate::store::{Intent, PushState};
use xtask_gate::world::{JobEnd, JobOrder, OnStep, Pushed, World};

use crate::definition::{self, Does, Gate, Job, Name};
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
    /// Everything of one gate; below `dir` is what it keeps.
    pub fn new(
        layout: &Layout,
        name: &Name,
        gate: Gate,
        dir: PathBuf,
        cancel: &'a Cancel,
        say: &'a dyn Fn(&str),
    ) -> RealWorld<'a> {
        let repository = |address: &str, name: &str| Repository {
            address: repository::address(layout, address),
            mirror: dir.join("git").join(format!("{name}.git")),
            cancel: cancel.clone(),
        };
        let trees = gate.trees.iter();
        let trees = trees.map(|(name, tree)| (name.to_string(), repository(&tree.repository, name.as_str()))).collect();
        let checkout = Checkout {
            // No tree can be called so: names begin with a letter or digit.
            repository: repository(&gate.record.repository, "_record"),
            dir: dir.join(name).join("checkout"),
            store: layout.store.clone(),
            manifest: gate.manifest.clone(),
            cancel: cancel.clone(),
        };
        RealWorld { gate, checkout, trees, logs: dir.join("log"), cancel, say }
    }

    fn tree(&self, name: &str) -> Result<(&Repository, &definition::Tracked)> {
        let found = self.trees.get(name).zip(self.gate.trees.get(name));
        found.ok_or_else(|| Error::input(format!("the gate has no tree `{name}`")))
    }

    fn job(&self, name: &str) -> Result<&Job> {
        let found = self.gate.defined.iter().find(|(defined, _)| defined.as_str() == name);
        found.map(|(_, job)| job).ok_or_else(|| Error::input(format!("the gate has no job `{name}`")))
    }

    fn repository_at(&self, address: &str) -> Result<&Repository> {
        let mut all = self.trees.values().chain([&self.checkout.repository]);
        all.find(|repository| repository.address == address)
            .ok_or_else(|| Error::input(format!("the gate works with no repository `{address}` any more")))
    }

    /// From one tuple to another, one tree by one commit a step, in the order of their dates; along first parents, or through `all`
    /// that was merged. A tree that was rewound goes in one step.
    pub fn row(&self, from: &Tuple, to: &Tuple, all: bool) -> Result<Vec<Tuple>> {
        let mut queues = Vec::new();
        for (name, old, new) in to.moved_from(from) {
            let (repository, tracked) = self.tree(name)?;
            repository.fetch(&[&tracked.untested, &tracked.tested])?;
            let commits = match old {
                Some(old) if repository.contains(&new.0, &old.0)? => repository.commits(&old.0, &new.0, all)?,
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

    /// Who made the commits between two revisions, and which: as `git shortlog` has it.
    pub fn shortlog(&self, tree: &str, old: &str, new: &str) -> Result<Vec<String>> {
        self.tree(tree)?.0.shortlog(old, new)
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
            Does::Test { .. } => JobKind::Test,
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
    }
}

impl World for RealWorld<'_> {
    fn now(&mut self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
    }

    fn candidate(&mut self, tree: &str) -> Result<Revision> {
        let (repository, tracked) = self.tree(tree)?;
        let tip = repository.read_ref(&tracked.untested)?;
        tip.map(Revision).ok_or_else(|| {
            let (address, r#ref) = (&repository.address, &tracked.untested);
            Error::input(format!("tree `{tree}`: `{address}` has no ref `{ref}`"))
                .help(format!("git ls-remote {address}"))
        })
    }

    fn tested(&mut self, tree: &str) -> Result<Option<Revision>> {
        let (repository, tracked) = self.tree(tree)?;
        Ok(repository.read_ref(&tracked.tested)?.map(Revision))
    }

    fn contains(&mut self, tree: &str, new: &Revision, old: &Revision) -> Result<bool> {
        let (repository, tracked) = self.tree(tree)?;
        repository.fetch(&[&tracked.untested, &tracked.tested])?;
        repository.contains(&new.0, &old.0)
    }

    fn digest(&mut self, _order: &JobOrder<'_>) -> Result<Option<String>> {
        // Builds are found again by the store itself. A test's inputs are known once its checkout is made; not yet.
        Ok(None)
    }

    fn run(&mut self, order: &JobOrder<'_>, on_step: OnStep<'_>) -> Result<JobEnd> {
        let job = self.job(&order.job.name)?;
        let logs = self.logs.join(order.flight.to_string()).join(&order.job.name);
        let run = job::Run { checkout: &self.checkout, job, order, logs, from: &self.gate.record.from };
        run.go(on_step, self.cancel)
    }

    fn refs(&mut self, flight: &Flight) -> Result<Vec<Intent>> {
        let baseline = flight.baseline.clone().unwrap_or_default();
        let mut refs = Vec::new();
        for (name, old, new) in flight.tuple.moved_from(&baseline) {
            let (repository, tracked) = self.tree(name)?;
            refs.push(Intent {
                repository: repository.address.clone(),
                r#ref: tracked.tested.clone(),
                old: old.map(|old| old.0.clone()),
                new: new.0.clone(),
                rewinds: tracked.rebasing,
                state: PushState::Intended,
            });
        }
        let record = &self.gate.record;
        self.checkout.prepare(&record.from, &flight.tuple)?;
        if let Some((old, new)) = self.checkout.record(&record.from, &record.to, flight)? {
            let repository = self.checkout.repository.address.clone();
            let (r#ref, state) = (record.to.clone(), PushState::Intended);
            refs.push(Intent { repository, r#ref, old, new, rewinds: false, state });
        }
        Ok(refs)
    }

    fn read_ref(&mut self, intent: &Intent) -> Result<Option<String>> {
        self.repository_at(&intent.repository)?.read_ref(&intent.r#ref)
    }

    fn push(&mut self, intent: &Intent) -> Result<Pushed> {
        let repository = self.repository_at(&intent.repository)?;
        match &intent.old {
            Some(old) if !intent.rewinds && !repository.contains(&intent.new, old)? => {
                Ok(Pushed::Refused(format!("{} does not contain {old}", intent.new)))
            }
            _ => repository.push(&intent.r#ref, intent.old.as_deref(), &intent.new),
        }
    }

    fn say(&mut self, line: &str) {
        (self.say)(line);
    }
}

/// What the machine does to a job: `None` where it is the user who stops us.
fn is_machine(error: &Error) -> bool {
    error.kind() != Kind::Interrupted
}
