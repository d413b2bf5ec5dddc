//! A bisection as flights: each test is one, so that a kill loses none, and whoever looks sees what was tried. A regression begins
//! one of itself, with its verdict; an operator begins others.

use super::told::Told;
use super::{Gate, NotPushed, Ran, Start};
use crate::bisect::{End, Hunt, Hunted, Known, Next, Seen, next, next_since};
use crate::classify::{Blocker, Class, Outcome, Verdict};
use crate::error::{Error, Result};
use crate::model::{Blessing, Flight, FlightNo, FlightState, JobState, StepState};
use crate::plan::JobPlan;
use crate::store::{Bisection, OrderKind};
use crate::world::World;

impl<W: World> Gate<'_, W> {
    /// Tests until the end is known, with the definitions of flight `like`.
    pub fn bisect(&mut self, hunt: &Hunt, like: Option<FlightNo>) -> Result<Hunted> {
        // Asked before it is recorded, so that what cannot be hunted is nowhere.
        self.jobs_for(&hunt.job)?;
        for number in self.store.open_bisections(&self.plan.branch)? {
            self.carry_on(number)?;
        }
        let now = self.world.now();
        let begun = self.store.begin_bisection(&self.plan.branch, hunt, like, now)?;
        match begun.end {
            Some(_) => self.hunted(&begun, begun.end),
            None => self.hunt(&begun, None, false),
        }
    }

    /// Searches the merge that a hunt named, and merges among what that brought. One of which no side has the culprit is it.
    pub fn search_merges(&mut self, mut hunted: Hunted, like: Option<FlightNo>) -> Result<Hunted> {
        while let Some(found) = self.search_merge(&hunted, like)? {
            hunted = found;
        }
        Ok(hunted)
    }

    fn search_merge(&mut self, hunted: &Hunted, like: Option<FlightNo>) -> Result<Option<Hunted>> {
        let (Some(End::Complete(place)), Some((tree, _, merge))) = (hunted.end, hunted.culprit()) else {
            return Ok(None);
        };
        for side in self.world.merged(tree, merge)? {
            // The other trees are where the merge found them.
            let row: Vec<_> = side.iter().map(|revision| hunted.hunt.row[place].with(tree, revision)).collect();
            let (merge, count) = (merge.short(), row.len());
            self.world.say(&format!("{tree} {merge} is a merge: bisecting {count} revisions of what it brought"));
            let found = self.bisect(&Hunt { row, ..hunted.hunt.clone() }, like)?;
            if found.culprit().is_some() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Tests until the end is known, or an operator stops the gate and it is to heed that.
    fn hunt(&mut self, bisection: &Bisection, known: Option<Known>, heeds_stop: bool) -> Result<Hunted> {
        let Bisection { bisection: number, hunt, .. } = bisection;
        let jobs = self.jobs_for(&hunt.job)?;
        loop {
            let seen = self.seen(hunt, &[*number])?;
            let tuple = match known.map_or_else(|| next(&seen), |known| next_since(&seen, known)) {
                Next::End(end) => {
                    let now = self.world.now();
                    self.store.end_bisection(*number, end, now)?;
                    return self.hunted(bisection, Some(end));
                }
                Next::Test(_) if heeds_stop && self.order(OrderKind::Stop)?.is_some() => {
                    return self.hunted(bisection, None);
                }
                Next::Test(place) => &hunt.row[place],
            };
            let start = Start { bisection: Some(*number), ..Start::new(Blessing::Bisect, jobs.clone()) };
            let flight = self.start(tuple, tuple, start)?;
            self.carry_on(flight)?;
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
        let row = self.world.row(&baseline, &flight.tuple)?;
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
            // Somebody may have forced it meanwhile, or it passed once more; what made it fail is still worth knowing.
            let ran = self.tell_again(number, Some(hunted))?;
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
        let Hunt { job, row, .. } = &bisection.hunt;
        let known = self.known(&bisection.hunt)?;
        if known.is_none_or(|known| known.tip + 2 < row.len()) {
            let number = bisection.flight.unwrap_or_default();
            self.world.say(&format!("{job} is worse in flight {number}: bisecting {} revisions", row.len()));
        }
        self.hunt(bisection, known, true)
    }

    /// What earlier hunts for the same say of this one: the culprit that the last of them named, where its commits are among these;
    /// that it named nobody, where nothing has moved since. One that a broken machine ended says nothing.
    fn known(&self, hunt: &Hunt) -> Result<Option<Known>> {
        let place_of = |moved| (1..hunt.row.len()).find(|place| hunt.moved_to(*place) == moved);
        for earlier in self.hunts_like(hunt)?.iter().rev() {
            let (row, last) = (&earlier.hunt, earlier.hunt.row.len().saturating_sub(1));
            match earlier.end {
                None => {}
                Some(End::Complete(place)) => {
                    let places = place_of(row.moved_to(place)).zip(place_of(row.moved_to(last)));
                    if let Some((culprit, tip)) = places {
                        return Ok(Some(Known { end: End::Complete(culprit), tip }));
                    }
                }
                Some(end) if row == hunt => {
                    return Ok((!self.was_broken(earlier)?).then_some(Known { end, tip: last }));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// A machine kept one of its points from saying anything.
    fn was_broken(&self, bisection: &Bisection) -> Result<bool> {
        let is_broken = |flight: &Flight| flight.jobs.iter().any(|job| job.state == JobState::Broken);
        let points = self.store.points(bisection.bisection)?.into_iter().map(|point| self.store.flight(point));
        let points = points.collect::<Result<Vec<_>>>()?;
        Ok(points.iter().any(|point| outcome(point, &bisection.hunt).is_none() && is_broken(point)))
    }

    /// All hunts of the same step.
    fn hunts_like(&self, hunt: &Hunt) -> Result<Vec<Bisection>> {
        let key = |hunt: &Hunt| (hunt.job.clone(), hunt.testid.clone(), hunt.fixed);
        let mut hunts = self.store.bisections(&self.plan.branch)?;
        hunts.retain(|other| key(&other.hunt) == key(hunt));
        Ok(hunts)
    }

    /// What came of it so far.
    fn hunted(&self, bisection: &Bisection, end: Option<End>) -> Result<Hunted> {
        let hunt = &bisection.hunt;
        let mut seen = self.seen(hunt, &[bisection.bisection])?;
        // A hunt begins at its bad end: where that was not tested it was known, by what others saw.
        if end.is_some() && seen.last() == Some(&Seen::default()) {
            let others: Vec<i64> = self.hunts_like(hunt)?.iter().map(|other| other.bisection).collect();
            seen = self.seen(hunt, &others)?;
        }
        Ok(Hunted { hunt: hunt.clone(), end, seen })
    }

    /// What the points of these bisections showed, at each place of the row. A hunt goes by its own: what others saw may be of another
    /// job's text, or of a machine that was repaired since.
    fn seen(&self, hunt: &Hunt, bisections: &[i64]) -> Result<Vec<Seen>> {
        let mut row = vec![Seen::default(); hunt.row.len()];
        for bisection in bisections {
            for point in self.store.points(*bisection)? {
                let flight = self.store.flight(point)?;
                let place = hunt.row.iter().position(|tuple| *tuple == flight.tuple);
                let Some(seen) = place.filter(|_| flight.state == FlightState::Done).and_then(|at| row.get_mut(at))
                else {
                    continue;
                };
                match outcome(&flight, hunt) {
                    Some(passed) if passed != hunt.fixed => seen.good += 1,
                    Some(_) => seen.bad += 1,
                    None => seen.neither += 1,
                }
            }
        }
        Ok(row)
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
