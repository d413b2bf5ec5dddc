//! Images that cannot grow: who waits, who is told, and what goes on. The daemon's files are limited, as a full disk would.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use testkit::sample;
use vhd::create::{Request, Storage};
use vhd::snapshot::{self, Base};

use crate::client::{Client, READ, WRITE};
use crate::daemon::Daemon;
use crate::oracle::reads;
use crate::served::{MIB, SIZE, Served, content, images};

const NO_SPACE: u32 = 28;

/// Files of the process end here at most.
fn limit(pid: u32, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

/// Whether something arrives in a moment.
fn is_answered(client: &mut Client) -> bool {
    client.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut byte = [0];
    let peeked = rustix::net::recv(&client.stream, &mut byte[..], rustix::net::RecvFlags::PEEK);
    client.stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    peeked.is_ok()
}

#[test]
fn a_write_waits_for_room_while_others_go_on() {
    for name in ["dynamic.vhd", "child.vhd"] {
        let daemon = Daemon::new();
        daemon.open(&format!("vhd:DIR/{name}"));
        let mut client = daemon.client(0);
        let mut oracle = content(name);
        assert_eq!(client.write(0, 0, &[1; 4096]), 0);
        oracle[..4096].fill(1);
        limit(daemon.pid(), Some(100));
        // A short write, and one that comes in pieces.
        for (at, len) in [(3 * MIB, 4096), (5 * MIB + 100, MIB)] {
            oracle[at..][..len].fill(2);
            client.send(0, WRITE, at as u64, len, &oracle[at..][..len]);
        }
        assert!(!is_answered(&mut client), "{name}");
        client.send(0, READ, 0, 4096, &[]);
        assert!(client.take_read(0, 4096).unwrap() == oracle[..4096]);
        assert_eq!(client.ask(0, crate::client::FLUSH, 0, 0), 0);
        limit(daemon.pid(), None);
        let mut ends = [client.status_of_any(), client.status_of_any()];
        ends.sort_unstable();
        assert_eq!(ends, [(3 * MIB as u64, 0), (5 * MIB as u64 + 100, 0)]);
        assert!(client.read(0, SIZE).unwrap() == oracle);
        daemon.done("close -p PID -m 0");
        reads(&daemon.path(name), &oracle);
    }
}

#[test]
fn a_write_past_the_end_never_waits_for_room() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/dynamic.vhd");
    let mut client = daemon.client(0);
    for len in [512, MIB] {
        client.send(0, WRITE, SIZE as u64, len, &vec![1; len]);
        assert!(is_answered(&mut client), "{len}");
        assert_eq!(client.status(SIZE as u64), NO_SPACE, "{len}");
    }
}

