//! Images that a storage manager snapshots, shrinks, moves from host to host, coalesces and relinks, on storage that the hosts
//! share, under guests that write and read all the time, also between any two writes of a tool. A read that finds
//! anything but what its guest wrote last is a failure.

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use testkit::shared_storage::{Kind, Way};

use crate::shared_world::{BLOCK_SECTORS, HOSTS, Kills, Rules, SECTOR, SECTORS, World};

const MAX_GUESTS: usize = 3;

const VOLUMES: Rules =
    Rules { kind: Kind::Volumes, disks: Way::Direct, tools: Way::Direct, relink: Way::Direct, closes: true };
const FILES: Rules = Rules { kind: Kind::Files, tools: Way::Cached, relink: Way::Synced, ..VOLUMES };

/// What happens next. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Op {
    Write { guest: usize, first: usize, sectors: usize },
    Zero { guest: usize, first: usize, sectors: usize },
    Flush { guest: usize },
    Snapshot { guest: usize, host: usize },
    Clone { guest: usize, host: usize },
    Destroy { guest: usize },
    Migrate { guest: usize, host: usize },
    Coalesce { image: usize, host: usize, kills: Kills },
    CoalesceLeaf { guest: usize, host: usize, kills: Kills },
    Look { host: usize },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let (guest, host) = (0..MAX_GUESTS, 0..HOSTS);
    let range = (guest.clone(), 0..SECTORS, 1..3 * BLOCK_SECTORS).prop_map(|(guest, first, sectors)| {
        let sectors = sectors.min(SECTORS - first);
        (guest, first, sectors)
    });
    let kills = prop::collection::vec((0..20usize, prop::bool::weighted(0.2)), 0..3);
    let pair = (guest.clone(), host.clone());
    let write = range.clone().prop_map(|(guest, first, sectors)| Op::Write { guest, first, sectors });
    let zero = range.prop_map(|(guest, first, sectors)| Op::Zero { guest, first, sectors });
    let flush = guest.clone().prop_map(|guest| Op::Flush { guest });
    let snapshot = pair.clone().prop_map(|(guest, host)| Op::Snapshot { guest, host });
    let clone = pair.clone().prop_map(|(guest, host)| Op::Clone { guest, host });
    let destroy = guest.clone().prop_map(|guest| Op::Destroy { guest });
    let migrate = pair.prop_map(|(guest, host)| Op::Migrate { guest, host });
    let coalesce = (0..8usize, host.clone(), kills.clone());
    let coalesce = coalesce.prop_map(|(image, host, kills)| Op::Coalesce { image, host, kills });
    let leaf = (guest, host.clone(), kills);
    let leaf = leaf.prop_map(|(guest, host, kills)| Op::CoalesceLeaf { guest, host, kills });
    let look = host.prop_map(|host| Op::Look { host });
    let op = prop_oneof![
        8 => write, 2 => zero, 1 => flush, 5 => snapshot, 1 => clone, 1 => destroy, 4 => migrate, 5 => coalesce, 1 => leaf, 3 => look
    ];
    prop::collection::vec(op, 1..40)
}

fn step(world: &mut World, op: &Op) {
    let guests = world.guests.borrow().len();
    match *op {
        Op::Write { guest, first, sectors } => world.guests.borrow_mut()[guest % guests].write(first, sectors),
        Op::Zero { guest, first, sectors } => {
            let guest = &mut world.guests.borrow_mut()[guest % guests];
            let disk = guest.disk.as_mut().unwrap();
            disk.write_zeroes((first * SECTOR) as u64, (sectors * SECTOR) as u64).unwrap();
            guest.oracle[first..first + sectors].fill(0);
        }
        Op::Flush { guest } => world.guests.borrow()[guest % guests].disk.as_ref().unwrap().flush().unwrap(),
        Op::Snapshot { guest, host } => world.snapshot(guest % guests, host, None),
        Op::Clone { guest, host } => {
            if guests < MAX_GUESTS {
                let name = format!("leaf-{}", world.made);
                world.snapshot(guest % guests, host, Some(&name));
                let oracle = world.guests.borrow()[guest % guests].oracle.clone();
                let clone = world.guest(&name, oracle);
                world.guests.borrow_mut().push(clone);
                world.start(guests, (host + 1) % HOSTS);
            }
        }
        Op::Destroy { guest } => {
            if guests > 1 {
                world.destroy(guest % guests);
            }
        }
        Op::Migrate { guest, host } => {
            world.stop(guest % guests);
            world.start(guest % guests, host);
        }
        Op::Coalesce { image, host, ref kills } => {
            let is_only = |parent: &str| world.children(parent).len() == 1;
            let is_middle = |name: &str| !world.children(name).is_empty();
            let fitting = world.parents.iter().filter(|(child, parent)| is_only(parent) && is_middle(child));
            let fitting: Vec<String> = fitting.map(|(child, _)| child.clone()).collect();
            if !fitting.is_empty() {
                world.coalesce(&fitting[image % fitting.len()], host, kills);
            }
        }
        Op::CoalesceLeaf { guest, host, ref kills } => world.coalesce_leaf(guest % guests, host, kills),
        Op::Look { host } => world.storage.look(host),
    }
    world.guests.borrow().iter().for_each(|guest| guest.read(0, SECTORS));
}

fn run(rules: Rules, ops: &[Op], seed: u64) {
    let mut world = World::new(rules, seed);
    ops.iter().for_each(|op| step(&mut world, op));
    let guests = world.guests.borrow().len();
    for guest in 0..guests {
        world.stop(guest);
        (0..HOSTS).for_each(|host| {
            world.start(guest, host);
            world.stop(guest);
        });
    }
}

fn config(cases: u32) -> ProptestConfig {
    let is_full = std::env::var("XTASK_TIER").is_ok_and(|tier| tier == "full");
    ProptestConfig { cases: if is_full { 10 * cases } else { cases }, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn volumes_that_hosts_share_read_what_was_written(ops in ops(), seed: u64) {
        run(VOLUMES, &ops, seed);
    }

    #[test]
    fn files_that_hosts_share_read_what_was_written(ops in ops(), seed: u64) {
        run(FILES, &ops, seed);
    }
}

/// The simulation must notice that a rule is broken.
fn finds(rules: Rules) {
    let config =
        ProptestConfig { cases: 300, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() };
    let found = TestRunner::new(config).run(&(ops(), any::<u64>()), |(ops, seed)| {
        run(rules, &ops, seed);
        Ok(())
    });
    let Err(TestError::Fail(why, _)) = found else { panic!("{rules:?} passes") };
    println!("{rules:?}: {why}");
}

#[test]
fn a_volume_that_a_disk_reads_through_the_cache_is_noticed() {
    finds(Rules { disks: Way::Cached, ..VOLUMES });
}

#[test]
fn a_volume_that_tools_write_through_the_cache_is_noticed() {
    finds(Rules { tools: Way::Cached, ..VOLUMES });
}

#[test]
fn a_disk_that_stays_open_over_a_pause_is_noticed() {
    finds(Rules { closes: false, ..VOLUMES });
    finds(Rules { closes: false, ..FILES });
}

#[test]
fn a_file_that_a_disk_reads_through_the_cache_is_noticed() {
    finds(Rules { disks: Way::Cached, ..FILES });
}

/// A write through the cache takes the rest of its page along, and with it entries of the BAT that a guest's host has
/// written since.
#[test]
fn a_live_leaf_that_gets_another_parent_through_the_cache_is_noticed() {
    finds(Rules { relink: Way::Cached, ..FILES });
    finds(Rules { relink: Way::Cached, ..VOLUMES });
}
