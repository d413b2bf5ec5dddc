//! The proof of how disks are written: random requests, some of which find no space, against a vector; and after every
//! event, with any of the unsynced sectors lost, what a crash leaves behind.

use std::ops::Range;

use proptest::prelude::*;
use vhd::plan::Target;
use vhd::{Disk, Image, Medium};

use crate::sim_disk::SimDisk;
use crate::small::{
    BLOCK_SECTORS, BLOCKS, DISK_SECTORS, Kind, Place, SECTOR, empty, kinds, open, parent, place, places, read, start,
};

const BLOCK_BYTES: u64 = (BLOCK_SECTORS * SECTOR) as u64;
/// Sectors that a block takes, its bitmap included.
const PLACE_SECTORS: u32 = 9;

#[derive(Clone, Debug)]
enum Op {
    Write {
        first: usize,
        sectors: usize,
    },
    /// Both ends of a range, together.
    Ends {
        first: usize,
        sectors: usize,
    },
    Zero {
        first: usize,
        sectors: usize,
    },
    Discard {
        first: usize,
        sectors: usize,
    },
    /// Gives blocks a place; the disk reads as before.
    Place {
        first: usize,
        blocks: usize,
    },
    Flush,
    /// The writer is killed and another one comes. There is space then.
    Kill,
    /// From now on this many sectors can be taken.
    Space(usize),
    /// After so many steps one finds no space, wherever it is. A sync that finds none is the end.
    Fail(usize),
}

fn ranges() -> impl Strategy<Value = (usize, usize)> {
    let range = (0..DISK_SECTORS, 1..2 * BLOCK_SECTORS + 2);
    range.prop_map(|(first, sectors)| (first, sectors.min(DISK_SECTORS - first)))
}

/// Whole blocks, the last of which may be short.
fn whole_blocks() -> impl Strategy<Value = (usize, usize)> {
    (0..BLOCKS, 1..4usize).prop_map(|(block, blocks)| {
        let first = block * BLOCK_SECTORS;
        (first, (blocks * BLOCK_SECTORS).min(DISK_SECTORS - first))
    })
}

/// With the weight of requests whose space fails.
fn ops(failures: u32) -> impl Strategy<Value = Vec<Op>> {
    let cleared = || prop_oneof![1 => ranges(), 3 => whole_blocks()];
    let write =
        prop_oneof![3 => ranges(), 1 => whole_blocks()].prop_map(|(first, sectors)| Op::Write { first, sectors });
    let far = (0..BLOCKS, 1..=DISK_SECTORS).prop_map(|(block, sectors)| {
        let first = block * BLOCK_SECTORS;
        (first, sectors.min(DISK_SECTORS - first))
    });
    let ends = prop_oneof![ranges(), far].prop_map(|(first, sectors)| Op::Ends { first, sectors });
    let zero = cleared().prop_map(|(first, sectors)| Op::Zero { first, sectors });
    let discard = cleared().prop_map(|(first, sectors)| Op::Discard { first, sectors });
    let place =
        (0..BLOCKS, 0..BLOCKS).prop_map(|(first, blocks)| Op::Place { first, blocks: blocks.min(BLOCKS - first) });
    let space = prop_oneof![2 => 0..30usize, 1 => Just(usize::MAX)].prop_map(Op::Space);
    let fail = (0..6usize).prop_map(Op::Fail);
    let op = prop_oneof![
        8 => write, 4 => ends, 3 => zero, 3 => discard, 2 => place, 4 => Just(Op::Flush), 2 => Just(Op::Kill), failures => space, failures => fail
    ];
    prop::collection::vec(op, 1..20)
}

fn ahead() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (0..5u64).prop_map(Some)]
}

/// The first and the last third of a range.
fn ends(first: usize, sectors: usize) -> [Range<usize>; 2] {
    let third = sectors.div_ceil(3).min(sectors / 2);
    [first..first + third, first + sectors - third..first + sectors]
}

/// What was done, and how many events the log had before and after.
#[derive(Debug, Default)]
struct Done {
    /// Sectors that have this value now, or where it failed, may have it.
    sectors: Vec<usize>,
    value: u8,
    /// All of the disk, if everything is durable.
    flushed: Option<Vec<u8>>,
    from: usize,
    to: usize,
}

