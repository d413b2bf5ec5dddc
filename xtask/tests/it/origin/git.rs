//! The git origin against repositories made by git.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::definition::Origin;
use xtask::origin::{CheckedOut, State};

use super::child;
use super::world::{World, origin};

/// A repository with a work tree that tests commit to.
pub struct Upstream {
    pub dir: PathBuf,
}

impl Upstream {
    pub fn new(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).unwrap();
        let upstream = Upstream { dir };
        upstream.git(&["init", "-q", "-b", "main", "."]);
        upstream
    }

    /// Runs git in it and gives what it prints.
    pub fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.dir, arguments)
    }

    /// Writes a file and commits it.
    pub fn commit(&self, path: &str, text: &str) -> String {
        let at = self.dir.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", &format!("set {path} to {}", text.trim())]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.dir.display())
    }

    /// An origin that tracks it.
    pub fn origin(&self, what: &str) -> Origin {
        origin(&format!("git = {{ urls = [{:?}], {what} }}", self.url()))
    }
}

/// git without anybody's configuration, at a time of its own.
pub fn git_in(dir: &Path, arguments: &[&str]) -> String {
    git_at(1_700_000_000, dir, arguments)
}

/// The same at another time, in seconds since 1970.
pub fn git_at(time: u64, dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@example.org")])
        .envs([("GIT_COMMITTER_NAME", "C"), ("GIT_COMMITTER_EMAIL", "c@example.org")])
        .env("GIT_COMMITTER_DATE", format!("@{time} +0100"))
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_branch_a_tag_a_commit_and_any_ref_are_fetched() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    let one = upstream.commit("a", "one\n");
    upstream.git(&["tag", "-a", "-m", "annotated", "v1"]);
    upstream.git(&["update-ref", "refs/changes/7", &one]);
    let two = upstream.commit("a", "two\n");
    upstream.git(&["branch", "feature/x"]);
    let three = upstream.commit("a", "three\n");
    for (what, commit, text) in [
        ("branch = \"main\"", &three, "three\n"),
        ("branch = \"feature/x\"", &two, "two\n"),
        ("tag = \"v1\"", &one, "one\n"),
        ("ref = \"refs/changes/7\"", &one, "one\n"),
        (&format!("commit = \"{two}\""), &two, "two\n"),
    ] {
        let world = World::new();
        let pin = world.update(&upstream.origin(what));
        assert_eq!(pin.commit.unwrap().as_str(), commit, "{what}");
        assert_eq!(pin.epoch, 1_700_000_000);
        assert_eq!(world.read("a"), text, "{what}");
        assert_eq!(git_in(&world.tree(), &["rev-parse", "HEAD"]), *commit);
        assert_eq!(git_in(&world.tree(), &["status", "--porcelain"]), "");
        assert_eq!(world.said(), [""; 0], "{what}");
    }
}

#[test]
fn a_second_fetch_does_nothing_and_a_moved_pin_moves_the_tree() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    upstream.commit("a", "one\n");
    let tracked = upstream.origin("branch = \"main\"");
    let old = world.update(&tracked);
    assert_eq!(world.fetch(&tracked, Some(&old)).unwrap(), CheckedOut::Already);
    upstream.commit("b", "two\n");
    let new = world.resolve(&tracked, Some(&old)).unwrap();
    assert_eq!(world.read("a"), "one\n");
    assert!(
        matches!(world.state(&tracked, Some(&new)), State::OffPin { at } if at == old.commit.clone().unwrap().as_str())
    );
    assert_eq!(world.fetch(&tracked, Some(&new)).unwrap(), CheckedOut::Moved);
    assert_eq!(world.read("b"), "two\n");
    assert_eq!(world.resolve(&tracked, Some(&new)).unwrap(), new);
    // And back, without the network.
    fs::remove_dir_all(&upstream.dir).unwrap();
    assert_eq!(world.fetch(&tracked, Some(&old)).unwrap(), CheckedOut::Moved);
    assert!(!world.tree().join("b").exists());
}

