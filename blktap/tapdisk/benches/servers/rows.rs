//! What is compared, and what is promised of it.

use crate::figures::Quantity::{self, Cpu, DepthCpu, DepthTime, Memory, Millis, P50, Rate, SystemCalls};
use crate::images::{Disk, Place};
use crate::server::Server::{self, CTapdisk, Nbdkit, QemuNbd};

/// How servers treat the page cache. All of a row do it in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    /// Through the page cache; on disk when a flush is answered.
    Cached,
    /// Past it.
    Direct,
}

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// A workload of the yardstick.
    Load(&'static str),
    /// The same, on the disk and on a chain of thirty images.
    Depths(&'static str),
    /// fio writes at random at depth 8, and flushes after every 8 writes.
    Flushes,
    /// strace counts while requests of 4 KiB come at depth 32.
    SystemCalls(&'static str),
    /// From the start of the program until it greets a client.
    Opening,
    /// The peak of a server that was read from: 4 KiB at depth 32, then 1 MiB at depth 8.
    Memory,
}

/// What ours may need.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtMost(f64),
    /// So many times what another reaches.
    TimesOf(f64, Server),
    /// This part of what another needs, at most.
    PartOf(f64, Server),
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// For `--rows`.
    pub(crate) id: &'static str,
    pub(crate) work: &'static str,
    pub(crate) place: Place,
    pub(crate) cache: Cache,
    pub(crate) disk: Disk,
    pub(crate) how: How,
    pub(crate) shown: &'static [Quantity],
    pub(crate) promises: &'static [(Quantity, Limit)],
}

const fn row(id: &'static str, work: &'static str, (place, cache): (Place, Cache), disk: Disk, how: How) -> Row {
    Row { id, work, place, cache, disk, how, shown: &[Cpu, Rate], promises: &[] }
}

const CACHED_TMPFS: (Place, Cache) = (Place::Tmpfs, Cache::Cached);
const CACHED_DISK: (Place, Cache) = (Place::Disk, Cache::Cached);
const DIRECT_DISK: (Place, Cache) = (Place::Disk, Cache::Direct);

pub(crate) fn all() -> Vec<Row> {
    use Limit::{AtMost, PartOf, TimesOf};
    vec![
        Row {
            promises: &[(Cpu, AtMost(3.0)), (Rate, TimesOf(2.0, Nbdkit)), (Rate, TimesOf(3.0, CTapdisk))],
            ..row("read32", "4 KiB random reads, depth 32", CACHED_TMPFS, Disk::Full, How::Load("rr32"))
        },
        Row {
            promises: &[(Cpu, AtMost(3.5))],
            ..row("write32", "4 KiB random writes, depth 32", CACHED_TMPFS, Disk::Full, How::Load("rw32"))
        },
        Row {
            shown: &[P50, Cpu],
            promises: &[(P50, AtMost(18.0))],
            ..row("read1", "4 KiB random reads, depth 1", CACHED_TMPFS, Disk::Full, How::Load("rr1"))
        },
        Row {
            promises: &[(Cpu, AtMost(110.0))],
            ..row("read1m", "1 MiB reads in order, depth 4", CACHED_TMPFS, Disk::Full, How::Load("sr"))
        },
        Row {
            promises: &[(Cpu, AtMost(300.0))],
            ..row("write1m", "1 MiB writes in order, depth 4", CACHED_TMPFS, Disk::Full, How::Load("sw"))
        },
        Row {
            promises: &[(Cpu, AtMost(200.0))],
            ..row("read1m-direct", "1 MiB reads in order, depth 4", DIRECT_DISK, Disk::Full, How::Load("sr"))
        },
        Row {
            shown: &[DepthCpu, DepthTime],
            promises: &[(DepthCpu, AtMost(1.05))],
            ..row("chain", "the reads of read32, 30 images to 1", CACHED_TMPFS, Disk::Chain, How::Depths("rr32"))
        },
        Row {
            promises: &[(Rate, TimesOf(3.0, CTapdisk))],
            ..row(
                "empty-direct",
                "4 KiB random writes, new disk, depth 32",
                DIRECT_DISK,
                Disk::Empty,
                How::Load("rw32"),
            )
        },
        Row {
            promises: &[(Rate, TimesOf(40.0, QemuNbd))],
            ..row(
                "empty-cached",
                "4 KiB random writes, new disk, depth 32",
                CACHED_DISK,
                Disk::Empty,
                How::Load("rw32"),
            )
        },
        Row {
            promises: &[(Rate, TimesOf(3.0, QemuNbd))],
            ..row("empty-flushed", "the same, depth 8, a flush every 8", CACHED_DISK, Disk::Empty, How::Flushes)
        },
        Row {
            promises: &[(Rate, TimesOf(1.0, CTapdisk)), (Cpu, PartOf(0.5, CTapdisk))],
            ..row("read32-direct", "4 KiB random reads, depth 32", DIRECT_DISK, Disk::Full, How::Load("rr32"))
        },
        Row {
            shown: &[SystemCalls],
            promises: &[(SystemCalls, AtMost(1.2))],
            ..row("calls-read", "system calls a read, depth 32", CACHED_TMPFS, Disk::Full, How::SystemCalls("read"))
        },
        Row {
            shown: &[SystemCalls],
            promises: &[(SystemCalls, AtMost(1.2))],
            ..row("calls-write", "system calls a write, depth 32", CACHED_TMPFS, Disk::Full, How::SystemCalls("write"))
        },
        Row {
            shown: &[Millis],
            promises: &[(Millis, AtMost(3.0))],
            ..row("open", "from start to greeting, 2040 GiB", CACHED_TMPFS, Disk::Huge, How::Opening)
        },
        Row {
            shown: &[Memory],
            promises: &[(Memory, AtMost(10.0))],
            ..row("memory", "memory of the daemon, locked", DIRECT_DISK, Disk::Full, How::Memory)
        },
        Row {
            shown: &[Memory],
            promises: &[(Memory, AtMost(10.0))],
            ..row("memory-huge", "the same, 2040 GiB", DIRECT_DISK, Disk::Huge, How::Memory)
        },
    ]
}
