//! Random reads and allocating writes of 4 KiB past the page cache, 32 at a time, by every engine. Prints the best of several
//! rounds, which are interleaved, and their medians.
#![allow(clippy::unwrap_used, reason = "a bench says what failed by failing there")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uring::Uring;
use uuid::Uuid;
use vhd::create::{Request, Storage};
use vhd::{AlignedBuffer, Cache, Disk, Engine, Open, Threads, Timestamp};

const SIZE_BYTES: u64 = 1 << 30;
const REQUEST: usize = 4096;
const DEPTH: usize = 32;
const BATCHES: usize = 400;
const ROUNDS: usize = 5;
/// How far ahead of its need the file grows.
const AHEAD_BYTES: u64 = 64 << 20;

struct Random(u64);

impl Random {
    /// Positions apart from each other.
    fn batch(&mut self) -> Vec<u64> {
        let mut offsets = std::collections::BTreeSet::new();
        while offsets.len() < DEPTH {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            offsets.insert(self.0 % (SIZE_BYTES / REQUEST as u64) * REQUEST as u64);
        }
        offsets.into_iter().collect()
    }
}

fn main() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut engines: Vec<(&str, Option<Arc<dyn Engine>>)> =
        vec![("no engine", None), ("16 threads", Some(Arc::new(Threads::new(16).unwrap())))];
    match Uring::new() {
        Ok(uring) => engines.push(("io_uring", Some(Arc::new(uring)))),
        Err(error) => eprintln!("SKIPPED: no io_uring: {error}"),
    }
    let full = directory.path().join("full.vhd");
    fill(&full);
    compare("random reads", &engines, |how, round| {
        let disk = Disk::open_with(&full, how).unwrap();
        assert_eq!(disk.without_direct().count(), 0);
        timed(|| read(&disk, round))
    });
    compare("random writes over blocks", &engines, |how, round| {
        let mut disk = writer(&full, how);
        know_whole(&mut disk);
        timed(|| over(&disk, round))
    });
    compare("random writes into an empty image, and a flush", &engines, |how, round| {
        let path = directory.path().join("empty.vhd");
        create(&path);
        let mut disk = writer(&path, how);
        timed(|| write(&mut disk, round))
    });
}

/// The same work by every engine.
fn compare(what: &str, engines: &[(&str, Option<Arc<dyn Engine>>)], work: impl Fn(&Open, usize) -> Duration) {
    let mut took = vec![vec![]; engines.len()];
    for round in 0..ROUNDS {
        for ((_, engine), took) in engines.iter().zip(&mut took) {
            took.push(work(&how(engine.clone()), round));
        }
    }
    for ((name, _), took) in engines.iter().zip(&mut took) {
        took.sort_unstable();
        let a_second = |took: Duration| ((BATCHES * DEPTH) as f64 / took.as_secs_f64()).round();
        println!("{what}, {name}: best {}/s, median {}/s", a_second(took[0]), a_second(took[ROUNDS / 2]));
    }
}

fn how(engine: Option<Arc<dyn Engine>>) -> Open {
    Open { is_writable: true, cache: Cache::Direct, parents: Cache::Direct, engine, ..Open::default() }
}

fn create(path: &Path) {
    let request = Request {
        storage: Storage::Dynamic { max_bytes: None },
        size_bytes: SIZE_BYTES,
        uuid: Uuid::new_v4(),
        timestamp: Timestamp::default(),
    };
    vhd::create_image(path, &request).unwrap();
}

fn fill(path: &Path) {
    create(path);
    let mut disk = writer(path, &how(None));
    for at in (0..SIZE_BYTES).step_by(8 << 20) {
        disk.write_at(at, &vec![1; 8 << 20]).unwrap();
    }
    disk.close().unwrap();
}

fn writer(path: &Path, how: &Open) -> Disk {
    let mut disk = Disk::open_with(path, how).unwrap();
    disk.write_back(AHEAD_BYTES).unwrap();
    disk
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn random(round: usize) -> Random {
    Random(round as u64 * 2 + 1)
}

fn read(disk: &Disk, round: usize) {
    let (mut random, mut memory) = (random(round), AlignedBuffer::zeroed(DEPTH * REQUEST));
    for _ in 0..BATCHES {
        let mut reads: Vec<_> = random.batch().into_iter().zip(memory.bytes_mut().chunks_mut(REQUEST)).collect();
        assert!(disk.read_many(&mut reads).iter().all(Result::is_ok));
    }
}

/// A block is known to hold all of its sectors once it was written to.
fn know_whole(disk: &mut Disk) {
    for at in (0..SIZE_BYTES).step_by(2 << 20) {
        disk.write_at(at, &[1; 512]).unwrap();
    }
}

fn over(disk: &Disk, round: usize) {
    let (mut random, bytes) = (random(round), AlignedBuffer::zeroed(REQUEST));
    for _ in 0..BATCHES {
        let writes: Vec<_> = random.batch().into_iter().map(|offset| (offset, bytes.bytes())).collect();
        assert!(disk.write_over_many(&writes).into_iter().all(|done| done.is_some_and(|done| done.is_ok())));
    }
}

fn write(disk: &mut Disk, round: usize) {
    let (mut random, bytes) = (random(round), AlignedBuffer::zeroed(REQUEST));
    for _ in 0..BATCHES {
        let writes: Vec<_> = random.batch().into_iter().map(|offset| (offset, bytes.bytes())).collect();
        // As a server does: only those that change more than data go alone.
        let done = disk.write_over_many(&writes);
        let new: Vec<_> =
            writes.into_iter().zip(done).filter(|(_, done)| done.is_none()).map(|(write, _)| write).collect();
        disk.write_many(&new).unwrap();
    }
    disk.flush().unwrap();
}
