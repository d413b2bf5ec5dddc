//! Connections that somebody else accepted, and what others may know of a disk.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::client::Client;
use crate::daemon::{Daemon, EndsOthers};

/// Sends a connection and its name.
fn send(socket: &Path, connection: impl AsFd, name: &str) {
    let socket = UnixStream::connect(socket).unwrap();
    let descriptors = [connection.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(&socket, &[IoSlice::new(name.as_bytes())], &mut ancillary, SendFlags::empty()).unwrap();
}

/// A TCP connection whose other end the daemon has.
fn pass(daemon: &Daemon, receiver: &str) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    send(&daemon.run_dir().join(format!("{receiver}{}.0", daemon.pid())), theirs, "a name");
    ours.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    ours
}

#[test]
fn a_passed_connection_is_served() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/dynamic.vhd");
    assert_eq!(daemon.client(0).write(0, 0, &[7; 512]), 0);
    let mut stream = pass(&daemon, "nbdserver-new");
    let mut greeting = [0; 18];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting[..16], b"NBDMAGICIHAVEOPT");

    let mut stream = pass(&daemon, "nbdserver");
    let mut greeting = [0; 152];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting[..16], b"NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53");
    assert_eq!(greeting[16..24], (8u64 << 20).to_be_bytes());
    stream.write_all(&Client::bytes(0, crate::client::READ, 0, 512, &[])).unwrap();
    let mut reply = [0; 16 + 512];
    stream.read_exact(&mut reply).unwrap();
    assert!(reply[4..8] == [0; 4] && reply[16..] == [7; 512]);
}

/// Storage migration: the other end is reached over a connection that is passed once, and snapshots pause the disk meanwhile.
#[test]
fn a_mirror_over_a_passed_connection_outlives_a_pause() {
    let other = Daemon::new();
    other.open("vhd:DIR/dynamic.vhd");
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/dynamic.vhd");
    let receiver = daemon.run_dir().join(format!("nbdclient{}", daemon.pid()));
    send(&receiver, UnixStream::connect(other.nbd(0)).unwrap(), "mirror");
    daemon.done("pause -p PID -m 0");
    daemon.done("unpause -p PID -m 0 -2 nbd:mirror");
    let mut client = daemon.client(0);
    let mut oracle = vec![0; crate::served::SIZE];
    for turn in 1..5 {
        let at = usize::from(turn) << 20;
        oracle[at..][..4096].fill(turn);
        assert_eq!(client.write(0, at as u64, &[turn; 4096]), 0);
        daemon.done("pause -p PID -m 0");
        daemon.done("unpause -p PID -m 0");
    }
    assert!(daemon.done("stats -p PID -m 0").contains(r#""nbd_mirror_failed":0"#));
    daemon.done("close -p PID -m 0");
    other.done("close -p PID -m 0");
    for path in [daemon.path("dynamic.vhd"), other.path("dynamic.vhd")] {
        crate::oracle::reads(&path, &oracle);
    }
}

#[test]
fn a_receiver_that_gets_nothing_harms_nobody() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/dynamic.vhd");
    let path = daemon.run_dir().join(format!("nbdserver{}.0", daemon.pid()));
    let mut silent: Vec<_> = (0..4).map(|_| UnixStream::connect(&path).unwrap()).collect();
    silent[0].write_all(b"no descriptor").unwrap();
    assert_eq!(daemon.client(0).flush(), 0);
    daemon.done("destroy -p PID -m 0");
    assert_eq!(daemon.wait().0, Some(0));
}

#[test]
fn counters_are_told_as_json_and_in_shared_memory() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/child.vhd");
    let mut client = daemon.client(0);
    assert_eq!(client.write(0, 0, &[7; 1024]), 0);
    client.read(0, 4096).unwrap();
    client.read(0, 100).unwrap();
    let directory = daemon.path("");
    let directory = directory.to_str().unwrap().trim_end_matches('/');
    let stats = daemon.done("stats -p PID -m 0");
    assert!(stats.ends_with("}\n\n") && stats.lines().count() == 2, "{stats}");
    let stats: serde_json::Value = serde_json::from_str(&stats.replace("DIR", directory)).unwrap();
    assert_eq!(stats["name"], format!("vhd:{directory}/child.vhd"));
    assert_eq!(stats["secs"], serde_json::json!([9, 2]));
    assert_eq!(stats["reqs_outstanding"], 0);
    assert_eq!(stats["read_caching"], "false");
    assert_eq!(stats["FIXME_enospc_redirect_count"], 0);
    let images = stats["images"].as_array().unwrap();
    let names: Vec<_> =
        images.iter().map(|image| image["name"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["child.vhd", "parent.vhd"]);
    assert_eq!(images[0]["driver"], serde_json::json!({ "type": 4, "name": "vhd", "status": null }));

    let page = daemon.path(&format!("shm/td3-{}/vdi-0", daemon.pid()));
    let number = |bytes: &[u8], index: usize| u64::from_ne_bytes(bytes[8 * index..][..8].try_into().unwrap());
    loop {
        let bytes = std::fs::read(&page).unwrap_or_default();
        // It is written every second.
        if bytes.len() == 4096 && number(&bytes, 2) == 2 {
            assert_eq!((number(&bytes, 0) & 0xffff_ffff, number(&bytes, 3), number(&bytes, 4)), (1, 2, 9));
            assert_eq!((number(&bytes, 7), number(&bytes, 8)), (1, 2));
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    daemon.done("pause -p PID -m 0");
    assert!(daemon.done("stats -p PID -m 0").contains("\"images\":[]"));
    assert_eq!(daemon.tap_ctl("stats -p PID -m 1").status, 19);
}

#[test]
fn top_shows_disks_at_work() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/child.vhd");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = EndsOthers(&is_over);
        scope.spawn(|| {
            let mut client = daemon.client(0);
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(client.write(0, 0, &[7; 65536]), 0);
                client.read(0, 4096).unwrap();
            }
        });
        let shown = daemon.done("top");
        drop(end);
        let words: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!((words[0], words[1], words[2], words[9]), ("PID", "0", "0x0", "vhd:DIR/child.vhd"));
        for word in &words[3..8] {
            assert!(word.parse::<f64>().unwrap() > 0.0, "{shown}");
        }
    });
    assert!(daemon.done("stats -p PID -m 0 --pretty").starts_with("{\n  \"name\""));
}
