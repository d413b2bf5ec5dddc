//! The table of osstest, row by row, and what we are stricter in.

use super::*;
use crate::model::{Blessing, FlightState, Revision, Tier};

fn tuple(revision: &str) -> Tuple {
    Tuple::default().with("xen", &Revision(revision.to_owned()))
}

fn step(testid: &str, state: StepState) -> Step {
    Step { testid: testid.to_owned(), state, started: 0, finished: None, reason: None, log: None }
}

fn job(name: &str, state: JobState, steps: &[(&str, StepState)]) -> Job {
    Job {
        name: name.to_owned(),
        kind: if name.starts_with("build") { JobKind::Build } else { JobKind::Test },
        tier: Tier::Full,
        advisory: false,
        state,
        steps: steps.iter().map(|(testid, state)| step(testid, *state)).collect(),
        runvars: [(format!("{BUILT}xen"), "new".to_owned())].into(),
    }
}

fn flight(number: FlightNo, revision: &str, jobs: &[Job]) -> Flight {
    let mut jobs = jobs.to_vec();
    jobs.iter_mut().flat_map(|job| job.runvars.values_mut()).for_each(|built| *built = revision.to_owned());
    Flight {
        flight: number,
        branch: "b".to_owned(),
        blessing: Blessing::Real,
        state: FlightState::Ended,
        tuple: tuple(revision),
        baseline: Some(tuple("old")),
        started: 0,
        finished: None,
        outcome: None,
        parent: None,
        ahead: None,
        width: 1,
        jobs,
    }
}

/// A build that passed, so that the tuple is tested, and this job.
fn with(number: FlightNo, revision: &str, this: Job) -> Flight {
    flight(number, revision, &[job("build", JobState::Pass, &[("make", StepState::Pass)]), this])
}

fn test(state: StepState) -> Job {
    let of_job = match state {
        StepState::Pass => JobState::Pass,
        StepState::Fail => JobState::Fail,
        StepState::Blocked => JobState::Blocked,
        StepState::Running => JobState::Running,
        StepState::Broken | StepState::Unknown => JobState::Broken,
    };
    job("test", of_job, &[("boot", state)])
}

struct Case {
    this: Flight,
    basis: Vec<Flight>,
    others: Vec<Flight>,
    ever: bool,
    allowed: Vec<Allowance>,
}

impl Case {
    fn new(this: Job, basis: Option<Job>) -> Case {
        let basis = basis.map(|job| with(1, "old", job)).into_iter().collect();
        Case { this: with(9, "new", this), basis, others: Vec::new(), ever: true, allowed: Vec::new() }
    }

    fn verdict(&self) -> Verdict {
        let Case { this, basis, others, ever, allowed } = self;
        classify(&Evidence { flight: this, basis, others, ever_passed: &|_, _| *ever, allowed, now: 50 })
    }

    /// The only finding of the judged flight.
    #[track_caller]
    fn check(&self, row: &str, class: Class, blocks: Option<Blocker>) {
        let verdict = self.verdict();
        let found: Vec<_> = verdict.findings.iter().filter(|finding| finding.flight == 9).collect();
        assert_eq!(found.iter().map(|f| (&f.class, f.blocks)).collect::<Vec<_>>(), [(&class, blocks)], "{row}");
        let outcome = match verdict.blockers().map(|(_, kind)| kind).min_by_key(|kind| *kind != Blocker::Regression) {
            None => Outcome::Tolerable,
            Some(Blocker::Regression) => Outcome::Regressions,
            Some(_) => Outcome::Problems,
        };
        assert_eq!(verdict.outcome, outcome, "{row}");
    }
}

