//! One run of a gate: finish what was begun, find a candidate, test it, judge it, push it. Every state is in the store before
//! the next thing happens, and the same code goes on after a kill.
//!
//! `bisect.rs` hunts a culprit. `retry.rs` obeys who wants to see a flight once more. `jobs.rs` runs the jobs of a flight; `judge.rs` gathers evidence, tries again, decides and pushes.

mod bisect;
mod jobs;
mod judge;
mod retry;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::bisect::Hunted;
use crate::classify::Verdict;
use crate::error::Result;
use crate::model::{Blessing, Flight, FlightNo, FlightState, JobState, Revision, StepState, Tuple};
use crate::plan::{JobPlan, Plan};
use crate::store::{NewFlight, Order, OrderKind, Store};
use crate::world::World;

/// A gate at work.
#[derive(Debug)]
pub struct Gate<'a, W: World> {
    /// What happened.
    pub store: &'a mut Store,
    /// The outside.
    pub world: &'a mut W,
    /// What it is told to do.
    pub plan: &'a Plan,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ran {
    /// An operator wants no flights.
    Stopped(Order),
    /// Every candidate is tested.
    UpToDate(Tuple),
    /// A candidate does not contain what was tested, and its tree is not one that rewinds.
    Rewound {
        /// The tree.
        tree: String,
        /// Its candidate.
        candidate: Revision,
        /// What was tested.
        tested: Revision,
    },
    /// The baseline could not be tested, so nothing can be compared with it.
    NoBaseline {
        /// Its flight.
        flight: FlightNo,
    },
    /// A candidate was judged and pushed.
    Pushed(Judged),
    /// A candidate was judged and not pushed.
    NotPushed(Judged, NotPushed),
}

/// A flight with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Judged {
    /// The flight.
    pub flight: FlightNo,
    /// What was tested.
    pub tuple: Tuple,
    /// What it was compared with.
    pub baseline: Tuple,
    /// The verdict.
    pub verdict: Verdict,
    /// An operator had it pushed.
    pub forced: bool,
    /// What the bisection of its first regression came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hunted: Option<Hunted>,
}

/// Why a candidate was not pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotPushed {
    /// The verdict.
    Blocked,
    /// An operator.
    Ordered(Order),
    /// The ref was somewhere else; why.
    Refused(String),
}

/// A flight that begins.
struct Start<'a> {
    blessing: Blessing,
    parent: Option<FlightNo>,
    ahead: Option<FlightNo>,
    width: u32,
    order: Option<i64>,
    jobs: Vec<&'a JobPlan>,
}

impl<'a> Start<'a> {
    fn new(blessing: Blessing, jobs: Vec<&'a JobPlan>) -> Start<'a> {
        Start { blessing, parent: None, ahead: None, width: 1, order: None, jobs }
    }
}

impl<W: World> Gate<'_, W> {
    /// One run.
    pub fn run(&mut self) -> Result<Ran> {
        let mut told = Vec::from_iter(self.resume()?);
        self.hunt_on(&mut told)?;
        if let Some(ran) = told.pop() {
            return Ok(ran);
        }
        let mut told = vec![self.test_next()?];
        self.hunt_on(&mut told)?;
        Ok(told.pop().expect("what was told is not taken away"))
    }

    /// Tests the next candidate.
    fn test_next(&mut self) -> Result<Ran> {
        if let Some(order) = self.order(OrderKind::Stop)? {
            return Ok(Ran::Stopped(order));
        }
        if let Some(ran) = self.retry_ordered()? {
            return Ok(ran);
        }
        let tested = self.tested()?;
        let Some((tree, candidate)) = self.candidate(&tested)? else { return Ok(Ran::UpToDate(tested)) };
        let tuple = match tested.0.len() == self.plan.trees.len() {
            true => tested.with(&tree, &candidate),
            // Before the first push there is nothing to keep the others at.
            false => self.first_tuple(&tested)?,
        };
        if let Some((tree, candidate, tested)) = self.rewound(&tuple, &tested)? {
            return Ok(Ran::Rewound { tree, candidate, tested });
        }
        if tested.0.len() == self.plan.trees.len() && !self.is_usable_baseline(&tested)? {
            self.world.say(&format!("the baseline was never tested: {tested}"));
            let flight = self.begin(Blessing::Baseline, &tested, &tested, None, self.all_jobs())?;
            self.carry_on(flight)?;
            if !self.is_usable_baseline(&tested)? {
                return Ok(Ran::NoBaseline { flight });
            }
        }
        let flight = self.begin(Blessing::Real, &tuple, &tested, None, self.all_jobs())?;
        Ok(self.carry_on(flight)?.expect("a flight that was just begun for a candidate ends with a verdict"))
    }

