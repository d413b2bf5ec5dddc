//! What `tap-ctl` is told of a disk, from attach to detach.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use tap_proto::{FRAME_BYTES, Reply, Request};

use crate::daemon::{Daemon, Said, command, directory};

/// Runs commands one after the other: each with its status and what it prints.
fn check(daemon: &Daemon, table: &[(&str, i32, &str)]) {
    for &(words, status, stdout) in table {
        let Said { status: found, stdout: printed, stderr } = daemon.tap_ctl(words);
        assert_eq!((found, printed.as_str()), (status, stdout), "{words}: {stderr}");
    }
}

#[test]
fn a_disk_from_allocate_to_free() {
    let daemon = Daemon::new();
    let list = |words| format!("pid=PID minor=0 {words}\n");
    check(
        &daemon,
        &[
            ("list", 0, "pid=PID\n"),
            ("attach -p PID -m 0", 22, ""),
            ("allocate", 0, "DIR/run/tapdisk/tapdisk-0\n"),
            ("list", 0, "pid=PID\nminor=0\n"),
            ("pause -p PID -m 0", 19, ""),
            ("close -p PID -m 0", 19, ""),
            ("open -p PID -m 0 -a vhd:DIR/dynamic.vhd", 22, ""),
            ("attach -p PID -m 0", 0, ""),
            ("attach -p PID -m 0", 22, ""),
            ("free -m 0", 11, ""),
            ("list", 0, &list("state=0")),
            ("unpause -p PID -m 0", 22, ""),
            ("open -p PID -m 0 -a vhd:DIR/none.vhd", 2, ""),
            ("open -p PID -m 0 -a vhd:DIR", 21, ""),
            ("open -p PID -m 0 -a vmdk:DIR/dynamic.vhd", 38, ""),
            ("open -p PID -m 0 -a other:DIR/dynamic.vhd", 2, ""),
            ("open -p PID -m 0 -a DIR/dynamic.vhd", 22, ""),
            ("open -p PID -m 0 -a vhd:DIR/./dynamic.vhd", 0, ""),
            ("open -p PID -m 0 -a vhd:DIR/dynamic.vhd", 114, ""),
            ("list", 0, &list("state=0 args=vhd:DIR/./dynamic.vhd")),
            ("list -t vhd -f DIR/./dynamic.vhd", 0, &list("state=0 args=vhd:DIR/./dynamic.vhd")),
            ("detach -p PID -m 0", 22, "got unexpected result 'error' from PID\n"),
            ("pause -p PID -m 0", 0, ""),
            ("pause -p PID -m 0", 0, ""),
            ("list", 0, &list("state=0x2a args=vhd:DIR/./dynamic.vhd")),
            ("unpause -p PID -m 0 -a vhd:DIR", 21, ""),
            ("list", 0, &list("state=0x22a args=vhd:DIR/./dynamic.vhd")),
            ("unpause -p PID -m 0 -a vhd:DIR/child.vhd", 0, ""),
            ("list", 0, &list("state=0 args=vhd:DIR/child.vhd")),
            ("unpause -p PID -m 0", 22, ""),
            ("close -p PID -m 0", 0, ""),
            ("list", 0, &list("state=0x2")),
            ("close -p PID -m 0 -f", 0, ""),
            ("open -p PID -m 0 -a aio:DIR/dynamic.vhd -R", 0, ""),
            ("close -p PID -m 0 -f", 0, ""),
            ("detach -p PID -m 0", 0, ""),
            ("free -m 0", 0, ""),
            ("free -m 0", 2, ""),
        ],
    );
    let (status, directory) = daemon.wait();
    assert_eq!(status, Some(0));
    let left: Vec<_> = std::fs::read_dir(directory.path().join("run")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}: only the directory of markers stays");
    assert_eq!(std::fs::read_dir(directory.path().join("shm")).unwrap().count(), 0);
}

