//! The command line.

use std::path::{Path, PathBuf};

use clap::Parser;

use crate::rows::{self, Row};

/// Measure tapdisk and other NBD servers under the same load
///
/// The defaults are for a quick look, and for tests that the bench itself works. What is written down takes more:
/// cargo bench -p tapdisk --bench servers -- --rounds 5 --seconds 2 --size-mib 1024 --record ../docs/performance.md
#[derive(Debug, Parser)]
#[command(name = "servers")]
pub(crate) struct Args {
    /// Where nbd-bench.py and nbdload.c are [default: $SULTANA_YARDSTICK, or ../shared/bench beside the repository]
    #[arg(long, value_name = "DIR", value_parser = from_where_called)]
    pub(crate) yardstick: Option<PathBuf>,
    /// Where images in memory are made
    #[arg(long, value_name = "DIR", value_parser = from_where_called, default_value = "/dev/shm")]
    pub(crate) dir_tmpfs: PathBuf,
    /// Where images on a disk are made
    #[arg(long, value_name = "DIR", value_parser = from_where_called, default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub(crate) dir_disk: PathBuf,
    /// Only these, by the names in the table
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = rows::all().iter().map(|row| row.id).collect::<Vec<_>>())]
    rows: Vec<String>,
    /// How often each server has its turn
    #[arg(long, default_value_t = 1)]
    pub(crate) rounds: usize,
    /// How long a turn takes
    #[arg(long, default_value_t = 0.3)]
    pub(crate) seconds: f64,
    /// Size of the disks
    #[arg(long, default_value_t = 128)]
    pub(crate) size_mib: u64,
    /// Write the table to this page, in place of the one that it has
    #[arg(long, value_name = "PAGE", value_parser = from_where_called)]
    pub(crate) record: Option<PathBuf>,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    pub(crate) fn wants(&self, row: &Row) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|name| name == row.id)
    }

    /// What to run to measure the same again. Paths are the machine's and stay out.
    pub(crate) fn command(&self) -> String {
        let rows = if self.rows.is_empty() { String::new() } else { format!(" --rows {}", self.rows.join(",")) };
        let (rounds, seconds, size_mib) = (self.rounds, self.seconds, self.size_mib);
        format!(
            "cargo bench -p tapdisk --bench servers -- --rounds {rounds} --seconds {seconds} --size-mib {size_mib}{rows}"
        )
    }
}

/// Cargo runs a bench in its package, and not where the command was typed.
fn from_where_called(path: &str) -> Result<PathBuf, std::convert::Infallible> {
    let called = std::env::var_os("PWD").map_or_else(PathBuf::new, PathBuf::from);
    let path = called.join(Path::new(path));
    Ok(path)
}
