//! What people do in a checkout is never destroyed unless they say so.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use xtask::definition::{Origin, Pin};
use xtask::origin::{CheckedOut, State};

use super::git::{Upstream, git_in};
use super::world::{World, origin};

/// A checkout at an old pin, and the pin it is to move to.
fn moved(world: &World, upstream: &Upstream) -> (Origin, Pin, Pin) {
    upstream.commit("dir/a", "one\n");
    fs::write(upstream.dir.join(".gitignore"), "*.o\n").unwrap();
    upstream.commit("b", "one\n");
    let tracked = upstream.origin("branch = \"main\"");
    let old = world.update(&tracked);
    upstream.commit("b", "two\n");
    let new = world.resolve(&tracked, Some(&old)).unwrap();
    (tracked, old, new)
}

fn changes(state: State) -> Vec<String> {
    let State::Worked { changes, commits } = state else { panic!("{state:?}") };
    commits.into_iter().chain(changes.iter().map(ToString::to_string)).collect()
}

#[test]
fn edited_added_and_removed_files_are_named_and_kept() {
    let mut world = World::new();
    let upstream = Upstream::new(world.path("up"));
    let (tracked, old, new) = moved(&world, &upstream);
    let at = |path: &str| world.tree().join(path);
    fs::write(at("dir/a"), "mine\n").unwrap();
    fs::remove_file(at("b")).unwrap();
    fs::write(at("object.o"), "ignored by git, not by a build\n").unwrap();
    let expected = ["b (removed)", "dir/a (edited)", "object.o (added)"];
    assert_eq!(changes(world.state(&tracked, Some(&old))), expected);
    // The pin did not move: nothing is in the way.
    assert_eq!(world.fetch(&tracked, Some(&old)).unwrap(), CheckedOut::Already);
    let report = world.fetch(&tracked, Some(&new)).unwrap_err().report();
    assert!(expected.iter().all(|name| report.contains(name)), "{report}");
    assert!(
        report.contains("help: to give it up and take the locked tree: cargo xtask force-update thing --discard"),
        "{report}"
    );
    assert_eq!(world.read("dir/a"), "mine\n");
    world.discard = true;
    assert_eq!(world.fetch(&tracked, Some(&new)).unwrap(), CheckedOut::Moved);
    assert_eq!((world.read("dir/a"), world.read("b")), ("one\n".into(), "two\n".into()));
    assert!(!world.tree().join("object.o").exists());
    assert_eq!(world.state(&tracked, Some(&new)), State::AtPin);
}

#[test]
fn discard_restores_a_tree_whose_pin_did_not_move() {
    let mut world = World::new();
    let upstream = Upstream::new(world.path("up"));
    let (tracked, old, _) = moved(&world, &upstream);
    let a = world.tree().join("dir/a");
    fs::set_permissions(&a, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(changes(world.state(&tracked, Some(&old))), ["dir/a (edited)"]);
    world.discard = true;
    world.fetch(&tracked, Some(&old)).unwrap();
    assert_eq!(world.state(&tracked, Some(&old)), State::AtPin);
    assert_eq!(world.fetch(&tracked, Some(&old)).unwrap(), CheckedOut::Already);
}

#[test]
fn local_commits_are_named_and_kept() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    let (tracked, old, new) = moved(&world, &upstream);
    let tree = world.tree();
    fs::write(tree.join("dir/a"), "mine\n").unwrap();
    git_in(&tree, &["commit", "-q", "-a", "-m", "my fix"]);
    let mine = git_in(&tree, &["rev-parse", "HEAD"]);
    let state = changes(world.state(&tracked, Some(&old)));
    assert_eq!(state, [format!("{} my fix", &mine[..12])]);
    assert_eq!(world.fetch(&tracked, Some(&old)).unwrap(), CheckedOut::Kept);
    let report = world.fetch(&tracked, Some(&new)).unwrap_err().report();
    assert!(report.contains("my fix"), "{report}");
    assert_eq!(git_in(&tree, &["rev-parse", "HEAD"]), mine);
}