#[test]
fn every_row_of_osstests_table() {
    use StepState::*;
    let stepless = |state| job("test", state, &[]);
    let broken = Some(Blocker::Broken);
    let rows = [
        ("job failed with no step recorded", Case::new(stepless(JobState::Fail), None), Class::BrokenJob, broken),
        ("job broken with no step recorded", Case::new(stepless(JobState::Broken), None), Class::BrokenJob, broken),
        ("job stopped by hand", Case::new(stepless(JobState::Aborted), None), Class::BrokenJob, broken),
        ("step blocked", Case::new(test(Blocked), Some(test(Pass))), Class::NotApplicable, None),
        ("job blocked with no step", Case::new(stepless(JobState::Blocked), None), Class::NotApplicable, None),
        ("job still queued", Case::new(stepless(JobState::Queued), None), Class::Unfinished, Some(Blocker::Unfinished)),
        (
            "state other than fail and broken",
            Case::new(job("test", JobState::Fail, &[("boot", Unknown)]), Some(test(Fail))),
            Class::Strange,
            broken,
        ),
        (
            "never passed, whatever the baseline was",
            Case { ever: false, ..Case::new(test(Fail), Some(test(Pass))) },
            Class::NeverPass,
            None,
        ),
        (
            "never passed, broken",
            Case { ever: false, ..Case::new(test(Broken), Some(test(Pass))) },
            Class::NeverPass,
            None,
        ),
        ("baseline had it blocked", Case::new(test(Fail), Some(test(Blocked))), Class::BlockedIn(1), None),
        (
            "baseline had the whole job blocked",
            Case::new(test(Fail), Some(stepless(JobState::Blocked))),
            Class::BlockedIn(1),
            None,
        ),
        ("baseline failed the same way", Case::new(test(Fail), Some(test(Fail))), Class::Like(1), None),
        ("baseline failed, this one broken", Case::new(test(Broken), Some(test(Fail))), Class::FailedIn(1), None),
        ("baseline has no run of it", Case::new(test(Fail), None), Class::BaselineUntested, None),
        (
            "baseline has the job without the step",
            Case::new(test(Fail), Some(job("test", JobState::Pass, &[("other", Pass)]))),
            Class::BaselineUntested,
            None,
        ),
        (
            "baseline passed, this one failed",
            Case::new(test(Fail), Some(test(Pass))),
            Class::Regression(1),
            Some(Blocker::Regression),
        ),
        ("baseline passed, this one broken", Case::new(test(Broken), Some(test(Pass))), Class::Regression(1), broken),
        ("baseline broken", Case::new(test(Fail), Some(test(Broken))), Class::BaselineBroken(1), broken),
        ("both broken", Case::new(test(Broken), Some(test(Broken))), Class::BaselineBroken(1), broken),
        ("baseline cut short", Case::new(test(Fail), Some(test(Running))), Class::BaselineBroken(1), broken),
    ];
    for (row, case, class, blocks) in rows {
        case.check(row, class, blocks);
    }
}

#[test]
fn a_step_that_was_cut_short_blocks_even_where_it_never_passed() {
    let case = Case { ever: false, ..Case::new(test(StepState::Running), None) };
    assert!(case.verdict().blockers().all(|(_, kind)| kind == Blocker::Unfinished));
    assert_eq!(case.verdict().outcome, Outcome::Problems);
}

#[test]
fn nothing_failed_is_perfect() {
    assert_eq!(Case::new(test(StepState::Pass), None).verdict().outcome, Outcome::Perfect);
}

#[test]
fn a_pass_of_the_same_tuple_excuses_a_test() {
    let mut case = Case::new(test(StepState::Fail), Some(test(StepState::Pass)));
    case.others.push(with(8, "new", test(StepState::Pass)));
    case.check("pass in N", Class::PassIn(8), None);
    case.others[0].tuple = tuple("another");
    case.check("another tuple", Class::Regression(1), Some(Blocker::Regression));
}

#[test]
fn a_pass_of_the_same_tuple_excuses_no_build() {
    let failed = job("build-xen", JobState::Fail, &[("make", StepState::Fail)]);
    let passed = job("build-xen", JobState::Pass, &[("make", StepState::Pass)]);
    let mut case = Case::new(failed, Some(passed.clone()));
    case.others.push(with(8, "new", passed));
    case.check("builds", Class::Regression(1), Some(Blocker::Regression));
}

