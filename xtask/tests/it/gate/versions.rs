//! Trees whose origin has no refs: the candidate is another version, and what is pushed is a commit of manifest and lock.

use std::fs;

use super::gated::{BUILD, GATE};
use crate::build::checkout::{Checkout, sealed};
use crate::build::run::Ran;
use crate::origin::git::git_in;
use crate::origin::servers::{Fault, Server};
use crate::origin::world::write_tar_gz;

struct Releases {
    checkout: Checkout,
    server: Server,
    dir: tempfile::TempDir,
}

impl Releases {
    /// Version 1 of an archive is locked.
    fn new() -> Option<Releases> {
        if !sealed() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let server = Server::http(dir.path().to_path_buf(), |_| Fault::None);
        let releases = Releases { checkout: Checkout::new(), server, dir };
        let checkout = &releases.checkout;
        checkout.script("a", "", "if grep -q broken f; then exit 1; fi; install -D -m 644 f $STAGE/usr/f");
        releases.publish("1", "one\n");
        checkout.write(
            "manifests/m.toml",
            &format!("summary = 'm'\ncomponents = ['a']\n[sources.a]\n{}\n", releases.origin("1")),
        );
        checkout.write("ci/jobs/build.toml", BUILD);
        checkout.write(".gitignore", "/.xtask\n/dist\n/ci/gates\n");
        releases.candidate("1");
        assert_eq!(checkout.run(&["update"]).code, Some(0));
        git_in(&checkout.root(), &["init", "-q", "-b", "main"]);
        git_in(&checkout.root(), &["add", "-A"]);
        git_in(&checkout.root(), &["commit", "-q", "-m", "project"]);
        Some(releases)
    }

    fn publish(&self, version: &str, text: &str) {
        write_tar_gz(&self.dir.path().join(format!("a-{version}.tar.gz")), &[(&format!("a-{version}/f"), text)]);
    }

    fn origin(&self, version: &str) -> String {
        format!("archive = {{ urls = ['{}'] }}", self.server.url("http", &format!("a-{version}.tar.gz")))
    }

    /// The gate's definition wants that version next.
    fn candidate(&self, version: &str) {
        let tree = format!("[trees.a.candidate]\n{}\n[record]", self.origin(version));
        let gate = GATE.replace("jobs = ['test', 'build']", "jobs = ['build']");
        let (head, rest) = gate.split_once("[trees.a]").unwrap();
        let (_, rest) = rest.split_once("[record]").unwrap();
        self.checkout.write("ci/gates/g.toml", &format!("{head}{tree}{rest}"));
    }

    #[track_caller]
    fn ends(&self, code: i32, words: &[&str]) -> Ran {
        let ran = self.checkout.run(&["gate", "run", "g"]);
        assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
        words.iter().for_each(|word| assert!(ran.stdout.contains(word), "{word}: {}\n{}", ran.stdout, ran.stderr));
        ran
    }

    fn recorded(&self, path: &str) -> String {
        git_in(&self.checkout.root(), &["show", &format!("tested/g:{path}")])
    }
}

#[test]
fn a_good_version_is_recorded_with_its_origin_and_a_broken_one_is_not() {
    let Some(releases) = Releases::new() else { return };
    releases.ends(0, &["up to date"]);
    releases.publish("2", "two\n");
    releases.candidate("2");
    releases.ends(0, &["all pass - PUSHED"]);
    assert!(releases.recorded("manifests/m.toml").contains("a-2.tar.gz"));
    let lock = releases.recorded("manifests/m.lock");
    assert!(lock.contains("a-2.tar.gz") && !lock.contains("a-1"), "{lock}");
    releases.ends(0, &["up to date"]);

    releases.publish("3", "broken\n");
    releases.candidate("3");
    releases.ends(1, &["regressions - FAIL", "g:build:build/a:fail:REGR. vs. 2"]);
    assert_eq!(releases.recorded("manifests/m.lock"), lock);

    // Whoever has the record builds what was tested, even where the gate's own directory is lost.
    fs::remove_dir_all(releases.checkout.path(".xtask/gate")).unwrap();
    releases.publish("4", "four\n");
    releases.candidate("4");
    releases.ends(0, &["all pass - PUSHED"]);
    assert!(releases.recorded("manifests/m.lock").contains("a-4.tar.gz"));
    // Each record stands on the one before.
    let log = git_in(&releases.checkout.root(), &["log", "--format=%s", "--first-parent", "tested/g"]);
    assert_eq!(log, "g: tested tuple of flight 2\ng: tested tuple of flight 2\nproject");
    assert_eq!(git_in(&releases.checkout.root(), &["status", "--porcelain"]), "");
}