#[test]
fn branches_stashes_and_settings_outlive_a_moved_pin() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    let (tracked, old, new) = moved(&world, &upstream);
    let tree = world.tree();
    git_in(&tree, &["checkout", "-q", "-b", "topic"]);
    fs::write(tree.join("dir/a"), "mine\n").unwrap();
    git_in(&tree, &["commit", "-q", "-a", "-m", "my fix"]);
    let mine = git_in(&tree, &["rev-parse", "HEAD"]);
    fs::write(tree.join("dir/a"), "stashed\n").unwrap();
    git_in(&tree, &["stash"]);
    git_in(&tree, &["remote", "add", "me", "/nowhere"]);
    git_in(&tree, &["checkout", "-q", "--detach", old.commit.as_ref().unwrap().as_str()]);
    assert_eq!(world.state(&tracked, Some(&old)), State::AtPin);
    // What `distclean` asks.
    let only_here = |pin| xtask::origin::only_here(&world.layout, &world.source, &[(&tracked, Some(pin))]).unwrap();
    let stash = git_in(&tree, &["rev-parse", "stash"]);
    let expected = [format!("branch topic: {} my fix", &mine[..12]), format!("stash: {} WIP on topic: ", &stash[..12])];
    let found = only_here(&old);
    assert!(found.len() == 2 && found[0] == expected[0] && found[1].starts_with(&expected[1]), "{found:?}");
    assert_eq!(world.fetch(&tracked, Some(&new)).unwrap(), CheckedOut::Moved);
    assert_eq!(only_here(&new), found);
    assert_eq!(git_in(&tree, &["rev-parse", "topic"]), mine);
    assert_eq!(git_in(&tree, &["show", "topic:dir/a"]), "mine");
    assert_eq!(git_in(&tree, &["show", "stash@{0}:dir/a"]), "stashed");
    assert_eq!(git_in(&tree, &["remote"]), "me\norigin");
    git_in(&tree, &["fsck", "--connectivity-only"]);
    // Nothing here needs the store.
    fs::remove_dir_all(&world.layout.store).unwrap();
    git_in(&tree, &["fsck", "--full"]);
    assert_eq!(git_in(&tree, &["status", "--porcelain"]), "");
}

#[test]
fn branches_of_known_commits_are_nobodys_loss() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    let (tracked, old, _) = moved(&world, &upstream);
    git_in(&world.tree(), &["branch", "mine"]);
    let only_here = || xtask::origin::only_here(&world.layout, &world.source, &[(&tracked, Some(&old))]).unwrap();
    assert!(only_here().is_empty());
}

#[test]
fn discarded_commits_can_still_be_found() {
    let mut world = World::new();
    let upstream = Upstream::new(world.path("up"));
    let (tracked, _, new) = moved(&world, &upstream);
    fs::write(world.tree().join("dir/a"), "mine\n").unwrap();
    git_in(&world.tree(), &["commit", "-q", "-a", "-m", "my fix"]);
    world.discard = true;
    world.fetch(&tracked, Some(&new)).unwrap();
    assert_eq!(git_in(&world.tree(), &["show", "ORIG_HEAD:dir/a"]), "mine");
}

#[test]
fn a_directory_that_fetch_did_not_make_is_left_alone_unless_it_is_the_pin() {
    let mut world = World::new();
    let upstream = Upstream::new(world.path("up"));
    let (tracked, old, new) = moved(&world, &upstream);
    // The state directory is lost: the tree speaks for itself.
    fs::remove_dir_all(world.layout.state()).unwrap();
    assert_eq!(world.state(&tracked, Some(&old)), State::AtPin);
    assert_eq!(world.state(&tracked, Some(&new)), State::Foreign);
    let report = world.fetch(&tracked, Some(&new)).unwrap_err().report();
    assert!(report.contains("was not made by fetch"), "{report}");
    assert_eq!(world.fetch(&tracked, Some(&old)).unwrap(), CheckedOut::Already);
    assert_eq!(world.fetch(&tracked, Some(&new)).unwrap(), CheckedOut::Moved);
    fs::remove_dir_all(world.layout.work()).unwrap();
    fs::create_dir_all(world.tree()).unwrap();
    fs::write(world.tree().join("precious"), "x").unwrap();
    assert_eq!(world.state(&tracked, Some(&new)), State::Foreign);
    world.fetch(&tracked, Some(&new)).unwrap_err();
    assert_eq!(world.read("precious"), "x");
    world.discard = true;
    world.fetch(&tracked, Some(&new)).unwrap();
}

#[test]
fn without_a_lock_what_is_there_stays() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    upstream.commit("a", "one\n");
    let tracked = upstream.origin("branch = \"main\"");
    assert_eq!(world.fetch(&tracked, None).unwrap(), CheckedOut::Fetched);
    upstream.commit("a", "two\n");
    assert_eq!(world.fetch(&tracked, None).unwrap(), CheckedOut::Already);
    assert_eq!(world.read("a"), "one\n");
    assert_eq!(world.state(&tracked, None), State::AtPin);
}

#[test]
fn a_local_directory_is_used_as_it_is() {
    let world = World::new();
    fs::create_dir_all(world.layout.root.join("here")).unwrap();
    let here = origin("path = { dir = \"here\" }");
    assert_eq!(world.fetch(&here, None).unwrap(), CheckedOut::Local);
    assert_eq!(world.state(&here, None), State::Local);
    assert!(world.fetch(&origin("path = { dir = \"there\" }"), None).unwrap_err().report().contains("/there`"));
}
