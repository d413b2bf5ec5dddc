//! How each kind of row is measured: by the yardstick, or where that has no work for it, here.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::figures::{Figures, Quantity};
use crate::images::{Disk, Images};
use crate::rows::Row;
use crate::running::Running;
use crate::server::{Programs, Server, said};
use crate::yardstick::{Turn, Yardstick};

/// Requests that system calls are counted for. Each call costs strace some 50 us.
const COUNTED_REQUESTS: u64 = 4000;
/// Starts a round of which each takes milliseconds.
const STARTS: usize = 5;

/// A row, and what it is measured with.
pub(crate) struct Bench<'a> {
    pub(crate) row: &'a Row,
    pub(crate) programs: &'a Programs,
    pub(crate) images: &'a Images,
    pub(crate) yardstick: &'a Yardstick,
}

impl Bench<'_> {
    pub(crate) fn load(&self, workload: &str) -> Figures {
        let servers: Vec<(String, Vec<String>)> =
            self.servers().map(|(server, words)| (server.name().to_owned(), words)).collect();
        let mut figures = Figures::default();
        for turn in self.yardstick.run(self.directory(), workload, &servers) {
            let server = server(&turn);
            figures.add(server, Quantity::Cpu, turn.cpu_us);
            figures.add(server, Quantity::Rate, turn.per_second);
            figures.add(server, Quantity::P50, turn.p50_us);
            figures.add(server, Quantity::OtherCores, turn.other_cores);
        }
        figures
    }

    /// Each server with the chain and with one image, as servers that take turns.
    pub(crate) fn depths(&self, workload: &str) -> Figures {
        const ONE: &str = " with one image";
        let mut servers = Vec::new();
        for (server, words) in self.servers() {
            if let Some(one) = self.images.one_image(self.row.place, server) {
                let one = self.programs.command(server, self.row, &one);
                servers.extend([(format!("{}{ONE}", server.name()), one), (server.name().to_owned(), words)]);
            }
        }
        let turns = self.yardstick.run(self.directory(), workload, &servers);
        let mut figures = Figures::default();
        for chain in turns.iter().filter(|turn| !turn.server.ends_with(ONE)) {
            let is_same =
                |turn: &&Turn| turn.round == chain.round && turn.server.strip_suffix(ONE) == Some(&chain.server);
            if let Some(one) = turns.iter().find(is_same) {
                let server = server(chain);
                figures.add(server, Quantity::DepthCpu, chain.cpu_us / one.cpu_us);
                figures.add(server, Quantity::DepthTime, one.per_second / chain.per_second);
                figures.add(server, Quantity::OtherCores, chain.other_cores);
            }
        }
        figures
    }

    pub(crate) fn flushes(&self) -> Figures {
        if said("fio", &["--version"]).is_none() {
            println!("SKIPPED {}: needs fio", self.row.id);
            return Figures::default();
        }
        let report = self.programs.directory().join("report");
        self.each_turn(|running, server, figures| {
            let before = running.cpu_seconds();
            let mut fio = Command::new("fio");
            fio.args(["--name=w", "--ioengine=nbd", "--rw=randwrite", "--bs=4k", "--iodepth=8", "--fsync=8"]);
            fio.args(["--time_based", "--output-format=json"]).current_dir(self.programs.directory());
            fio.arg(format!("--uri=nbd+unix:///?socket={}", running.socket.display()));
            fio.arg(format!("--size={}m", self.images.size_mib()));
            fio.arg(format!("--runtime={:.0}ms", self.yardstick.seconds * 1e3));
            // Standard output has other words in it.
            let output = fio.arg("--output").arg(&report).stdin(Stdio::null()).output().unwrap();
            if !output.status.success() {
                return eprintln!("fails: {fio:?}: {}", String::from_utf8_lossy(&output.stderr));
            }
            let said: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
            let write = &said["jobs"][0]["write"];
            let number = |key: &str| write[key].as_f64().unwrap();
            figures.add(server, Quantity::Rate, number("iops"));
            figures.add(server, Quantity::Cpu, (running.cpu_seconds() - before) * 1e6 / number("total_ios"));
        })
    }

    pub(crate) fn system_calls(&self, operation: &str) -> Figures {
        if said("strace", &["--version"]).is_none() {
            println!("SKIPPED {}: needs strace", self.row.id);
            return Figures::default();
        }
        let summary = self.programs.directory().join("calls");
        let client = |running: &Running| self.yardstick.client(&running.socket, operation, 4096, 32, COUNTED_REQUESTS);
        self.each_turn(|running, server, figures| {
            // The same requests once before: whose first touch of a block reads its bitmap has done so.
            if !requests(client(running)) {
                return;
            }
            let mut strace = Command::new("strace");
            strace.args(["-f", "-c", "--summary-columns=calls,name", "-o"]).arg(&summary);
            for pid in running.processes() {
                strace.args(["-p", &pid.to_string()]);
            }
            let mut strace = strace.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let mut errors = BufReader::new(strace.stderr.take().unwrap());
            let mut line = String::new();
            // It says that it has attached.
            errors.read_line(&mut line).unwrap();
            assert!(line.contains("attached"), "strace: {line}");
            let rest = std::thread::spawn(move || errors.lines().for_each(drop));
            let is_done = requests(client(running));
            kill_process(Pid::from_child(&strace), Signal::INT).unwrap();
            strace.wait().unwrap();
            rest.join().unwrap();
            if is_done {
                let calls = calls(&std::fs::read_to_string(&summary).unwrap());
                figures.add(server, Quantity::SystemCalls, calls / COUNTED_REQUESTS as f64);
            }
        })
    }

    pub(crate) fn opening(&self) -> Figures {
        let mut figures = Figures::default();
        for _ in 0..STARTS {
            self.each_turn_into(&mut figures, |running, server, figures| {
                if let Some(greeting) = running.greeting() {
                    figures.add(server, Quantity::Millis, greeting.as_secs_f64() * 1e3);
                }
            });
        }
        figures
    }

    pub(crate) fn memory(&self) -> Figures {
        self.each_turn(|running, server, figures| {
            let client =
                |bytes, depth, requests| self.yardstick.client(&running.socket, "read", bytes, depth, requests);
            if requests(client(4096, 32, 20_000)) && requests(client(1 << 20, 8, 500)) {
                figures.add(server, Quantity::Memory, running.memory_mib("VmHWM"));
            }
            if server == Server::Ours && running.memory_mib("VmLck") == 0.0 {
                println!("{}: this system does not let the daemon lock its memory", self.row.id);
            }
        })
    }

    fn directory(&self) -> &Path {
        self.images.directory(self.row.place)
    }

    /// Who takes part, and how each is started.
    fn servers(&self) -> impl Iterator<Item = (Server, Vec<String>)> {
        self.programs.of(self.row).into_iter().filter_map(|server| {
            let image = self.images.image(self.row.disk, self.row.place, server)?;
            Some((server, self.programs.command(server, self.row, &image)))
        })
    }

    /// Every server once a round.
    fn each_turn(&self, measure: impl FnMut(&Running, Server, &mut Figures)) -> Figures {
        let mut figures = Figures::default();
        self.each_turn_into(&mut figures, measure);
        figures
    }

    fn each_turn_into(&self, figures: &mut Figures, mut measure: impl FnMut(&Running, Server, &mut Figures)) {
        let servers: Vec<_> = self.servers().collect();
        for _ in 0..self.yardstick.rounds {
            for (server, words) in &servers {
                let mut words = words.clone();
                if self.row.disk == Disk::Empty {
                    let disk = self.images.new_disk(self.row.place).display().to_string();
                    words.iter_mut().for_each(|word| *word = word.replace("{tmpempty}", &disk));
                }
                if let Some(running) = Running::start(&words, self.programs.directory()) {
                    measure(&running, *server, figures);
                }
            }
        }
    }
}

/// Whether the server did them all.
fn requests(mut client: Command) -> bool {
    // A socket can be there a moment before somebody listens.
    sleep(Duration::from_millis(100));
    let is_done = client.status().unwrap().success();
    if !is_done {
        eprintln!("fails: {client:?}");
    }
    is_done
}

fn server(turn: &Turn) -> Server {
    *Server::ALL.iter().find(|server| server.name() == turn.server).expect("the yardstick knows only these")
}

/// The sum of strace's summary, whose last line is a sum as well.
fn calls(summary: &str) -> f64 {
    let total = summary.lines().find(|line| line.trim_end().ends_with(" total"));
    let total = total.unwrap_or_else(|| panic!("no total: {summary}"));
    total.split_whitespace().next().unwrap().parse().unwrap()
}
