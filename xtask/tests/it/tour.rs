//! The commands of `docs/tour.md`, run as they stand there by one shell in a fresh clone with an empty store.

use std::fs;
use std::path::Path;
use std::process::Command;

use snapbox::Assert;

use crate::origin::git::git_in;
use crate::tier::{self, Tier};

/// A command of the page and what is printed below it.
struct Step {
    command: String,
    shown: String,
}

/// Those of all `console` blocks. A command's further lines begin with `> `.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let blocks = page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for line in blocks.flat_map(str::lines) {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), shown: String::new() });
            continue;
        }
        let step = steps.last_mut().unwrap();
        match line.strip_prefix("> ") {
            Some(more) => step.command += &format!("\n{more}"),
            None => step.shown += &format!("{line}\n"),
        }
    }
    steps
}

impl Step {
    /// What it prints, with snapbox's wildcards for `…` and for durations.
    fn pattern(&self) -> String {
        let mut pattern = String::new();
        for line in self.shown.lines() {
            if line == "…" {
                pattern += "...\n";
                continue;
            }
            let mut was_time = false;
            for piece in line.split_inclusive(' ') {
                let word = piece.trim_end();
                let is_time = is_duration(word.trim_end_matches([',', ')']));
                pattern += match (is_time, was_time) {
                    (true, true) => "",
                    (true, false) => "[..]",
                    (false, _) => piece,
                };
                was_time = is_time;
            }
            pattern += "\n";
        }
        pattern.replace('…', "[..]")
    }

    /// It is shown to fail.
    fn fails(&self) -> bool {
        self.shown.lines().any(|line| line.starts_with("error:"))
    }
}

/// `5.4s`, `1m`.
fn is_duration(word: &str) -> bool {
    word.strip_suffix(['s', 'm']).is_some_and(|number| number.parse::<f64>().is_ok())
}

#[test]
fn every_command_of_the_tour_prints_what_the_page_shows() {
    if !tier::need(Tier::Full) {
        return;
    }
    if !tier::may_install() {
        return tier::skip("it builds with --yes, which installs; XTASK_TEST_YES=1 allows that");
    }
    let seabios = ["/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin"];
    if !seabios.iter().any(|path| Path::new(path).is_file()) {
        let install = ["install", "-y", "-q", "--no-install-recommends", "seabios"];
        let installed = Command::new("apt-get").args(install).output();
        if !installed.is_ok_and(|output| output.status.success()) {
            return tier::skip("there is no SeaBIOS on this machine, and `apt-get install seabios` fails");
        }
    }
    let root = crate::repository();
    let dir = tempfile::tempdir().unwrap();
    git_in(dir.path(), &["clone", "-q", root.to_str().unwrap(), "sultana"]);
    let steps = steps(&fs::read_to_string(root.join("docs/tour.md")).unwrap());
    assert!(steps.len() > 30, "{} commands", steps.len());

    let mut script = "cargo() { shift; \"$XTASK\" \"$@\"; }\nexec 2>&1\n".to_owned();
    for (index, step) in steps.iter().enumerate() {
        script += &format!("{}\necho \"@@ {index} $?\"\n", step.command);
    }
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(&script).current_dir(dir.path().join("sultana"));
    shell.env("XTASK", env!("CARGO_BIN_EXE_xtask")).env("XTASK_STORE", dir.path().join("store"));
    for name in ["GIT", "WGET", "XTASK_MANIFEST"] {
        shell.env_remove(name);
    }
    for role in ["AUTHOR", "COMMITTER"] {
        shell.env(format!("GIT_{role}_NAME"), "You").env(format!("GIT_{role}_EMAIL"), "you@example.org");
    }
    let printed = String::from_utf8(shell.output().unwrap().stdout).unwrap();

    let assert = Assert::new();
    let (mut rest, mut wrong) = (printed.as_str(), String::new());
    for (index, step) in steps.iter().enumerate() {
        let (said, after) = rest.split_once(&format!("@@ {index} ")).unwrap_or_else(|| panic!("no end: {rest}"));
        let (status, after) = after.split_once('\n').unwrap();
        rest = after;
        if (status != "0") != step.fails() {
            wrong += &format!("$ {}\n{said}ended with {status}\n\n", step.command);
        }
        if let Err(difference) = assert.try_eq(None, said.into(), step.pattern().into()) {
            wrong += &format!("$ {}\n{difference}\n", step.command);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_page_is_read_as_commands_and_patterns() {
    let page = "text\n```console\n$ a b\nbuilt in 1m 2s, again\n…\n$ c <<END\n> x\n> END\nerror: … no\n```\n";
    let steps = steps(page);
    assert_eq!(steps[0].command, "a b");
    assert_eq!(steps[0].pattern(), "built in [..]again\n...\n");
    assert_eq!(steps[1].command, "c <<END\nx\nEND");
    assert!(steps[1].fails() && !steps[0].fails());
    assert_eq!(steps[1].pattern(), "error: [..] no\n");
}
