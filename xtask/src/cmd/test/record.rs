//! A run of the tests written down: on which machine, of which commit, and what came out. For people as Markdown, for programs
//! as the JSON at its end.

use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use super::tally::{Skip, Tally};
use crate::error::{Context, Result};
use crate::process::{Cancel, Program};
use crate::run::duration;

/// One run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Record {
    date: String,
    command: String,
    commit: String,
    machine: Host,
    checks: Vec<Row>,
    seconds: f64,
    cpu_seconds: f64,
    skipped: Vec<Skip>,
    summary: String,
}

/// What it ran on.
#[derive(Debug, Serialize)]
struct Host {
    cpu: String,
    cores: usize,
    memory_mib: u64,
    os: String,
    kernel: String,
    rustc: String,
}

/// One check of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    pub(super) check: String,
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    pub(super) seconds: f64,
    /// User and system time of what it ran. bubblewrap does not wait for its child, so what ran in a sandbox is not in it.
    pub(super) cpu_seconds: f64,
}

impl Record {
    pub(super) fn new(
        root: &Path,
        file: Option<&Path>,
        command: String,
        checks: Vec<Row>,
        total: &Tally,
        cancel: &Cancel,
    ) -> Result<Record> {
        let sum = |of: fn(&Row) -> f64| checks.iter().map(of).sum();
        Ok(Record {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            command,
            commit: commit(root, file),
            machine: Host::this(cancel)?,
            seconds: sum(|row| row.seconds),
            cpu_seconds: sum(|row| row.cpu_seconds),
            checks,
            skipped: total.skipped.clone(),
            summary: total.line(),
        })
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        crate::atomic::write(file, self.text()?.as_bytes())
    }

    fn text(&self) -> Result<String> {
        let Host { cpu, cores, memory_mib, os, kernel, rustc } = &self.machine;
        let mut text = format!(
            "# A run of the tests\n\n`{}` on {}: {}\n\n| | |\n|---|---|\n| commit | {} |\n| processor | {cpu}, {cores} cores |\n\
             | memory | {memory_mib} MiB |\n| system | {os}, Linux {kernel} |\n| compiler | {rustc} |\n\n\
             | check | passed | failed | skipped | time | processor seconds |\n|---|--:|--:|--:|--:|--:|\n",
            self.command, self.date, self.summary, self.commit,
        );
        for Row { check, passed, failed, skipped, seconds, cpu_seconds } in &self.checks {
            let time = duration(*seconds);
            text.push_str(&format!("| {check} | {passed} | {failed} | {skipped} | {time} | {cpu_seconds:.0} |\n"));
        }
        text.push_str(&format!("| all | | | | {} | {:.0} |\n", duration(self.seconds), self.cpu_seconds));
        text.push_str("\nProcessor seconds leave out what ran under bubblewrap.\n");
        if !self.skipped.is_empty() {
            text.push_str("\nSkipped:\n\n");
        }
        for Skip { test, reason } in &self.skipped {
            text.push_str(&format!("- `{test}`: {reason}\n"));
        }
        let json = serde_json::to_string_pretty(self).context(|| "cannot encode the record".to_owned())?;
        text.push_str(&format!("\n```json\n{json}\n```\n"));
        Ok(text)
    }
}

impl Host {
    fn this(cancel: &Cancel) -> Result<Host> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let rustc = Program::new(["rustc", "--version"]).run(cancel)?.success(|| "cannot ask rustc".to_owned())?;
        let memory = value(&read("/proc/meminfo"), "MemTotal", ':');
        let kib: u64 = memory.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default();
        Ok(Host {
            cpu: value(&read("/proc/cpuinfo"), "model name", ':'),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib / 1024,
            os: value(&read("/etc/os-release"), "PRETTY_NAME", '='),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            rustc: String::from_utf8_lossy(&rustc).trim().to_owned(),
        })
    }
}