/// A disk that is written, and what it must hold.
struct Run<'a> {
    sim: &'a SimDisk,
    kind: Kind,
    parent: &'a SimDisk,
    ahead: Option<u64>,
    disk: Disk<SimDisk>,
    oracle: Vec<u8>,
    /// By sector, what a writer that is killed may leave there besides, since something failed.
    left: Vec<Vec<u8>>,
    /// A sync failed.
    is_over: bool,
}

impl<'a> Run<'a> {
    fn new(sim: &'a SimDisk, kind: Kind, parent: &'a SimDisk, ahead: Option<u64>) -> Self {
        let disk = open_ahead(sim, kind, parent, ahead);
        let (oracle, left) = (start(kind), vec![vec![]; DISK_SECTORS]);
        Run { sim, kind, parent, ahead, disk, oracle, left, is_over: false }
    }

    fn kill(&mut self) {
        if self.is_over {
            return;
        }
        self.sim.set_space(usize::MAX);
        self.sim.fail_no_more();
        self.disk = open_ahead(self.sim, self.kind, self.parent, self.ahead);
        let found = read(&self.disk);
        for (sector, (&found, oracle)) in found.iter().zip(&mut self.oracle).enumerate() {
            let left = &self.left[sector];
            assert!(found == *oracle || left.contains(&found), "sector {sector} is {found}, not {oracle} or {left:?}");
            *oracle = found;
        }
    }

    fn step(&mut self, op: &Op, value: u8) -> Done {
        let mut done = Done { value, from: self.sim.log_len(), ..Done::default() };
        let (mut keeps_old, disk) = (false, &mut self.disk);
        let byte = |sector: usize| (sector * SECTOR) as u64;
        let result = match *op {
            Op::Write { first, sectors } => {
                done.sectors.extend(first..first + sectors);
                disk.write_at(byte(first), &vec![value; sectors * SECTOR])
            }
            Op::Ends { first, sectors } => {
                let bytes = vec![value; sectors * SECTOR];
                let ends = ends(first, sectors);
                let write = |end: &Range<usize>| (byte(end.start), &bytes[..end.len() * SECTOR]);
                let result = disk.write_many(&ends.iter().rev().map(write).collect::<Vec<_>>());
                done.sectors.extend(ends.into_iter().flatten());
                result
            }
            Op::Zero { first, sectors } => {
                (done.value, done.sectors) = (0, (first..first + sectors).collect());
                disk.write_zeroes(byte(first), byte(sectors))
            }
            Op::Discard { first, sectors } => {
                (done.value, done.sectors, keeps_old) = (0, (first..first + sectors).collect(), true);
                disk.discard(byte(first), byte(sectors))
            }
            Op::Place { first, blocks } => match disk.unplaced(first..first + blocks) {
                Ok((unplaced, fitting)) => {
                    assert_eq!(fitting, unplaced.len());
                    let placed = disk.place(&unplaced);
                    let left = disk.unplaced(first..first + blocks).map(|(left, _)| left);
                    assert!(placed.is_err() || left.unwrap().is_empty());
                    placed
                }
                Err(error) => {
                    assert!(error.errno() == 22 || self.is_over);
                    Ok(())
                }
            },
            Op::Flush => {
                let flushed = disk.flush();
                if flushed.is_ok() {
                    done.flushed = Some(read(disk));
                    self.left.iter_mut().for_each(Vec::clear);
                }
                flushed
            }
            Op::Kill => {
                self.kill();
                Ok(())
            }
            Op::Space(sectors) => {
                self.sim.set_space(sectors);
                Ok(())
            }
            Op::Fail(steps) => {
                self.sim.fail_in(steps);
                Ok(())
            }
        };
        done.to = self.sim.log_len();
        if self.is_over {
            assert_eq!(done.from, done.to, "something was written after a failed sync");
        }
        if let Err(error) = &result {
            assert_eq!(error.errno(), if error.is_want_of_space() { 28 } else { 5 }, "{error}");
            assert!(!self.is_over || error.errno() == 5);
            self.is_over |= error.errno() == 5;
        }
        for &sector in &done.sectors {
            match &result {
                Ok(()) => self.left[sector].clear(),
                Err(_) => self.left[sector].extend([self.oracle[sector], done.value]),
            }
        }
        let found = read(&self.disk);
        for (sector, (&found, oracle)) in found.iter().zip(&mut self.oracle).enumerate() {
            let is_meant = done.sectors.contains(&sector);
            let is_old = found == *oracle && (!is_meant || keeps_old || result.is_err());
            assert!(is_old || is_meant && found == done.value, "sector {sector} is {found}, was {oracle}: {op:?}");
            *oracle = found;
        }
        done
    }
}