#[test]
fn submodules_are_pinned_and_fetched_from_mirrors_of_their_own() {
    let world = World::new();
    let inner = Upstream::new(world.path("inner"));
    let inner_one = inner.commit("i", "inner one\n");
    let middle = Upstream::new(world.path("middle"));
    middle.git(&["submodule", "add", "-q", "../inner", "deep/inner"]);
    let middle_one = middle.commit("m", "middle one\n");
    let upstream = Upstream::new(world.path("up"));
    upstream.git(&["submodule", "add", "-q", "--name", "named", "../middle", "lib/middle"]);
    upstream.commit("a", "one\n");
    let tracked = upstream.origin("branch = \"main\", submodules = true");
    let pin = world.update(&tracked);
    let found: Vec<_> = pin.submodules.iter().map(|it| (it.path.as_str(), it.commit.as_str())).collect();
    assert_eq!(found, [("lib/middle", middle_one.as_str()), ("lib/middle/deep/inner", inner_one.as_str())]);
    assert_eq!(pin.submodules[1].url, inner.url());
    assert_eq!(world.read("lib/middle/deep/inner/i"), "inner one\n");
    assert_eq!(git_in(&world.tree(), &["status", "--porcelain"]), "");
    // The submodule moves with its superproject, and what a person did in it is found.
    inner.commit("i", "inner two\n");
    middle.git(&["-C", "deep/inner", "pull", "-q"]);
    middle.commit("m", "middle two\n");
    upstream.git(&["-C", "lib/middle", "pull", "-q"]);
    upstream.commit("a", "two\n");
    let new = world.resolve(&tracked, Some(&pin)).unwrap();
    assert_ne!(new.submodules, pin.submodules);
    fs::write(world.tree().join("lib/middle/m"), "mine\n").unwrap();
    let report = world.fetch(&tracked, Some(&new)).unwrap_err().report();
    assert!(report.contains("lib/middle/m (edited)"), "{report}");
    fs::write(world.tree().join("lib/middle/m"), "middle one\n").unwrap();
    world.fetch(&tracked, Some(&new)).unwrap();
    assert_eq!(world.read("lib/middle/deep/inner/i"), "inner two\n");
    // Without the word nothing is fetched: an empty directory stands there.
    let plain = World::new();
    assert_eq!(plain.update(&upstream.origin("branch = \"main\"")).submodules, []);
    assert_eq!(fs::read_dir(plain.tree().join("lib/middle")).unwrap().count(), 0);
}

#[test]
fn rewritten_history_is_followed_and_the_old_pin_stays_in_reach() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    upstream.commit("a", "one\n");
    upstream.commit("a", "two\n");
    let tracked = upstream.origin("branch = \"main\"");
    let old = world.update(&tracked);
    upstream.git(&["reset", "-q", "--hard", "HEAD~1"]);
    upstream.commit("b", "other two\n");
    upstream.git(&["reflog", "expire", "--expire=now", "--all"]);
    upstream.git(&["gc", "-q", "--prune=now"]);
    let new = world.resolve(&tracked, Some(&old)).unwrap();
    assert_eq!(world.fetch(&tracked, Some(&new)).unwrap(), CheckedOut::Moved);
    assert_eq!(world.read("a"), "one\n");
    // Upstream has forgotten the old commit, the mirror has not.
    assert_eq!(world.fetch(&tracked, Some(&old)).unwrap(), CheckedOut::Moved);
    assert_eq!(world.read("a"), "two\n");
    // A machine that never had it is told what to do.
    let late = World::new();
    let report = late.fetch(&tracked, Some(&old)).unwrap_err().report();
    assert!(report.contains(old.commit.unwrap().as_str()) && report.contains("cargo xtask update"), "{report}");
}

#[test]
fn a_tag_that_upstream_moved_moves_only_with_update() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    upstream.commit("a", "one\n");
    upstream.git(&["tag", "v1"]);
    let tracked = upstream.origin("tag = \"v1\"");
    let old = world.update(&tracked);
    upstream.commit("a", "two\n");
    upstream.git(&["tag", "-f", "-a", "-m", "moved", "v1"]);
    let fresh = World::new();
    fresh.fetch(&tracked, Some(&old)).unwrap();
    assert_eq!(fresh.read("a"), "one\n");
    assert_ne!(world.resolve(&tracked, Some(&old)).unwrap().commit, old.commit);
}