/// The value of the first line `key: value`.
fn value(text: &str, key: &str, between: char) -> String {
    let line = text.lines().filter_map(|line| line.split_once(between)).find(|(name, _)| name.trim() == key);
    line.map(|(_, value)| value.trim().trim_matches('"').to_owned()).unwrap_or_else(|| "unknown".to_owned())
}

/// The commit of the checkout; a tarball has none. An earlier record in `file` is no change of what is tested.
fn commit(root: &Path, file: Option<&Path>) -> String {
    let head = || -> Result<String, git2::Error> {
        let repository = git2::Repository::discover(root)?;
        let id = repository.head()?.peel_to_commit()?.id();
        let mut options = git2::StatusOptions::new();
        options.include_untracked(false);
        let changes = repository.statuses(Some(&mut options))?;
        let is_record = |path: &str| {
            let here = repository.workdir().and_then(|dir| dir.join(path).canonicalize().ok());
            here.is_some() && here == file.and_then(|file| file.canonicalize().ok())
        };
        let is_clean = changes.iter().all(|change| change.path().is_ok_and(is_record));
        Ok(format!("{id}{}", if is_clean { "" } else { ", with local changes" }))
    };
    head().unwrap_or_else(|_| "not in a git repository".to_owned())
}

/// USER_HZ, which is the same on every architecture that Xen runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor seconds of all children of ours that have ended, and of theirs.
pub(super) fn cpu_seconds() -> f64 {
    ticks(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default()) / TICKS_PER_SECOND
}

/// Fields 16 and 17 of proc(5), counted behind the program's name, which may hold anything.
fn ticks(stat: &str) -> f64 {
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.iter().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_markdown_and_as_json() {
        let skip = Skip { test: "a::b".into(), reason: "no x".into() };
        let total = Tally { passed: 2, failed: 0, skipped: vec![skip] };
        let row = Row { check: "tests".into(), passed: 2, failed: 0, skipped: 1, seconds: 75.0, cpu_seconds: 120.4 };
        let root = tempfile::tempdir().unwrap();
        let record =
            Record::new(root.path(), None, "cargo xtask test".into(), vec![row], &total, &Cancel::default()).unwrap();
        let text = record.text().unwrap();
        assert!(text.contains("| tests | 2 | 0 | 1 | 1m 15s | 120 |\n"), "{text}");
        assert!(text.contains("- `a::b`: no x\n") && text.contains("2 passed, 0 failed, 1 skipped"), "{text}");
        let json = text.split("```json").nth(1).unwrap().trim_end().trim_end_matches("```");
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["checks"][0]["cpu-seconds"], 120.4);
        assert!(json["machine"]["rustc"].as_str().unwrap().starts_with("rustc "), "{json}");
    }

    #[test]
    fn an_earlier_record_is_no_local_change() {
        let root = tempfile::tempdir().unwrap();
        let (record, code) = (root.path().join("run.md"), root.path().join("code"));
        let repository = git2::Repository::init(root.path()).unwrap();
        for file in [&record, &code] {
            std::fs::write(file, "1").unwrap();
        }
        let mut index = repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let who = git2::Signature::now("a", "a@b").unwrap();
        let id = repository.commit(Some("HEAD"), &who, &who, "x", &tree, &[]).unwrap().to_string();
        std::fs::write(&record, "22").unwrap();
        assert_eq!(commit(root.path(), Some(&record)), id);
        assert_eq!(commit(root.path(), None), format!("{id}, with local changes"));
        std::fs::write(&code, "22").unwrap();
        assert_eq!(commit(root.path(), Some(&record)), format!("{id}, with local changes"));
    }

    #[test]
    fn what_children_used_is_read_past_any_name() {
        let stat = "1 (a) b (c)) S 0 1 1 0 -1 4194560 1 2 3 4 10 20 300 40 20 0 1 0";
        assert_eq!(ticks(stat), 340.0);
    }
}
