//! From the last job to the decision: evidence out of the store, and another try where chance may have played.

use super::{Gate, Judged, NotPushed, Ran};
use crate::bisect::Hunted;
use crate::classify::{Class, Evidence, Verdict, classify};
use crate::error::Result;
use crate::model::{Blessing, Flight, FlightNo, FlightState, JobKind, JobState, Tuple};
use crate::plan::JobPlan;
use crate::store::{ABANDONED, OrderKind};
use crate::world::World;

/// Stands in an outcome between the verdict's and the reason.
pub(super) const PUSH_REFUSED: &str = " - push refused: ";

impl<W: World> Gate<'_, W> {
    /// What is known of a flight.
    pub(super) fn with_evidence<T>(&self, flight: &Flight, judge: impl FnOnce(&Evidence<'_>) -> T) -> Result<T> {
        let branch = &flight.branch;
        let nothing = Tuple::default();
        let baseline = flight.baseline.as_ref().unwrap_or(&nothing);
        let mut basis = Vec::from_iter(self.usable_baseline(baseline)?);
        basis.extend(self.other_flights(
            branch,
            baseline,
            basis.first().map_or(flight.flight, |first| first.flight),
        )?);
        let retries = self.store.retries(flight.flight)?;
        let mut others = self.other_flights(branch, &flight.tuple, flight.flight)?;
        // Stable: its own first, and of both the newest first.
        others.sort_by_key(|other| !retries.contains(&other.flight));
        let allowed = self.store.allowances()?;
        // An error here would say that it never passed, which stops nobody: so all are asked before.
        let mut passed = Vec::new();
        for flight in std::iter::once(flight).chain(&others) {
            for job in &flight.jobs {
                for step in job.steps.iter().filter(|step| !step.has_passed()) {
                    if self.store.has_ever_passed(branch, &job.name, &step.testid)? {
                        passed.push((job.name.clone(), step.testid.clone()));
                    }
                }
            }
        }
        let ever_passed = |job: &str, testid: &str| passed.iter().any(|(j, t)| j == job && t == testid);
        // Allowances end while a flight runs as any day ends: what counts is when it ended.
        let now = flight.finished.unwrap_or(flight.started);
        let evidence =
            Evidence { flight, basis: &basis, others: &others, ever_passed: &ever_passed, allowed: &allowed, now };
        Ok(judge(&evidence))
    }

    fn other_flights(&self, branch: &str, tuple: &Tuple, but: u64) -> Result<Vec<Flight>> {
        let numbers = self.store.flights_of(branch, tuple)?;
        numbers.into_iter().filter(|(number, _)| *number != but).map(|(number, _)| self.store.flight(number)).collect()
    }

    /// Judges a candidate's flight. `None` where another try was made, or a push is to be done, and the flight is to be looked at
    /// again.
    pub(super) fn decide(&mut self, flight: &Flight) -> Result<Option<Ran>> {
        let verdict = self.with_evidence(flight, classify)?;
        let again = self.worth_another_try(flight, &verdict)?;
        if !again.is_empty() {
            let baseline = flight.baseline.clone().unwrap_or_default();
            let retry = self.begin(Blessing::Retry, &flight.tuple, &baseline, Some(flight.flight), again)?;
            return self.carry_on(retry).map(|_| None);
        }
        let forces = self.forces(flight)?;
        let now = self.world.now();
        let outcome = verdict.outcome.as_str();
        let why = match self.order(OrderKind::Block)? {
            _ if !verdict.outcome.is_tolerable() && forces.is_none() => NotPushed::Blocked,
            Some(order) => NotPushed::Ordered(order),
            None => {
                let intents = self.world.refs(flight)?;
                self.store.intend(flight.flight, outcome, &intents, now)?;
                return Ok(None);
            }
        };
        match self.worth_a_hunt(flight, &verdict)? {
            Some(hunt) if why == NotPushed::Blocked => {
                self.store.finish_hunted(flight.flight, &flight.branch, outcome, &hunt, now)?;
            }
            _ => self.store.set_flight(flight.flight, FlightState::Done, Some(outcome), now)?,
        }
        Ok(Some(Ran::NotPushed(judged(flight, verdict, false), why)))
    }

    /// The orders that force every moved revision of a flight; `None` where one of them is not forced.
    pub(super) fn forces(&self, flight: &Flight) -> Result<Option<Vec<i64>>> {
        let orders = self.store.orders(&flight.branch)?;
        let baseline = flight.baseline.clone().unwrap_or_default();
        let of = |revision: &str| {
            let is_it = |order: &crate::store::Order| {
                order.kind == OrderKind::Force && order.revision.as_deref() == Some(revision)
            };
            orders.iter().find(|(_, order)| is_it(order)).map(|(number, _)| *number)
        };
        Ok(flight.tuple.moved_from(&baseline).into_iter().map(|(_, _, revision)| of(&revision.0)).collect())
    }

    /// What came of a candidate's flight that is done, told once more; what its round alone knew is not in it.
    pub fn tell_again(&self, number: FlightNo, hunted: Option<Hunted>) -> Result<Ran> {
        let flight = self.store.flight(number)?;
        let verdict = self.with_evidence(&flight, classify)?;
        let forced = !verdict.outcome.is_tolerable();
        let outcome = flight.outcome.clone().unwrap_or_default();
        let why = match outcome.split_once(PUSH_REFUSED) {
            Some((_, why)) => NotPushed::Refused(why.to_owned()),
            None if outcome.starts_with(ABANDONED) => NotPushed::Refused(outcome),
            None if verdict.outcome.is_tolerable() => NotPushed::Refused("an operator ordered so".to_owned()),
            None => NotPushed::Blocked,
        };
        let is_pushed = self.store.was_pushed(&flight)?;
        let judged = Judged { hunted, ..judged(&flight, verdict, is_pushed && forced) };
        Ok(if is_pushed { Ran::Pushed(judged) } else { Ran::NotPushed(judged, why) })
    }

    /// What it stands on was not pushed: with it the tuple means nothing any more.
    pub(super) fn give_up(&mut self, flight: &Flight, ahead: FlightNo) -> Result<Ran> {
        let verdict = self.with_evidence(flight, classify)?;
        let outcome = format!("{} behind flight {ahead}, which was not pushed", verdict.outcome.as_str());
        let now = self.world.now();
        self.store.give_up(flight.flight, &outcome, now)?;
        Ok(Ran::NotPushed(judged(flight, verdict, false), NotPushed::Behind(ahead)))
    }
}