fn disks() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => kinds(), 1 => Just(Kind::Encrypted), 1 => Just(Kind::EncryptedChild), 1 => Just(Kind::Raw)]
}

/// With `ahead`, as a writer that asks for durability by flushes only, and grows by so many blocks at a time.
fn open_ahead(sim: &SimDisk, kind: Kind, parent: &SimDisk, ahead: Option<u64>) -> Disk<SimDisk> {
    let mut disk = open(sim, kind, parent);
    if let Some(blocks) = ahead {
        disk.write_back(blocks * BLOCK_BYTES).unwrap();
    }
    disk
}

fn run(sim: &SimDisk, kind: Kind, parent: &SimDisk, ops: &[Op], ahead: Option<u64>) -> Vec<Done> {
    let mut run = Run::new(sim, kind, parent, ahead);
    let mut done: Vec<Done> = (1..).zip(ops).map(|(value, op)| run.step(op, value)).collect();
    sim.set_space(usize::MAX);
    sim.fail_no_more();
    if run.is_over {
        return done;
    }
    // Space is back: nothing that failed keeps anything from working.
    done.push(run.step(&Op::Flush, 0));
    assert!(!run.is_over);
    check_places(sim, kind);
    assert_eq!(read(&open(sim, kind, parent)), run.oracle, "opened again");
    run.disk.close().unwrap();
    assert_eq!(read(&open(sim, kind, parent)), run.oracle, "opened again after it was closed");
    // What a killed writer had made longer may stay so.
    let is_image = !matches!(kind, Kind::Raw) && matches!(sim.target(), Target::File);
    if is_image && !ops.iter().any(|op| matches!(op, Op::Kill)) {
        assert_eq!(Image::on(sim.clone()).unwrap().physical_bytes().unwrap(), sim.len_bytes());
    }
    done
}

/// No two entries lead to one place.
fn check_places(sim: &SimDisk, kind: Kind) {
    if matches!(kind, Kind::Fixed | Kind::Raw) {
        return;
    }
    let bat = Image::on(sim.clone()).unwrap().bat().unwrap();
    let mut entries: Vec<u32> = bat.entries().iter().copied().filter(|&entry| entry != u32::MAX).collect();
    entries.sort_unstable();
    assert!(entries.windows(2).all(|pair| pair[1] - pair[0] >= PLACE_SECTORS), "{entries:?}");
}

/// The values that each sector may have after a crash: the last one flushed, and those written since.
fn allowed(kind: Kind, done: &[Done], events: usize) -> Vec<Vec<u8>> {
    let mut allowed: Vec<Vec<u8>> = start(kind).into_iter().map(|value| vec![value]).collect();
    for done in done.iter().filter(|done| done.from < events) {
        done.sectors.iter().for_each(|&sector| allowed[sector].push(done.value));
        if let Some(flushed) = done.flushed.as_ref().filter(|_| done.to <= events) {
            allowed = flushed.iter().map(|&value| vec![value]).collect();
        }
    }
    allowed
}

