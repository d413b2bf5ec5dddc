//! The git origin against repositories made by git.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::definition::Origin;
use xtask::origin::{CheckedOut, State};

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

/// git without anybody's configuration.
pub fn git_in(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@example.org")])
        .envs([("GIT_COMMITTER_NAME", "C"), ("GIT_COMMITTER_EMAIL", "c@example.org")])
        .env("GIT_COMMITTER_DATE", "1700000000 +0100")
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
