//! The gate `debian-12` of this repository, as docs/gate.md shows it: Debian 12's Xen from the machine's package mirror is the baseline,
//! the version that `ci/gates/debian-12.toml` names the candidate. Both are built and booted, and the record is pushed into a clone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::build::checkout::sealed;
use crate::build::run::{Ran, ran};
use crate::default_manifest::dist;
use crate::origin::git::git_in;
use crate::repository;
use crate::tier::{self, Tier};

const LOCK: &str = "manifests/debian-12.lock";
const JOBS: [&str; 4] = ["build-xen", "build-seabios", "boot-dom0", "boot-pv"];

/// A clone of this repository, whose state is its own. Builds are put into the user's store.
struct Clone(PathBuf);

impl Clone {
    fn new(dir: &Path) -> Clone {
        git_in(dir, &["clone", "-q", repository().to_str().unwrap(), "sultana"]);
        let clone = Clone(dir.join("sultana"));
        // Whatever is checked out in the repository is what is on its main branch.
        clone.git(&["switch", "-q", "--detach"]);
        clone.git(&["branch", "-q", "-f", "main"]);
        clone
    }

    fn xtask(&self, arguments: &[&str]) -> Ran {
        ran(Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).current_dir(&self.0))
    }

    fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.0, arguments)
    }

    /// The flights of the gate, oldest first.
    fn flights(&self) -> Vec<Value> {
        let export = self.xtask(&["gate", "export", "debian-12"]).stdout;
        let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|mut line| line["flight"].take()).filter(Value::is_object).collect()
    }

    /// The logs and consoles of boots that did not pass.
    fn failed_boots(&self) -> String {
        let mut text = String::new();
        for flight in self.flights() {
            for job in flight["jobs"].as_array().unwrap().iter().filter(|job| job["state"] == "fail") {
                let (number, name) = (&flight["flight"], job["name"].as_str().unwrap());
                for log in [format!("{name}.log"), format!("{name}/console.log")] {
                    text += &self.log(&format!("{number}/{name}/{log}"));
                }
            }
        }
        text
    }

    /// Something that a flight left.
    fn log(&self, path: &str) -> String {
        let path = self.0.join(".xtask/gate/log").join(path);
        fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    }
}

fn toml_of(text: &str) -> toml::Table {
    toml::from_str(text).unwrap()
}

/// Of `4.20.3+127-gc42374a105-1`, which calls itself 4.20.4-pre, what both have: `4.20.`
fn series(version: &str) -> String {
    version.split_inclusive('.').take(2).collect()
}

