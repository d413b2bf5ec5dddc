//! A server that runs, in its own words: its processes, their time and memory. Ended when it is dropped.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take until it serves.
const PATIENCE: Duration = Duration::from_secs(10);
/// `NBDMAGIC`, `IHAVEOPT`, and flags.
const GREETING_BYTES: usize = 18;
const TICKS_A_SECOND: f64 = 100.0;

#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) socket: PathBuf,
    started: Instant,
}

impl Running {
    /// `None` where it does not start.
    pub(crate) fn start(words: &[String], directory: &Path) -> Option<Self> {
        let socket = directory.join("own.sock");
        drop(fs::remove_file(&socket));
        let place = |word: &String| word.replace("{sock}", &socket.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(words[1..].iter().map(place)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let mut running = Running { child: command.spawn().unwrap(), socket, started };
        while started.elapsed() < PATIENCE && running.child.try_wait().unwrap().is_none() {
            if running.socket.exists() {
                return Some(running);
            }
            sleep(Duration::from_micros(50));
        }
        eprintln!("does not start: {command:?}");
        None
    }

    /// Time from its start until a client is greeted, who leaves at once: C tapdisk does not always survive that.
    pub(crate) fn greeting(&self) -> Option<Duration> {
        while self.started.elapsed() < PATIENCE {
            let mut greeting = [0; GREETING_BYTES];
            let greeted = UnixStream::connect(&self.socket).and_then(|mut stream| stream.read_exact(&mut greeting));
            if greeted.is_ok() {
                return Some(self.started.elapsed());
            }
            sleep(Duration::from_micros(50));
        }
        None
    }

    /// Its process, and those that it started.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while let Some(&pid) = found.get(next) {
            next += 1;
            for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
        }
        found
    }

    /// Time of processors so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let ticks = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // After the name, which may have blanks in it: user and system time are the 12th and 13th.
            let fields: Vec<f64> = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .skip(11)
                .take(2)
                .filter_map(|field| field.parse().ok())
                .collect();
            fields.iter().sum::<f64>()
        };
        self.processes().iter().map(ticks).sum::<f64>() / TICKS_A_SECOND
    }

    /// MiB of a line of `/proc/PID/status`, of the process that has most.
    pub(crate) fn memory_mib(&self, line: &str) -> f64 {
        let of = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let words = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':').map(str::to_owned));
            let kib = words.and_then(|words| words.split_whitespace().next()?.parse().ok());
            kib.unwrap_or(0.0) / 1024.0
        };
        self.processes().iter().map(of).fold(0.0, f64::max)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already. What it started ends with it.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        drop(self.child.wait());
    }
}
