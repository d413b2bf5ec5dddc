//! Flights that an operator wants to see once more.

use super::{Gate, Ran, Start};
use crate::error::Result;
use crate::model::{Blessing, Flight, FlightState, JobKind, JobState};
use crate::plan::JobPlan;
use crate::store::OrderKind;
use crate::world::World;

impl<W: World> Gate<'_, W> {
    /// Obeys the first order that still means something: what did not pass is run again, and the candidate judged anew. Where a
    /// build did not pass, all is run again, in a flight of its own.
    pub(super) fn retry_ordered(&mut self) -> Result<Option<Ran>> {
        for (number, order) in self.store.orders(&self.plan.branch)? {
            let Some(wanted) = order.flight.filter(|_| order.kind == OrderKind::Retry) else { continue };
            let flight = self.store.flight(wanted)?;
            if let Some(why) = self.past_retrying(&flight)? {
                self.world.say(&format!("flight {wanted} is not tested once more: {why}"));
                let now = self.world.now();
                self.store.end_order(number, now)?;
                continue;
            }
            let baseline = flight.baseline.clone().unwrap_or_default();
            let again = self.not_passed(&flight);
            let failed = |job: &&&JobPlan| flight.job(&job.name).is_none_or(|job| job.state != JobState::Blocked);
            let is_build = again.iter().filter(failed).any(|job| job.kind == JobKind::Build);
            let start = match is_build || again.is_empty() {
                true => Start { order: Some(number), ..Start::new(Blessing::Real, self.all_jobs()) },
                false => Start { order: Some(number), parent: Some(wanted), ..Start::new(Blessing::Retry, again) },
            };
            let judged = if start.parent.is_some() { Some(wanted) } else { None };
            let retry = self.start(&flight.tuple, &baseline, start)?;
            let ran = self.carry_on(retry)?;
            return match judged {
                Some(judged) => self.carry_on(judged),
                None => Ok(ran),
            };
        }
        Ok(None)
    }

    /// Why testing it once more would say nothing.
    fn past_retrying(&mut self, flight: &Flight) -> Result<Option<String>> {
        if flight.blessing != Blessing::Real || flight.state != FlightState::Done {
            return Ok(Some("it is no candidate that came to its end".to_owned()));
        }
        if self.store.was_pushed(flight)? {
            return Ok(Some("it was pushed".to_owned()));
        }
        let tested = self.tested()?;
        let is_same = flight.baseline.as_ref() == Some(&tested);
        Ok((!is_same).then(|| format!("what it was compared with is no longer what is tested: {tested}")))
    }
}

impl<'a, W: World> Gate<'a, W> {
    /// Jobs that did not pass, as they are defined now.
    fn not_passed(&self, flight: &Flight) -> Vec<&'a JobPlan> {
        let has_passed = |job: &&JobPlan| flight.job(&job.name).is_some_and(|job| job.state == JobState::Pass);
        self.plan.jobs.iter().filter(|job| !has_passed(job)).collect()
    }
}
