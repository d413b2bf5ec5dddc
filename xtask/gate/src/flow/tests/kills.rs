//! A kill before every change resumes to the same verdict.

use super::*;

/// A whole story: what never passed, a regression, a flaky test, a broken machine, a force.
fn story() -> (Script, Vec<Commit>) {
    let script = Script::parse(&format!("seed = 7\nbisect = true\n{HEAD}{}", run("pushed"))).unwrap();
    let commit = |tree: &str, breaks: &[&str], repairs: &[&str]| Commit {
        tree: tree.to_owned(),
        author: String::new(),
        breaks: breaks.iter().map(|job| (*job).to_owned()).collect(),
        repairs: repairs.iter().map(|job| (*job).to_owned()).collect(),
    };
    let commits = vec![
        commit("xen", &[], &[]),
        commit("qemu", &["guest"], &[]),
        commit("qemu", &[], &["guest"]),
        commit("xen", &["build-xen"], &[]),
    ];
    (script, commits)
}

#[test]
fn a_kill_at_every_change_resumes_to_the_same_verdict() {
    let (script, commits) = story();
    let plan = script.plan();
    let play = |die_after: Option<u64>| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate.db");
        let mut world = SimWorld::new(&script);
        let mut ends = Vec::new();
        let mut left = die_after;
        let mut kills = 0;
        for (number, commit) in commits.iter().enumerate() {
            world.commit(commit).unwrap();
            if number == 2 {
                world.break_host("boot", 1).unwrap();
            }
            let ran = loop {
                let mut store = Store::open(&path).unwrap();
                store.do_not_sync().unwrap();
                if let Some(changes) = left.take() {
                    store.die_after(changes);
                }
                let ran = Gate { store: &mut store, world: &mut world, plan: &plan }.run();
                match ran {
                    Ok(ran) => {
                        // Not used up: the next run goes on counting.
                        left = store.changes_left();
                        break ran;
                    }
                    Err(_) => kills += 1,
                }
            };
            ends.push(crate::simulate::line(&ran));
        }
        (ends, tuple(&mut world).to_string(), kills)
    };
    let (ends, tested, _) = play(None);
    assert!(
        ends[1].starts_with("blocked") && ends[3].starts_with("blocked") && ends[0].starts_with("pushed"),
        "{ends:?}"
    );
    assert!(ends[1].ends_with("culprit qemu qemu-1") && ends[3].ends_with("culprit xen xen-2"), "{ends:?}");
    let mut points = 0;
    loop {
        let (after, now, kills) = play(Some(points));
        assert_eq!((&after, &now), (&ends, &tested), "killed before change {points}");
        if kills == 0 {
            break;
        }
        points += 1;
    }
    assert!(points > 60, "{points} changes were tried");
}
