//! One run of a gate: finish what was begun, find a candidate, test it, judge it, push it. Every state is in the store before
//! the next thing happens, and the same code goes on after a kill.
//!
//! `candidates.rs` finds what waits, `queue.rs` takes of it what the policy says. `bisect.rs` hunts a culprit. `retry.rs` obeys who wants
//! to see a flight once more. `jobs.rs` runs the jobs of a flight; `judge.rs` gathers evidence, tries again, decides; `push.rs`
//! moves refs. `told.rs` tells whoever runs it what came of each.

mod bisect;
mod candidates;
mod jobs;
mod judge;
mod push;
mod queue;
mod retry;
#[cfg(test)]
mod tests;
mod told;

use serde::Serialize;

use crate::bisect::Hunted;
use crate::classify::{Outcome, Verdict};
use crate::error::Result;
use crate::model::{
    Blessing, Flight, FlightNo, FlightState, JobKind, JobState, PREPARATIONS, Revision, StepState, Tuple,
};
use crate::plan::{JobPlan, Plan};
use crate::report;
use crate::store::{NewFlight, Order, OrderKind, Store};
use crate::world::World;

use candidates::Waiting;
pub use told::OnRan;
use told::Told;

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
    /// A candidate's commits depend on something that is not there to be tested with it.
    Unmet {
        /// The tree.
        tree: String,
        /// Its candidate.
        candidate: Revision,
        /// What is missing.
        why: String,
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
    /// It was tested on top of this flight's candidate, which was not pushed.
    Behind(FlightNo),
}

/// A flight that begins.
struct Start<'a> {
    blessing: Blessing,
    parent: Option<FlightNo>,
    bisection: Option<i64>,
    width: u32,
    order: Option<i64>,
    jobs: Vec<&'a JobPlan>,
}

impl<'a> Start<'a> {
    fn new(blessing: Blessing, jobs: Vec<&'a JobPlan>) -> Start<'a> {
        Start { blessing, parent: None, bisection: None, width: 1, order: None, jobs }
    }
}

impl<W: World> Gate<'_, W> {
    /// One run; of several things that came of it, the last.
    pub fn run(&mut self) -> Result<Ran> {
        Ok(self.round()?.pop().expect("a round tells something"))
    }

    /// One run: what an earlier one left, else what the policy takes of the waiting candidates. Everything that came of it, at least
    /// one thing.
    pub fn round(&mut self) -> Result<Vec<Ran>> {
        self.round_telling(&mut |_, _, _| Ok(()))
    }

    /// The same; each thing is told as soon as it is known.
    pub fn round_telling(&mut self, on_ran: OnRan<'_, W>) -> Result<Vec<Ran>> {
        let mut told = Told::new(on_ran);
        self.resume(&mut told)?;
        self.hunt_on(&mut told)?;
        while told.count() == 0 || self.goes_on(&told)? {
            self.test_next(&mut told)?;
        }
        Ok(told.into_rans())
    }

    /// A round is not over: a batch is to be halved, or each commit is to have its turn.
    fn goes_on(&mut self, told: &Told<'_, W>) -> Result<bool> {
        if self.order(OrderKind::Stop)?.is_some() {
            return Ok(false);
        }
        if self.is_batch_to_halve(told.last())? {
            return Ok(true);
        }
        let is_judged = |ran: &Ran| match ran {
            Ran::Pushed(_) => true,
            Ran::NotPushed(judged, NotPushed::Blocked) => judged.verdict.outcome == Outcome::Regressions,
            _ => false,
        };
        // What was behind it waits again: after a verdict that says nothing, for another day.
        if !self.plan.policy.each_commit || !told.last_judged().is_some_and(is_judged) {
            return Ok(false);
        }
        let tested = self.tested()?;
        let waiting = self.waiting(&tested)?;
        Ok(waiting.candidates.iter().any(|candidate| !candidate.had_its_turn))
    }

