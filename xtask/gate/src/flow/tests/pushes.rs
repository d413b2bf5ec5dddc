//! Pushes that do not go as they should: refused, in part, cut off, taken back by an operator.

use super::*;

/// A world in which this was committed, the store of its gate, and the plan.
fn committed(dir: &std::path::Path, commits: &[Commit]) -> (SimWorld, Store, Plan) {
    let script = Script::parse(&format!("{HEAD}{}", run("pushed"))).unwrap();
    let mut world = SimWorld::new(&script);
    commits.iter().for_each(|commit| world.commit(commit).unwrap());
    let store = Store::open(&dir.join("gate.db")).unwrap();
    store.do_not_sync().unwrap();
    (world, store, script.plan())
}

fn to(tree: &str) -> Commit {
    Commit { tree: tree.to_owned(), ..Commit::default() }
}

fn good_candidate(dir: &std::path::Path) -> (SimWorld, Store, Plan) {
    committed(dir, &[to("xen")])
}

/// A commit of xen with the one of qemu that it depends on. The ref of qemu moves first.
fn good_set(dir: &std::path::Path) -> (SimWorld, Store, Plan) {
    committed(dir, &[to("qemu"), Commit { depends_on: vec!["qemu-1".to_owned()], ..to("xen") }])
}

#[test]
fn what_is_pushed_is_recorded_once_that_can_be_done() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, mut store, plan) = good_candidate(dir.path());
    world.refuses.insert("record".to_owned(), "it is checked out".to_owned());
    for _ in 0..2 {
        let error = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap_err();
        assert!(error.report().contains("cannot be recorded: it is checked out"), "{}", error.report());
    }
    assert_eq!(world.tested("xen").unwrap(), Some(world.candidate("xen").unwrap()));
    world.refuses.clear();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert!(matches!(ran, Ran::Pushed(_)), "{ran:?}");
    assert!(store.branch_status("simulated").unwrap().tested.is_some());
}

#[test]
fn what_is_pushed_is_recorded_behind_what_somebody_put_there_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, mut store, plan) = good_candidate(dir.path());
    world.refuses.insert("record".to_owned(), "it is checked out".to_owned());
    Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap_err();
    world.refuses.clear();
    world.record = Some("somebody's commit".to_owned());
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    let Ran::Pushed(judged) = &ran else { panic!("{ran:?}") };
    let intents = store.intents(judged.flight).unwrap();
    assert_eq!(intents.last().unwrap().1.old.as_deref(), Some("somebody's commit"));
}

#[test]
fn a_flight_that_is_given_up_pushes_nothing_unless_a_ref_has_moved() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, mut store, plan) = good_set(dir.path());
    let line = Audit { at: 0, who: "o".to_owned(), what: "abandon".to_owned(), branch: None, why: "y".to_owned() };
    let before = stands(&mut world);
    world.is_cut_off = true;
    Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap_err();
    let (number, _) = store.open_flights("simulated").unwrap()[0];
    let mut gate = Gate { store: &mut store, world: &mut world, plan: &plan };
    assert!(gate.abandon(number, &line).unwrap().is_empty());
    world.is_cut_off = false;
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.tell_again(number, None).unwrap();
    assert!(matches!(&ran, Ran::NotPushed(_, NotPushed::Refused(why)) if why == "abandoned by o"), "{ran:?}");
    assert_eq!((store.open_flights("simulated").unwrap().len(), stands(&mut world)), (0, before));
    // The next one moves in part: that goes on.
    world.commit(&Commit { depends_on: vec!["qemu-1".to_owned()], ..to("xen") }).unwrap();
    world.refuses.insert("xen".to_owned(), "a hook".to_owned());
    Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap_err();
    let (number, _) = store.open_flights("simulated").unwrap()[0];
    // It is known of the ref alone: a kill came between its move and the note of that.
    let moved = store.intents(number).unwrap()[0].0;
    store.resolve_push(moved, PushState::Intended).unwrap();
    let mut gate = Gate { store: &mut store, world: &mut world, plan: &plan };
    assert_eq!(gate.abandon(number, &line).unwrap()[0].repository, "qemu");
    assert_eq!(store.open_flights("simulated").unwrap().len(), 1);
}

#[test]
fn an_order_to_push_nothing_is_heard_until_the_first_ref_moves() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, mut store, plan) = good_candidate(dir.path());
    let before = world.tested("xen").unwrap();
    world.is_cut_off = true;
    assert!(Gate { store: &mut store, world: &mut world, plan: &plan }.run().is_err());
    let open = store.open_flights("simulated").unwrap();
    assert_eq!(store.flight(open[0].0).unwrap().state, FlightState::Pushing);
    store.order(&Order::new(OrderKind::Block, "o", "a release", 0)).unwrap();
    world.is_cut_off = false;
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert!(matches!(ran, Ran::NotPushed(_, NotPushed::Ordered(_))), "{ran:?}");
    assert_eq!(world.tested("xen").unwrap(), before);
}

