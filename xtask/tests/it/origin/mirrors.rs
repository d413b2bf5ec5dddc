//! Mirrors of repositories: servers that are dead, break off, hang or give only everything; runs that are killed or meet.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use xtask::definition::Origin;
use xtask::error::Kind;
use xtask::origin::{CheckedOut, State};

use super::child;
use super::git::{Upstream, git_in};
use super::servers::{Fault, Server, dead};
use super::world::{World, origin, write_tar_gz};

/// A bare copy of a repository below `served`, for servers.
fn serve(upstream: &Upstream, served: &Path, name: &str) -> PathBuf {
    fs::create_dir_all(served).unwrap();
    let to = served.join(name);
    git_in(served, &["clone", "-q", "--bare", &upstream.url(), to.to_str().unwrap()]);
    git_in(&to, &["update-server-info"]);
    to
}

/// A repository whose pack is large enough to break off in the middle.
fn large(world: &World) -> Upstream {
    let upstream = Upstream::new(world.path("up"));
    for index in 0..8 {
        fs::write(upstream.dir.join(format!("noise-{index}")), large_text(index)).unwrap();
    }
    upstream.commit("a", "one\n");
    upstream
}

/// 60 KB that compress badly.
pub fn large_text(seed: u64) -> String {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + ((state >> 33) % 90) as u8)
    };
    (0..60_000).map(|_| next()).collect()
}

fn git_origin(urls: &[String], what: &str) -> String {
    format!("git = {{ urls = {urls:?}, {what} }}")
}

/// Nothing that a run needs only while it runs is left.
fn assert_swept(world: &World) {
    xtask::origin::sweep(&world.layout);
    for base in [world.layout.work().join("tmp"), world.layout.store.join("tmp")] {
        let left: Vec<_> = fs::read_dir(&base).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_dead_mirror_is_passed_over_and_the_reason_said() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    let commit = upstream.commit("a", "one\n");
    let dead = dead("git");
    let pin = world.update(&origin(&git_origin(&[dead.clone(), upstream.url()], "branch = \"main\"")));
    assert_eq!(pin.commit.unwrap().as_str(), commit);
    let said = world.said();
    let line = said.iter().find(|line| line.contains("instead")).unwrap();
    assert!(line.contains(&dead) && line.contains(&upstream.url()) && line.contains("Connection refused"), "{line}");
}

#[test]
fn git_and_smart_http_give_the_pinned_commit_alone() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    upstream.commit("a", "one\n");
    let wanted = upstream.commit("a", "two\n");
    upstream.commit("a", "three\n");
    let served = world.path("served");
    serve(&upstream, &served, "thing.git");
    let daemon = Server::git(served.clone(), |_| Fault::None);
    let http = Server::http(served, |_| Fault::None);
    for url in [daemon.url("git", "thing.git"), http.url("http", "smart/thing.git")] {
        let world = World::new();
        let tracked = origin(&git_origin(std::slice::from_ref(&url), "branch = \"main\""));
        world.update(&tracked);
        // A pin that the tip is not, as in a lock of last week.
        let world = World::new();
        let pinned = origin(&git_origin(std::slice::from_ref(&url), &format!("commit = \"{wanted}\"")));
        world.update(&pinned);
        assert_eq!(world.read("a"), "two\n", "{url}");
        assert_eq!(git_in(&world.tree(), &["log", "--format=%s"]), "set a to two", "only one commit came");
        assert_eq!(world.said(), [""; 0]);
    }
}

#[test]
fn a_server_of_plain_files_gives_everything_and_that_is_said() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    upstream.commit("a", "one\n");
    upstream.git(&["tag", "v1"]);
    upstream.commit("a", "two\n");
    let served = world.path("served");
    serve(&upstream, &served, "thing.git");
    let http = Server::http(served, |_| Fault::None);
    world.update(&origin(&git_origin(&[http.url("http", "thing.git")], "branch = \"main\"")));
    assert_eq!(world.read("a"), "two\n");
    let said = world.said();
    assert!(said.iter().any(|line| line.contains("fetching all of it") && line.contains("shallow")), "{said:?}");
    // Everything is there now: another pin needs no network.
    let asked = http.connections();
    world.update(&origin(&git_origin(
        &[http.url("http", "thing.git")],
        &format!("commit = \"{}\"", upstream.git(&["rev-parse", "v1"])),
    )));
    assert_eq!(world.read("a"), "one\n");
    assert_eq!(http.connections(), asked);
    assert_eq!(git_in(&world.tree(), &["tag"]), "v1");
}

