//! Running a program and taking its measure: wall time and peak memory, several times, best and median.
#![allow(dead_code, reason = "not every bench takes every measure")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

pub(crate) const VHD_UTIL: &str = env!("CARGO_BIN_EXE_vhd-util");

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// Time of processors, in the program and in the kernel for it.
    pub(crate) cpu: Duration,
    /// Peak resident memory.
    pub(crate) memory_bytes: u64,
}

impl Cost {
    /// One run after the other.
    pub(crate) fn plus(self, next: Cost) -> Cost {
        Cost {
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            memory_bytes: self.memory_bytes.max(next.memory_bytes),
        }
    }
}

/// Runs a command that must succeed.
pub(crate) fn cost(command: &mut Command) -> Cost {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let ended = child.wait4().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", ended.status);
    let rusage = ended.rusage;
    Cost { wall: start.elapsed(), cpu: rusage.utime + rusage.stime, memory_bytes: rusage.maxrss }
}

/// Costs of several runs.
#[derive(Debug, Default)]
pub(crate) struct Costs(Vec<Cost>);

impl Costs {
    pub(crate) fn add(&mut self, cost: Cost) {
        self.0.push(cost);
    }

    pub(crate) fn best(&self) -> Duration {
        self.0.iter().map(|cost| cost.wall).min().unwrap()
    }

    pub(crate) fn median(&self) -> Duration {
        self.median_of(|cost| cost.wall)
    }

    pub(crate) fn median_cpu(&self) -> Duration {
        self.median_of(|cost| cost.cpu)
    }

    fn median_of(&self, measure: impl Fn(&Cost) -> Duration) -> Duration {
        let mut times: Vec<Duration> = self.0.iter().map(measure).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    pub(crate) fn peak_mib(&self) -> f64 {
        let peak = self.0.iter().map(|cost| cost.memory_bytes).max().unwrap();
        peak as f64 / f64::from(1 << 20)
    }

    /// `best … median … peak …`.
    pub(crate) fn line(&self) -> String {
        format!("best {:?}, median {:?}, peak {:.1} MiB", self.best(), self.median(), self.peak_mib())
    }
}

/// How many times as long the first takes, by best runs, which other load disturbs least.
pub(crate) fn ratio(slow: &Costs, fast: &Costs) -> f64 {
    slow.best().as_secs_f64() / fast.best().as_secs_f64()
}