#[test]
fn several_disks_are_listed_last_one_first_and_the_daemon_stays_for_the_last() {
    let daemon = Daemon::new();
    for (minor, image) in ["dynamic.vhd", "fixed.vhd", "child.vhd"].into_iter().enumerate() {
        daemon.done("allocate");
        daemon.done(&format!("attach -p PID -m {minor}"));
        daemon.done(&format!("open -p PID -m {minor} -a vhd:DIR/{image}"));
    }
    let line = |minor, image| format!("pid=PID minor={minor} state=0 args=vhd:DIR/{image}\n");
    let all = [line(2, "child.vhd"), line(1, "fixed.vhd"), line(0, "dynamic.vhd")];
    assert_eq!(daemon.done("list"), all.concat());
    daemon.client(1).write(0, 0, &[9; 512]);
    daemon.done("destroy -p PID -m 0");
    daemon.done("destroy -p PID -m 2");
    assert_eq!(daemon.done("list"), all[1]);
    assert!(!daemon.nbd(0).exists() && daemon.client(1).read(0, 512).unwrap() == [9; 512]);
    daemon.done("destroy -p PID -m 1");
    assert_eq!(daemon.wait().0, Some(0));
}

#[test]
fn create_starts_a_daemon_and_destroy_ends_it() {
    let directory = directory();
    let run = |words: &[&str]| {
        let said = Said::from(command(testkit::program("tap-ctl"), directory.path()).args(words).output().unwrap());
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{words:?}");
        said.stdout
    };
    let image = format!("vhd:{}", directory.path().join("dynamic.vhd").display());
    run(&["create", "-a", &image]);
    let list = run(&["list"]);
    let pid = list.split(['=', ' ']).nth(1).unwrap();
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(arguments.starts_with(b"tapdisk\0"), "the storage manager looks for that name");
    // Nothing of whoever started it keeps it, nor does it keep them.
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/"));
    for descriptor in 0..3 {
        let target = std::fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
        assert_eq!(target.to_str(), Some("/dev/null"));
    }
    run(&["destroy", "-p", pid, "-m", "0"]);
    // It answers first, and is gone then.
    while !run(&["list"]).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_daemon_that_cannot_start_is_told() {
    let directory = directory();
    // Where its sockets should be there is a file.
    std::fs::write(directory.path().join("run"), "").unwrap();
    let said = Said::from(command(testkit::program("tap-ctl"), directory.path()).arg("spawn").output().unwrap());
    assert!(said.status != 0 && said.stdout.is_empty(), "{said:?}");
    assert!(said.stderr.contains("error: "), "{said:?}");
}

/// Sends bytes to the control socket; what comes back until it is closed.
fn exchange(daemon: &Daemon, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = UnixStream::connect(daemon.control()).unwrap();
    for piece in pieces {
        stream.write_all(piece).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn reply(bytes: &[u8]) -> Reply {
    Reply::decode(bytes.try_into().unwrap()).unwrap().1
}

#[test]
fn a_request_may_come_in_pieces_and_wrong_ones_are_refused() {
    let daemon = Daemon::new();
    let pid = Reply::Pid(i32::try_from(daemon.pid()).unwrap());
    let request = Request::Pid.encode(0);
    assert_eq!(reply(&exchange(&daemon, &[&request])), pid);
    assert_eq!(reply(&exchange(&daemon, &[&request[..100], &request[100..]])), pid);
    let mut bytes: Vec<&[u8]> = request.chunks(1).collect();
    let rest = bytes.split_off(20).concat();
    bytes.push(&rest);
    assert_eq!(reply(&exchange(&daemon, &bytes)), pid);
    let error = |errno| Reply::Error { errno, message: tap_proto::Text::default() };
    // Types that nobody has, or that are answers; a path that does not end.
    for kind in [0u16, 2, 4, 17, 30, 99, 0xffff] {
        let mut frame = request.to_vec();
        frame[..2].copy_from_slice(&kind.to_ne_bytes());
        assert_eq!(reply(&exchange(&daemon, &[&frame])), error(22), "{kind}");
    }
    let mut frame = request.to_vec();
    frame[20..276].fill(b'x');
    assert_eq!(reply(&exchange(&daemon, &[&frame])), error(22));
    assert_eq!(reply(&exchange(&daemon, &[&Request::Close.encode(7)])), error(19));
    assert_eq!(exchange(&daemon, &[&Request::List.encode(0xffff)]).len(), FRAME_BYTES);
}

#[test]
fn who_says_nothing_keeps_nobody_waiting() {
    let daemon = Daemon::new();
    let silent: Vec<_> = (0..9).map(|_| UnixStream::connect(daemon.control()).unwrap()).collect();
    assert_eq!(daemon.done("list"), "pid=PID\n");
    drop(silent);
}

#[test]
fn a_signal_writes_everything_out_and_leaves_no_name() {
    for signal in [Signal::TERM, Signal::INT] {
        let daemon = Daemon::new();
        daemon.open("vhd:DIR/dynamic.vhd");
        let mut client = daemon.client(0);
        assert_eq!(client.write(0, 3 << 20, &[7; 4096]), 0);
        daemon.signal(signal);
        let (status, directory) = daemon.wait();
        assert_eq!(status, Some(0));
        let names: Vec<_> = std::fs::read_dir(directory.path().join("run")).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let mut oracle = vec![0; crate::served::SIZE];
        oracle[3 << 20..][..4096].fill(7);
        crate::oracle::reads(&directory.path().join("dynamic.vhd"), &oracle);
    }
}

/// Half a request at the control socket does not keep disks from being closed.
#[test]
fn an_end_waits_for_nobody_who_says_nothing() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/dynamic.vhd");
    let client = daemon.client(0);
    let request = Request::Pid.encode(0);
    let (first, rest) = request.split_at(7);
    let mut silent = UnixStream::connect(daemon.control()).unwrap();
    silent.write_all(first).unwrap();
    // It is accepted by now.
    daemon.done("list");
    daemon.signal(Signal::TERM);
    assert!(client.sees_the_end());
    silent.write_all(rest).unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), FRAME_BYTES);
    assert_eq!(daemon.wait().0, Some(0));
}