#[test]
fn a_mirror_that_breaks_off_is_tried_again_and_then_left() {
    let world = World::new();
    let upstream = large(&world);
    let served = world.path("served");
    serve(&upstream, &served, "thing.git");
    // Its first connection breaks off in the middle of the pack, the next works.
    let moody = Server::git(
        served.clone(),
        |connection| if connection == 0 { Fault::ClosesAfter(100_000) } else { Fault::None },
    );
    world.update(&origin(&git_origin(&[moody.url("git", "thing.git")], "branch = \"main\"")));
    assert!(world.said().iter().any(|line| line.contains("trying it again")));
    assert_eq!(moody.connections(), 2);
    // All of its connections break off.
    let world = World::new();
    let broken = Server::git(served.clone(), |_| Fault::ClosesAfter(100_000));
    let good = Server::http(served, |_| Fault::None);
    let urls = [broken.url("git", "thing.git"), good.url("http", "smart/thing.git")];
    world.update(&origin(&git_origin(&urls, "branch = \"main\"")));
    assert_eq!(broken.connections(), 1, "the other address comes before a second try");
    assert!(world.said().iter().any(|line| line.contains(&format!("trying {} instead", urls[1]))));
    assert_swept(&world);
}

#[test]
fn when_every_mirror_fails_all_reasons_are_named_and_nothing_is_kept() {
    let world = World::new();
    let upstream = large(&world);
    let served = world.path("served");
    serve(&upstream, &served, "thing.git");
    let broken = Server::git(served.clone(), |_| Fault::ClosesAfter(100_000));
    let missing = Server::http(served, |_| Fault::None);
    let urls = [broken.url("git", "thing.git"), missing.url("http", "smart/other.git"), dead("git")];
    let error = world.resolve(&origin(&git_origin(&urls, "branch = \"main\"")), None).unwrap_err();
    assert_eq!(error.kind(), Kind::Machine);
    let report = error.report();
    assert!(urls.iter().all(|url| report.contains(url)), "{report}");
    assert!(!world.layout.mirrors().join("thing.git").exists() && !world.tree().exists());
    assert_swept(&world);
}

#[test]
fn a_branch_that_is_not_there_is_named() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    upstream.commit("a", "one\n");
    let report = world.resolve(&upstream.origin("branch = \"nope\""), None).unwrap_err().report();
    assert!(report.contains("refs/heads/nope"), "{report}");
    let gone = format!("commit = \"{}\"", "1".repeat(40));
    let report = world.resolve(&upstream.origin(&gone), None).unwrap_err().report();
    assert!(report.contains(&"1".repeat(40)) && report.contains("not in all of it"), "{report}");
}

#[test]
fn a_killed_fetch_leaves_nothing_that_the_next_one_would_trust() {
    let world = World::new();
    let upstream = large(&world);
    let served = world.path("served");
    serve(&upstream, &served, "thing.git");
    // The first connection hangs in the middle of the pack (git passes its data on in pieces of up to 64 KiB): there the run is
    // killed.
    let hanging =
        Server::git(served, |connection| if connection == 0 { Fault::HangsAfter(200_000) } else { Fault::None });
    let text = git_origin(&[hanging.url("git", "thing.git")], "branch = \"main\"");
    let run = child::command(&world, &text, None).spawn().unwrap();
    wait_until(|| super::world::size_of(&world.layout.store) > 50_000);
    child::kill(run);
    assert!(fs::read_dir(world.layout.mirrors()).into_iter().flatten().flatten().all(|entry| entry.path().is_file()));
    let tracked = origin(&text);
    assert_eq!(world.state(&tracked, None), State::Missing);
    let pin = world.update(&tracked);
    assert_eq!(pin.commit.unwrap().as_str(), upstream.git(&["rev-parse", "HEAD"]));
    assert_swept(&world);
}

