//! The flow over simulated worlds: what is pushed, what is not, and that a kill changes nothing of it.
//!
//! Here one candidate after the other; `again.rs`, `bisect.rs`, `kills.rs`, `operators.rs`, `properties.rs`, `pushes.rs`, `queue.rs`
//! have what their names say.

mod again;
mod bisect;
mod kills;
mod operators;
mod properties;
mod pushes;
mod queue;

use super::*;
use crate::simulate::{Commit, Script, SimWorld, end_word, simulate};
use crate::store::{Audit, Intent, PushState};

const HEAD: &str = "
summary = 't'
[[tree]]
name = 'xen'
[[tree]]
name = 'qemu'
[[job]]
name = 'build-xen'
build = true
smoke = true
trees = ['xen']
[[job]]
name = 'build-qemu'
build = true
trees = ['qemu']
[[job]]
name = 'boot'
smoke = true
needs = ['build-xen']
retries = 1
[[job]]
name = 'guest'
needs = ['build-xen', 'build-qemu', 'boot']
retries = 1
[[job]]
name = 'never'
fails = true
";

/// Plays events, of which each run says what must come of it.
#[track_caller]
fn check(events: &str) -> (Vec<String>, Store) {
    // Keys of the whole script come first.
    let keys = events.split_once("[[").map_or("", |(keys, _)| keys);
    let script = Script::parse(&format!("{keys}{HEAD}{}", &events[keys.len()..])).unwrap();
    let mut store = Store::in_memory().unwrap();
    let mut lines = Vec::new();
    let told = simulate(&script, &mut store, &mut |ran, _| {
        lines.push(crate::simulate::line(ran));
        Ok(())
    });
    told.unwrap_or_else(|error| panic!("{}\n{}", error.report(), lines.join("\n")));
    (lines, store)
}

fn commit(tree: &str, more: &str) -> String {
    format!("[[event]]\ncommit = {{ tree = '{tree}'{more} }}\n")
}

fn event(what: &str) -> String {
    format!("[[event]]\n{what}\n")
}

fn broken(job: &str, runs: u32) -> String {
    event(&format!("break-host = {{ job = '{job}', runs = {runs} }}"))
}

fn run(expect: &str) -> String {
    format!("[[event]]\nrun = {{ expect = '{expect}' }}\n")
}

#[test]
fn a_good_candidate_is_pushed_and_what_never_passed_stops_nobody() {
    let (lines, store) = check(&[commit("xen", ""), run("pushed"), run("up-to-date")].concat());
    assert!(lines[0].contains("never run never pass"), "{lines:?}");
    // The baseline was not known, so it was tested first.
    assert_eq!(store.flight(1).unwrap().blessing, Blessing::Baseline);
    let status = store.branch_status("simulated").unwrap();
    assert_eq!(status.last.unwrap().2.unwrap(), "tolerable FAIL - PUSHED");
}

#[test]
fn a_candidate_that_breaks_is_not_pushed_until_it_is_repaired() {
    let events = [
        commit("xen", ", breaks = ['guest']"),
        run("blocked"),
        commit("xen", ", breaks = ['boot']"),
        run("blocked"),
        commit("xen", ", repairs = ['boot', 'guest']"),
        run("pushed"),
    ];
    let (lines, _) = check(&events.concat());
    assert!(lines[0].contains("guest run REGR. vs. 1"), "{lines:?}");
    // A smoke job failed: nothing of the full tier ran.
    assert!(lines[1].contains("boot run REGR. vs. 1") && lines[1].contains("guest  n/a"), "{lines:?}");
}

#[test]
fn a_broken_machine_is_never_the_candidates_fault() {
    let events = [
        commit("xen", ""),
        run("pushed"),
        // Once: tried again at once.
        broken("boot", 1),
        commit("xen", ""),
        run("pushed"),
        // For longer: this flight cannot say anything, a later one of the same revision can.
        broken("build-xen", 1),
        commit("xen", ""),
        run("blocked"),
        run("pushed"),
    ];
    let (lines, _) = check(&events.concat());
    assert!(lines[2].contains("FAIL and problems with tests"), "{lines:?}");
}

