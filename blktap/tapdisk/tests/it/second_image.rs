//! A second image beside the first, parents that another disk serves, and disks of other servers.

use std::fs;

use testkit::sample;
use vhd::create::{Request, Storage};
use vhd::snapshot::{self, Base};

use crate::daemon::Daemon;
use crate::oracle::reads;
use crate::served::{MIB, SIZE, content};

/// Another child of `parent.vhd`.
fn sibling(daemon: &Daemon, name: &str) {
    let request = sample::request(8, Storage::Dynamic { max_bytes: None });
    let request = Request { uuid: uuid::Uuid::from_u128(4711), ..request };
    snapshot::create(&daemon.path(name), &request, &Base::vhd(&daemon.path("parent.vhd")).unwrap()).unwrap();
}

/// Writes here and there; what the disk then reads.
fn write(daemon: &Daemon, minor: u16, mut oracle: Vec<u8>) -> Vec<u8> {
    let mut client = daemon.client(minor);
    for (turn, at) in [(1, 0), (2, MIB + 512), (3, 5 * MIB - 700), (4, 7 * MIB)] {
        let held = &mut oracle[at..][..5000];
        held.fill(turn);
        assert_eq!(client.write(0, at as u64, held), 0);
    }
    oracle[2 * MIB..3 * MIB].fill(0);
    assert_eq!(client.ask(0, crate::client::WRITE_ZEROES, 2 << 20, MIB), 0);
    assert_eq!(client.ask(0, crate::client::TRIM, 7 << 20, 4096), 0);
    oracle[7 * MIB..][..4096].copy_from_slice(&client.read(7 << 20, 4096).unwrap());
    assert!(client.read(0, SIZE).unwrap() == oracle);
    assert_eq!(client.flush(), 0);
    oracle
}

fn start(daemon: &Daemon, minor: u16, image: &str) {
    daemon.done("allocate");
    daemon.done(&format!("attach -p PID -m {minor}"));
    daemon.done(&format!("open -p PID -m {minor} -a {image}"));
}

#[test]
fn a_mirror_has_all_that_was_written() {
    let daemon = Daemon::new();
    sibling(&daemon, "sibling.vhd");
    start(&daemon, 0, "vhd:DIR/child.vhd -2 vhd:DIR/sibling.vhd");
    let oracle = write(&daemon, 0, content("child.vhd"));
    // A name that is none ends it.
    daemon.done("pause -p PID -m 0");
    daemon.done("unpause -p PID -m 0 -2 null");
    assert_eq!(daemon.client(0).write(0, 0, &[9; 512]), 0);
    daemon.done("destroy -p PID -m 0");
    reads(&daemon.path("sibling.vhd"), &oracle);
    let mut first = oracle;
    first[..512].fill(9);
    reads(&daemon.path("child.vhd"), &first);
}

#[test]
fn a_second_image_of_another_size_is_refused() {
    let daemon = Daemon::new();
    let request = sample::request(16, Storage::Dynamic { max_bytes: None });
    vhd::create_image(&daemon.path("larger.vhd"), &request).unwrap();
    daemon.done("allocate");
    daemon.done("attach -p PID -m 0");
    assert_eq!(daemon.tap_ctl("open -p PID -m 0 -a vhd:DIR/dynamic.vhd -2 vhd:DIR/larger.vhd").status, 22);
    assert_eq!(daemon.tap_ctl("open -p PID -m 0 -a vhd:DIR/dynamic.vhd -2 vhd:DIR/none.vhd").status, 2);
    assert_eq!(daemon.done("list"), "pid=PID minor=0 state=0\n");
}