#[test]
fn a_killed_download_leaves_nothing_that_the_next_one_would_trust() {
    let world = World::new();
    let file = world.path("served/thing-1.0.tar.gz");
    write_tar_gz(&file, &[("thing-1.0/a", &"one\n".repeat(100_000)), ("thing-1.0/b", &large_text(1))]);
    let hanging =
        Server::http(
            world.path("served"),
            |connection| if connection == 0 { Fault::HangsAfter(20_000) } else { Fault::None },
        );
    let text = format!("archive = {{ urls = [{:?}] }}", hanging.url("http", "thing-1.0.tar.gz"));
    let pin = World::new()
        .resolve(&origin(&format!("archive = {{ urls = [{:?}] }}", file.display().to_string())), None)
        .unwrap();
    let run = child::command(&world, &text, Some(&pin)).spawn().unwrap();
    wait_until(|| super::world::size_of(&world.layout.store.join("tmp")) > 10_000);
    child::kill(run);
    assert!(!world.layout.files().exists() && !world.tree().exists());
    assert_eq!(world.fetch(&origin(&text), Some(&pin)).unwrap(), CheckedOut::Fetched);
    assert_eq!(world.state(&origin(&text), Some(&pin)), State::AtPin);
    assert_swept(&world);
}

#[test]
fn a_fetch_killed_at_any_moment_is_made_good() {
    let world = World::new();
    let upstream = large(&world);
    let text = git_origin(&[upstream.url()], "branch = \"main\"");
    let tracked = origin(&text);
    let old = world.resolve(&tracked, None).unwrap();
    upstream.commit("noise-3", "quiet\n");
    let new = world.resolve(&tracked, Some(&old)).unwrap();
    let started = Instant::now();
    world.fetch(&tracked, Some(&old)).unwrap();
    let whole = started.elapsed().max(Duration::from_millis(20));
    // Back and forth between two pins, each time killed a bit later.
    for step in 0..24_u32 {
        let (from, to) = if step % 2 == 0 { (&old, &new) } else { (&new, &old) };
        let mut run = child::command(&world, &text, Some(to)).spawn().unwrap();
        std::thread::sleep(whole * step / 12);
        run.kill().unwrap();
        run.wait().unwrap();
        let state = world.state(&tracked, Some(to));
        assert!(matches!(state, State::AtPin | State::OffPin { .. } | State::Missing), "step {step}: {state:?}");
        world.fetch(&tracked, Some(to)).unwrap_or_else(|error| panic!("step {step}: {}", error.report()));
        assert_eq!(world.state(&tracked, Some(to)), State::AtPin);
        assert!(matches!(world.state(&tracked, Some(from)), State::OffPin { .. }));
        assert_eq!(git_in(&world.tree(), &["status", "--porcelain"]), "");
    }
    assert_swept(&world);
}

#[test]
fn two_runs_at_once_share_one_fetch() {
    let world = World::new();
    let upstream = large(&world);
    let served = world.path("served");
    serve(&upstream, &served, "thing.git");
    let daemon = Server::git(served, |_| Fault::None);
    let text = git_origin(&[daemon.url("git", "thing.git")], "branch = \"main\"");
    let pin = World::new().resolve(&origin(&text), None).unwrap();
    let before = daemon.connections();
    // Two in one checkout, one in another that has the same store.
    let other = world.another_checkout();
    let runs: Vec<_> = [&world, &world, &other]
        .iter()
        .map(|world| child::command(world, &text, Some(&pin)).spawn().unwrap())
        .collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        child::result(&output).unwrap();
    }
    assert_eq!(daemon.connections() - before, 1);
    for world in [&world, &other] {
        assert_eq!(world.state(&origin(&text), Some(&pin)), State::AtPin);
        assert_swept(world);
    }
}

#[test]
fn offline_takes_what_the_store_has_and_asks_nobody() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    upstream.commit("a", "one\n");
    let served = world.path("served");
    serve(&upstream, &served, "thing.git");
    let daemon = Server::git(served, |_| Fault::None);
    let tracked: Origin = origin(&git_origin(&[daemon.url("git", "thing.git")], "branch = \"main\""));
    let pin = world.resolve(&tracked, None).unwrap();
    let asked = daemon.connections();
    let mut world = world.another_checkout();
    world.offline = true;
    assert_eq!(world.fetch(&tracked, Some(&pin)).unwrap(), CheckedOut::Fetched);
    assert_eq!(world.resolve(&tracked, Some(&pin)).unwrap_err().kind(), Kind::Machine);
    let mut elsewhere = World::new();
    elsewhere.offline = true;
    let report = elsewhere.fetch(&tracked, Some(&pin)).unwrap_err().report();
    assert!(report.contains("--offline") && report.contains(pin.commit.unwrap().as_str()), "{report}");
    assert_eq!(daemon.connections(), asked);
    // A repository on this machine is no network.
    elsewhere.fetch(&upstream.origin("branch = \"main\""), None).unwrap();
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}
