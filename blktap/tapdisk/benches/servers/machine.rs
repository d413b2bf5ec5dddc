//! Where and when it was measured.

use std::fs;
use std::path::Path;

use crate::args::Args;
use crate::images::Place;
use crate::server::{Programs, said};

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) commit: String,
    /// Processor, memory, kernel.
    pub(crate) description: String,
    pub(crate) file_systems: [(Place, String); 2],
    pub(crate) versions: String,
    /// One minute's load before anything was started.
    pub(crate) load: String,
}

impl Machine {
    pub(crate) fn now(args: &Args, programs: &Programs) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let info = read("/proc/cpuinfo");
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let processor = field(&info, "model name").unwrap_or_else(|| "unknown processor".to_owned());
        let memory_kib = field(&read("/proc/meminfo"), "MemTotal");
        let memory_kib: u64 = memory_kib.and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0);
        let kernel = read("/proc/sys/kernel/osrelease");
        let here = env!("CARGO_MANIFEST_DIR");
        let commit = said("git", &["-C", here, "describe", "--always", "--dirty", "--exclude=*"]);
        let versions: Vec<&str> = programs.versions.iter().map(|(_, version)| version.as_str()).collect();
        Machine {
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default(),
            commit: commit.unwrap_or_else(|| "unknown commit".to_owned()),
            description: format!("{processor}, {cores} cores, {} GiB, Linux {}", memory_kib >> 20, kernel.trim()),
            file_systems: [(Place::Tmpfs, kind(&args.dir_tmpfs)), (Place::Disk, kind(&args.dir_disk))],
            versions: versions.join("; "),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn file_system(&self, place: Place) -> &str {
        &self.file_systems.iter().find(|(other, _)| *other == place).expect("both are there").1
    }
}

/// The file system's name, from the longest mount point above the directory.
fn kind(directory: &Path) -> String {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let found = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (mount, kind) = (words.next()?, words.next()?);
        directory.starts_with(mount).then_some((mount.len(), kind))
    });
    found.max_by_key(|(length, _)| *length).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}
