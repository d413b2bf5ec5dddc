//! What the benchmarks share: repositories of a known shape, and times of runs.

#![allow(dead_code, reason = "no benchmark needs all of it")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A bare repository with 101 files of 0.5 to 6 KB, 20 commits, branch `main`.
pub struct Repository {
    pub name: String,
    pub path: PathBuf,
    pub commit: String,
}

impl Repository {
    /// The same for the same index.
    pub fn new(dir: &Path, index: u64) -> Self {
        let name = format!("r{index:03}");
        let path = dir.join(format!("{name}.git"));
        fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "-q", "--bare", "-b", "main"]);
        let mut import = Command::new("git")
            .args(["fast-import", "--quiet"])
            .current_dir(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        import.stdin.take().unwrap().write_all(history(index).as_bytes()).unwrap();
        assert!(import.wait().unwrap().success());
        let commit = printed(Command::new("git").args(["rev-parse", "main"]).current_dir(&path));
        Repository { name, path, commit }
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }
}

fn history(seed: u64) -> String {
    let mut state = seed;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut stream = String::new();
    for commit in 0..20_u64 {
        stream += &format!(
            "commit refs/heads/main\ncommitter C <c@example.org> {} +0000\ndata 2\nx\n",
            1_700_000_000 + commit
        );
        let files: Vec<u64> = if commit == 0 { (0..101).collect() } else { (0..5).map(|_| random(101)).collect() };
        for file in files {
            let words = 60 + random(600);
            let text: String = (0..words).map(|_| format!("{:08x} ", random(3000) * 1_234_567)).collect();
            stream += &format!("M 100644 inline d{}/f{file}.c\ndata {}\n{text}\n", file % 7, text.len());
        }
    }
    stream
}

/// Runs git there; it must succeed.
pub fn git(dir: &Path, arguments: &[&str]) {
    run(Command::new("git").args(["-c", "protocol.file.allow=always"]).args(arguments).current_dir(dir));
}

/// Runs a program silently; it must succeed.
pub fn run(command: &mut Command) {
    printed(command);
}

/// What a program that must succeed prints.
pub fn printed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}", said(&output.stdout), said(&output.stderr));
    said(&output.stdout)
}

/// Wall times of the same work, and the processor time of the programs that it ran: on a busy machine only that can be compared.
#[derive(Clone, Debug, Default)]
pub struct Times {
    wall: Vec<Duration>,
    cpu: Duration,
}

impl Times {
    pub fn add(&mut self, work: impl FnOnce()) {
        let (cpu, started) = (children_cpu(), Instant::now());
        work();
        self.wall.push(started.elapsed());
        self.wall.sort();
        self.cpu += children_cpu().saturating_sub(cpu);
    }

    pub fn min(&self) -> Duration {
        self.wall[0]
    }

    pub fn median(&self) -> Duration {
        self.wall[self.wall.len() / 2]
    }

    /// Mean of user and system time. The kernel counts in ticks of 10 ms: only the mean of many runs is finer.
    pub fn cpu(&self) -> Duration {
        self.cpu / u32::try_from(self.wall.len()).unwrap()
    }
}

/// User and system time of all children that have ended.
fn children_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // After the name, which may hold blanks: state is field 3, cutime and cstime are fields 16 and 17.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[13..15].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// Our command on manifest `bench` of a project; its store is in it.
pub fn xtask(project: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).args(["--manifest", "bench"]).current_dir(project);
    command.env("XTASK_STORE", project.join("store"));
    command
}

/// `a / b`.
pub fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}
