//! Pause and unpause: what others may do with the images in between, and what clients notice of it.

use std::fs;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::sample;
use vhd::create::{Request, Storage};
use vhd::snapshot::{self, Base};

use crate::client::{Client, NO_HOLE, READ, WRITE_ZEROES};
use crate::daemon::{Daemon, EndsOthers};
use crate::served::{MIB, SIZE};

/// End of the data and a footer, as `vhd-util query -s` counts.
fn physical_bytes(path: &std::path::Path) -> u64 {
    vhd::Image::open(path).unwrap().physical_bytes().unwrap()
}

#[test]
fn a_paused_disk_has_no_file_open_and_its_image_ends_where_its_data_does() {
    for name in ["dynamic.vhd", "child.vhd"] {
        let daemon = Daemon::new();
        daemon.open(&format!("vhd:DIR/{name}"));
        let mut client = daemon.client(0);
        assert_eq!(client.write(0, 5 << 20, &[7; 4096]), 0);
        daemon.done("pause -p PID -m 0");
        let images: Vec<_> =
            daemon.open_files().into_iter().filter(|path| path.extension().is_some_and(|it| it == "vhd")).collect();
        assert!(images.is_empty(), "{images:?}");
        let path = daemon.path(name);
        let end = physical_bytes(&path);
        assert_eq!(fs::metadata(&path).unwrap().len(), end, "{name}");
        // What the storage manager does: cut, rename, and another name to go on with.
        fs::File::options().write(true).open(&path).unwrap().set_len(end).unwrap();
        fs::rename(&path, daemon.path("renamed.vhd")).unwrap();
        daemon.done("unpause -p PID -m 0 -a vhd:DIR/renamed.vhd");
        assert!(client.read(5 << 20, 4096).unwrap() == [7; 4096]);
        assert_eq!(client.write(0, 0, &[8; 512]), 0);
        daemon.done("close -p PID -m 0");
        let mut oracle = crate::served::content(name);
        oracle[5 << 20..][..4096].fill(7);
        oracle[..512].fill(8);
        crate::oracle::reads(&daemon.path("renamed.vhd"), &oracle);
    }
}

#[test]
fn a_disk_of_another_size_does_not_go_on() {
    let daemon = Daemon::new();
    let request = sample::request(16, Storage::Dynamic { max_bytes: None });
    vhd::create_image(&daemon.path("larger.vhd"), &request).unwrap();
    daemon.open("vhd:DIR/dynamic.vhd");
    let mut client = daemon.client(0);
    daemon.done("pause -p PID -m 0");
    assert_eq!(daemon.tap_ctl("unpause -p PID -m 0 -a vhd:DIR/larger.vhd").status, 124);
    assert_eq!(daemon.done("list"), "pid=PID minor=0 state=0x22a args=vhd:DIR/dynamic.vhd\n");
    assert!(daemon.open_files().iter().all(|path| !path.ends_with("larger.vhd")));
    daemon.done("unpause -p PID -m 0");
    assert_eq!(client.write(0, 0, &[1; 512]), 0);
}

/// A disk is snapshotted while it is written and read, time and again: no request fails, nothing is lost.
#[test]
fn snapshots_of_a_live_disk_are_not_noticed() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/child.vhd");
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let end = EndsOthers(&is_over);
        let writer = scope.spawn(|| {
            let mut client = daemon.client(0);
            let mut oracle = crate::served::content("child.vhd");
            let mut turn = 0usize;
            while !is_over.load(Ordering::Relaxed) {
                turn += 1;
                let at = turn * 7919 * 512 % SIZE;
                let held = &mut oracle[at..][..512];
                held.fill(u8::try_from(turn % 251).unwrap());
                assert_eq!(client.write(0, at as u64, held), 0);
                let at = turn * 104_729 * 512 % (SIZE - MIB);
                assert!(client.read(at as u64, 8192).unwrap() == oracle[at..][..8192], "turn {turn}");
            }
            oracle
        });
        let mut leaf = "child".to_owned();
        for number in 0..12 {
            std::thread::sleep(Duration::from_millis(30));
            daemon.done("pause -p PID -m 0");
            let next = format!("snapshot-{number}");
            let (leaf_path, next_path) = (daemon.path(&format!("{leaf}.vhd")), daemon.path(&format!("{next}.vhd")));
            let request = sample::request(8, Storage::Dynamic { max_bytes: None });
            let request = Request { uuid: uuid::Uuid::from_u128(1000 + number), ..request };
            snapshot::create(&next_path, &request, &Base::vhd(&leaf_path).unwrap()).unwrap();
            daemon.done(&format!("unpause -p PID -m 0 -a vhd:DIR/{next}.vhd"));
            leaf = next;
        }
        drop(end);
        (writer.join().unwrap(), leaf)
    });
    let (oracle, leaf) = written;
    daemon.done("close -p PID -m 0");
    crate::oracle::reads(&daemon.path(&format!("{leaf}.vhd")), &oracle);
}

#[test]
fn a_close_ends_requests_that_wait_for_an_unpause() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/dynamic.vhd");
    let mut client = daemon.client(0);
    daemon.done("pause -p PID -m 0");
    client.send(0, READ, 0, 512, &[]);
    std::thread::sleep(Duration::from_millis(50));
    daemon.done("close -p PID -m 0");
    let mut answer = Vec::new();
    // An error or an end, but no data.
    drop(client.stream.read_to_end(&mut answer));
    assert!(answer.len() < 512);
}

/// Work for minutes was sent ahead.
#[test]
fn a_close_does_not_wait_for_what_was_not_begun() {
    const REQUESTS: u64 = 4000;
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/dynamic.vhd");
    let mut client = daemon.client(0);
    let zeroes = Client::bytes(NO_HOLE, WRITE_ZEROES, 0, SIZE, &[]);
    client.stream.write_all(&zeroes.repeat(usize::try_from(REQUESTS).unwrap())).unwrap();
    daemon.done("close -p PID -m 0");
    let mut answers = Vec::new();
    drop(client.stream.read_to_end(&mut answers));
    assert!((answers.len() as u64) < REQUESTS * 16, "all of it was done");
}
