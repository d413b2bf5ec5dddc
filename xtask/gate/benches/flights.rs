//! What a gate costs when its jobs cost nothing: flights a second, bytes a step, the look at many branches. Prints, asserts nothing.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::time::Instant;

use xtask_gate::model::{JobKind, Revision, Step, StepState, Tier, Tuple};
use xtask_gate::plan::JobPlan;
use xtask_gate::simulate::{Script, simulate};
use xtask_gate::site::{self, Site};
use xtask_gate::store::{NewFlight, Store};

const SCRIPT: &str = "
summary = 'flaky tests, a candidate of each kind in turn'
seed = 1
repeat = 2500
tree = [{ name = 'xen' }, { name = 'qemu' }]
job = [
  { name = 'build-xen', build = true, smoke = true, trees = ['xen'] },
  { name = 'build-qemu', build = true, trees = ['qemu'] },
  { name = 'boot', smoke = true, needs = ['build-xen'], flaky = 2, retries = 1 },
  { name = 'guest', needs = ['build-xen', 'build-qemu'], flaky = 5, retries = 1 },
]
event = [
  { commit = { tree = 'xen' } }, { run = {} },
  { commit = { tree = 'qemu', breaks = ['guest'] } }, { run = {} },
  { commit = { tree = 'qemu', repairs = ['guest'] } }, { run = {} },
  { break-host = { job = 'boot', runs = 1 } }, { commit = { tree = 'xen' } }, { run = {} },
]
";

fn main() {
    let script = Script::parse(SCRIPT).unwrap();
    let started = Instant::now();
    let mut store = Store::in_memory().unwrap();
    let told = simulate(&script, &mut store, &mut |_, _| Ok(())).unwrap();
    println!("{} flights simulated in {:.2} s; {:?}", told.flights, started.elapsed().as_secs_f64(), told.ends);
    pages(&store);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    fill(&mut Store::open(&path).unwrap());
    let size: u64 = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    println!("100,000 steps take {:.1} MB", size as f64 / 1e6);
    let started = Instant::now();
    let store = Store::look(&path).unwrap().unwrap();
    let branches = store.branches().unwrap();
    branches.iter().for_each(|branch| drop(store.branch_status(branch).unwrap()));
    println!("status of {} branches: {:.1} ms", branches.len(), started.elapsed().as_secs_f64() * 1e3);
}

/// The site of all of it, at first and when nothing changed.
fn pages(store: &Store) {
    let dir = tempfile::tempdir().unwrap();
    let branches = store.branches().unwrap();
    for now in [1_700_000_000, 1_700_000_001] {
        let site = Site { store, state_dir: dir.path(), branches: &branches, now };
        let started = Instant::now();
        let written = site::write(&site, &dir.path().join("site")).unwrap();
        println!("{written:?} in {:.2} s", started.elapsed().as_secs_f64());
    }
}

/// 100 branches of 50 flights of 4 jobs of 5 steps, as real ones look.
fn fill(store: &mut Store) {
    store.do_not_sync().unwrap();
    let job = |number: usize| JobPlan {
        name: format!("test-amd64-amd64-job-{number}"),
        kind: JobKind::Test,
        tier: Tier::Full,
        needs: Vec::new(),
        retries: 0,
        advisory: false,
        deterministic: false,
    };
    let plans: Vec<JobPlan> = (0..4).map(job).collect();
    let jobs: Vec<&JobPlan> = plans.iter().collect();
    let tuple = |number: usize| {
        let trees = ["xen", "qemu", "seabios"].map(|tree| (tree.to_owned(), Revision(format!("{number:040x}"))));
        Tuple(trees.into_iter().collect())
    };
    for number in 0..5000 {
        let branch = format!("branch-{}", number % 100);
        let (tuple, baseline) = (tuple(number + 1), tuple(number));
        let new = NewFlight::new(&branch, &tuple, &baseline, &jobs, 1_700_000_000);
        let flight = store.begin_flight(&new).unwrap();
        for place in 0..4 {
            let requested = tuple.0.iter().map(|(tree, revision)| (format!("revision_{tree}"), revision.0.clone()));
            store.begin_job((flight, place), &requested.collect()).unwrap();
            for step in 1..=5 {
                let begun = Step {
                    testid: format!("guest-start/{step}"),
                    state: StepState::Running,
                    started: 1_700_000_000,
                    finished: None,
                    reason: None,
                    log: Some(format!("{flight}/{place}/{step}.log")),
                };
                store.begin_step((flight, place), step, &begun).unwrap();
                store.end_step((flight, place), step, StepState::Pass, None, 1_700_000_060).unwrap();
            }
        }
    }
}