#[test]
fn a_broken_machine_makes_no_baseline() {
    let broken = "[[event]]\nbreak-host = { job = 'guest', runs = 9 }\n";
    // A test that never passed says nothing: the first baseline is usable as it is.
    check(&[broken.to_owned(), commit("xen", ""), run("pushed")].concat());
    // A build that the machine could not do says nothing either, and what the candidate breaks would look as if it never passed.
    let build = "[[event]]\nbreak-host = { job = 'build-xen', runs = 1 }\n";
    let events = [build.to_owned(), commit("xen", ", breaks = ['boot']"), run("no-baseline"), run("blocked")];
    check(&events.concat());
    let script = Script::parse(&format!("{HEAD}event = []\n"))
        .unwrap_or_else(|_| Script::parse(&format!("{HEAD}{}", run("up-to-date"))).unwrap());
    let (mut world, mut store, plan) = (SimWorld::new(&script), Store::in_memory().unwrap(), script.plan());
    let to_xen = Commit { tree: "xen".to_owned(), ..Commit::default() };
    world.commit(&to_xen).unwrap();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert_eq!(end_word(&ran).as_str(), "pushed");
    // Somebody else moves the tested ref: that is a baseline that nobody tested.
    world.commit(&to_xen).unwrap();
    world.push_past_the_gate("xen").unwrap();
    world.commit(&to_xen).unwrap();
    world.break_host("boot", 2).unwrap();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert!(matches!(ran, Ran::NoBaseline { .. }), "{ran:?}");
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert_eq!(end_word(&ran).as_str(), "pushed");
}

#[test]
fn a_candidate_that_loses_what_was_tested_is_not_begun() {
    let rewind = "[[event]]\nrewind = { tree = 'xen', by = 1 }\n";
    let events = [commit("xen", ""), run("pushed"), rewind.to_owned(), commit("xen", ""), run("rewound")];
    check(&events.concat());
}

#[test]
fn two_trees_take_turns() {
    let (lines, _) =
        check(&[commit("xen", ", breaks = ['boot']"), commit("qemu", ""), run("blocked"), run("pushed")].concat());
    assert!(lines[0].contains("xen xen-1") && lines[1].contains("qemu qemu-1, xen xen-0"), "{lines:?}");
}

#[test]
fn a_tuple_whose_other_tree_moved_meanwhile_is_not_pushed() {
    let script = Script::parse(&format!("{HEAD}{}", run("pushed"))).unwrap();
    let (mut world, mut store, plan) = (SimWorld::new(&script), Store::in_memory().unwrap(), script.plan());
    let to = |tree: &str| Commit { tree: tree.to_owned(), ..Commit::default() };
    world.commit(&to("xen")).unwrap();
    let first = Gate { store: &mut store, world: &mut world, plan: &plan }.begin_candidate().unwrap();
    world.commit(&to("qemu")).unwrap();
    world.push_past_the_gate("qemu").unwrap();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert!(matches!(&ran, Ran::NotPushed(judged, NotPushed::Refused(_)) if judged.flight == first), "{ran:?}");
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert_eq!(end_word(&ran).as_str(), "pushed");
}

impl Gate<'_, SimWorld> {
    /// As if the gate had been killed before the first job of a candidate of xen.
    fn begin_candidate(&mut self) -> Result<FlightNo> {
        let tested = self.tested()?;
        let tuple = tested.with("xen", &self.world.candidate("xen")?);
        let jobs = self.all_jobs();
        self.begin(Blessing::Real, &tuple, &tested, None, jobs)
    }
}

fn tuple(world: &mut SimWorld) -> Tuple {
    let trees = ["xen", "qemu"].map(|tree| (tree.to_owned(), world.tested(tree).unwrap().unwrap()));
    Tuple(trees.into_iter().collect())
}

#[test]
fn every_script_of_this_project_plays_as_it_says() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/simulate");
    let scripts = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in scripts {
        let script = Script::parse(&std::fs::read_to_string(&path).unwrap());
        let told = script.and_then(|script| simulate(&script, &mut Store::in_memory().unwrap(), &mut |_, _| Ok(())));
        told.unwrap_or_else(|error| panic!("{}: {}", path.display(), error.report()));
        count += 1;
    }
    assert!(count >= 5, "{count} scripts");
}
