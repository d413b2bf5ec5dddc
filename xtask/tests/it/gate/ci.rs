//! `ci emit`: what would be built becomes jobs; the jobs, run as a CI runs them, give what a build gives; the CIs' own judges agree.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::build::checkout::{Checkout, sealed};
use crate::build::run::ran;
use crate::tier::{self, Tier};

/// Three components in a row, and one beside them; with the project's templates.
fn project() -> Checkout {
    let checkout = Checkout::new();
    for (name, needs) in [("a", ""), ("b", "needs = ['a']"), ("c", "needs = ['b']"), ("d", "")] {
        let had = if needs.is_empty() { "" } else { "cat $DEPS/usr/* > /dev/null; " };
        checkout.script(name, needs, &format!("{had}mkdir -p $STAGE/usr; echo {name} > $STAGE/usr/{name}"));
    }
    checkout.manifest(&["a", "b", "c", "d"], "");
    for template in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/templates")).unwrap() {
        let template = template.unwrap();
        let name = format!("ci/templates/{}", template.file_name().to_str().unwrap());
        checkout.write(&name, &fs::read_to_string(template.path()).unwrap());
    }
    checkout
}

fn emitted(checkout: &Checkout, args: &[&str]) -> String {
    let ran = checkout.run(&[&["ci", "emit", "--format"], args].concat());
    assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.stderr);
    ran.stdout
}

/// Jobs of a pipeline for GitLab: name, needs, command line.
fn jobs(pipeline: &str) -> Vec<(String, Vec<String>, String)> {
    let mut jobs: Vec<(String, Vec<String>, String)> = Vec::new();
    for line in pipeline.lines() {
        let name = line.strip_suffix(':').filter(|name| *name == "dist" || name.starts_with("build-"));
        if let Some(name) = name {
            jobs.push((name.to_owned(), Vec::new(), String::new()));
        }
        let Some(job) = jobs.last_mut() else { continue };
        if let Some(needs) = line.strip_prefix("  needs: [").and_then(|rest| rest.strip_suffix(']')) {
            job.1 = needs.split(", ").filter(|need| !need.is_empty()).map(str::to_owned).collect();
        }
        if let Some(command) = line.strip_prefix("    - cargo xtask ") {
            job.2 = command.to_owned();
        }
    }
    jobs
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success());
}

#[test]
fn jobs_are_what_would_be_built_with_their_needs() {
    let checkout = project();
    let names = |args: &[&str]| {
        let jobs = jobs(&emitted(&checkout, args)).into_iter();
        jobs.map(|(name, needs, _)| format!("{name} <- {}", needs.join(" "))).collect::<Vec<_>>()
    };
    let all = [
        "build-a <- ",
        "build-b <- build-a",
        "build-c <- build-a build-b",
        "build-d <- ",
        "dist <- build-a build-b build-c build-d",
    ];
    let mut found = names(&["gitlab"]);
    found.sort();
    assert_eq!(found.len(), 5, "{found:?}");
    for job in &all[..2] {
        assert!(found.iter().any(|one| one == job), "{found:?}");
    }
    checkout.built(&["a", "b", "--only"]);
    assert_eq!(names(&["gitlab", "d"]), ["build-d <- ", "dist <- build-d"]);
    let rest = names(&["gitlab"]);
    assert!(rest.contains(&"build-c <- ".to_owned()) && rest.len() == 3, "{rest:?}");
    assert_eq!(names(&["gitlab", "--full"]).len(), 5);
    checkout.built(&[]);
    assert_eq!(names(&["gitlab"]), ["dist <- "]);
    let out = checkout.path("pipeline.py");
    let said = emitted(&checkout, &["buildbot", "--out", out.to_str().unwrap()]);
    assert!(said.contains("0 components to build") && fs::read_to_string(out).unwrap().contains("def configure("));
    fs::remove_file(checkout.path("ci/templates/github.yml.j2")).unwrap();
    let ran = checkout.run(&["ci", "emit", "--format", "github"]);
    assert_eq!(ran.code, Some(3));
    ran.says(&["cannot read the template", "github.yml.j2"]);
}