/// What a crash left opens, holds what was flushed, and can be written to.
fn check_crash(crashed: &SimDisk, kind: Kind, parent: &SimDisk, allowed: &[Vec<u8>], ahead: Option<u64>) {
    check_places(crashed, kind);
    let mut disk = open_ahead(crashed, kind, parent, ahead);
    let mut found = read(&disk);
    for (sector, (value, allowed)) in found.iter().zip(allowed).enumerate() {
        assert!(allowed.contains(value), "sector {sector} is {value}, not one of {allowed:?}");
    }
    for sector in [BLOCK_SECTORS - 1, 2 * BLOCK_SECTORS, DISK_SECTORS - 1] {
        disk.write_at((sector * SECTOR) as u64, &[0xbb; SECTOR]).unwrap();
        found[sector] = 0xbb;
    }
    assert_eq!(read(&disk), found, "written to after the crash");
    // Now places that were free before the crash are so for good.
    disk.flush().unwrap();
    for sector in (0..DISK_SECTORS).step_by(BLOCK_SECTORS) {
        disk.write_at((sector * SECTOR) as u64, &[0xcc; SECTOR]).unwrap();
        found[sector] = 0xcc;
    }
    check_places(crashed, kind);
    assert_eq!(read(&open(crashed, kind, parent)), found, "opened again after that");
}

fn check_all_crashes(sim: &SimDisk, kind: Kind, parent: &SimDisk, done: &[Done], ahead: Option<u64>, seed: u64) {
    let mut random = seed | 1;
    for events in 0..=sim.log_len() {
        let allowed = allowed(kind, done, events);
        check_crash(&sim.crashed(events, || true), kind, parent, &allowed, ahead);
        for _ in 0..3 {
            // xorshift: which sectors arrive out of order.
            let coin = || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random & 1 == 0
            };
            check_crash(&sim.crashed(events, coin), kind, parent, &allowed, ahead);
        }
        // Nor do torn sectors take what was flushed: in metadata between entries, and inside a footer.
        for kept in [4, 56, 256] {
            let disk = open(&sim.torn(events, kept), kind, parent);
            for (sector, allowed) in allowed.iter().enumerate().filter(|(_, allowed)| allowed.len() == 1) {
                let mut bytes = [0xee; SECTOR];
                disk.read_at((sector * SECTOR) as u64, &mut bytes).unwrap();
                assert!(bytes == [allowed[0]; SECTOR], "sector {sector} after {events} events");
            }
        }
    }
}

/// Where space can run out, and where most depends on it.
fn growing() -> impl Strategy<Value = (Kind, Place, Option<u64>)> {
    let kinds = prop_oneof![4 => Just(Kind::Dynamic), 2 => Just(Kind::Differencing), 1 => Just(Kind::Fixed)];
    let places = prop_oneof![5 => Just(Place::File), 1 => places()];
    (kinds, places, prop_oneof![1 => Just(None), 2 => (0..5u64).prop_map(Some)])
}

/// So many, or ten times as many when a run has an hour.
fn tries(cases: u32) -> ProptestConfig {
    let is_full = std::env::var("XTASK_TIER").is_ok_and(|tier| tier == "full");
    ProptestConfig { cases: if is_full { 10 * cases } else { cases }, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(tries(192))]

    #[test]
    fn disks_read_what_was_written(ops in ops(0), kind in disks(), at in places(), ahead in ahead()) {
        run(&place(empty(kind), at), kind, &parent(), &ops, ahead);
    }

}

proptest! {
    #![proptest_config(tries(768))]

    #[test]
    fn disks_read_what_was_written_where_space_comes_and_goes(ops in ops(8), (kind, at, ahead) in growing()) {
        run(&place(empty(kind), at), kind, &parent(), &ops, ahead);
    }
}

proptest! {
    #![proptest_config(tries(48))]

    #[test]
    fn a_crash_keeps_what_was_flushed(ops in ops(0), kind in disks(), at in places(), ahead in ahead(), seed: u64) {
        let (sim, parent) = (place(empty(kind), at), parent());
        let done = run(&sim, kind, &parent, &ops, ahead);
        check_all_crashes(&sim, kind, &parent, &done, ahead, seed);
    }

    #[test]
    fn a_crash_keeps_what_was_flushed_where_space_comes_and_goes(
        ops in ops(6), (kind, at, ahead) in growing(), seed: u64,
    ) {
        let (sim, parent) = (place(empty(kind), at), parent());
        let done = run(&sim, kind, &parent, &ops, ahead);
        check_all_crashes(&sim, kind, &parent, &done, ahead, seed);
    }
}