    /// Tests what comes next. Tells at least one thing.
    fn test_next(&mut self, told: &mut Told<'_, W>) -> Result<()> {
        if let Some(order) = self.order(OrderKind::Stop)? {
            return self.tell(told, Ran::Stopped(order));
        }
        if let Some(ran) = self.retry_ordered()? {
            return self.tell(told, ran);
        }
        let tested = self.tested()?;
        if tested.0.len() < self.plan.trees.len() {
            // Before the first push there is nothing to keep the others at.
            let tuple = self.first_tuple(&tested)?;
            let flight = self.begin(Blessing::Real, &tuple, &tested, None, self.all_jobs())?;
            return self.finish(told, flight);
        }
        let Waiting { candidates, held } = self.waiting(&tested)?;
        if candidates.is_empty() {
            let nothing = held.is_empty().then_some(Ran::UpToDate(tested));
            return held.into_iter().chain(nothing).try_for_each(|ran| self.tell(told, ran));
        }
        for ran in &held {
            self.world.say(report::ran_text(&self.plan.branch, ran).trim_end());
        }
        if !self.is_usable_baseline(&tested)? {
            self.world.say(&format!("the baseline was never tested: {tested}"));
            let flight = self.begin(Blessing::Baseline, &tested, &tested, None, self.all_jobs())?;
            self.carry_on(flight)?;
            if !self.is_usable_baseline(&tested)? {
                return self.tell(told, Ran::NoBaseline { flight });
            }
        }
        let before = told.count();
        self.test_waiting(told, &tested, &candidates)?;
        // What is in the tested tuple already needs no test.
        if told.count() == before { self.tell(told, Ran::UpToDate(tested)) } else { Ok(()) }
    }

    /// Brings to its end what an earlier run left, and tells what came of its candidates.
    fn resume(&mut self, told: &mut Told<'_, W>) -> Result<()> {
        let open = self.store.open_flights(&self.plan.branch)?;
        // What is run again belongs to a flight that waits for it.
        let (again, own): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, parent)| parent.is_some());
        for (flight, _) in again.into_iter().chain(own) {
            self.world.say(&format!("going on with flight {flight}"));
            self.finish(told, flight)?;
        }
        Ok(())
    }

    /// Brings a flight to its end, and tells what came of it where it is a candidate's.
    fn finish(&mut self, told: &mut Told<'_, W>, flight: FlightNo) -> Result<()> {
        match self.carry_on(flight)? {
            Some(ran) => self.tell(told, ran),
            None => Ok(()),
        }
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
        let flights = self.start_all(&[tuple], baseline, start)?;
        Ok(*flights.first().expect("one tuple, one flight"))
    }

    /// Begins a flight of each tuple, compared with the one before it.
    fn start_all(&mut self, tuples: &[&Tuple], baseline: &Tuple, start: Start<'_>) -> Result<Vec<FlightNo>> {
        let Start { blessing, parent, bisection, width, order, mut jobs } = start;
        // Smoke first; otherwise as they stand, each behind what it needs.
        jobs.sort_by_key(|job| job.tier);
        let (branch, now) = (&self.plan.branch, self.world.now());
        let new = |tuple, baseline| NewFlight {
            blessing,
            parent,
            bisection,
            width,
            order,
            ..NewFlight::new(branch, tuple, baseline, &jobs, now)
        };
        let below = std::iter::once(baseline).chain(tuples.iter().copied());
        let queue: Vec<_> = tuples.iter().copied().zip(below).map(|(tuple, below)| new(tuple, below)).collect();
        let flights = self.store.begin_queue(&queue)?;
        for (flight, tuple) in flights.iter().zip(tuples) {
            self.world.say(&format!("flight {flight} ({blessing}): {tuple}"));
        }
        Ok(flights)
    }

    /// From whatever state a flight is in to its end.
    fn carry_on(&mut self, number: FlightNo) -> Result<Option<Ran>> {
        loop {
            let flight = self.store.flight(number)?;
            match flight.state {
                FlightState::Running | FlightState::Ended if flight.blessing == Blessing::Real => {
                    if let Some(ahead) = self.fell_behind(&flight)? {
                        return self.give_up(&flight, ahead).map(Some);
                    }
                    if flight.state == FlightState::Running {
                        self.run_jobs(&flight)?;
                    } else if let Some(ran) = self.decide(&flight)? {
                        return Ok(Some(ran));
                    }
                }
                FlightState::Running => self.run_jobs(&flight)?,
                FlightState::Ended => self.close(&flight)?,
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

    fn first_tuple(&mut self, tested: &Tuple) -> Result<Tuple> {
        let mut tuple = tested.clone();
        for tree in self.plan.trees.iter().filter(|tree| !tested.0.contains_key(&tree.name)) {
            tuple.0.insert(tree.name.clone(), self.world.candidate(&tree.name)?);
        }
        Ok(tuple)
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
                    // A test that this machine can never run says nothing; a build, or what makes ready for it, can always be done.
                    let may_never_run = job.kind == JobKind::Test && !PREPARATIONS.contains(&step.testid.as_str());
                    is_usable &= later.clone().any(|later| later.testid == step.testid && later.has_passed())
                        || may_never_run && !self.store.has_ever_passed(branch, &job.name, &step.testid)?;
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