#[test]
fn debian_12_is_gated_to_the_newer_xen_with_real_builds_and_boots() {
    if !tier::need(Tier::Full) || !sealed() {
        return;
    }
    // Installs what building needs, and puts the baseline into the store.
    dist(&[]);
    let dir = tempfile::tempdir().unwrap();
    let clone = Clone::new(dir.path());
    let read = |path: &str| fs::read_to_string(clone.0.join(path)).unwrap();
    let before = toml_of(&read(LOCK));
    let old = before["sources"]["xen"]["version"].as_str().unwrap();
    let gate = toml_of(&read("ci/gates/debian-12.toml"));
    let new = gate["trees"]["xen"]["candidate"]["apt"]["version"].as_str().unwrap();
    assert_ne!(old, new);

    let run = clone.xtask(&["gate", "run", "debian-12"]);
    if run.code == Some(3) && run.stderr.contains("cannot tell the newest version of `xen`") {
        return tier::skip(&format!("the machine's package mirror does not have Xen {new}: {}", run.stderr));
    }
    let boots = clone.0.join(".xtask/gate/log/1/boot-dom0/boot-dom0.log");
    let not_run = fs::read_to_string(boots).unwrap_or_default();
    if let Some(why) = not_run.lines().find(|line| line.contains("not run")) {
        return tier::skip(why);
    }
    assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
    for words in [
        "Subject: [debian-12 test] 2: all pass - PUSHED".to_owned(),
        format!("X-Gate-Versions-This: xen={new}"),
        format!("X-Gate-Versions-That: xen={old}"),
    ] {
        assert!(run.stdout.contains(&words), "{words}: {}\n{}", run.stdout, clone.failed_boots());
    }

    // What is recorded: one commit on top of main, in which the lock and the manifest have the one source moved and nothing else.
    let message = clone.git(&["log", "-1", "--format=%B", "tested/debian-12"]);
    for line in [&format!("xen: {old} -> {new}"), "Gate-Branch: debian-12", "Gate-Flight: 2"] {
        assert!(message.lines().any(|found| found == line), "{line}: {message}");
    }
    let trailers = clone.git(&["log", "-1", "--format=%(trailers:key=Gate-Tested,valueonly)", "tested/debian-12"]);
    assert_eq!(trailers.trim(), format!("xen {new}"));
    assert_eq!(clone.git(&["rev-parse", "tested/debian-12^@"]), clone.git(&["rev-parse", "main"]));
    let changed = clone.git(&["diff", "--name-only", "main", "tested/debian-12"]);
    assert_eq!(changed, format!("{LOCK}\nmanifests/debian-12.toml"));
    let mut after = toml_of(&clone.git(&["show", &format!("tested/debian-12:{LOCK}")]));
    let xen = after["sources"]["xen"].clone();
    assert_eq!(xen["version"].as_str(), Some(new));
    for field in ["tree", "files"] {
        assert_ne!(xen[field], before["sources"]["xen"][field], "{field}");
    }
    after["sources"]["xen"] = before["sources"]["xen"].clone();
    assert_eq!(after, before);
    // The operator's checkout is as it was.
    assert_eq!(clone.git(&["status", "--porcelain"]), "");

    // Both flights: every step passed, and each job was made of what was asked for.
    let flights = clone.flights();
    assert_eq!(flights.len(), 2);
    for (flight, blessing, version) in [(&flights[0], "baseline", old), (&flights[1], "real", new)] {
        assert_eq!((flight["blessing"].as_str(), flight["state"].as_str()), (Some(blessing), Some("done")), "{flight}");
        let jobs = flight["jobs"].as_array().unwrap();
        // Smoke jobs are first.
        assert_eq!(jobs.iter().filter_map(|job| job["name"].as_str()).collect::<Vec<_>>(), JOBS);
        for job in jobs {
            let is_built = job["runvars"]["built_revision_xen"] == version;
            assert!(job["state"] == "pass" && is_built, "{job}\n{}", clone.failed_boots());
            let steps = job["steps"].as_array().unwrap();
            assert!(steps.len() > 1 && steps.iter().all(|step| step["state"] == "pass"), "{job}");
        }
    }

    // What a flight leaves to look at: what it was made of, each build's log, of each boot the console.
    for (flight, version) in [(1, old), (2, new)] {
        assert!(clone.log(&format!("{flight}/debian-12.lock")).contains(version));
        assert!(clone.log(&format!("{flight}/debian-12.toml")).contains(version));
        assert_eq!(clone.log(&format!("{flight}/project")).trim(), clone.git(&["rev-parse", "main"]));
        for build in ["build-xen/build-xen", "build-xen/build-xen-tools", "build-seabios/build-seabios"] {
            assert!(clone.log(&format!("{flight}/{build}.log")).contains("done in"), "{build}");
        }
        for (job, scenario) in [("boot-dom0", "dom0"), ("boot-pv", "pv")] {
            let console = clone.log(&format!("{flight}/{job}/boot-{scenario}/console.log"));
            let banner = format!("Xen version {}", series(version));
            assert!(console.contains(&banner), "no `{banner}` in {flight}/{job}: {console}");
            assert!(console.contains("@@ ") && !console.contains(" bad "), "{console}");
        }
    }

    // Once more: nothing is to be done, and nothing is.
    let recorded = clone.git(&["rev-parse", "tested/debian-12"]);
    let run = clone.xtask(&["gate", "run", "debian-12"]);
    assert!(run.code == Some(0) && run.stdout.contains("up to date"), "{}\n{}", run.stdout, run.stderr);
    assert_eq!((clone.flights().len(), clone.git(&["rev-parse", "tested/debian-12"])), (2, recorded));

    // Whoever checks out what is recorded has what was tested, without a build.
    clone.git(&["switch", "-q", "--detach", "tested/debian-12"]);
    let build = clone.xtask(&["build", "xen", "xen-tools"]);
    assert!(build.code == Some(0) && !build.stderr.contains(": built in"), "{}", build.stderr);
    let hypervisor = format!("xen-{}", series(new));
    let mut booted = fs::read_dir(clone.0.join("dist/boot")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(booted.any(|name| name.to_str().unwrap().starts_with(&hypervisor)), "no {hypervisor}");
}