/// The other end of a migration: a disk of a second daemon that is written over NBD, by path and by a passed connection.
#[test]
fn a_mirror_on_another_server_has_all_that_was_written_and_may_fail() {
    let daemon = Daemon::new();
    sibling(&daemon, "sibling.vhd");
    start(&daemon, 0, "vhd:DIR/sibling.vhd");
    let socket = daemon.nbd(0);
    start(&daemon, 1, &format!("vhd:DIR/child.vhd -2 nbd:{}", socket.display()));
    assert!(daemon.done("stats -p PID -m 1").contains(r#""type":15,"name":"nbd""#));
    let oracle = write(&daemon, 1, content("child.vhd"));
    daemon.done("close -p PID -m 0");
    reads(&daemon.path("sibling.vhd"), &oracle);
    // Its end is not the end of the disk.
    let mut client = daemon.client(1);
    assert_eq!(client.write(0, 4096, &[8; 4096]), 0);
    assert!(daemon.done("stats -p PID -m 1").contains(r#""nbd_mirror_failed":1"#));
    assert_eq!(client.flush(), 0);
    // It missed a write: it is no copy any more, also when it is there again after a pause.
    daemon.done("open -p PID -m 0 -a vhd:DIR/sibling.vhd");
    daemon.done("pause -p PID -m 1");
    daemon.done("unpause -p PID -m 1");
    assert!(daemon.done("stats -p PID -m 1").contains(r#""nbd_mirror_failed":1"#));
    assert_eq!(client.write(0, 8192, &[9; 512]), 0);
    daemon.done("close -p PID -m 0");
    reads(&daemon.path("sibling.vhd"), &oracle);
    // Until it is given up, and nobody waits for one that does not answer.
    daemon.done("pause -p PID -m 1");
    daemon.done("unpause -p PID -m 1 -2 null");
    assert!(daemon.done("stats -p PID -m 1").contains(r#""nbd_mirror_failed":0"#));
    daemon.done("pause -p PID -m 1");
    daemon.done("unpause -p PID -m 1 -2 nbd:DIR/none");
    assert!(daemon.done("stats -p PID -m 1").contains(r#""nbd_mirror_failed":1"#));
    daemon.done("close -p PID -m 1");
    let mut first = oracle;
    first[4096..8192].fill(8);
    first[8192..8704].fill(9);
    reads(&daemon.path("child.vhd"), &first);
}

#[test]
fn a_disk_of_another_server_is_a_disk() {
    let daemon = Daemon::new();
    start(&daemon, 0, "vhd:DIR/child.vhd");
    let socket = daemon.nbd(0);
    start(&daemon, 1, &format!("nbd:{}", socket.display()));
    let oracle = write(&daemon, 1, content("child.vhd"));
    daemon.done("destroy -p PID -m 1");
    daemon.done("close -p PID -m 0");
    reads(&daemon.path("child.vhd"), &oracle);
}

/// What a leaf has beyond its parent's end is zeros, also where another disk serves the parent.
#[test]
fn a_leaf_may_be_larger_than_a_parent_that_another_disk_serves() {
    let daemon = Daemon::new();
    let request = sample::request(16, Storage::Dynamic { max_bytes: None });
    let request = Request { uuid: uuid::Uuid::from_u128(4711), ..request };
    snapshot::create(&daemon.path("larger.vhd"), &request, &Base::vhd(&daemon.path("parent.vhd")).unwrap()).unwrap();
    start(&daemon, 0, "vhd:DIR/parent.vhd -R");
    start(&daemon, 1, "vhd:DIR/larger.vhd -e 0");
    let mut client = daemon.client(1);
    let mut oracle = [content("child.vhd"), vec![0; SIZE]].concat();
    assert!(client.read(0, 2 * SIZE).unwrap() == oracle);
    let at = SIZE - 100;
    oracle[at..][..1000].fill(5);
    assert_eq!(client.write(0, at as u64, &[5; 1000]), 0);
    assert!(client.read(0, 2 * SIZE).unwrap() == oracle);
}

/// One disk serves the parents of another, which keeps what it reads of them.
#[test]
fn a_leaf_keeps_what_it_reads_of_a_parent_that_another_disk_serves() {
    let daemon = Daemon::new();
    sibling(&daemon, "sibling.vhd");
    start(&daemon, 0, "vhd:DIR/parent.vhd -R");
    start(&daemon, 1, "vhd:DIR/child.vhd -e 0 -r -2 vhd:DIR/sibling.vhd");
    let files: Vec<_> = daemon.open_files();
    assert_eq!(
        files.iter().filter(|path| path.ends_with("parent.vhd")).count(),
        2,
        "disk 0 and the sibling: {files:?}"
    );
    let mut client = daemon.client(1);
    assert!(client.read(MIB as u64 + 1, 70_000).unwrap() == [0x77; 70_000]);
    // It is in the leaf now, and not in the second image.
    let held = |name: &str| {
        let disk = vhd::Disk::open(&daemon.path(name)).unwrap();
        disk.map(MIB as u64, 65_536)
            .unwrap()
            .iter()
            .all(|run| matches!(run.place, vhd::map::Place::Layer { depth: 0, .. }))
    };
    assert!(held("child.vhd") && !held("sibling.vhd"));
    let oracle = write(&daemon, 1, content("child.vhd"));
    daemon.done("destroy -p PID -m 1");
    reads(&daemon.path("sibling.vhd"), &oracle);
    daemon.done("destroy -p PID -m 0");
    reads(&daemon.path("child.vhd"), &oracle);
    let (status, directory) = daemon.wait();
    assert_eq!((status, fs::read_dir(directory.path().join("run")).unwrap().count()), (Some(0), 1));
}