#[test]
fn modes_links_and_line_ends_come_out_as_they_were_committed() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    let at = |path: &str| upstream.dir.join(path);
    fs::write(at("crlf"), "a\r\nb\r\n").unwrap();
    fs::write(at("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(at("run"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("run", at("link")).unwrap();
    upstream.commit("odd name\u{e9}", "x");
    world.update(&upstream.origin("branch = \"main\""));
    assert_eq!(world.read("crlf"), "a\r\nb\r\n");
    assert_eq!(fs::read_link(world.tree().join("link")).unwrap().to_str(), Some("run"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(world.tree().join("run")).unwrap().permissions());
    assert_eq!(mode & 0o100, 0o100);
}

#[test]
fn a_path_relative_to_the_repository_is_a_url() {
    let world = World::new();
    let upstream = Upstream::new(world.layout.root.join("vendor/thing"));
    upstream.commit("a", "one\n");
    world.update(&origin("git = { urls = [\"vendor/thing\"], branch = \"main\" }"));
    assert_eq!(world.read("a"), "one\n");
}

#[test]
fn branches_in_a_submodule_outlive_it() {
    let world = World::new();
    let inner = Upstream::new(world.path("inner"));
    inner.commit("i", "inner\n");
    let upstream = Upstream::new(world.path("up"));
    upstream.git(&["submodule", "add", "-q", "../inner", "lib"]);
    upstream.commit("a", "one\n");
    let tracked = upstream.origin("branch = \"main\", submodules = true");
    let old = world.update(&tracked);
    // A branch in the submodule, which is back at its pin: nothing of it shows in the tree.
    let lib = world.tree().join("lib");
    let pinned = git_in(&lib, &["rev-parse", "HEAD"]);
    git_in(&lib, &["checkout", "-q", "-b", "topic"]);
    fs::write(lib.join("i"), "mine\n").unwrap();
    git_in(&lib, &["commit", "-q", "-a", "-m", "my fix"]);
    git_in(&lib, &["checkout", "-q", "--detach", &pinned]);
    upstream.commit("b", "two\n");
    let moved = world.resolve(&tracked, Some(&old)).unwrap();
    world.fetch(&tracked, Some(&moved)).unwrap();
    assert_eq!(git_in(&lib, &["show", "topic:i"]), "mine");
    upstream.git(&["rm", "-q", "lib"]);
    upstream.commit("c", "three\n");
    let gone = world.resolve(&tracked, Some(&moved)).unwrap();
    world.said();
    world.fetch(&tracked, Some(&gone)).unwrap();
    assert!(!lib.exists());
    assert!(world.said().iter().any(|line| line.contains(".git/vanished/lib")));
    assert_eq!(git_in(&world.tree().join(".git/vanished/lib"), &["--git-dir=.", "show", "topic:i"]), "mine");
}

#[test]
fn a_first_fetch_starts_git_twice_and_a_second_one_never() {
    let world = World::new();
    let upstream = Upstream::new(world.path("up"));
    upstream.commit("a", "one\n");
    let text = format!("git = {{ urls = [{:?}], branch = \"main\" }}", upstream.url());
    let pin = World::new().resolve(&origin(&text), None).unwrap();
    // A git that counts.
    let (bin, log) = (world.path("bin"), world.path("log"));
    fs::create_dir_all(&bin).unwrap();
    let real = String::from_utf8(Command::new("sh").args(["-c", "command -v git"]).output().unwrap().stdout).unwrap();
    let script = format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", log.display(), real.trim());
    fs::write(bin.join("git"), script).unwrap();
    fs::set_permissions(bin.join("git"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run =
        || child::result(&child::command(&world, &text, Some(&pin)).env("PATH", &path).output().unwrap()).unwrap();
    assert_eq!(run(), "Fetched");
    let calls = fs::read_to_string(&log).unwrap();
    let verbs: Vec<&str> =
        calls.lines().filter_map(|line| line.split(' ').find(|word| ["fetch", "read-tree"].contains(word))).collect();
    assert_eq!((calls.lines().count(), verbs), (2, vec!["fetch", "read-tree"]), "{calls}");
    assert_eq!(run(), "Already");
    assert_eq!(fs::read_to_string(&log).unwrap(), calls);
}