#[test]
fn the_flight_that_excuses_is_judged_itself() {
    let both = |boot, guest| {
        let state = if guest == StepState::Pass && boot == StepState::Pass { JobState::Pass } else { JobState::Fail };
        job("test", state, &[("boot", boot), ("guest", guest)])
    };
    let (pass, fail) = (StepState::Pass, StepState::Fail);
    // Each fails what the other passes: both are excused, as osstest's `fail in A pass in B`.
    let mut case = Case::new(both(fail, pass), Some(both(pass, pass)));
    case.others.push(with(8, "new", both(pass, fail)));
    let verdict = case.verdict();
    let classes: Vec<_> = verdict.findings.iter().map(|f| (f.flight, &f.class)).collect();
    assert_eq!(classes, [(9, &Class::PassIn(8)), (8, &Class::PassIn(9))]);
    assert_eq!(verdict.findings[1].summary(9), "fail in 8 pass in 9");
    assert_eq!(verdict.outcome, Outcome::Tolerable);
    // The excusing flight fails what nobody passed: that blocks.
    case.others[0].jobs.push(job("other", JobState::Fail, &[("x", fail)]));
    case.basis[0].jobs.push(job("other", JobState::Pass, &[("x", pass)]));
    assert_eq!(case.verdict().outcome, Outcome::Regressions);
    case.basis[0].jobs[2] = job("other", JobState::Fail, &[("x", fail)]);
    assert_eq!(case.verdict().findings[2].summary(9), "fail in 8 like 1");
    assert_eq!(case.verdict().outcome, Outcome::Tolerable);
}

#[test]
fn what_waited_for_an_excused_failure_must_have_run() {
    let (pass, fail) = (StepState::Pass, StepState::Fail);
    let mut case = Case::new(test(fail), Some(test(pass)));
    case.this.jobs.push(job("later", JobState::Blocked, &[]));
    case.basis[0].jobs.push(job("later", JobState::Pass, &[("x", pass)]));
    case.others.push(with(8, "new", test(pass)));
    assert_eq!(case.verdict().outcome, Outcome::Problems);
    case.others[0].jobs.push(job("later", JobState::Pass, &[("x", pass)]));
    assert_eq!(case.verdict().outcome, Outcome::Tolerable);
}

#[test]
fn a_baseline_has_passed_what_passed_in_any_of_its_flights() {
    let mut case = Case::new(test(StepState::Fail), Some(test(StepState::Fail)));
    case.basis.push(flight(2, "old", &[test(StepState::Pass)]));
    case.check("flaky baseline", Class::Regression(2), Some(Blocker::Regression));
}

#[test]
fn an_allowed_failure_stops_nobody_until_its_day() {
    let mut case = Case::new(test(StepState::Fail), Some(test(StepState::Pass)));
    let text = str::to_owned;
    let line = |expires| Allowance {
        branch: None,
        job: text("test"),
        testid: text("@@"),
        removes: false,
        owner: text("ann"),
        reason: text("known"),
        expires,
    };
    case.allowed = vec![line(51)];
    case.check("allowed", Class::Allowed(text("ann")), None);
    case.allowed = vec![line(50)];
    case.check("expired", Class::Regression(1), Some(Blocker::Regression));
}

#[test]
fn an_advisory_job_stops_nobody() {
    let this = Job { advisory: true, ..test(StepState::Fail) };
    Case::new(this, Some(test(StepState::Pass))).check("advisory", Class::Advisory, None);
}

#[test]
fn other_revisions_than_were_asked_for_are_excused_by_nothing() {
    let mut case = Case { ever: false, ..Case::new(test(StepState::Pass), None) };
    case.this.jobs[0].runvars.insert(format!("{BUILT}xen"), "old".to_owned());
    let verdict = case.verdict();
    assert_eq!(verdict.findings[0].class, Class::Mismatch("xen is old, wanted new".to_owned()));
    assert_eq!(verdict.outcome, Outcome::Problems);
}

#[test]
fn a_moved_tree_that_no_passed_job_was_made_of_is_not_tested() {
    let failed = job("build-xen", JobState::Fail, &[("make", StepState::Fail)]);
    let mut case = Case { ever: false, ..Case::new(failed, None) };
    case.this.jobs.remove(0);
    let verdict = case.verdict();
    assert_eq!(verdict.findings.last().unwrap().class, Class::NotTested("xen".to_owned()));
    assert_eq!(verdict.outcome, Outcome::Problems, "never pass alone would be tolerable");
}