pub(super) fn judged(flight: &Flight, verdict: Verdict, forced: bool) -> Judged {
    let (tuple, baseline) = (flight.tuple.clone(), flight.baseline.clone().unwrap_or_default());
    Judged { flight: flight.flight, tuple, baseline, verdict, forced, hunted: None }
}

impl<'a, W: World> Gate<'a, W> {
    /// The jobs to run again, where chance or the machine may have been to blame for everything that blocks. Never builds.
    fn worth_another_try(&self, flight: &Flight, verdict: &Verdict) -> Result<Vec<&'a JobPlan>> {
        let plan = self.plan;
        let tries = self.store.retries(flight.flight)?.len() as u32;
        let mut names = Vec::new();
        for (finding, _) in verdict.blockers() {
            let job = flight.job(&finding.job).filter(|job| job.kind == JobKind::Test);
            let left = job.and_then(|job| plan.job(&job.name)).filter(|job| job.retries > tries);
            let may_help = !matches!(finding.class, Class::Mismatch(_));
            match left.filter(|_| may_help) {
                Some(job) => names.push(job.name.as_str()),
                // A tree is untested because what would test it failed.
                None if matches!(finding.class, Class::NotTested(_)) => {}
                None => return Ok(Vec::new()),
            }
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        // What waited for them has not run.
        names.extend(flight.jobs.iter().filter(|job| job.state == JobState::Blocked).map(|job| job.name.as_str()));
        Ok(plan.jobs.iter().filter(|job| names.contains(&job.name.as_str())).collect())
    }
}