#[test]
fn what_a_killed_daemon_left_is_nobody() {
    let daemon = Daemon::new();
    daemon.open("vhd:DIR/dynamic.vhd");
    assert_eq!(daemon.client(0).write(0, 0, &[7; 512]), 0);
    daemon.signal(Signal::KILL);
    let (_, directory) = daemon.wait();
    let said = Said::from(command(testkit::program("tap-ctl"), directory.path()).arg("list").output().unwrap());
    assert_eq!((said.status, said.stdout.as_str()), (0, "minor=0\n"));
    let next = Daemon::within(directory);
    next.done("free -m 0");
    next.open("vhd:DIR/dynamic.vhd");
    assert!(next.client(0).read(0, 512).unwrap() == [7; 512]);
}

#[test]
fn a_disk_in_memory_is_a_copy() {
    let daemon = Daemon::new();
    std::fs::write(daemon.path("raw"), vec![7; 70_000]).unwrap();
    daemon.open("ram:DIR/raw");
    let mut client = daemon.client(0);
    assert!(client.read(0, 69_632).unwrap() == vec![7; 69_632] && client.size_bytes == 69_632);
    assert_eq!(client.write(0, 0, &[8; 4096]), 0);
    assert!(client.read(0, 4096).unwrap() == [8; 4096]);
    assert!(daemon.done("stats -p PID -m 0").contains(r#""driver":{"type":5,"name":"ram""#));
    daemon.done("close -p PID -m 0");
    assert!(std::fs::read(daemon.path("raw")).unwrap() == vec![7; 70_000]);
    daemon.done("open -p PID -m 0 -a aio:DIR/raw");
    let mut client = daemon.client(0);
    assert_eq!(client.write(0, 512, &[9; 512]), 0);
    daemon.done("close -p PID -m 0");
    assert!(std::fs::read(daemon.path("raw")).unwrap()[512..1024] == [9; 512]);
}

/// What is no file or device is refused at once, as whatever it was to be opened.
#[test]
fn nothing_waits_for_the_other_end_of_a_fifo() {
    let daemon = Daemon::new();
    assert!(std::process::Command::new("mkfifo").arg(daemon.path("fifo")).status().unwrap().success());
    check(&daemon, &[("allocate", 0, "DIR/run/tapdisk/tapdisk-0\n"), ("attach -p PID -m 0", 0, "")]);
    let image = "vhd:DIR/dynamic.vhd";
    for kind in ["vhd", "aio", "ram"] {
        assert_eq!(daemon.tap_ctl(&format!("open -p PID -m 0 -a {kind}:DIR/fifo")).status, 22, "{kind}");
    }
    assert_eq!(daemon.tap_ctl("open -p PID -m 0 -a nbd:DIR/fifo").status, 111);
    assert_eq!(daemon.tap_ctl(&format!("open -p PID -m 0 -a {image} -2 vhd:DIR/fifo")).status, 22);
    assert_eq!(daemon.tap_ctl(&format!("open -p PID -m 0 -a {image} -C DIR/fifo")).status, 22);
    assert_eq!(daemon.done("list"), "pid=PID minor=0 state=0\n");
}
