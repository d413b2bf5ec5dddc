//! An outside made of a script: trees of commits that break jobs, machines that break, chance that is the same each time.

use std::collections::{BTreeMap, BTreeSet};

use super::script::{Commit, Script, SimJob, needed};
use crate::error::{Error, Result};
use crate::model::{Flight, FlightNo, JobState, Revision, StepState, Tuple};
use crate::store::{Intent, PushState};
use crate::world::{Beside, JobEnd, JobOrder, Needed, OnStep, Pushed, StepEvent, World};

/// The outside.
#[derive(Clone, Debug)]
pub struct SimWorld {
    jobs: BTreeMap<String, SimJob>,
    trees: BTreeMap<String, Tree>,
    /// Runs of a job that its machine will still break.
    broken: BTreeMap<String, u64>,
    /// Where the ref of the record is.
    pub record: Option<String>,
    /// Repositories that refuse whatever is pushed, each with its reason. That of the record is called `record`.
    pub refuses: BTreeMap<String, String>,
    /// Moving this tree would lose something.
    pub loses: Option<String>,
    /// No repository can be reached to push to it.
    pub is_cut_off: bool,
    /// Nothing can be noted of a flight.
    pub is_full: bool,
    /// Flights that were made of the same definitions as another one.
    pub alike: Vec<(FlightNo, FlightNo)>,
    clock: i64,
    chance: u64,
    /// How each job ended on each tuple: the truth, whatever the store says.
    pub truth: BTreeMap<Tuple, Vec<(String, JobState)>>,
    /// What was said, while somebody listens.
    pub lines: Option<Vec<String>>,
    /// Each push, from which tuple to which.
    pub pushed: Vec<(Tuple, Tuple)>,
    /// The tuple before a push of which the record is not there yet.
    pub half_pushed: Option<Tuple>,
    /// For each commit that was pushed: seconds since it was made.
    pub waits: Vec<i64>,
    machines: u32,
    /// When the flights that run beside one another began, and when the last of them ended.
    beside: Option<(i64, i64)>,
}

#[derive(Clone, Debug)]
struct Tree {
    commits: Vec<Node>,
    untested: usize,
    tested: usize,
}

#[derive(Clone, Debug)]
struct Node {
    parent: Option<usize>,
    /// When it was made.
    at: i64,
    broken: BTreeSet<String>,
    needs: Vec<Needed>,
}

impl SimWorld {
    /// Before the first event.
    pub fn new(script: &Script) -> SimWorld {
        let root = || Node { parent: None, at: 0, broken: BTreeSet::new(), needs: Vec::new() };
        let tree = |_| Tree { commits: vec![root()], untested: 0, tested: 0 };
        SimWorld {
            jobs: script.job.iter().map(|job| (job.name.clone(), job.clone())).collect(),
            trees: script.tree.iter().map(|sim| (sim.name.clone(), tree(sim))).collect(),
            broken: BTreeMap::new(),
            record: None,
            refuses: BTreeMap::new(),
            loses: None,
            is_cut_off: false,
            is_full: false,
            alike: Vec::new(),
            clock: 1_000_000_000,
            chance: script.seed,
            truth: BTreeMap::new(),
            lines: None,
            pushed: Vec::new(),
            half_pushed: None,
            waits: Vec::new(),
            machines: u32::try_from(script.machines).unwrap_or(u32::MAX),
            beside: None,
        }
    }

    /// Somebody commits.
    pub fn commit(&mut self, commit: &Commit) -> Result<()> {
        let at = self.now();
        let needs = commit.depends_on.iter().map(|commit| needed(commit)).collect();
        let tree = self.tree(&commit.tree)?;
        let mut broken = tree.commits[tree.untested].broken.clone();
        broken.extend(commit.breaks.iter().cloned());
        broken.retain(|job| !commit.repairs.contains(job));
        tree.commits.push(Node { parent: Some(tree.untested), at, broken, needs });
        tree.untested = tree.commits.len() - 1;
        Ok(())
    }

    /// Somebody resets the untested ref.
    pub fn rewind(&mut self, tree: &str, by: usize) -> Result<()> {
        let tree = self.tree(tree)?;
        for _ in 0..by {
            tree.untested = tree.commits[tree.untested].parent.unwrap_or(0);
        }
        Ok(())
    }

    /// The next runs of a job are broken.
    pub fn break_host(&mut self, job: &str, runs: u64) -> Result<()> {
        self.broken.insert(job.to_owned(), runs);
        Ok(())
    }

    /// Time passes.
    pub fn wait(&mut self, minutes: u32) {
        self.clock += 60 * i64::from(minutes);
    }