/// Where the refs of the trees are.
fn stands(world: &mut SimWorld) -> String {
    tuple(world).to_string()
}

#[test]
fn no_ref_of_a_set_moves_where_one_of_them_would_lose_something() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, mut store, plan) = good_set(dir.path());
    world.loses = Some("xen".to_owned());
    let before = stands(&mut world);
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    let Ran::NotPushed(judged, NotPushed::Refused(why)) = &ran else { panic!("{ran:?}") };
    assert_eq!(judged.tuple.to_string(), "qemu qemu-1, xen xen-1");
    assert!(why.contains("xen-1 does not contain xen-0"), "{why}");
    assert_eq!(stands(&mut world), before);
    let refused = |(_, intent): &(i64, Intent)| intent.state == PushState::Refused;
    assert!(store.intents(2).unwrap().iter().all(refused));
}

#[test]
fn a_set_that_moved_in_part_is_told_and_goes_on_once_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, mut store, plan) = good_set(dir.path());
    world.refuses.insert("xen".to_owned(), "a hook declined".to_owned());
    for _ in 0..2 {
        let error = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap_err();
        let said = error.report();
        assert!(
            said.contains("flight 2 is pushed in part, `refs/heads/tested` of `qemu` moved: a hook declined"),
            "{said}"
        );
        assert_eq!(stands(&mut world), "qemu qemu-1, xen xen-0");
    }
    assert_eq!(store.flight(2).unwrap().state, FlightState::Pushing);
    let states = store.intents(2).unwrap().into_iter().map(|(_, intent)| intent.state).collect::<Vec<_>>();
    assert_eq!(states, [PushState::Done, PushState::Intended, PushState::Intended]);
    // Too late: half of it is there.
    store.order(&Order::new(OrderKind::Block, "o", "a release", 0)).unwrap();
    world.refuses.clear();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert!(matches!(&ran, Ran::Pushed(judged) if judged.flight == 2), "{ran:?}");
    assert_eq!(stands(&mut world), "qemu qemu-1, xen xen-1");
}

#[test]
fn a_set_that_moved_in_part_and_cannot_go_on_is_told_and_tested_as_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, mut store, plan) = good_set(dir.path());
    world.refuses.insert("xen".to_owned(), "a hook declined".to_owned());
    Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap_err();
    // Somebody else moves what was left.
    world.refuses.clear();
    world.commit(&to("xen")).unwrap();
    world.push_past_the_gate("xen").unwrap();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    let Ran::NotPushed(judged, NotPushed::Refused(why)) = &ran else { panic!("{ran:?}") };
    assert!(judged.flight == 2 && why.ends_with("; `refs/heads/tested` of `qemu` moved before"), "{why}");
    let outcome = store.flight(2).unwrap().outcome.unwrap();
    assert!(outcome.ends_with(why), "{outcome}");
    // Nobody tested what stands there now: that comes first.
    world.commit(&to("xen")).unwrap();
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert_eq!(end_word(&ran).as_str(), "pushed");
    let baseline = store.flight(3).unwrap();
    assert_eq!(
        (baseline.blessing, baseline.tuple.to_string().as_str()),
        (Blessing::Baseline, "qemu qemu-1, xen xen-2")
    );
}

#[test]
fn a_force_that_is_taken_back_pushes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, mut store, plan) = good_candidate(dir.path());
    world.commit(&Commit { breaks: ["boot".to_owned()].into(), ..to("xen") }).unwrap();
    let force = |revision: &str| Order {
        branch: Some("simulated".to_owned()),
        revision: Some(revision.to_owned()),
        ..Order::new(OrderKind::Force, "ann", "it is urgent", 0)
    };
    let before = stands(&mut world);
    for revision in ["xen-1", "xen-2"] {
        store.order(&force(revision)).unwrap();
    }
    // It is decided, and no ref has moved.
    world.is_cut_off = true;
    Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap_err();
    world.is_cut_off = false;
    assert_eq!(store.end_orders(&force("xen-2")).unwrap(), 1);
    assert_eq!(store.end_orders(&force("xen-2")).unwrap(), 0);
    let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run().unwrap();
    assert!(matches!(ran, Ran::NotPushed(_, NotPushed::Blocked)), "{ran:?}");
    assert_eq!(stands(&mut world), before);
    // The other stands; of all of a branch none does afterwards.
    assert_eq!(store.orders("simulated").unwrap().len(), 1);
    assert_eq!(store.end_orders(&Order { revision: None, ..force("") }).unwrap(), 1);
    let audit: Vec<String> = store.audit().unwrap().into_iter().map(|line| line.what).collect();
    assert_eq!(audit[2..], ["end of force xen-2", "end of force xen-2", "end of force"]);
}
