//! Random reads through chains of one image and of thirty: the owner map makes them cost the same. Prints the best of
//! several rounds, on files in the page cache, so that what is measured is the way to the data.
#![allow(clippy::unwrap_used, reason = "a bench says what failed by failing there")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use uuid::Uuid;
use vhd::create::{Request, Storage};
use vhd::snapshot::{self, Base};
use vhd::{Disk, Timestamp};

const SIZE_BYTES: u64 = 64 << 20;
const READ_BYTES: u64 = 4096;
const WRITES_A_LAYER: usize = 100;
const READS: usize = 50_000;
const ROUNDS: usize = 5;

struct Random(u64);

impl Random {
    fn offset(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % (SIZE_BYTES / READ_BYTES) * READ_BYTES
    }
}

fn main() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let chain = chain(directory.path(), 30);
    let mut one = None;
    for depth in [1, 10, 30] {
        let disk = Disk::open(&chain[depth - 1]).unwrap();
        let first = round(&disk);
        let best = (0..ROUNDS).map(|_| round(&disk)).min().unwrap();
        let nanos = best.as_nanos() / READS as u128;
        let ratio = best.as_secs_f64() / one.get_or_insert(best).as_secs_f64();
        println!("{depth} images: {nanos} ns a read of 4 KiB, {ratio:.2} of one image; first round {first:?}");
    }
}

fn round(disk: &Disk) -> Duration {
    let (mut random, mut bytes) = (Random(7), vec![0; usize::try_from(READ_BYTES).unwrap()]);
    let start = Instant::now();
    for _ in 0..READS {
        disk.read_at(random.offset(), &mut bytes).unwrap();
    }
    start.elapsed()
}

/// A base with data everywhere, and images on it with some of their own.
fn chain(directory: &Path, depth: usize) -> Vec<PathBuf> {
    let mut random = Random(1);
    let mut paths: Vec<PathBuf> = Vec::new();
    for number in 0..depth {
        let path = directory.join(format!("{number}.vhd"));
        let request = Request {
            storage: Storage::Dynamic { max_bytes: None },
            size_bytes: SIZE_BYTES,
            uuid: Uuid::new_v4(),
            timestamp: Timestamp::default(),
        };
        match paths.last() {
            None => vhd::create_image(&path, &request).unwrap(),
            Some(parent) => snapshot::create(&path, &request, &Base::vhd(parent).unwrap()).unwrap(),
        }
        let mut disk = Disk::open_rw(&path).unwrap();
        if number == 0 {
            for at in (0..SIZE_BYTES).step_by(8 << 20) {
                disk.write_at(at, &vec![1; 8 << 20]).unwrap();
            }
        }
        for _ in 0..if number == 0 { 0 } else { WRITES_A_LAYER } {
            disk.write_at(random.offset(), &[u8::try_from(number).unwrap(); 4096]).unwrap();
        }
        paths.push(path);
    }
    paths
}