#[test]
fn jobs_get_the_settings_that_they_were_chosen_with() {
    let checkout = project();
    let lines = |args: &[&str]| jobs(&emitted(&checkout, args)).into_iter().map(|(.., line)| line).collect::<Vec<_>>();
    assert_eq!(
        lines(&["gitlab", "d", "prefix=/opt/a", "XEN_EXTFILES_URL=http://x"]),
        ["--only --yes d", "--yes d"].map(|line| format!("build {line} prefix=/opt/a XEN_EXTFILES_URL=http://x"))
    );
    checkout.write(".config", "prefix=/opt/c\n");
    assert_eq!(lines(&["gitlab", "d"]), ["build --only --yes d prefix=/opt/c", "build --yes d prefix=/opt/c"]);
}

#[test]
fn a_pipeline_run_job_by_job_on_empty_machines_gives_what_a_build_gives() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let pipeline = emitted(&checkout, &["gitlab"]);
    for carried in ["ac", "cas"] {
        assert!(pipeline.contains(&format!(".xtask/ci-store/{carried}/")), "{pipeline}");
    }
    let mut machines: BTreeMap<String, Checkout> = BTreeMap::new();
    for (name, needs, line) in jobs(&pipeline) {
        let machine = Checkout::new();
        copy(&checkout.root(), &machine.root());
        for need in &needs {
            for carried in ["ac", "cas"] {
                copy(&machines[need].store().join(carried), &machine.store().join(carried));
            }
        }
        let args: Vec<&str> = line.split(' ').collect();
        let ended = ran(&mut machine.command(&args));
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        // Each is built by its own job; the others come from there.
        assert_eq!(ended.stderr.matches(": built in").count(), usize::from(name != "dist"), "{name}: {}", ended.stderr);
        machines.insert(name, machine);
    }
    checkout.built(&[]);
    let without_record = |checkout: &Checkout| {
        let mut files = checkout.dist();
        files.retain(|path, _| path.starts_with("usr"));
        files
    };
    let (found, wanted) = (without_record(&machines["dist"]), without_record(&checkout));
    assert!(wanted.len() == 4 && found == wanted, "{:?}", found.keys());
}

#[test]
fn each_ci_takes_its_pipeline() {
    if !tier::need(Tier::Full) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tool = |name: &str| dir.path().join("venv/bin").join(name);
    let said = |command: &mut Command| {
        let ended = command.current_dir(&dir).output().unwrap();
        (ended.status.success(), String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned())
    };
    let (made, why) = said(Command::new("python3").args(["-m", "venv", "venv"]));
    let judges = ["yamllint", "check-jsonschema", "buildbot", "buildbot-worker", "setuptools<81"];
    let (had, why) =
        if made { said(Command::new(tool("pip")).args(["install", "-q"]).args(judges)) } else { (made, why) };
    if !had {
        return tier::skip(&format!("yamllint, check-jsonschema and buildbot cannot be had: {why}"));
    }
    let checkout = project();
    for (format, schema) in [("gitlab", "vendor.gitlab-ci"), ("github", "vendor.github-workflows")] {
        for args in [&[format][..], &[format, "a"], &[format, "--full"]] {
            fs::write(dir.path().join("pipeline.yml"), emitted(&checkout, args)).unwrap();
            let lint = "{extends: relaxed, rules: {line-length: disable}}";
            let (is_good, says) = said(Command::new(tool("yamllint")).args(["-s", "-d", lint, "pipeline.yml"]));
            assert!(is_good, "{args:?}: {says}");
            let judge = ["--builtin-schema", schema, "pipeline.yml"];
            let (is_good, says) = said(Command::new(tool("check-jsonschema")).args(judge));
            assert!(is_good, "{args:?}: {says}");
        }
    }
    fs::write(dir.path().join("pipeline.py"), emitted(&checkout, &["buildbot"])).unwrap();
    let master = "import os, sys\nsys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))\n\
        from buildbot.plugins import worker\nimport pipeline\n\
        c = BuildmasterConfig = {'workers': [worker.Worker('w', 'p')], 'protocols': {'pb': {'port': 0}}, 'db': {'db_url': 'sqlite://'}}\n\
        name = pipeline.configure(c, workernames=['w'], repourl='.')\n\
        assert name == 'm-pipeline' and len(c['builders']) == 6, c['builders']\n\
        assert [[job['name'] for job in wave] for wave in pipeline._waves()] == [['build-a', 'build-d'], ['build-b'], \
        ['build-c'], ['dist']], list(pipeline._waves())\n";
    fs::write(dir.path().join("master.cfg"), master).unwrap();
    let (is_good, says) = said(Command::new(tool("buildbot")).args(["checkconfig", "master.cfg"]));
    assert!(is_good && says.contains("Config file is good"), "{says}");
}