    /// Brings to its end what an earlier run left. Gives what came of a candidate.
    fn resume(&mut self) -> Result<Option<Ran>> {
        let open = self.store.open_flights(&self.plan.branch)?;
        // What is run again belongs to a flight that waits for it.
        let (again, own): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, parent)| parent.is_some());
        let mut last = None;
        for (flight, _) in again.into_iter().chain(own) {
            self.world.say(&format!("going on with flight {flight}"));
            last = self.carry_on(flight)?.or(last);
        }
        Ok(last)
    }

    fn begin(
        &mut self,
        blessing: Blessing,
        tuple: &Tuple,
        baseline: &Tuple,
        parent: Option<FlightNo>,
        jobs: Vec<&JobPlan>,
    ) -> Result<FlightNo> {
        self.start(tuple, baseline, Start { parent, ..Start::new(blessing, jobs) })
    }

    fn start(&mut self, tuple: &Tuple, baseline: &Tuple, start: Start<'_>) -> Result<FlightNo> {
        let Start { blessing, parent, ahead, width, order, mut jobs } = start;
        // Smoke first; otherwise as they stand, each behind what it needs.
        jobs.sort_by_key(|job| job.tier);
        let now = self.world.now();
        let branch = &self.plan.branch;
        let new = NewFlight { branch, blessing, tuple, baseline, parent, ahead, width, order, jobs: &jobs, now };
        let flight = self.store.begin_flight(&new)?;
        self.world.say(&format!("flight {flight} ({blessing}): {tuple}"));
        Ok(flight)
    }

    /// From whatever state a flight is in to its end.
    fn carry_on(&mut self, number: FlightNo) -> Result<Option<Ran>> {
        loop {
            let flight = self.store.flight(number)?;
            match flight.state {
                FlightState::Running => self.run_jobs(&flight)?,
                FlightState::Ended if flight.blessing != Blessing::Real => self.close(&flight)?,
                FlightState::Ended => {
                    if let Some(ran) = self.decide(&flight)? {
                        return Ok(Some(ran));
                    }
                }
                FlightState::Pushing => return self.push(&flight).map(Some),
                FlightState::Done => return Ok(None),
            }
        }
    }

    fn close(&mut self, flight: &Flight) -> Result<()> {
        let passed = flight.jobs.iter().filter(|job| job.state == JobState::Pass).count();
        let outcome = format!("{passed} of {} passed", flight.jobs.len());
        let now = self.world.now();
        self.store.set_flight(flight.flight, FlightState::Done, Some(&outcome), now)
    }

    /// The tuple that was tested; trees that never were are not in it.
    fn tested(&mut self) -> Result<Tuple> {
        let mut tuple = Tuple::default();
        for tree in &self.plan.trees {
            if let Some(revision) = self.world.tested(&tree.name)? {
                tuple.0.insert(tree.name.clone(), revision);
            }
        }
        Ok(tuple)
    }

    /// The tree to move and where to. Of several the one whose candidate has waited longest.
    fn candidate(&mut self, tested: &Tuple) -> Result<Option<(String, Revision)>> {
        let plan = self.plan;
        let mut best: Option<(Option<FlightNo>, String, Revision)> = None;
        for tree in plan.trees.iter().filter(|tree| tree.moves || !tested.0.contains_key(&tree.name)) {
            let candidate = self.world.candidate(&tree.name)?;
            if tested.0.get(&tree.name) == Some(&candidate) {
                continue;
            }
            let flights = self.store.flights_of(&plan.branch, &tested.with(&tree.name, &candidate))?;
            let last = flights.first().map(|(flight, _)| *flight);
            if best.as_ref().is_none_or(|(before, ..)| last < *before) {
                best = Some((last, tree.name.clone(), candidate));
            }
        }
        Ok(best.map(|(_, tree, candidate)| (tree, candidate)))
    }

    fn first_tuple(&mut self, tested: &Tuple) -> Result<Tuple> {
        let mut tuple = tested.clone();
        for tree in self.plan.trees.iter().filter(|tree| !tested.0.contains_key(&tree.name)) {
            tuple.0.insert(tree.name.clone(), self.world.candidate(&tree.name)?);
        }
        Ok(tuple)
    }

    /// A moved tree that would lose what was tested.
    fn rewound(&mut self, tuple: &Tuple, tested: &Tuple) -> Result<Option<(String, Revision, Revision)>> {
        for tree in self.plan.trees.iter().filter(|tree| !tree.rebasing) {
            let (Some(new), Some(old)) = (tuple.0.get(&tree.name), tested.0.get(&tree.name)) else { continue };
            if new != old && !self.world.contains(&tree.name, new, old)? {
                return Ok(Some((tree.name.clone(), new.clone(), old.clone())));
            }
        }
        Ok(None)
    }

    /// A tuple that something can be compared with: tested to the end, by a machine that could do what it ever could.
    fn is_usable_baseline(&self, tuple: &Tuple) -> Result<bool> {
        Ok(self.usable_baseline(tuple)?.is_some())
    }

    fn usable_baseline(&self, tuple: &Tuple) -> Result<Option<Flight>> {
        let branch = &self.plan.branch;
        for (number, blessing) in self.store.flights_of(branch, tuple)? {
            let flight = self.store.flight(number)?;
            if blessing == Blessing::Retry || flight.state == FlightState::Running {
                continue;
            }
            let again = self.store.retries(number)?;
            let again = again.into_iter().map(|retry| self.store.flight(retry)).collect::<Result<Vec<_>>>()?;
            let mut is_usable = true;
            for job in &flight.jobs {
                let later = again.iter().filter_map(|retry| retry.job(&job.name)).flat_map(|job| &job.steps);
                is_usable &= job.state.is_final() && job.state != JobState::Aborted;
                for step in job.steps.iter().filter(|step| step.state == StepState::Broken) {
                    is_usable &= later.clone().any(|later| later.testid == step.testid && later.has_passed())
                        || !self.store.has_ever_passed(branch, &job.name, &step.testid)?;
                }
            }
            if is_usable {
                return Ok(Some(flight));
            }
        }
        Ok(None)
    }

    /// The first order of a kind that stands for this branch.
    fn order(&self, kind: OrderKind) -> Result<Option<Order>> {
        let orders = self.store.orders(&self.plan.branch)?;
        Ok(orders.into_iter().map(|(_, order)| order).find(|order| order.kind == kind))
    }
}

impl<'a, W: World> Gate<'a, W> {
    fn all_jobs(&self) -> Vec<&'a JobPlan> {
        self.plan.jobs.iter().collect()
    }
}