    /// Somebody else moves the tested ref to the untested one.
    pub fn push_past_the_gate(&mut self, tree: &str) -> Result<()> {
        let tree = self.tree(tree)?;
        tree.tested = tree.untested;
        Ok(())
    }

    /// Everything that decides what a job gives.
    pub fn inputs(&self, job: &str, tuple: &Tuple) -> Option<String> {
        let job = self.jobs.get(job)?;
        let is_made_of = |tree: &String| job.trees.is_empty() || job.trees.contains(tree);
        let trees = tuple.0.iter().filter(|(tree, _)| is_made_of(tree));
        Some(trees.fold(job.name.clone(), |inputs, (_, revision)| format!("{inputs} {revision}")))
    }

    fn tested_tuple(&self) -> Tuple {
        let trees = self.trees.iter().map(|(name, tree)| (name.clone(), revision(name, tree.tested)));
        Tuple(trees.collect())
    }

    fn tree(&mut self, name: &str) -> Result<&mut Tree> {
        self.trees.get_mut(name).ok_or_else(|| Error::input(format!("the script has no tree `{name}`")))
    }

    /// Splitmix: the same script plays the same history.
    fn throws(&mut self, sides: u64) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn is_broken_by(&mut self, job: &SimJob, tuple: &Tuple) -> Result<bool> {
        for (name, revision) in &tuple.0 {
            let is_made_of = job.trees.is_empty() || job.trees.contains(name);
            let tree = self.tree(name)?;
            let at = position(name, revision)?;
            let node = tree.commits.get(at).ok_or_else(|| Error::input(format!("no commit {revision}")))?;
            if is_made_of && node.broken.contains(&job.name) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Revisions are the tree's name and the number of the commit.
fn revision(tree: &str, number: usize) -> Revision {
    Revision(format!("{tree}-{number}"))
}

fn position(tree: &str, revision: &Revision) -> Result<usize> {
    let number = revision.0.strip_prefix(tree).and_then(|rest| rest.strip_prefix('-')).and_then(|n| n.parse().ok());
    number.ok_or_else(|| Error::input(format!("`{revision}` is no revision of {tree}")))
}

impl World for SimWorld {
    fn now(&mut self) -> i64 {
        self.clock += 1;
        self.clock
    }

    fn candidate(&mut self, tree: &str) -> Result<Revision> {
        let number = self.tree(tree)?.untested;
        Ok(revision(tree, number))
    }

    fn tested(&mut self, tree: &str) -> Result<Option<Revision>> {
        let number = self.tree(tree)?.tested;
        Ok(Some(revision(tree, number)))
    }

    fn contains(&mut self, name: &str, new: &Revision, old: &Revision) -> Result<bool> {
        let (new, old) = (position(name, new)?, position(name, old)?);
        let tree = self.tree(name)?;
        let mut at = Some(new);
        // Parents always have lower numbers.
        while let Some(number) = at.filter(|number| *number > old) {
            at = tree.commits.get(number).and_then(|node| node.parent);
        }
        Ok(at == Some(old))
    }

    fn row(&mut self, from: &Tuple, to: &Tuple) -> Result<Vec<Tuple>> {
        let mut steps = Vec::new();
        for (name, old, new) in to.moved_from(from) {
            let contains = old.map(|old| self.contains(name, new, old)).transpose()?.unwrap_or(false);
            let tree = self.tree(name)?;
            let mut at = position(name, new)?;
            let last = if contains { old.map_or(Ok(at), |old| position(name, old))? } else { at };
            while let Some(node) = tree.commits.get(at).filter(|_| at != last || !contains) {
                steps.push((node.at, name.to_owned(), at));
                match node.parent.filter(|_| contains) {
                    Some(parent) => at = parent,
                    None => break,
                }
            }
        }
        steps.sort();
        let mut row = vec![from.clone()];
        for (_, name, number) in steps {
            let tuple = row.last().unwrap_or(from).with(&name, &revision(&name, number));
            row.push(tuple);
        }
        Ok(row)
    }

    fn depends_on(&mut self, tree: &str, old: &Revision, new: &Revision) -> Result<Vec<Needed>> {
        let (old, mut at) = (position(tree, old)?, Some(position(tree, new)?));
        let tree = self.tree(tree)?;
        let mut found = Vec::new();
        while let Some(node) = at.filter(|at| *at > old).and_then(|at| tree.commits.get(at)) {
            found.extend(node.needs.iter().cloned());
            at = node.parent;
        }
        Ok(found)
    }

    fn begin_like(&mut self, flight: FlightNo, like: FlightNo) -> Result<()> {
        if self.is_full {
            return Err(Error::machine("the disk is full"));
        }
        self.alike.push((flight, like));
        Ok(())
    }

    fn lanes(&self) -> u32 {
        self.machines
    }

    fn beside(&mut self, what: Beside) {
        self.beside = match (what, self.beside) {
            (Beside::Begin, _) => Some((self.clock, self.clock)),
            (Beside::Next, Some((began, last))) => {
                let last = last.max(self.clock);
                self.clock = began;
                Some((began, last))
            }
            (_, beside) => {
                self.clock = self.clock.max(beside.map_or(0, |(_, last)| last));
                None
            }
        };
    }

    fn digest(&mut self, order: &JobOrder<'_>) -> Result<Option<String>> {
        Ok(self.inputs(&order.job.name, order.tuple))
    }

    fn run(&mut self, order: &JobOrder<'_>, on_step: OnStep<'_>) -> Result<JobEnd> {
        let name = &order.job.name;
        let job = self.jobs.get(name).cloned().ok_or_else(|| Error::input(format!("no job `{name}`")))?;
        on_step(StepEvent::Begin { testid: "run".to_owned(), log: None })?;
        self.wait(job.minutes);
        let is_broken = self.broken.get_mut(name).is_some_and(|left| {
            let breaks = *left > 0;
            *left = left.saturating_sub(1);
            breaks
        });
        let fails = job.fails || self.is_broken_by(&job, order.tuple)? || self.throws(100) < job.flaky;
        let (state, step, reason) = match () {
            () if is_broken => (JobState::Broken, StepState::Broken, Some("the machine".to_owned())),
            () if fails => (JobState::Fail, StepState::Fail, Some("it fails".to_owned())),
            () => (JobState::Pass, StepState::Pass, None),
        };
        on_step(StepEvent::End { state: step, reason })?;
        self.truth.entry(order.tuple.clone()).or_default().push((name.clone(), state));
        let is_made_of = |tree: &String| job.trees.is_empty() || job.trees.contains(tree);
        let built = order.tuple.0.iter().filter(|(tree, _)| is_made_of(tree));
        let built = built.map(|(tree, revision)| (tree.clone(), revision.clone())).collect();
        Ok(JobEnd { state, built, runvars: BTreeMap::new() })
    }

    fn refs(&mut self, flight: &Flight) -> Result<Vec<Intent>> {
        let intent = |repository: &str, old: Option<String>, new: String| Intent {
            tree: (repository != "record").then(|| repository.to_owned()),
            repository: repository.to_owned(),
            r#ref: "refs/heads/tested".to_owned(),
            old,
            new,
            rewinds: false,
            state: PushState::Intended,
        };
        let baseline = flight.baseline.clone().unwrap_or_default();
        let moved = flight.tuple.moved_from(&baseline).into_iter();
        let mut refs: Vec<Intent> =
            moved.map(|(tree, old, new)| intent(tree, old.map(|old| old.0.clone()), new.0.clone())).collect();
        refs.push(intent("record", self.record.clone(), format!("flight-{}", flight.flight)));
        Ok(refs)
    }

    fn read_ref(&mut self, intent: &Intent) -> Result<Option<String>> {
        match intent.repository.as_str() {
            "record" => Ok(self.record.clone()),
            tree => Ok(self.tested(tree)?.map(|revision| revision.0)),
        }
    }

    fn is_forward(&mut self, intent: &Intent) -> Result<bool> {
        Ok(self.loses.as_ref() != Some(&intent.repository))
    }

    fn push(&mut self, intent: &Intent) -> Result<Pushed> {
        if self.is_cut_off {
            return Err(Error::machine("the network is gone"));
        }
        let before = self.tested_tuple();
        if let Some(why) = self.refuses.get(&intent.repository) {
            return Ok(Pushed::Refused(why.clone()));
        }
        match intent.repository.as_str() {
            "record" => {
                self.record = Some(intent.new.clone());
                let from = self.half_pushed.take().unwrap_or_else(|| before.clone());
                self.pushed.push((from, before));
            }
            name => {
                self.half_pushed.get_or_insert(before);
                let number = position(name, &Revision(intent.new.clone()))?;
                let now = self.clock;
                let tree = self.tree(name)?;
                let mut at = Some(number);
                let mut waits = Vec::new();
                while let Some(node) = at.filter(|at| *at > tree.tested).and_then(|at| tree.commits.get(at)) {
                    waits.push(now - node.at);
                    at = node.parent;
                }
                tree.tested = number;
                self.waits.extend(waits);
            }
        }
        Ok(Pushed::Done)
    }

    fn say(&mut self, line: &str) {
        if let Some(lines) = &mut self.lines {
            lines.push(line.to_owned());
        }
    }
}
