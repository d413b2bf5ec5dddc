//! `convert` of a disk of 1 GiB, half of it random data, beside `qemu-img convert` with and without `-W -m 16`: to a dynamic
//! VHD and back to raw, with everything on disk at the end and with nothing waited for. Runs alternate; ratios are those of
//! best runs, of medians, and of medians of processor time. Fails where a promise is broken; says so where there is no
//! qemu-img.
#![allow(clippy::unwrap_used, reason = "a bench says what failed by failing there")]

mod measure;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use measure::{Cost, Costs, VHD_UTIL, cost, ratio};

const SIZE_BYTES: u64 = 1 << 30;
/// Data and holes take turns.
const STRETCH_BYTES: u64 = 16 << 20;
const RUNS: usize = 9;

fn main() {
    if let Err(error) = Command::new("qemu-img").arg("--version").output() {
        println!("SKIPPED convert: qemu-img cannot be run ({error}): install qemu-utils to compare with it");
        return;
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| directory.path().join(name);
    half_full(&path("a.raw"));
    let bench = Bench { output: &path("out") };
    cost(&mut bench.ours(&path("a.raw"), "raw", "dynamic", true));
    fs::rename(path("out"), path("a.vhd")).unwrap();
    let mut slowest = f64::INFINITY;
    for is_synced in [true, false] {
        slowest = slowest.min(bench.compare(&path("a.raw"), "raw", "dynamic", is_synced));
        slowest = slowest.min(bench.compare(&path("a.vhd"), "vhd", "raw", is_synced));
    }
    assert!(slowest >= 1.0, "a promise is broken: convert is slower than qemu-img");
}

struct Bench<'a> {
    output: &'a Path,
}

impl Bench<'_> {
    fn ours(&self, source: &Path, from: &str, to: &str, is_synced: bool) -> Command {
        let mut command = Command::new(VHD_UTIL);
        command.args(["convert", "--from", from, "--to", to, "-n"]).arg(source).arg("-o").arg(self.output);
        command.args((!is_synced).then_some("--no-sync"));
        command
    }

    fn qemu(&self, source: &Path, from: &str, options: &[&str]) -> Command {
        let mut command = Command::new("qemu-img");
        command.arg("convert").args(options);
        match from {
            "raw" => command.args(["-f", "raw", "-O", "vpc", "-o", "subformat=dynamic,force_size=on"]),
            _ => command.args(["-f", "vpc", "-O", "raw"]),
        };
        command.arg(source).arg(self.output);
        command
    }

    /// How many times as long the faster qemu-img takes.
    fn compare(&self, source: &Path, from: &str, to: &str, is_synced: bool) -> f64 {
        let run = |command: &mut Command, syncs: bool| -> Cost {
            // The first run is for the memory: pages that the host must find for the guest cost more than the copy.
            cost(command);
            fs::remove_file(self.output).unwrap();
            let mut cost_of_run = cost(command);
            if syncs {
                cost_of_run = cost_of_run.plus(cost(Command::new("sync").arg(self.output)));
            }
            fs::remove_file(self.output).unwrap();
            cost_of_run
        };
        // Into the page cache, and not into our memory, which would count as that of the programs we start.
        io::copy(&mut File::open(source).unwrap(), &mut io::sink()).unwrap();
        let (mut ours, mut plain, mut wide) = (Costs::default(), Costs::default(), Costs::default());
        for _ in 0..RUNS {
            ours.add(run(&mut self.ours(source, from, to, is_synced), false));
            plain.add(run(&mut self.qemu(source, from, &[]), is_synced));
            wide.add(run(&mut self.qemu(source, from, &["-W", "-m", "16"]), is_synced));
        }
        let title = format!("{from} to {to}, {}", if is_synced { "synced" } else { "not synced" });
        println!("{title}: {}", line(&ours));
        let mut worst = f64::INFINITY;
        for (name, theirs) in [("qemu-img", &plain), ("qemu-img -W -m 16", &wide)] {
            let (best, median) = (ratio(theirs, &ours), of_medians(theirs, &ours, Costs::median));
            let cpu = of_medians(theirs, &ours, Costs::median_cpu);
            println!("{title}, {name}: {}; ratios {best:.2}, {median:.2}, {cpu:.2}", line(theirs));
            // Other load disturbs each in its own way.
            worst = worst.min(best.max(median));
        }
        assert!(ours.peak_mib() <= 32.0, "convert takes more than 32 MiB");
        worst
    }
}

fn line(costs: &Costs) -> String {
    let (best, median, cpu) = (costs.best(), costs.median(), costs.median_cpu());
    format!("best {best:.0?}, median {median:.0?}, CPU {cpu:.0?}, peak {:.1} MiB", costs.peak_mib())
}

fn of_medians(slow: &Costs, fast: &Costs, median: impl Fn(&Costs) -> Duration) -> f64 {
    median(slow).as_secs_f64() / median(fast).as_secs_f64()
}

fn half_full(path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(SIZE_BYTES).unwrap();
    let mut bytes = vec![0; 1 << 20];
    let mut random = 1u64;
    for at in (0..SIZE_BYTES).step_by(bytes.len()).filter(|at| (at / STRETCH_BYTES).is_multiple_of(2)) {
        for word in bytes.chunks_mut(8) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            word.copy_from_slice(&random.to_le_bytes());
        }
        file.write_all_at(&bytes, at).unwrap();
    }
    file.sync_all().unwrap();
}
