//! A bisection as flights: each test is one, so that a kill loses none, and whoever looks sees what was tried.

use super::Gate;
use crate::bisect::{End, Next, Seen, next};
use crate::error::{Error, Result};
use crate::model::{Blessing, Flight, FlightState, JobState, StepState, Tuple};
use crate::plan::JobPlan;
use crate::world::World;

/// What is sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunt {
    /// The job.
    pub job: String,
    /// Its step; the whole job where nothing is said.
    pub testid: Option<String>,
    /// The first tuple was taken for good, the last for bad; one tree moves by one commit from each to the next.
    pub row: Vec<Tuple>,
    /// When was it fixed: the first fails, the last passes.
    pub fixed: bool,
}

impl<W: World> Gate<'_, W> {
    /// Tests until the end is known. Flights of an earlier run of the same hunt count.
    pub fn bisect(&mut self, hunt: &Hunt) -> Result<(End, Vec<Seen>)> {
        let jobs = self.jobs_for(&hunt.job)?;
        for number in self.store.open_bisections(&self.plan.branch)? {
            self.carry_on(number)?;
        }
        let mut row = hunt.row.iter().map(|tuple| self.seen(hunt, tuple)).collect::<Result<Vec<_>>>()?;
        loop {
            match next(&row) {
                Next::End(end) => return Ok((end, row)),
                Next::Test(place) => {
                    let tuple = &hunt.row[place];
                    let flight = self.begin(Blessing::Bisect, tuple, tuple, None, jobs.clone())?;
                    self.carry_on(flight)?;
                    row[place] = self.seen(hunt, tuple)?;
                }
            }
        }
    }

    fn seen(&self, hunt: &Hunt, tuple: &Tuple) -> Result<Seen> {
        let mut seen = Seen::default();
        for number in self.store.bisections_of(&self.plan.branch, tuple)? {
            let flight = self.store.flight(number)?;
            if flight.state != FlightState::Done || flight.job(&hunt.job).is_none() {
                continue;
            }
            match outcome(&flight, hunt) {
                Some(passed) if passed != hunt.fixed => seen.good += 1,
                Some(_) => seen.bad += 1,
                None => seen.neither += 1,
            }
        }
        Ok(seen)
    }
}

/// Whether it passed; nothing where that is not known.
fn outcome(flight: &Flight, hunt: &Hunt) -> Option<bool> {
    let job = flight.job(&hunt.job)?;
    let state = match &hunt.testid {
        Some(testid) => job.steps.iter().find(|step| step.testid == *testid)?.state,
        None => match job.state {
            JobState::Pass => StepState::Pass,
            JobState::Fail => StepState::Fail,
            _ => StepState::Broken,
        },
    };
    match state {
        StepState::Pass => Some(true),
        StepState::Fail => Some(false),
        StepState::Broken | StepState::Blocked | StepState::Running | StepState::Unknown => None,
    }
}

impl<'a, W: World> Gate<'a, W> {
    /// The job with all that it needs, in the plan's order.
    fn jobs_for(&self, job: &str) -> Result<Vec<&'a JobPlan>> {
        let plan = self.plan;
        let mut wanted = vec![job];
        let mut next = 0;
        while let Some(name) = wanted.get(next).copied() {
            let found = plan.job(name).ok_or_else(|| {
                let known = plan.jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>().join(", ");
                Error::input(format!("gate `{}` has no job `{name}`; it has {known}", plan.branch))
            })?;
            wanted.extend(found.needs.iter().map(String::as_str));
            next += 1;
        }
        Ok(plan.jobs.iter().filter(|job| wanted.contains(&job.name.as_str())).collect())
    }
}
