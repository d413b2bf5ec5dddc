//! A gate of the project itself: the candidate is a commit of it, and everything that it builds and boots is that commit's.

use xtask::turn::{self, Hold};

use crate::build::checkout::{Checkout, sealed};
use crate::origin::git::git_in;

const GATE: &str = "
summary = 'this project'
manifest = 'm'
jobs = ['build', 'test', 'boot']
[trees.p]
project = true
repository = '.'
untested = 'refs/heads/main'
tested = 'refs/heads/tested'
";
const BUILD: &str = "summary = 'b'\ntier = 'smoke'\nrun.build.components = ['a']\n";
const TEST: &str =
    "summary = 't'\nneeds = ['build']\nresources = ['bench']\n[run.test]\nsources = []\nargv = ['sh', '-ec', '''
[ \"$GATE_SOURCE_P\" = \"$PWD\" ] && \"$XTASK\" build && ! grep -q wrong dist/usr/sbin/tapdisk
''']\n";
const BOOT: &str =
    "summary = 'boots'\nneeds = ['build']\nresources = ['emulator']\nrun.boot.scenarios = ['linux-nbd']\n";

struct Project(Checkout);

impl Project {
    fn new() -> Option<Project> {
        if !sealed() {
            return None;
        }
        let checkout = Checkout::new();
        checkout.manifest(&["a"], "");
        checkout.write("a/tapdisk", "one\n");
        checkout.script(
            "a",
            "",
            "install -D tapdisk $STAGE/usr/sbin/tapdisk; install -D tapdisk $STAGE/usr/bin/vhd-util",
        );
        for (path, text) in [("gates/g", GATE), ("jobs/build", BUILD), ("jobs/test", TEST), ("jobs/boot", BOOT)] {
            checkout.write(&format!("ci/{path}.toml"), text);
        }
        checkout.write(".gitignore", "/.xtask\n/dist\n");
        let project = Project(checkout);
        project.git(&["init", "-q", "-b", "main"]);
        project.commit("one\n");
        project.git(&["branch", "tested"]);
        Some(project)
    }

    fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.0.root(), arguments)
    }

    fn commit(&self, text: &str) -> String {
        self.0.write("a/tapdisk", text);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Offline: what boots could not be downloaded.
    #[track_caller]
    fn ends(&self, code: i32, words: &[&str]) {
        let ran = self.0.run(&["gate", "run", "g", "--offline"]);
        assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
        words.iter().for_each(|word| assert!(ran.stdout.contains(word), "{word}: {}\n{}", ran.stdout, ran.stderr));
    }
}

#[test]
fn a_commit_of_the_project_is_built_as_it_is_and_what_could_not_boot_has_not_passed() {
    let Some(project) = Project::new() else { return };
    project.ends(0, &["up to date"]);
    let good = project.commit("two\n");
    // 77 of `boot` is broken, and nobody's fault: it never passed here.
    project.ends(0, &["tolerable FAIL - PUSHED", "g:boot:boot/linux-nbd:broken:never pass"]);
    let show = project.0.run(&["gate", "show", "2"]).stdout;
    assert!(show.contains("not run: it said that this machine cannot"), "{show}");
    assert_eq!(project.git(&["rev-parse", "tested"]), good);
    // The operator's checkout was not touched, and there is no other ref than that.
    assert_eq!(project.git(&["status", "--porcelain"]), "");
    assert_eq!(project.git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main\nrefs/heads/tested");

    project.commit("wrong\n");
    project.ends(1, &["regressions - FAIL", "g:test:test:fail:REGR. vs. 2"]);
    // A candidate that cannot even be read is the candidate's fault too.
    project.0.write("components/a.toml", "no definition\n");
    project.commit("three\n");
    project.ends(1, &["regressions - FAIL", "g:build:build/a:fail:REGR. vs. 2"]);
    assert_eq!(project.git(&["rev-parse", "tested"]), good);
}

#[test]
fn what_another_gate_of_this_machine_uses_is_waited_for() {
    let Some(project) = Project::new() else { return };
    project.commit("two\n");
    project.0.write("ci/gates/g.toml", &GATE.replace(", 'boot'", ""));
    let resource = project.0.store().join("gate/resources/bench");
    let held = turn::try_take(&resource, Hold::Alone).unwrap().unwrap();
    let running = project.0.start_command(&["gate", "run", "g"]);
    running.said("test: another job has `bench`; waiting for its end");
    drop(held);
    let ran = running.ended();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
