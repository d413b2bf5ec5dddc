//! `cargo bench --profile xtask --bench no_op`: what `build` and `status` cost when there is nothing to do, next to what other tools
//! take for the same repositories in the same run. Sources are git repositories of 101 files each; every component is built.
//! `XTASK_BENCH_REPOSITORIES` says how many (first 8, then 100), `XTASK_BENCH_ROUNDS` how often (15). `west` is measured where it is on
//! PATH, children are counted where `strace` is.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

mod synthetic;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use synthetic::{Repository, Times, git, printed, ratio, run, xtask};

/// What we may take for 100 components.
const LIMIT: Duration = Duration::from_millis(50);

fn main() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<usize>().unwrap());
    let rounds = number("XTASK_BENCH_ROUNDS").unwrap_or(15);
    for count in number("XTASK_BENCH_REPOSITORIES").map_or(vec![8, 100], |count| vec![count]) {
        measure(count, rounds);
    }
}

fn measure(count: usize, rounds: usize) {
    let dir = tempfile::tempdir().unwrap();
    let upstream = dir.path().join("upstream");
    let repositories: Vec<_> = (0..count as u64).map(|index| Repository::new(&upstream, index)).collect();
    let project = project(dir.path(), &repositories);
    run(&mut xtask(&project, &["update"]));
    run(&mut xtask(&project, &["build"]));
    let superproject = superproject(dir.path(), &repositories);
    let mut programs: Vec<(&str, Command)> =
        vec![("build", xtask(&project, &["build"])), ("status", xtask(&project, &["status"]))];
    for verb in ["update", "status"] {
        let mut command = Command::new("git");
        command.args(["submodule", verb]).current_dir(&superproject);
        programs.push((if verb == "update" { "git submodule update" } else { "git submodule status" }, command));
    }
    if which::which("west").is_ok() {
        let topdir = west(dir.path(), &repositories);
        for (name, verb) in [("west update", "update"), ("west status", "status")] {
            let mut command = Command::new("west");
            command.arg(verb).current_dir(&topdir);
            programs.push((name, command));
        }
    } else {
        println!("west is not on PATH: not measured");
    }
    let mut times = vec![Times::default(); programs.len()];
    for _ in 0..rounds {
        for ((_, program), times) in programs.iter_mut().zip(&mut times) {
            times.add(|| run(program));
        }
    }
    println!("\n{count} components, nothing to do, {rounds} rounds");
    println!("                              min    median       cpu   / our build: median, cpu");
    for ((name, _), taken) in programs.iter().zip(&times) {
        let [min, median, cpu] = [taken.min(), taken.median(), taken.cpu()].map(|time| format!("{time:.1?}"));
        let [by_wall, by_cpu] = [ratio(taken.median(), times[0].median()), ratio(taken.cpu(), times[0].cpu())];
        println!("  {name:<22} {min:>9} {median:>9} {cpu:>9} {by_wall:>9.1} {by_cpu:>9.1}");
    }
    for (name, taken) in ["build", "status"].iter().zip(&times) {
        let verdict = if taken.min() <= LIMIT { "within" } else { "OVER" };
        println!("  {name}: {verdict} {LIMIT:?}; {}", children(&project, name));
    }
}

/// One component for each repository; every fourth needs the one before it.
fn project(dir: &Path, repositories: &[Repository]) -> PathBuf {
    let root = dir.join("project");
    fs::create_dir_all(root.join("components")).unwrap();
    fs::create_dir_all(root.join("manifests")).unwrap();
    let mut sources = String::new();
    for (index, Repository { name, .. }) in repositories.iter().enumerate() {
        let needs = if index % 4 == 3 { format!("{:?}", repositories[index - 1].name) } else { String::new() };
        let component = format!(
            "summary = \"synthetic\"\nlicence = \"MIT\"\nhomepage = \"https://example.org\"\nsource = \"{name}\"\n\
             needs = [{needs}]\ntools = [\"cc\", \"ld\", \"make\"]\n[build.steps]\n[[step]]\nname = \"install\"\n\
             run = [\"install\", \"-D\", \"-m\", \"644\", \"d1/f1.c\", \"{{stage}}/usr/share/{name}/f1.c\"]\n"
        );
        fs::write(root.join(format!("components/{name}.toml")), component).unwrap();
        sources +=
            &format!("[sources.{name}]\ngit = {{ urls = [{:?}], branch = \"main\" }}\n", repositories[index].url());
    }
    let names: Vec<&str> = repositories.iter().map(|repository| repository.name.as_str()).collect();
    fs::write(root.join("manifests/bench.toml"), format!("summary = \"synthetic\"\ncomponents = {names:?}\n{sources}"))
        .unwrap();
    root
}

fn superproject(dir: &Path, repositories: &[Repository]) -> PathBuf {
    let root = dir.join("superproject");
    fs::create_dir_all(&root).unwrap();
    git(&root, &["init", "-q"]);
    for repository in repositories {
        git(&root, &["submodule", "--quiet", "add", &repository.url(), &repository.name]);
    }
    root
}

fn west(dir: &Path, repositories: &[Repository]) -> PathBuf {
    let topdir = dir.join("west");
    fs::create_dir_all(topdir.join("manifest")).unwrap();
    let mut manifest = "manifest:\n  projects:\n".to_owned();
    for repository in repositories {
        manifest += &format!(
            "    - name: {}\n      url: {}\n      revision: {}\n",
            repository.name,
            repository.url(),
            repository.commit
        );
    }
    fs::write(topdir.join("manifest/west.yml"), manifest).unwrap();
    run(Command::new("west").args(["init", "-l", "manifest"]).current_dir(&topdir));
    run(Command::new("west").arg("update").current_dir(&topdir));
    topdir
}

/// How many processes a run starts. Threads are not counted.
fn children(project: &Path, verb: &str) -> String {
    if which::which("strace").is_err() {
        return "children not counted: strace is not on this machine".to_owned();
    }
    let log = project.join("strace.log");
    let program = xtask(project, &[verb]);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-o"]).arg(&log).args(["-e", "trace=execve", "--"]).arg(program.get_program());
    traced.args(program.get_args()).current_dir(project);
    traced.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    printed(&mut traced);
    let started = fs::read_to_string(&log).unwrap().matches("execve(").count();
    format!("{} children", started - 1)
}
