//! The jobs of one flight, one after the other: what each needs, what may be used again, what a broken machine is given once more.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Gate;
use crate::classify::{Class, classify};
use crate::error::Result;
use crate::model::{BUILT, Blessing, Flight, FlightNo, FlightState, Job, JobState, REQUESTED, Step, StepState, Tier};
use crate::plan::JobPlan;
use crate::store::Place;
use crate::world::{JobEnd, JobOrder, StepEvent, World};

impl<W: World> Gate<'_, W> {
    /// Runs what is left of a flight's jobs.
    pub(super) fn run_jobs(&mut self, flight: &Flight) -> Result<()> {
        let number = flight.flight;
        // Each time that it goes on: it may have been stopped before this was noted.
        if let Some(like) = flight.parent.or(self.store.like(number)?) {
            self.world.begin_like(number, like)?;
        }
        let mut smoke = None;
        for place in 0..flight.jobs.len() {
            let now = self.store.flight(number)?;
            let job = &now.jobs[place];
            if job.state.is_final() {
                continue;
            }
            let Some(plan) = self.plan.job(&job.name) else {
                // Its definition is gone since the flight began.
                self.end(number, place, JobState::Aborted, "undefined", "yes")?;
                continue;
            };
            if job.tier == Tier::Full && now.blessing == Blessing::Real {
                let blocker = match smoke.take() {
                    Some(known) => known,
                    None => self.smoke_blocker(&now)?,
                };
                smoke = Some(blocker.clone());
                if let Some(blocker) = blocker {
                    self.end(number, place, JobState::Blocked, "blocked_by", &blocker)?;
                    continue;
                }
            }
            let parents = self.parent_jobs(&now)?;
            let passed = |need: &String| {
                let here = now.job(need).or(parents.iter().find(|job| job.name == *need));
                here.is_some_and(|job| job.state == JobState::Pass)
            };
            if let Some(need) = plan.needs.iter().find(|need| !passed(need)) {
                self.end(number, place, JobState::Blocked, "blocked_by", need)?;
                continue;
            }
            self.run_job(&now, place, plan)?;
        }
        let now = self.world.now();
        self.store.set_flight(number, FlightState::Ended, None, now)
    }

    /// A job of the smoke tier that stops the push, so that nobody has to wait for the full one.
    fn smoke_blocker(&self, flight: &Flight) -> Result<Option<String>> {
        let mut smoke = flight.clone();
        smoke.jobs.retain(|job| job.tier == Tier::Smoke);
        let verdict = self.with_evidence(&smoke, classify)?;
        let blocker = verdict.blockers().find(|(finding, _)| !matches!(finding.class, Class::NotTested(_)));
        Ok(blocker.map(|(finding, _)| finding.job.clone()))
    }

    /// Jobs of the flight whose failures this one runs again.
    fn parent_jobs(&self, flight: &Flight) -> Result<Vec<Job>> {
        Ok(flight.parent.map(|parent| self.store.flight(parent)).transpose()?.map_or(Vec::new(), |parent| parent.jobs))
    }

    fn end(&mut self, flight: FlightNo, place: usize, state: JobState, why: &str, what: &str) -> Result<()> {
        let why = BTreeMap::from([(why.to_owned(), what.to_owned())]);
        self.store.end_job((flight, place), state, &why, None)
    }

    fn run_job(&mut self, flight: &Flight, place: usize, job: &JobPlan) -> Result<()> {
        let at = (flight.flight, place);
        let order = JobOrder { flight: flight.flight, job, tuple: &flight.tuple };
        let digest = match job.deterministic {
            true => self.world.digest(&order)?,
            false => None,
        };
        // Baselines, retries and bisections are measurements: they always run.
        if flight.blessing == Blessing::Real
            && let Some(digest) = &digest
            && self.use_again(flight, at, digest)?
        {
            return Ok(());
        }
        loop {
            let requested =
                flight.tuple.0.iter().map(|(tree, revision)| (format!("{REQUESTED}{tree}"), revision.0.clone()));
            self.store.begin_job(at, &requested.collect())?;
            let end = self.run_steps(at, &order)?;
            let mut runvars = end.runvars;
            runvars.extend(end.built.into_iter().map(|(tree, revision)| (format!("{BUILT}{tree}"), revision.0)));
            let mut state = if end.state.is_final() { end.state } else { JobState::Broken };
            if state == JobState::Broken && self.store.tries(at)? < job.retries {
                self.world.say(&format!("{}: the machine could not; once more", job.name));
                state = JobState::Retriable;
            }
            self.store.end_job(at, state, &runvars, digest.as_deref())?;
            if state.is_final() {
                self.world.say(&format!("{}: {state}", job.name));
                return Ok(());
            }
        }
    }

    fn run_steps(&mut self, at: Place, order: &JobOrder<'_>) -> Result<JobEnd> {
        let mut count = 0;
        let mut open = false;
        // The world is at work meanwhile and cannot be asked: its time goes on as ours does.
        let (started, clock) = (self.world.now(), Instant::now());
        let now = || started + clock.elapsed().as_secs() as i64;
        let store = &mut *self.store;
        let end = self.world.run(order, &mut |event| match event {
            StepEvent::Begin { testid, log } => {
                count += 1;
                open = true;
                let step =
                    Step { testid, state: StepState::Running, started: now(), finished: None, reason: None, log };
                store.begin_step(at, count, &step)
            }
            StepEvent::End { state, reason } => {
                open = false;
                store.end_step(at, count, state, reason.as_deref(), now())
            }
        })?;
        if open {
            // It left a step unfinished: that is no pass, whatever it says.
            let now = self.world.now();
            self.store.end_step(at, count, StepState::Broken, Some("the job ended in the middle of this step"), now)?;
            return Ok(JobEnd { state: JobState::Broken, ..end });
        }
        Ok(end)
    }

    /// The pass of a job with the same digest, as this one's.
    fn use_again(&mut self, flight: &Flight, at: Place, digest: &str) -> Result<bool> {
        let Some((old_flight, old_place)) = self.store.result(digest)? else { return Ok(false) };
        let old = self.store.flight(old_flight)?;
        let Some(job) = old.jobs.get(old_place).filter(|job| job.state == JobState::Pass) else { return Ok(false) };
        let now = self.world.now();
        self.store.begin_job(at, &BTreeMap::new())?;
        for (number, step) in job.steps.iter().enumerate() {
            self.store.begin_step(at, number + 1, &Step { started: now, finished: None, ..step.clone() })?;
            self.store.end_step(at, number + 1, step.state, None, now)?;
        }
        // Equal digests: what these trees are now gives the same.
        let trees = job.runvars.keys().filter_map(|name| name.strip_prefix(BUILT));
        let built = trees.filter_map(|tree| Some((format!("{BUILT}{tree}"), flight.tuple.0.get(tree)?.0.clone())));
        let mut runvars: BTreeMap<_, _> = built.collect();
        runvars.insert("reused".to_owned(), format!("{old_flight}.{}", job.name));
        self.store.end_job(at, JobState::Pass, &runvars, None)?;
        Ok(true)
    }
}
