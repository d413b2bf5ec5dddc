//! A bisection as flights: each test is one, so that a kill loses none, and whoever looks sees what was tried. A regression begins
//! one of itself, with its verdict; an operator begins others.

use super::judge::judged;
use super::told::Told;
use super::{Gate, Judged, NotPushed, Ran};
use crate::bisect::{End, Hunt, Hunted, Next, Seen, next};
use crate::classify::{Blocker, Class, Outcome, Verdict, classify};
use crate::error::{Error, Result};
use crate::model::{Blessing, Flight, FlightNo, FlightState, JobState, StepState, Tuple};
use crate::plan::JobPlan;
use crate::store::{Bisection, OrderKind};
use crate::world::World;

impl<W: World> Gate<'_, W> {
    /// Tests until the end is known, with what flight `like` was made of. Flights of earlier hunts count.
    pub fn bisect(&mut self, hunt: &Hunt, like: Option<FlightNo>) -> Result<Hunted> {
        // Asked before it is recorded, so that what cannot be hunted is nowhere.
        self.jobs_for(&hunt.job)?;
        for number in self.store.open_bisections(&self.plan.branch)? {
            self.carry_on(number)?;
        }
        let now = self.world.now();
        let begun = self.store.begin_bisection(&self.plan.branch, hunt, now)?;
        self.hunt(&Bisection { flight: like, ..begun }, false)
    }

    /// Tests until the end is known, or an operator stops the gate and it is to heed that.
    fn hunt(&mut self, bisection: &Bisection, heeds_stop: bool) -> Result<Hunted> {
        let Bisection { hunt, begun, .. } = bisection;
        let jobs = self.jobs_for(&hunt.job)?;
        let mut seen = hunt.row.iter().map(|tuple| self.seen(hunt, tuple, *begun)).collect::<Result<Vec<_>>>()?;
        loop {
            let place = match next(&seen) {
                Next::End(end) => {
                    let now = self.world.now();
                    self.store.end_bisection(bisection.bisection, end, now)?;
                    return Ok(Hunted { hunt: hunt.clone(), end: Some(end), seen });
                }
                Next::Test(_) if heeds_stop && self.order(OrderKind::Stop)?.is_some() => {
                    return Ok(Hunted { hunt: hunt.clone(), end: None, seen });
                }
                Next::Test(place) => place,
            };
            let tuple = &hunt.row[place];
            let flight = self.begin(Blessing::Bisect, tuple, tuple, None, jobs.clone())?;
            if let Some(like) = bisection.flight {
                self.world.begin_like(flight, like)?;
            }
            self.carry_on(flight)?;
            seen[place] = self.seen(hunt, tuple, *begun)?;
        }
    }

    /// What to hunt when this verdict stops a candidate: its first regression, unless something is broken too.
    pub(super) fn worth_a_hunt(&mut self, flight: &Flight, verdict: &Verdict) -> Result<Option<Hunt>> {
        let policy = self.plan.policy;
        // Of single commits the name is known; of a batch it is searched for by halves first.
        let is_several = policy.batch > 1 && flight.width > 1;
        if !policy.bisect || policy.each_commit || is_several || verdict.outcome != Outcome::Regressions {
            return Ok(None);
        }
        let is_broken = |class: &Class, kind| kind != Blocker::Regression && !matches!(class, Class::NotTested(_));
        if verdict.blockers().any(|(finding, kind)| is_broken(&finding.class, kind)) {
            return Ok(None);
        }
        let Some((finding, _)) = verdict.blockers().find(|(_, kind)| *kind == Blocker::Regression) else {
            return Ok(None);
        };
        let (job, testid) = (finding.job.clone(), Some(finding.testid.clone()).filter(|testid| !testid.is_empty()));
        let baseline = flight.baseline.clone().unwrap_or_default();
        let row = self.world.row(&baseline, &flight.tuple, false)?;
        let can_be_tested = row.len() > 1 && self.plan.job(&job).is_some();
        Ok(can_be_tested.then_some(Hunt { job, testid, row, fixed: false }))
    }

    /// Goes on with the hunts that earlier runs began and left, and tells again of each candidate whose hunt came to its end.
    pub(super) fn hunt_on(&mut self, told: &mut Told<'_, W>) -> Result<()> {
        for bisection in self.own_hunts()? {
            let Some(number) = bisection.flight else { continue };
            let is_told = |ran: &Ran| matches!(ran, Ran::NotPushed(judged, _) if judged.flight == number);
            if told.since(0).iter().any(is_told) {
                continue;
            }
            let hunted = self.hunt_or_know(&bisection)?;
            if hunted.end.is_none() {
                // It was stopped, and there is nothing new to tell.
                continue;
            }
            let flight = self.store.flight(number)?;
            let verdict = self.with_evidence(&flight, classify)?;
            let is_pushed = self.store.was_pushed(&flight)?;
            let judged = Judged { hunted: Some(hunted), ..judged(&flight, verdict, is_pushed) };
            let ran = match is_pushed {
                // Somebody forced it meanwhile, or it passed once more; what made it fail is still worth knowing.
                true => Ran::Pushed(judged),
                false => Ran::NotPushed(judged, NotPushed::Blocked),
            };
            self.tell(told, ran)?;
        }
        Ok(())
    }

    /// Hunts for what made this candidate fail, where its verdict has begun that. What came of it is written down there.
    pub(super) fn hunt_of(&mut self, ran: &mut Ran) -> Result<()> {
        let Ran::NotPushed(judged, NotPushed::Blocked) = ran else { return Ok(()) };
        let of_it = |bisection: &Bisection| bisection.flight == Some(judged.flight);
        if let Some(bisection) = self.own_hunts()?.into_iter().find(of_it) {
            judged.hunted = Some(self.hunt_or_know(&bisection)?);
        }
        Ok(())
    }

    /// The open hunts that this gate can go on with.
    fn own_hunts(&self) -> Result<Vec<Bisection>> {
        let mut hunts = self.store.open_hunts(&self.plan.branch)?;
        hunts.retain(|bisection| self.plan.policy.bisect && self.plan.job(&bisection.hunt.job).is_some());
        Ok(hunts)
    }

    fn hunt_or_know(&mut self, bisection: &Bisection) -> Result<Hunted> {
        if let Some(hunted) = self.known_end(bisection)? {
            return Ok(hunted);
        }
        let Hunt { job, row, .. } = &bisection.hunt;
        let number = bisection.flight.unwrap_or_default();
        self.world.say(&format!("{job} is worse in flight {number}: bisecting {} revisions", row.len()));
        self.hunt(bisection, true)
    }

    /// The culprit that an earlier bisection of the same step named, where it is among these commits too.
    fn known_end(&mut self, open: &Bisection) -> Result<Option<Hunted>> {
        let hunt = &open.hunt;
        let key = |hunt: &Hunt| (hunt.job.clone(), hunt.testid.clone(), hunt.fixed);
        for earlier in self.store.bisections(&self.plan.branch)?.iter().rev() {
            let Some(End::Complete(place)) = earlier.end.filter(|_| key(&earlier.hunt) == key(hunt)) else { continue };
            let culprit = earlier.hunt.moved_to(place);
            let Some(place) = (1..hunt.row.len()).find(|here| hunt.moved_to(*here) == culprit) else { continue };
            let (end, now) = (End::Complete(place), self.world.now());
            self.store.end_bisection(open.bisection, end, now)?;
            let seen = hunt.row.iter().map(|tuple| self.seen(hunt, tuple, open.begun)).collect::<Result<_>>()?;
            return Ok(Some(Hunted { hunt: hunt.clone(), end: Some(end), seen }));
        }
        Ok(None)
    }

    /// What all hunts showed of a tuple. What a machine could not do counts only since `begun`: it may be repaired by now.
    fn seen(&self, hunt: &Hunt, tuple: &Tuple, begun: i64) -> Result<Seen> {
        let mut seen = Seen::default();
        for number in self.store.bisections_of(&self.plan.branch, tuple)? {
            let flight = self.store.flight(number)?;
            if flight.state != FlightState::Done || flight.job(&hunt.job).is_none() {
                continue;
            }
            match outcome(&flight, hunt) {
                Some(passed) if passed != hunt.fixed => seen.good += 1,
                Some(_) => seen.bad += 1,
                None if flight.started >= begun => seen.neither += 1,
                None => {}
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