#[test]
fn a_write_of_which_a_piece_was_given_up_is_not_done() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/dynamic.vhd");
    let mut client = daemon.client(0);
    limit(daemon.pid(), Some(100));
    // More than is kept for one client: the last cannot wait, and has pieces that could.
    let (len, kept) = (7 * MIB, 9);
    for turn in 0..=kept {
        client.send(0, WRITE, turn, len, &vec![3; len]);
    }
    assert_eq!(client.status(kept), NO_SPACE);
    let stats = |daemon: &Daemon| daemon.done("stats -p PID -m 0");
    assert!(stats(&daemon).contains(&format!(r#""reqs_outstanding":{kept},"#)), "{}", stats(&daemon));
    drop(client);
    let mut client = daemon.client(0);
    assert_eq!(client.read(0, 512).unwrap().len(), 512);
    limit(daemon.pid(), None);
}

#[test]
fn a_write_waits_no_longer_than_it_may() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/dynamic.vhd -t 1");
    let mut client = daemon.client(0);
    limit(daemon.pid(), Some(100));
    assert_eq!(client.write(0, MIB as u64, &[1; 512]), NO_SPACE);
    // Who pauses does not wait for it.
    client.send(0, WRITE, 0, 512, &[1; 512]);
    thread::sleep(Duration::from_millis(100));
    daemon.done("pause -p PID -m 0");
    limit(daemon.pid(), None);
    daemon.done("unpause -p PID -m 0");
    assert_eq!(client.status(0), 0);
    assert!(client.read(0, 512).unwrap() == [1; 512]);
}

#[test]
fn serve_says_so_at_once_and_goes_on() {
    let images = images();
    let image = images.path().join("child.vhd");
    let served = Served::new(&image, &[]);
    let mut client = served.client();
    limit(served.pid(), Some(100));
    assert_eq!(client.write(0, 3 * MIB as u64, &[1; 512]), NO_SPACE);
    assert!(client.read(MIB as u64, 512).unwrap() == [0x77; 512]);
    limit(served.pid(), None);
    assert_eq!(client.write(0, 3 * MIB as u64, &[1; 512]), 0);
    assert_eq!(client.flush(), 0);
}

/// A child of another image; with `max_bytes`, with tables for a disk so large.
fn child(daemon: &Daemon, name: &str, parent: &str, max_bytes: Option<u64>) {
    let request = sample::request(8, Storage::Dynamic { max_bytes });
    let request = Request { uuid: uuid::Uuid::new_v4(), ..request };
    snapshot::create(&daemon.path(name), &request, &Base::vhd(&daemon.path(parent)).unwrap()).unwrap();
}

/// Gives all blocks of an image their places. Returns where it ends.
fn place_all(daemon: &Daemon, name: &str) -> u64 {
    let mut disk = vhd::Disk::open_rw(&daemon.path(name)).unwrap();
    disk.place(&[0, 1, 2, 3]).unwrap();
    disk.close().unwrap();
    fs::metadata(daemon.path(name)).unwrap().len()
}

#[test]
fn a_second_image_takes_over_and_nothing_is_lost() {
    for options in ["-s", ""] {
        let daemon = Daemon::new();
        // Blocks of the first lie 4 MiB behind those of the second.
        child(&daemon, "wide.vhd", "parent.vhd", Some(2040 << 30));
        child(&daemon, "spare.vhd", "parent.vhd", None);
        let room = place_all(&daemon, "spare.vhd");
        daemon.open(&format!("vhd:DIR/wide.vhd -2 vhd:DIR/spare.vhd {options}"));
        let mut client = daemon.client(0);
        let mut oracle = content("wide.vhd");
        oracle[MIB..2 * MIB].fill(0x77);
        let signal = daemon.path("tapdisk-enospc0");
        for (turn, at) in [(1, 0), (2, 4096), (3, 3 * MIB), (4, 7 * MIB + 512), (5, 5 * MIB), (6, 100)] {
            oracle[at..][..5120].fill(turn);
            assert_eq!(client.write(0, at as u64, &oracle[at..][..5120]), 0, "{options}");
            assert!(turn > 2 || !signal.exists());
            // What lies lower can still be written.
            limit(daemon.pid(), Some(room));
        }
        assert!(client.read(0, SIZE).unwrap() == oracle, "{options}");
        assert!(signal.exists());
        let stats = daemon.done("stats -p PID -m 0");
        assert_eq!(stats.contains(r#""FIXME_enospc_redirect_count":0,"#), options.is_empty(), "{stats}");
        assert_eq!(client.flush(), 0);
        // Also when both are opened again, with room for everything.
        limit(daemon.pid(), None);
        daemon.done("pause -p PID -m 0");
        daemon.done("unpause -p PID -m 0 -a vhd:DIR/wide.vhd");
        assert!(client.read(0, SIZE).unwrap() == oracle, "{options}");
        oracle[4096..][..512].fill(9);
        assert_eq!(client.write(0, 4096, &[9; 512]), 0);
        assert!(client.read(0, SIZE).unwrap() == oracle, "{options}");
        if options.is_empty() {
            daemon.done("close -p PID -m 0");
            reads(&daemon.path("spare.vhd"), &oracle);
        }
    }
}

#[test]
fn a_local_leaf_without_room_leaves_the_disk_to_the_shared_image() {
    for (kind, lower, upper) in [("llp", "shared.vhd", "local.vhd"), ("lle", "local.vhd", "shared.vhd")] {
        let daemon = Daemon::new();
        // Blocks of the local image lie behind those of the shared one.
        let max_bytes = |name| (name == "local.vhd").then_some(2040 << 30);
        child(&daemon, lower, "parent.vhd", max_bytes(lower));
        child(&daemon, upper, lower, max_bytes(upper));
        let is_ephemeral = kind == "lle";
        if !is_ephemeral {
            place_all(&daemon, "shared.vhd");
        }
        daemon.open(&format!("{kind}:DIR/{upper}"));
        let mut client = daemon.client(0);
        let mut oracle = vec![0; SIZE];
        oracle[MIB..2 * MIB].fill(0x77);
        for (turn, at) in [(1, 0), (2, 5 * MIB), (3, 100), (4, 1024)] {
            oracle[at..][..5120].fill(turn);
            assert_eq!(client.write(0, at as u64, &oracle[at..][..5120]), 0, "{kind}");
            assert!(!daemon.path("tapdisk-enospc0").exists(), "{kind}");
        }
        let room = fs::metadata(daemon.path("shared.vhd")).unwrap().len().max(4 * MIB as u64);
        limit(daemon.pid(), Some(room));
        let at = 2 * MIB + 512;
        oracle[at..][..5120].fill(5);
        client.send(0, WRITE, at as u64, 5120, &oracle[at..][..5120]);
        // Not before: the shared image grows too.
        let until = Instant::now() + Duration::from_secs(60);
        while !daemon.path("tapdisk-enospc0").exists() {
            assert!(Instant::now() < until, "{kind}");
            thread::sleep(Duration::from_millis(10));
        }
        limit(daemon.pid(), None);
        assert_eq!(client.status(at as u64), 0, "{kind}");
        // Nothing goes back to the local image, which would have room.
        oracle[7 * MIB..][..5120].fill(6);
        assert_eq!(client.write(0, 7 * MIB as u64, &[6; 5120]), 0, "{kind}");
        assert!(client.read(0, SIZE).unwrap() == oracle, "{kind}");
        daemon.done("pause -p PID -m 0");
        daemon.done("unpause -p PID -m 0");
        assert!(client.read(0, SIZE).unwrap() == oracle, "{kind}");
        daemon.done("close -p PID -m 0");
        reads(&daemon.path("shared.vhd"), &oracle);
        if is_ephemeral {
            // Opened anew: what the shared image holds stays on top.
            daemon.done(&format!("open -p PID -m 0 -a lle:DIR/{upper}"));
            oracle[2 * MIB..][..1024].fill(7);
            let mut client = daemon.client(0);
            assert_eq!(client.write(0, 2 * MIB as u64, &[7; 1024]), 0);
            assert!(client.read(0, SIZE).unwrap() == oracle);
        }
    }
}
