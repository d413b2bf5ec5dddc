//! Processes that live on in a session of their own, where no signal to a process group reaches them. They are found by a variable
//! of their environment. A sandbox needs none of this: its whole process namespace ends with its first process.

use std::fs;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// Kills every process in whose environment `name` is `value`, until there is none.
pub fn kill_leftovers(name: &str, value: &str) {
    let mark = format!("{name}={value}");
    loop {
        let found = marked(mark.as_bytes());
        if found.is_empty() {
            return;
        }
        for pid in found {
            // Gone already, or somebody else's and not ours to kill: neither is a failure. One that we adopted is waited for.
            if kill_process(pid, Signal::KILL).is_ok() {
                waitpid(Some(pid), WaitOptions::empty()).map(drop).unwrap_or_default();
            }
        }
    }
}

/// A process that is dead or not ours shows no environment.
fn marked(mark: &[u8]) -> Vec<Pid> {
    let pid = |entry: fs::DirEntry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        environment.split(|byte| *byte == 0).any(|item| item == mark).then_some(pid)
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(pid).collect()
}
