//! The file: who may open it, what it is after a kill, how big it grows.

use super::*;
use crate::model::{Revision, Tuple};

fn new_flight(store: &mut Store) -> Result<u64> {
    let tuple = Tuple::default().with("xen", &Revision("a".to_owned()));
    store.begin_flight(&NewFlight::new("b", &tuple, &tuple, &[], 1))
}

#[test]
fn the_logs_beside_a_state_are_of_no_other_state() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("gate.db"), dir.path().join("second.db"));
    let alone = Store::open(&first).unwrap();
    assert!(Store::open(&second).unwrap_err().report().contains("another gate works with the state"));
    drop(alone);
    let refused = Store::open(&second).unwrap_err().report();
    assert!(refused.contains("has the logs of another state") && refused.contains("--state DIR/gate.db"), "{refused}");
    drop(Store::open(&first).unwrap());
    // It was renamed, or is gone.
    std::fs::rename(&first, &second).unwrap();
    Store::open(&second).unwrap();
}

#[test]
fn two_gates_on_one_state_exclude_each_other_and_a_reader_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/gate.db");
    assert!(Store::look(&path).unwrap().is_none());
    let mut first = Store::open(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(error.report().contains("another gate works with the state"), "{}", error.report());
    new_flight(&mut first).unwrap();
    assert_eq!(Store::look(&path).unwrap().unwrap().flight_count().unwrap(), 1);
    // An operator is heard at once.
    let stop = Order::new(OrderKind::Stop, "o", "w", 1);
    Store::beside(&path).unwrap().order(&stop).unwrap();
    assert_eq!(first.orders("b").unwrap()[0].1, stop);
    drop(first);
    Store::open(&path).unwrap();
}

#[test]
fn a_state_of_another_form_is_refused_by_readers_and_writers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    drop(Store::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    for error in [Store::open(&path).unwrap_err(), Store::look(&path).unwrap_err()] {
        assert!(error.report().contains(&format!("has form 7, this gate knows {VERSION}")), "{}", error.report());
    }
}

#[test]
fn a_state_of_an_older_form_is_brought_to_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    let old = Connection::open(&path).unwrap();
    FORMS[..2].iter().for_each(|form| old.execute_batch(form).unwrap());
    old.execute_batch(
        "PRAGMA user_version = 2;
         INSERT INTO tuples VALUES (1, '{}');
         INSERT INTO flights (flight, branch, blessing, state, tuple, started, outcome, ahead) VALUES
         (1, 'b', 'real', 'done', 1, 1, 'regressions - FAIL', NULL),
         (2, 'b', 'real', 'done', 1, 1, 'all pass behind flight 1, which was not pushed', 1),
         (3, 'b', 'real-bisect', 'done', 1, 2, NULL, NULL),
         (4, 'b', 'real-bisect', 'done', 1, 6, NULL, NULL);
         INSERT INTO tuples VALUES (2, '{\"qemu\":\"old\",\"xen\":\"new\"}');
         INSERT INTO flights (flight, branch, blessing, state, tuple, started) VALUES (5, 'c', 'real', 'pushing', 2, 7);
         INSERT INTO pushes (flight, repository, ref, new, rewinds, state) VALUES
         (5, 'xen.git', 'r', 'new', 0, 'intended'), (5, '.', 'r', 'commit', 0, 'intended');
         INSERT INTO jobs VALUES (3, 0, 'boot', 'test', 'full', 0, 'pass', 0), (4, 0, 'boot', 'test', 'full', 0, 'pass', 0);
         INSERT INTO bisections VALUES (1, 1, 'b', 'boot', NULL, 0, '[1]', 2, 3, NULL), (2, 1, 'b', 'boot', NULL, 0, '[1]', 5, NULL, NULL);",
    )
    .unwrap();
    drop(old);
    let error = Store::look(&path).unwrap_err();
    assert!(error.report().contains(&format!("has form 2, this gate knows {VERSION}")), "{}", error.report());
    let store = Store::open(&path).unwrap();
    assert_eq!(store.last_judged("b").unwrap(), Some(1));
    assert_eq!(store.flight(2).unwrap().ahead, Some(1));
    // Each point is one of the hunt that had begun last.
    assert_eq!([1, 2].map(|hunt| store.points(hunt).unwrap()), [[3], [4]]);
    assert_eq!([2, 3].map(|flight| store.like(flight).unwrap()), [None, Some(1)]);
    let trees = store.intents(5).unwrap().into_iter().map(|(_, intent)| intent.tree).collect::<Vec<_>>();
    assert_eq!(trees, [Some("xen".to_owned()), None]);
}

#[test]
fn flights_are_numbered_behind_what_is_there() {
    let mut store = Store::in_memory().unwrap();
    assert!(store.number_after(7).unwrap());
    assert_eq!(new_flight(&mut store).unwrap(), 8);
    assert!(!store.number_after(8).unwrap() && store.number_after(11).unwrap());
    assert_eq!(new_flight(&mut store).unwrap(), 12);
}

#[test]
fn what_is_no_state_is_an_error_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    std::fs::write(&path, "my diary, which is no database at all").unwrap();
    Store::open(&path).unwrap_err();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "my diary, which is no database at all");
}

#[test]
fn after_a_kill_there_is_no_half_of_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    let mut store = Store::open(&path).unwrap();
    store.die_after(1);
    new_flight(&mut store).unwrap();
    new_flight(&mut store).unwrap_err();
    new_flight(&mut store).unwrap_err();
    drop(store);
    assert_eq!(Store::open(&path).unwrap().flight_count().unwrap(), 1);
}

#[test]
fn a_state_of_form_1_is_brought_to_the_present_form_with_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(FORMS[0]).unwrap();
    db.execute_batch(
        "INSERT INTO tuples VALUES (1, '{\"xen\":\"a\"}');
         INSERT INTO flights (branch, blessing, state, tuple, started) VALUES ('b', 'real', 'done', 1, 5);
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(db);
    let error = Store::look(&path).unwrap_err();
    assert!(error.report().contains("brings it to this form"), "{}", error.report());
    assert_eq!(Store::open(&path).unwrap().flight(1).unwrap().started, 5);
    assert_eq!(Store::look(&path).unwrap().unwrap().bisections("b").unwrap(), []);
}
