//! Processes that live on in a session of their own, where no signal to a process group reaches them. They are found by a variable
//! of their environment, or as children that we did not have. A sandbox needs none of this: its whole process namespace ends with its
//! first process.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// Kills every process in whose environment `name` is `value`, until there is none.
pub fn kill_leftovers(name: &str, value: &str) {
    let mark = format!("{name}={value}");
    kill_all(|| marked(mark.as_bytes()));
}

/// Our children at some time. Whatever outlives its parent becomes one (`adopt_orphans`), also when it hides from everything else.
#[derive(Debug)]
pub struct Children(HashSet<Pid>);

impl Children {
    /// As they are now.
    pub fn now() -> Children {
        Children(children().collect())
    }

    /// Kills every child that has come since then, with all that these leave. For threads that start programs one after the other.
    pub fn kill_later(&self) {
        kill_all(|| children().filter(|pid| !self.0.contains(pid)).collect());
    }
}

/// Kills what is found until nothing is found that we may kill.
fn kill_all(find: impl Fn() -> HashSet<Pid>) {
    let mut refused = HashSet::new();
    loop {
        let found: HashSet<Pid> = find().difference(&refused).copied().collect();
        if found.is_empty() {
            return;
        }
        for pid in found {
            // Gone already, or somebody else's and not ours to kill: neither is a failure. One that we adopted is waited for.
            match kill_process(pid, Signal::KILL) {
                Ok(()) => waitpid(Some(pid), WaitOptions::empty()).map(drop).unwrap_or_default(),
                Err(_) => drop(refused.insert(pid)),
            }
        }
    }
}

/// A process that is dead or not ours shows no environment.
fn marked(mark: &[u8]) -> HashSet<Pid> {
    let is_marked = |pid: &Pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|item| item == mark)
    };
    processes().filter(|pid| *pid != getpid()).filter(is_marked).collect()
}

fn children() -> impl Iterator<Item = Pid> {
    let is_ours = |pid: &Pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // PID (NAME) STATE PARENT …, and a name may have spaces and parentheses.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parent.and_then(Pid::from_raw) == Some(getpid())
    };
    processes().filter(is_ours)
}

fn processes() -> impl Iterator<Item = Pid> {
    let pid = |entry: fs::DirEntry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(pid)
}
