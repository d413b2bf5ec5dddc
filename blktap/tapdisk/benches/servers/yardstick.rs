//! The yardstick: finds it, runs it, and reads what it measured. Its own words are not ours to print.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::args::Args;
use crate::server::said;

/// A yardstick that can be used.
#[derive(Debug)]
pub(crate) struct Yardstick {
    path: PathBuf,
    /// With its client, and what it measured last.
    directory: tempfile::TempDir,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
}

/// One turn of one server.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) server: String,
    pub(crate) round: u64,
    pub(crate) cpu_us: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    /// Processors that others kept busy.
    pub(crate) other_cores: f64,
}

const SCRIPT: &str = "nbd-bench.py";
const CLIENT: &str = "nbdload.c";

impl Yardstick {
    /// Or why there is none.
    pub(crate) fn find(args: &Args) -> Result<Self, String> {
        let variable = std::env::var_os("SULTANA_YARDSTICK").map(PathBuf::from);
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/bench");
        let path = args.yardstick.clone().or(variable).unwrap_or(beside);
        for name in [SCRIPT, CLIENT] {
            if !path.join(name).is_file() {
                return Err(format!(
                    "no {name} in `{}`. It is not part of this repository. help: --yardstick DIR, or \
                     $SULTANA_YARDSTICK",
                    path.display()
                ));
            }
        }
        for program in ["python3", "cc"] {
            said(program, &["--version"]).ok_or_else(|| format!("needs {program}"))?;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-w", "-o"]).arg(directory.path().join("nbdload")).arg(path.join(CLIENT));
        assert!(compiler.status().unwrap().success(), "{compiler:?}");
        Ok(Yardstick { path, directory, rounds: args.rounds, seconds: args.seconds })
    }

    /// Runs a workload against servers that take turns. A server that failed has no turn; the yardstick says why.
    pub(crate) fn run(&self, directory: &Path, workload: &str, servers: &[(String, Vec<String>)]) -> Vec<Turn> {
        let output = self.directory.path().join("turns.jsonl");
        // It appends.
        drop(std::fs::remove_file(&output));
        let mut command = Command::new("python3");
        command.arg(self.path.join(SCRIPT)).arg("--dir").arg(directory).arg("--out").arg(&output);
        command.args(["--servers", "", "--wl", workload, "--rounds", &self.rounds.to_string()]);
        command.args(["--secs", &self.seconds.to_string()]);
        for (name, words) in servers {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            command.args(["--cmd", &format!("{name}={}", quoted.join(" "))]);
        }
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{command:?}");
        std::fs::read_to_string(&output).unwrap_or_default().lines().map(turn).collect()
    }

    /// The yardstick's client: so many requests of a size, so many at once.
    pub(crate) fn client(&self, socket: &Path, operation: &str, bytes: u64, depth: usize, requests: u64) -> Command {
        let mut command = Command::new(self.directory.path().join("nbdload"));
        command.arg(socket).args(["", operation, "rand", &bytes.to_string(), &depth.to_string()]);
        // Enough time for slow servers; one connection, all of the disk.
        command.args(["60", "1", "0", "0", &requests.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

fn turn(line: &str) -> Turn {
    let value: Value = serde_json::from_str(line).unwrap();
    let number = |key: &str| value[key].as_f64().unwrap_or_else(|| panic!("no {key}: {line}"));
    Turn {
        server: value["server"].as_str().unwrap_or_default().to_owned(),
        round: value["round"].as_u64().unwrap_or_default(),
        cpu_us: number("srv_us"),
        per_second: number("iops"),
        p50_us: number("p50"),
        other_cores: number("other"),
    }
}
