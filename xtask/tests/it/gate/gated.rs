//! A project with a gate over bare repositories, in a temporary directory.

use crate::build::checkout::{Checkout, sealed};
use crate::build::run::Ran;
use crate::origin::git::{Upstream, git_in};

/// A project with a gate over one bare repository.
pub struct Gated {
    pub checkout: Checkout,
    /// Where somebody commits to `staging`.
    pub upstream: Upstream,
    pub dir: tempfile::TempDir,
}

pub const GATE: &str = "
summary = 'g'
manifest = 'm'
jobs = ['test', 'build']
bisect = false
[trees.a]
repository = 'REPOSITORY'
untested = 'refs/heads/staging'
tested = 'refs/heads/master'
[record]
from = 'refs/heads/main'
to = 'refs/heads/tested/g'
";
pub const BUILD: &str = "summary = 'b'\ntier = 'smoke'\nrun.build.components = ['a']\n";
pub const TEST: &str =
    "summary = 't'\nneeds = ['build']\n[run.test]\nsources = ['a']\nargv = ['sh', '-ec', '''SCRIPT''']\n";

impl Gated {
    /// Nothing where builds cannot be sealed here.
    pub fn new(test: &str) -> Option<Gated> {
        if !sealed() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let upstream = Upstream::new(dir.path().join("work"));
        let bare = dir.path().join("a.git");
        git_in(dir.path(), &["init", "-q", "--bare", "-b", "master", "a.git"]);
        upstream.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
        let checkout = Checkout::new();
        let url = format!("file://{}", bare.display());
        checkout.script("a", "", "if grep -q broken f; then exit 1; fi; install -D -m 644 f $STAGE/usr/f");
        checkout.write(
            "manifests/m.toml",
            &format!(
                "summary = 'm'\ncomponents = ['a']\n[sources]\na.git = {{ urls = ['{url}'], branch = 'staging' }}\n"
            ),
        );
        checkout.write("ci/gates/g.toml", &GATE.replace("REPOSITORY", &url));
        checkout.write("ci/jobs/build.toml", BUILD);
        checkout.write("ci/jobs/test.toml", &TEST.replace("SCRIPT", test));
        checkout.write(".gitignore", "/.xtask\n/dist\n");
        let gated = Gated { checkout, upstream, dir };
        gated.commit("f", "one\n");
        gated.upstream.git(&["push", "-q", "origin", "HEAD:master"]);
        gated.checkout.run(&["update"]);
        git_in(&gated.checkout.root(), &["init", "-q", "-b", "main"]);
        git_in(&gated.checkout.root(), &["add", "-A"]);
        git_in(&gated.checkout.root(), &["commit", "-q", "-m", "project"]);
        Some(gated)
    }

    /// Somebody pushes a commit to `staging`.
    pub fn commit(&self, path: &str, text: &str) -> String {
        let id = self.upstream.commit(path, text);
        self.upstream.git(&["push", "-q", "origin", "HEAD:staging"]);
        id
    }

    pub fn run(&self) -> Ran {
        self.checkout.run(&["gate", "run", "g"])
    }

    #[track_caller]
    pub fn ends(&self, code: i32, words: &[&str]) {
        let ran = self.run();
        assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
        words.iter().for_each(|word| assert!(ran.stdout.contains(word), "{word}: {}\n{}", ran.stdout, ran.stderr));
    }

    pub fn tested(&self) -> String {
        git_in(&self.dir.path().join("a.git"), &["rev-parse", "master"])
    }

    pub fn recorded(&self) -> String {
        git_in(&self.checkout.root(), &["log", "-1", "--format=%B", "tested/g"])
    }
}
